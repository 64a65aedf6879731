"""Alerts that an exception of the site hides."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.database.migrations import one_way

revision = "0002"
down_revision = "0001"

_BEFORE = "ix_alert_severity_triage_state_part_of"
_AFTER = "ix_alert_severity_triage_state_part_of_exception"


def upgrade() -> None:
    """Make the change."""
    op.add_column("alert", sa.Column("exception", sa.String(length=64), nullable=True))
    op.drop_index(_BEFORE, "alert")
    op.create_index(_AFTER, "alert", ["severity", "triage_state", "part_of", "exception"])


downgrade = one_way
