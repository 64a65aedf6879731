"""Authenticators of accounts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.database.migrations import one_way

revision = "0015"
down_revision = "0018"


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "authenticator",
        sa.Column("organisation", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("secret", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_at", sa.BigInteger(), nullable=True),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("recovery", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_authenticator_user_id_user_account")),
        sa.PrimaryKeyConstraint("organisation", "user_id", name=op.f("pk_authenticator")),
    )


downgrade = one_way
