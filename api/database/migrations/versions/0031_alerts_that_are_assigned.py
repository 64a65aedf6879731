"""Whom an alert was given to, at a step of its history."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.database.migrations import one_way

revision = "0031"
down_revision = "0028"


def upgrade() -> None:
    """Make the change."""
    op.add_column("alert_event", sa.Column("other", sa.String(64), nullable=True))


downgrade = one_way
