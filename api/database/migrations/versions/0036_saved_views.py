"""Saved views of the list of alerts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.database.migrations import one_way

revision = "0036"
down_revision = "0035"


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "saved_view",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("shared", sa.String(16), nullable=False),
        sa.Column("shared_site", sa.String(255), nullable=True),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("sort", sa.String(16), nullable=False),
        sa.Column("changed_by", sa.String(64), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organisation", "number", name=op.f("pk_saved_view")),
    )
    op.create_index("ix_saved_view_organisation_owner", "saved_view", ["organisation", "owner"])
    op.create_table(
        "default_view",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("view", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organisation", "account", name=op.f("pk_default_view")),
    )


downgrade = one_way
