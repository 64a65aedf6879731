"""Audit entries say in which form they are hashed: those there are in the old one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.database.migrations import one_way

revision = "0010"
down_revision = "0008"


def upgrade() -> None:
    """Make the change; no row is written anew."""
    op.add_column("audit_entry", sa.Column("form", sa.SmallInteger(), nullable=False, server_default="1"))


downgrade = one_way
