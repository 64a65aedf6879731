"""Bringing a database to this version's schema, and refusing one that a newer version has written."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

if TYPE_CHECKING:
    import sqlalchemy as sa


class UnusableDatabaseError(Exception):
    """The database cannot be used. The text is one line that says what to do, without any secret."""


@cache
def revisions() -> tuple[str, ...]:
    """The revisions that this version knows, oldest first."""
    return tuple(script.revision for script in ScriptDirectory.from_config(_configuration()).walk_revisions())[::-1]


def revision_of(connection: sa.Connection) -> str | None:
    """The revision of a database; None where it is empty."""
    return MigrationContext.configure(connection).get_current_revision()


def check(connection: sa.Connection, place: str) -> str | None:
    """The revision of a database. Raises UnusableDatabaseError where this version does not know it; nothing is changed."""
    found, known = revision_of(connection), revisions()
    if found is not None and found not in known:
        raise UnusableDatabaseError(
            f"{place}: written by a newer version of icsight (its schema is {found}, this one knows up to {known[-1]}): "
            "use that version; nothing was changed"
        )
    return found


def upgrade(connection: sa.Connection, to: str = "head", *, organisation: str, partitioned: bool) -> None:
    """Bring the schema to a revision, in the transaction of the connection: whole or not at all.

    Args:
        connection: a connection whose transaction can change tables that others refer to.
        to: the revision.
        organisation: to whom rows belong that were written before rows belonged to organisations.
        partitioned: whether tables that grow are cut into partitions, where the server can do that.
    """
    configuration = _configuration()
    configuration.attributes.update(connection=connection, organisation=organisation, partitioned=partitioned)
    command.upgrade(configuration, to)


def _configuration() -> Config:
    configuration = Config()
    configuration.set_main_option("script_location", str(files("api.database") / "migrations"))
    return configuration
