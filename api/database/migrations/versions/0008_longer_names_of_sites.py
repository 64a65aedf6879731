"""A site may be called whatever a spool can hold: 255 bytes, on PostgreSQL. SQLite heeds no length."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

from api.database.migrations import one_way

revision = "0008"
down_revision = "0007"

_TABLES: Final = ("alert", "decision", "enrolled_sensor", "enrolment_token", "site_exception", "site_version")


def upgrade() -> None:
    """Make the change; no row is written anew."""
    if op.get_context().dialect.name != "sqlite":
        for table in _TABLES:
            op.alter_column(table, "site", type_=sa.String(255), existing_type=sa.String(64), existing_nullable=False)


downgrade = one_way
