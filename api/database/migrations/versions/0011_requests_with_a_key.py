"""Requests that are carried out once, and their answers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.database.migrations import one_way

revision = "0011"
down_revision = "0013"


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "keyed_request",
        sa.Column("organisation", sa.String(length=64), nullable=False),
        sa.Column("caller", sa.String(length=64), nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("request_hash", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.String(length=32), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("held_until", sa.BigInteger(), nullable=False),
        sa.Column("committed_at", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("headers", sa.JSON(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("organisation", "caller", "key_hash", name=op.f("pk_keyed_request")),
    )
    op.create_index(op.f("ix_keyed_request_at"), "keyed_request", ["at"])


downgrade = one_way
