"""What commands do with the database of a system on its own machine, and who does it."""

from __future__ import annotations

import getpass
from contextlib import contextmanager
from typing import TYPE_CHECKING

from api.commands import settings_of
from sensor.configuration import ConfigurationError
from sensor.terminal import CommandError

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from api.audit.service import Actor
    from api.database import Database
    from api.settings import Settings


def acting() -> Actor:
    """Who gives the command, as the audit trail names him."""
    from api.audit.service import MACHINE, Actor  # noqa: PLC0415  needs all libraries; `--help` does not

    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "unknown"
    return Actor(name[: 64 - len(MACHINE)] + MACHINE)


@contextmanager
def opened(data: Path) -> Generator[tuple[Settings, Database]]:
    """The centre's settings and its database, brought to this version; the system may be at work. Raises CommandError."""
    from api.database import Database, UnusableDatabaseError  # noqa: PLC0415  needs all libraries; `--help` does not

    settings = settings_of(data, {})
    if not settings.database.url and not data.is_dir():
        raise CommandError(f"{data}: there is no such folder. Give the data folder of `icsight serve` or `icsight run`.")
    try:
        database = Database.of(settings)
        try:
            database.migrate()
            yield settings, database
        finally:
            database.close()
    except (ConfigurationError, UnusableDatabaseError) as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(f"{data}: cannot be used ({error.strerror})") from error
