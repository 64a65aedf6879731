"""A system opened on its data folder: the database, the record store and the API over them."""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from api.alerts.consumer import AlertConsumer
from api.database import UnusableDatabaseError
from api.main import create_services
from api.status import Status
from api.users import service as users
from collector.dead_letters import LetterFolder
from collector.store import StoreError
from collector.store.choice import open_store
from collector.stream import StreamError
from collector.stream.local import LocalStream
from collector.writer import Writer
from sensor.configuration import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from api.services import Services
    from api.settings import Settings

SPOOL: Final = "spool"
"""Folder of the records' spool."""

RECORDS: Final = "records"
"""Folder of the record store."""

ALERTS: Final = "alerts"
"""Folder of the alerts' spool."""

DEAD_LETTERS: Final = "dead-letters"
"""Folder of batches that could not be stored."""


class FolderError(Exception):
    """The system cannot be opened. The text is one line that says what to do."""


@contextmanager
def opened(settings: Settings) -> Generator[Services]:
    """The data folder, held by this process alone, with its database and its record store.

    Raises:
        FolderError: another process works on the folder, or a part of it cannot be opened.
    """
    with ExitStack() as stack:
        try:
            settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            stack.enter_context(held(settings.data))
            refused = LetterFolder(settings.data / DEAD_LETTERS).keep
            store = open_store(settings.data / RECORDS, writer=True, refused=refused)
            stack.callback(store.close)
            services = create_services(settings, store, Status())
            stack.callback(services.database.close)
        except OSError as error:
            raise FolderError(f"{settings.data}: cannot be used ({error.strerror}): give a folder that this user owns") from error
        except StoreError as error:
            raise FolderError(str(error)) from error
        except ConfigurationError as error:
            raise FolderError(str(error)) from error
        except UnusableDatabaseError as error:
            raise FolderError(f"the database {error}") from error
        yield services


def catch_up(services: Services) -> None:
    """Store what the spools hold and a crash has kept from the record store and from the database. Raises FolderError."""
    folder = services.settings.data
    try:
        if (folder / SPOOL).is_dir():
            Writer(LocalStream(folder / SPOOL), services.records, LetterFolder(folder / DEAD_LETTERS)).drain()
        if (folder / ALERTS).is_dir():
            AlertConsumer(LocalStream(folder / ALERTS), services).drain()
    except (StoreError, StreamError, OSError) as error:
        raise FolderError(f"{folder}: {error}") from error


def setup_link(services: Services, url: str) -> str | None:
    """The link that creates the first account, or None where there is one."""
    with services.database.write() as session:
        token = users.new_setup_link(session, services.settings)
    return None if token is None else f"{url}/setup?token={token}"


@contextmanager
def held(folder: Path) -> Generator[None]:
    """The folder's lock: one process runs on it at a time."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
            raise FolderError(
                f"{folder}: process {holder} works on this folder already: stop it first, or give another --data"
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(lock)
