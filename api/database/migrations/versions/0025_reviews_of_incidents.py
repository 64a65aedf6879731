"""Reviews of closed incidents."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.database.migrations import one_way

revision = "0025"
down_revision = "0023"


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "incident_review",
        sa.Column("organisation", sa.String(length=64), nullable=False),
        sa.Column("incident", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("turn", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=False),
        sa.Column("went_well", sa.Text(), nullable=False),
        sa.Column("went_badly", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("participants", sa.JSON(), nullable=False),
        sa.Column("writers", sa.JSON(), nullable=False),
        sa.Column("changed_by", sa.String(length=64), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("signed_by", sa.String(length=64), nullable=True),
        sa.Column("signed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("organisation", "incident", "turn", name=op.f("pk_incident_review")),
    )


downgrade = one_way
