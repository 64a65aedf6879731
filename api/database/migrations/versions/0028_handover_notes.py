"""Handover notes of shifts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.database.migrations import one_way

revision = "0028"
down_revision = "0025"


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "handover",
        sa.Column("organisation", sa.String(length=64), nullable=False),
        sa.Column("site", sa.String(length=255).with_variant(sa.String(length=64), "sqlite"), nullable=False),
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("remarks", sa.Text(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("content_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.String(length=64), nullable=False),
        sa.Column("handed_by", sa.String(length=64), nullable=True),
        sa.Column("handed_at", sa.BigInteger(), nullable=True),
        sa.Column("taken_by", sa.String(length=64), nullable=True),
        sa.Column("taken_at", sa.BigInteger(), nullable=True),
        sa.Column("taken_note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_handover")),
    )
    op.create_index("ix_handover_organisation_site_state_id", "handover", ["organisation", "site", "state", "id"])


downgrade = one_way
