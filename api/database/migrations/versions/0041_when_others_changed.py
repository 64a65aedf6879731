"""When incidents, their tasks and reports, and maintenance windows changed last."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.database.migrations import one_way

revision = "0041"
down_revision = "0038"

_SINCE = {
    "incident": ("number", "moved_at"),
    "incident_task": ("id", "COALESCE(done_at, made_at)"),
    "obligation": ("id", "COALESCE(acknowledged_at, submitted_at, approved_at, made_at)"),
    "maintenance_window": ("number", "COALESCE(ended_at, changed_at)"),
}
"""By table: its identifier, and when a row changed as far as it says so itself."""


def upgrade() -> None:
    """Make the change."""
    for table, (identity, since) in _SINCE.items():
        op.add_column(table, sa.Column("updated_at", sa.BigInteger(), nullable=False, server_default="0"))
        op.execute(f"UPDATE {table} SET updated_at = {since}")  # noqa: S608  of this file's own names
        op.create_index(f"ix_{table}_organisation_updated_at_{identity}", table, ["organisation", "updated_at", identity])


downgrade = one_way
