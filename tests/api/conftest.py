"""A running API over an empty data folder, and browsers' and scripts' ways to call it."""

from __future__ import annotations

import shutil
import ssl
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import httpx
import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from pydantic import SecretStr

from api import system
from api.alerts import tally, upserts
from api.alerts.models import AlertTally
from api.database import Database
from api.decisions import service as decisions
from api.main import create_app
from api.server import Server
from api.settings import DatabaseSettings, Settings
from api.users import service as users
from detection.inbox import Inbox

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from api.security.permissions import Role
    from api.services import Services
    from detection.alerts import Alert
    from tests.services.postgres import Postgres

PASSWORD = "seven pumps, two tanks"

ANY: Final = {"If-Match": "*"}
"""Headers of a change that is made whatever the thing is now."""

TRUSTING_NOBODY: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For callers without TLS: each would read all authorities of the machine, which takes longer than most of what it asks."""

OPENED = "data"
"""The folder of `database` and `system_running`, in a test's."""

STARTED = "started"
"""The folder of what `start` starts."""


class Running:
    """A served system."""

    def __init__(self, services: Services, server: Server) -> None:
        self.services = services
        self.server = server
        self.url = server.url

    def client(self) -> httpx.Client:
        """A caller without a session."""
        return httpx.Client(base_url=self.url, timeout=30, verify=TRUSTING_NOBODY)

    def signed_in(self, role: Role = "operator", name: str = "", sites: frozenset[str] | None = None) -> httpx.Client:
        """A caller with a new account of a role, limited to these sites."""
        name = name or f"{role}-{len(self.names())}"
        password_hash = users.hash_checked(self.services.settings, name, PASSWORD)
        with self.services.database.write() as session:
            users.create(session, users.audit.Actor("test"), name, password_hash, users.Rights(role, sites))
        return self.sign_in(name)

    def sign_in(self, name: str, password: str = PASSWORD) -> httpx.Client:
        """A caller who signs in."""
        client = self.client()
        answer = client.post("/api/session", json={"name": name, "password": password})
        assert answer.status_code == 201, answer.text
        client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
        return client

    def names(self) -> list[str]:
        with self.services.database.read() as session:
            return [user.name for user in users.users(session)]

    def take_up(self) -> None:
        """Detection takes up the decisions that wait."""
        take_up(self.services)

    def alerts(self, *given: Alert, drill: int | None = None) -> None:
        """Alerts as the stream would bring them, or as a drill does."""
        with self.services.database.write() as session:
            upserts.apply(session, given, drill=drill)
        self.services.hub.notify()


def take_up(services: Services) -> None:
    """Detection takes up the decisions that wait in the data folder."""
    waiting = [(path, decision) for path, decision in Inbox(services.settings.data).waiting() if decision is not None]
    with services.database.write() as session:
        assert decisions.take_up(session, [decision for _, decision in waiting]) == []
    for path, _ in waiting:
        path.unlink()


@contextmanager
def running(folder: Path, **settings: Any) -> Generator[Running]:
    with system.opened(Settings(data=folder, port=0, **settings)) as services:
        server = Server(create_app(services), services)
        server.start()
        try:
            yield Running(services, server)
        finally:
            server.stop()


@pytest.fixture
def real_passwords() -> None:
    """For tests of how passwords are kept."""


