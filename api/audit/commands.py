"""The commands `icsight audit verify`, `icsight audit export`, `icsight audit checkpoint` and `icsight audit key`."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from api.commands import settings_of
from api.texts import LANGUAGES, preferred
from sensor.configuration import ConfigurationError
from sensor.terminal import CommandError

if TYPE_CHECKING:
    from collections.abc import Generator

    from api.database import Database
    from api.settings import Settings

EXIT_FAULT: Final = 1
"""Exit status where the trail is not as it was written."""

_DATA: Final = click.option(
    "--data", required=True, metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Data folder."
)


@click.group()
def audit() -> None:
    """Check, export and sign the audit trail. Nothing is written into the database; the system may be at work meanwhile."""


@audit.command()
@_DATA
@click.option(
    "--checkpoints", "folder", metavar="FOLDER", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of checkpoints; that of the configuration else.",
)  # fmt: skip
@click.option(
    "--key", "files", metavar="FILE", multiple=True, type=click.Path(dir_okay=False, path_type=Path),
    help="Public key that may have signed them; that of the data folder else. May be repeated.",
)  # fmt: skip
@click.option("--language", type=click.Choice(LANGUAGES), default=preferred, help="Language of what is said.")
def verify(data: Path, folder: Path | None, files: tuple[Path, ...], language: str) -> None:
    """Say in one line whether any entry was edited, moved, taken away or written anew, and where; exit status 1 then."""
    from api.audit import checkpoints, keys  # noqa: PLC0415  needs all libraries; `--help` does not
    from api.audit.verification import verify as follow  # noqa: PLC0415

    with _opened(data) as (settings, database):
        found = checkpoints.read(folder or settings.audit.folder(data), database.scope.organisation)
        paths = files or ((settings.audit.key(data),) if found else ())
        given = {keys.identity(key): key for key in map(keys.read_public, paths)}
        with database.read(unlimited=True) as session:
            verdict = follow(session, found, given)
    click.echo(verdict.line(language))
    if verdict.fault is not None:
        raise click.exceptions.Exit(EXIT_FAULT)


@audit.command()
@_DATA
@click.option(
    "--after", default=0, show_default=True, type=click.IntRange(0), metavar="N", help="Entries after this number only."
)
def export(data: Path, after: int) -> None:
    """Print the trail as JSON lines, with a signed checkpoint as the last, for others to verify."""
    from api.audit import keeping  # noqa: PLC0415  needs all libraries; `--help` does not

    with _opened(data) as (settings, database):
        for lines in keeping.export(database, settings, after):
            sys.stdout.write(lines)


@audit.command()
@_DATA
def checkpoint(data: Path) -> None:
    """Sign how far the trail is now; print that, and write it into the folder of checkpoints."""
    from api.audit import keeping  # noqa: PLC0415  needs all libraries; `--help` does not

    with _opened(data) as (settings, database):
        made = keeping.checkpoint(database, settings)
    if made is None:
        raise CommandError(f"{data}: the audit trail is empty: there is nothing to sign")
    click.echo(made.line())


@audit.command()
@_DATA
def key(data: Path) -> None:
    """Print the public key that checkpoints are verified with; keep it off this machine."""
    from api.audit import keys  # noqa: PLC0415  needs all libraries; `--help` does not
    from api.audit.keys import AuditKeyError  # noqa: PLC0415

    try:
        click.echo(keys.pem(keys.read_public(settings_of(data, {}).audit.key(data))), nl=False)
    except AuditKeyError as error:
        raise CommandError(str(error)) from error


@contextmanager
def _opened(data: Path) -> Generator[tuple[Settings, Database]]:
    """The settings and the database, left as it is. Raises CommandError."""
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415  as above

    from api.audit.checkpoints import CheckpointFileError  # noqa: PLC0415
    from api.audit.keys import AuditKeyError  # noqa: PLC0415
    from api.database import Database, UnusableDatabaseError, first_line  # noqa: PLC0415

    settings = settings_of(data, {})
    if not settings.database.url and not settings.database_path.is_file():
        raise CommandError(f"{settings.database_path}: there is no database. Give the data folder of a system.")
    try:
        database = Database.of(settings)
        try:
            database.check()
            yield settings, database
        finally:
            database.close()
    except SQLAlchemyError as error:
        raise CommandError(
            f"{settings.database_path if not settings.database.url else 'the database'}: cannot be read ({first_line(error)})"
        ) from error
    except (ConfigurationError, UnusableDatabaseError, AuditKeyError, CheckpointFileError) as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(f"{data}: cannot be used ({error.strerror})") from error
