"""A running API over an empty data folder, and browsers' and scripts' ways to call it."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from api import system
from api.alerts import upserts
from api.main import create_app
from api.server import Server
from api.settings import Settings
from api.users import service as users

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from api.services import Services
    from api.users.models import Role
    from detection.alerts import Alert

PASSWORD = "seven pumps, two tanks"


class Running:
    """A served system."""

    def __init__(self, services: Services, server: Server) -> None:
        self.services = services
        self.server = server
        self.url = server.url

    def client(self) -> httpx.Client:
        """A caller without a session."""
        return httpx.Client(base_url=self.url, timeout=30)

    def signed_in(self, role: Role = "operator", name: str = "") -> httpx.Client:
        """A caller with a new account of a role."""
        name = name or f"{role}-{len(self.names())}"
        password_hash = users.hash_checked(self.services.settings, name, PASSWORD)
        with self.services.database.write() as session:
            users.create(session, users.audit.Actor("test"), name, password_hash, role)
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

    def alerts(self, *given: Alert) -> None:
        """Alerts as the stream would bring them."""
        with self.services.database.write() as session:
            upserts.apply(session, given)
        self.services.hub.notify()


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
def system_running(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "data") as served:
        yield served


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts a system with other settings."""
    with ExitStack() as stack:

        def begin(**settings: Any) -> Running:
            return stack.enter_context(running(tmp_path / "other", **settings))

        yield begin