@pytest.fixture(autouse=True)
def _cheap_passwords(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords of accounts cost next to nothing: as the product hashes them they are half of these tests' work."""
    if "real_passwords" not in request.fixturenames:
        monkeypatch.setattr("api.security.passwords._HASHER", PasswordHasher(time_cost=1, memory_cost=32, parallelism=4))


BACK_ENDS = ("sqlite", "postgresql")


@pytest.fixture(params=BACK_ENDS)
def empty_database(request: pytest.FixtureRequest) -> DatabaseSettings:
    """How a database without tables is reached: whoever asks for it is run on each back end."""
    if request.param == "sqlite":
        return DatabaseSettings()
    server: Postgres = request.getfixturevalue("postgres_server")
    return on_server(server)


def migrate(settings: Settings) -> None:
    """Give a database this version's tables."""
    opened = Database.of(settings)
    opened.migrate()
    opened.close()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of SQLite with this version's tables, to be copied: to migrate takes longer than most of what is tested."""
    settings = Settings(data=tmp_path_factory.mktemp("migrated"))
    migrate(settings)
    return settings.database_path


@pytest.fixture(scope="session")
def migrated_on_server(postgres_server: Postgres) -> str:
    """The name of a database of the server with this version's tables, to be copied."""
    name = postgres_server.new_database()
    migrate(Settings(data=Path(), database=on_server(postgres_server, name)))
    return name


@pytest.fixture(params=BACK_ENDS)
def database_settings(request: pytest.FixtureRequest, tmp_path: Path) -> DatabaseSettings:
    """How a database with tables and nothing in them is reached: whoever asks for it, himself or through another fixture, is run
    on each back end. Files are in the folders that `database`, `system_running` and `start` have.
    """
    if request.param == "sqlite":
        migrated: Path = request.getfixturevalue("migrated_file")
        for folder in (tmp_path / OPENED, tmp_path / STARTED):
            folder.mkdir(mode=0o700)
            shutil.copy(migrated, folder)
        return DatabaseSettings()
    server: Postgres = request.getfixturevalue("postgres_server")
    return on_server(server, server.new_database(request.getfixturevalue("migrated_on_server")))


ON_BOTH = frozenset(
    {
        "test_audit", "test_backup", "test_custody", "test_database", "test_idempotency", "test_jobs",
        "test_opengauss", "test_postgresql", "test_scope", "test_upgrade",
    }
)  # fmt: skip
"""Modules whose tests any run makes on both back ends: what they test is the database, or many at once who use it."""

MADE_UP: Final = frozenset({"test_document"})
"""Modules whose tests try input that is made up."""

both_back_ends: Final = pytest.mark.both_back_ends
"""For single tests of that kind in other modules."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of tests that have two back ends, leave one to a full run: which one is told by the name, and comes to half of each.

    Most tests meet the database through the same few functions, and all on both take the gate's time twice. What is tried with
    made-up input is tried on the server: it refuses what a file takes.
    """
    for item in items:
        found: pytest.Function | None = item if isinstance(item, pytest.Function) else None
        kind = found.callspec.params.get("database_settings") if found is not None and hasattr(found, "callspec") else None
        if found is None or kind is None or found.path.stem in ON_BOTH or found.get_closest_marker("both_back_ends"):
            continue
        only = [mark for mark in found.iter_markers("parametrize") if "database_settings" in mark.args[0]]
        name = found.nodeid.replace("postgresql", "sqlite")
        chosen = "postgresql" if found.path.stem in MADE_UP else BACK_ENDS[crc32(name.encode()) % 2]
        if not only and chosen != kind:
            found.add_marker(pytest.mark.full)


SQLITE_ONLY = pytest.mark.parametrize("database_settings", ["sqlite"], indirect=True)
"""For tests of what only a file has."""

POSTGRESQL_ONLY = pytest.mark.parametrize("database_settings", ["postgresql"], indirect=True)
"""For tests of what only a server has."""


def on_server(server: Postgres, database: str = "") -> DatabaseSettings:
    """How a database of the server is reached; a new one where none is named."""
    return DatabaseSettings(url=server.address(database or server.new_database()), password=SecretStr(server.password))


@pytest.fixture
def database(tmp_path: Path, database_settings: DatabaseSettings) -> Iterator[Database]:
    """A database with this version's tables."""
    opened = Database.of(Settings(data=tmp_path / OPENED, database=database_settings))
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture
def system_running(tmp_path: Path, database_settings: DatabaseSettings) -> Iterator[Running]:
    """A served system; whatever a test did to alerts, they are counted right at its end."""
    with running(tmp_path / OPENED, database=database_settings) as served:
        yield served
        # Nothing limits how long a session that writes may ask.
        with served.services.database.write() as session:
            kept = session.execute(sa.select(AlertTally.site, AlertTally.severity, AlertTally.triage_state, AlertTally.count))
            assert {tuple(row[:3]): row[3] for row in kept if row[3]} == tally.counted(session)


@pytest.fixture
def start(tmp_path: Path, database_settings: DatabaseSettings) -> Iterator[Callable[..., Running]]:
    """Starts a system with other settings."""
    with ExitStack() as stack:

        def begin(**settings: Any) -> Running:
            return stack.enter_context(running(tmp_path / STARTED, database=database_settings, **settings))

        yield begin
