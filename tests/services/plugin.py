"""Fixtures of the services. Each is started once for a run of the tests, by the process that first asks for it, and shared.

Tests keep apart by names: a prefix of topics, a prefix of indices, a database of their own. Where a service cannot be started,
the tests that need it fail under CI=true and are passed over elsewhere, with the reason.
"""

from __future__ import annotations

import os
import pickle
import shutil
import tempfile
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import pytest

from tests.services.elasticsearch import Elasticsearch, SecuredElasticsearch
from tests.services.kafka import Kafka
from tests.services.openid_provider import OpenIdProvider
from tests.services.packages import Missing, locked
from tests.services.postgres import Postgres
from tests.services.process import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator

Service = TypeVar("Service", Kafka, Elasticsearch, SecuredElasticsearch, Postgres, OpenIdProvider)

FOLDER: Final = "ICSIGHT_TEST_SERVICES"
"""Environment variable that names the folder of a run's services, to all its processes."""

OWNER: Final = "ICSIGHT_TEST_SERVICES_OWNER"
"""Environment variable with the identity of the process that the services end with."""


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder of the services; the processes of pytest-xdist, which have the environment of this one, find it."""
    if FOLDER not in os.environ:
        folder = tempfile.mkdtemp(prefix="icsight-services-")
        Path(folder).chmod(0o755)
        os.environ[FOLDER], os.environ[OWNER] = folder, str(os.getpid())
        config.add_cleanup(_end)


def _end() -> None:
    """Take the folder away; the services' guards end them with this process, and what they still write is gone with it."""
    shutil.rmtree(os.environ.pop(FOLDER), ignore_errors=True)
    os.environ.pop(OWNER)


def _shared(kind: type[Service]) -> Service:
    """The running service of this kind, started if none of the run's processes has done so."""
    folder = Path(os.environ[FOLDER])
    name = kind.__name__.lower()
    kept = folder / f"{name}.pickle"
    with locked(folder / f"{name}.lock"):
        if kept.exists():
            content = kept.read_bytes()
            return pickle.loads(content)
        service = _started(kind, folder / name, int(os.environ[OWNER]))
        told = copy(service)
        told.process = None
        kept.write_bytes(pickle.dumps(told))
        return told


def _started(kind: type[Service], folder: Path, owner: int | None = None) -> Service:
    try:
        return kind(folder, owner=owner).start()
    except (Missing, ServiceError) as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{kind.__name__} cannot be started: {error}")
        pytest.skip(f"{kind.__name__} cannot be started: {error}")


@pytest.fixture(scope="session")
def kafka() -> Kafka:
    """A broker that others use too."""
    return _shared(Kafka)


@pytest.fixture(scope="session")
def elasticsearch_server() -> Elasticsearch:
    """A node of Elasticsearch that others use too."""
    return _shared(Elasticsearch)


@pytest.fixture(scope="session")
def secured_elasticsearch() -> SecuredElasticsearch:
    """A node of Elasticsearch that asks who is who over TLS, which others use too."""
    return _shared(SecuredElasticsearch)


@pytest.fixture(scope="session")
def postgres_server() -> Postgres:
    """A PostgreSQL that others use too."""
    return _shared(Postgres)


@pytest.fixture(scope="session")
def openid_provider() -> Iterator[OpenIdProvider]:
    """An OpenID provider of this process alone: tests set its accounts, clients and keys."""
    folder = Path(os.environ[FOLDER]) / f"openid-{os.getpid()}"
    folder.mkdir()
    yield from _private(OpenIdProvider, folder)


@pytest.fixture
def private_kafka(open_folder: Path) -> Iterator[Kafka]:
    """A broker that a test may kill."""
    yield from _private(Kafka, open_folder / "kafka")


@pytest.fixture
def private_elasticsearch(open_folder: Path) -> Iterator[Elasticsearch]:
    """A node that a test may kill."""
    yield from _private(Elasticsearch, open_folder / "elasticsearch")


@pytest.fixture
def private_postgres(open_folder: Path) -> Iterator[Postgres]:
    """A PostgreSQL that a test may kill."""
    yield from _private(Postgres, open_folder / "postgres")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can reach: services do not run as root."""
    with tempfile.TemporaryDirectory(prefix="icsight-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def _private(kind: type[Service], folder: Path) -> Iterator[Service]:
    service = _started(kind, folder)
    yield service
    service.kill()
