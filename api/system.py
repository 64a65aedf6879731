"""A system opened on its data folder: the database, the record store and what the API needs besides."""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from api.alerts.consumer import AlertConsumer
from api.audit import keeping
from api.audit.keys import AuditKeyError
from api.database import Database, UnusableDatabaseError
from api.notifications.channels import channels_of
from api.oidc.provider import provider_of
from api.security.attempts import Attempts
from api.security.rate import Rate
from api.services import Services
from api.site import service as sites
from api.users import service as users
from collector.dead_letters import LetterFolder
from collector.store import StoreError
from collector.store.choice import open_store
from collector.stream import StreamError
from collector.stream.local import LocalStream
from collector.writer import Writer
from detection.checkpoint import CHECKPOINT_FILE, read_learned
from detection.inbox import Inbox
from sensor import packets
from sensor.configuration import ConfigurationError
from sensor.spool_files import SPOOL

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from api.settings import Settings
    from detection.inbox import Entry
    from detection.remembered import Learned
    from sensor.packets import Asked, Evidence, Statement

RECORDS: Final = "records"
"""Folder of the record store."""

ALERTS: Final = "alerts"
"""Folder of the alerts' spool."""

DEAD_LETTERS: Final = "dead-letters"
"""Folder of batches that could not be stored."""


class FolderError(Exception):
    """The system cannot be opened. The text is one line that says what to do."""


class Folder:
    """What the API needs of detection and of the sensor where both work on one data folder, now or at another time."""

    def __init__(self, data: Path) -> None:
        self._data: Final = data
        self._inbox: Final = Inbox(data)

    def take(self, statement: Statement, asked: Asked) -> Evidence:
        """As `api.services.Packets.take`, from the ring of the data folder."""
        return packets.take(self._data / packets.PACKETS, statement, asked)

    def learned(self, site: str) -> dict[str, Sequence[Learned]]:
        """What the checkpoint of the last run holds. Raises CheckpointError."""
        try:
            return {site: read_learned(self._data / CHECKPOINT_FILE)[1]}
        except FileNotFoundError:
            return {}

    def leave(self, decision: Entry, site: str) -> None:
        """Leave a decision in the folder that detection takes them from. Raises InboxError."""
        del site
        self._inbox.put(decision)


@contextmanager
def opened(settings: Settings, *, collects: bool = True) -> Generator[Services]:
    """The data folder, held by this process alone, with its database and its record store.

    Args:
        settings: settings of the API.
        collects: whether this process puts records into the store; else another one does.

    Raises:
        FolderError: another process works on the folder, or a part of it cannot be opened.
    """
    with ExitStack() as stack:
        try:
            settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            stack.enter_context(held(settings.data))
            letters = LetterFolder(settings.data / DEAD_LETTERS) if collects else None
            store = open_store(settings.data / RECORDS, writer=collects, letters=letters)
            stack.callback(store.close)
            database = Database.of(settings)
            stack.callback(database.close)
            database.migrate()
            keeping.set_up(database, settings)
            with database.read() as session:
                site = sites.newest(session)
            attempts = Attempts(settings.sign_in_attempts, settings.sign_in_wait_seconds, settings.sign_in_wait_most_seconds)
            folder = Folder(settings.data)
            services = Services(
                settings, database, store, attempts, Rate(settings.requests_per_minute), packets=folder,
                learned=lambda: folder.learned(services.site or ""),
                leave=folder.leave, site=site, provider=provider_of(settings.oidc),
                channels=channels_of(settings.notifications),
            )  # fmt: skip
        except OSError as error:
            raise FolderError(f"{settings.data}: cannot be used ({error.strerror}): give a folder that this user owns") from error
        except StoreError as error:
            raise FolderError(str(error)) from error
        except (AuditKeyError, ConfigurationError) as error:
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
    """The link that creates the first account, or None where there is one. What stands behind the # is sent to no server."""
    with services.database.write() as session:
        token = users.new_setup_link(session, services.settings)
    return None if token is None else f"{url}/setup#token={token}"


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
