"""Actions in the plant."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.database.migrations import one_way

revision = "0021"
down_revision = "0027"


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "plant_action",
        sa.Column("organisation", sa.String(length=64), nullable=False),
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("incident", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("safety", sa.JSON(), nullable=False),
        sa.Column("proof", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("window_from", sa.BigInteger(), nullable=False),
        sa.Column("window_until", sa.BigInteger(), nullable=False),
        sa.Column("moves", sa.JSON(), nullable=False),
        sa.Column("proposed_by", sa.String(length=64), nullable=False),
        sa.Column("security_by", sa.String(length=64), nullable=True),
        sa.Column("operations_by", sa.String(length=64), nullable=True),
        sa.Column("operations_at", sa.BigInteger(), nullable=True),
        sa.Column("executed_by", sa.String(length=64), nullable=True),
        sa.Column("executed_at", sa.BigInteger(), nullable=True),
        sa.Column("verdict", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plant_action")),
    )
    op.create_index(op.f("ix_plant_action_incident"), "plant_action", ["incident"])
    op.create_index("ix_plant_action_organisation_state_window_until", "plant_action", ["organisation", "state", "window_until"])


downgrade = one_way
