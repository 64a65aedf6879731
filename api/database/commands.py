"""The commands `icsight backup` and `icsight restore`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from api.commands import settings_of
from sensor.terminal import CommandError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from api.database import Database
    from api.database.backup import Manifest

_DATA: Final = click.option(
    "--data", required=True, metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Data folder."
)

_FILE: Final = click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))


@click.command()
@_DATA
@_FILE
def backup(data: Path, file: Path) -> None:
    """Write all alerts, decisions, accounts, audit entries and evidence into FILE; the system may be at work meanwhile."""
    from api.database.backup import BackupError, back_up  # noqa: PLC0415  needs all libraries; `--help` does not

    settings = settings_of(data, {})
    if not settings.database.url and not settings.database_path.is_file():
        raise CommandError(f"{settings.database_path}: there is no database. Give the data folder of a system.")
    database = _opened(data)
    try:
        told = back_up(database, file, settings.evidence_place)
        try:
            _tell(database, "database.backup", {"file": str(file), "sha256": _sha256(file), **_extent(told)})
        except BaseException:
            # All that there is was taken out: where nobody is told of it, it was not.
            file.unlink(missing_ok=True)
            raise
    except BackupError as error:
        raise CommandError(str(error)) from error
    finally:
        database.close()
    click.echo(f"{file}: {_rows(told)} of {database.place}, schema {told.schema}")
    for name in told.damaged:
        click.echo(f"{settings.evidence_place / name}: is missing or was changed: an older backup may have it", err=True)


@click.command()
@_DATA
@_FILE
def restore(data: Path, file: Path) -> None:
    """Put what `icsight backup` wrote into a database that is empty or not there yet, of either kind."""
    from api.database.backup import BackupError, read_manifest  # noqa: PLC0415  needs all libraries; `--help` does not
    from api.database.backup import restore as put_back  # noqa: PLC0415
    from api.system import FolderError, held  # noqa: PLC0415

    settings = settings_of(data, {})
    path = settings.database_path
    fresh = not settings.database.url and not path.exists()
    try:
        # Before anything is made: what cannot be restored leaves no trace.
        read_manifest(file)
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        with held(data):
            database = _opened(data)
            try:
                told = put_back(database, file, settings.evidence_place)
            except BackupError:
                database.close()
                if fresh:
                    for suffix in ("", "-wal", "-shm"):
                        path.with_name(path.name + suffix).unlink(missing_ok=True)
                raise
            try:
                said = {
                    "file": str(file),
                    "sha256": _sha256(file),
                    "version": told.version,
                    "schema": told.schema,
                    **_extent(told),
                }
                _tell(database, "database.restore", said)
            finally:
                database.close()
    except (BackupError, FolderError) as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(f"{data}: cannot be used ({error.strerror})") from error
    click.echo(f"{database.place}: {_rows(told)} of {file}, written by icsight {told.version}")


def _tell(database: Database, action: str, detail: Mapping[str, Any]) -> None:
    """Add an entry to the audit trail of the organisation whose configuration it is. Raises CommandError."""
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415  needs all libraries; `--help` does not

    from api.at_the_machine import acting  # noqa: PLC0415
    from api.audit import service as audit  # noqa: PLC0415

    try:
        audit.record_read(database, acting(), action, "database", detail)
    except SQLAlchemyError as error:
        raise CommandError(f"{database.place}: the audit trail cannot be told of it ({error})") from error


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _extent(told: Manifest) -> dict[str, int]:
    return {"rows": sum(table.rows for table in told.tables), "files": len(told.files)}


def _opened(data: Path) -> Database:
    from api.database import Database, UnusableDatabaseError  # noqa: PLC0415
    from sensor.configuration import ConfigurationError  # noqa: PLC0415

    try:
        return Database.of(settings_of(data, {}))
    except (ConfigurationError, UnusableDatabaseError) as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(f"{data}: cannot be used ({error.strerror})") from error


def _rows(told: Manifest) -> str:
    files = f" and {len(told.files):,} files of evidence" if told.files else ""
    return f"{sum(table.rows for table in told.tables):,} rows in {len(told.tables)} tables{files}"
