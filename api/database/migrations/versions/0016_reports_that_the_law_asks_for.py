"""Reports that the law asks for, and what the operator of a site is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.database.migrations import one_way

revision = "0016"
down_revision = "0014"


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "obligation",
        sa.Column("organisation", sa.String(length=64), nullable=False),
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("incident", sa.BigInteger(), nullable=False),
        sa.Column("rule", sa.String(length=64), nullable=False),
        sa.Column("rules_version", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("due_certain", sa.Boolean(), nullable=False),
        sa.Column("told", sa.JSON(), nullable=False),
        sa.Column("look_at", sa.BigInteger(), nullable=True),
        sa.Column("contents", sa.JSON(), nullable=False),
        sa.Column("drafters", sa.JSON(), nullable=False),
        sa.Column("approved_by", sa.String(length=64), nullable=True),
        sa.Column("approved_at", sa.BigInteger(), nullable=True),
        sa.Column("submitted_by", sa.String(length=64), nullable=True),
        sa.Column("submitted_at", sa.BigInteger(), nullable=True),
        sa.Column("channel", sa.String(length=200), nullable=True),
        sa.Column("receipt", sa.String(length=200), nullable=True),
        sa.Column("acknowledged_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_obligation")),
    )
    op.create_index(op.f("ix_obligation_incident"), "obligation", ["incident"])
    op.create_index(op.f("ix_obligation_look_at"), "obligation", ["look_at"])
    op.create_index("ix_obligation_organisation_state_due_at", "obligation", ["organisation", "state", "due_at"])
    op.create_table(
        "site_operator",
        sa.Column("organisation", sa.String(length=64), nullable=False),
        sa.Column("site", sa.String(length=255), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("organisation", "site", name=op.f("pk_site_operator")),
    )


downgrade = one_way
