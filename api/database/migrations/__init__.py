"""Alembic migrations, in the package and run at every start."""

from __future__ import annotations

from typing import Any

from alembic import op


def option(name: str) -> Any:
    """What `api.database.migration.upgrade` was given under this name; None where a migration is run otherwise."""
    configuration = op.get_context().config
    return None if configuration is None else configuration.attributes[name]
