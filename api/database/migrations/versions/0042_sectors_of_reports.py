"""The sector that a report was approved under, and who said what the operator of a site is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.database.migrations import one_way

revision = "0042"
down_revision = "0041"


def upgrade() -> None:
    """Make the change."""
    op.add_column("obligation", sa.Column("sector", sa.String(32), nullable=True))
    op.add_column("site_operator", sa.Column("said_by", sa.String(64), nullable=True))


downgrade = one_way
