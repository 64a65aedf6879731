"""Alembic migrations, in the package and run at every start."""

from __future__ import annotations

from typing import Any, NoReturn

from alembic import op

from api.database.migration import UnusableDatabaseError


def option(name: str) -> Any:
    """What `api.database.migration.upgrade` was given under this name; None where a migration is run otherwise."""
    configuration = op.get_context().config
    return None if configuration is None else configuration.attributes[name]


def one_way() -> NoReturn:
    """What each revision has in place of a way back: taking tables and columns away would lose what people wrote into them.

    Raises UnusableDatabaseError, always.
    """
    raise UnusableDatabaseError("the schema cannot be taken back behind this: restore a backup of the version before")
