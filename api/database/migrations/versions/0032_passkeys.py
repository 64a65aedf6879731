"""Passkeys of accounts, and challenges that have been given out."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.database.migrations import one_way

revision = "0032"
down_revision = "0029"


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "passkey",
        sa.Column("organisation", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("credential", sa.String(length=1400), nullable=False),
        sa.Column("public_key", sa.String(length=2000), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_passkey_user_id_user_account")),
        sa.PrimaryKeyConstraint("organisation", "id", name=op.f("pk_passkey")),
    )
    op.create_index(op.f("ix_passkey_user_id"), "passkey", ["user_id"])
    op.create_table(
        "passkey_challenge",
        sa.Column("organisation", sa.String(length=64), nullable=False),
        sa.Column("challenge_hash", sa.String(length=64), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("holder_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organisation", "challenge_hash", name=op.f("pk_passkey_challenge")),
    )
    op.create_index("ix_passkey_challenge_organisation_created_at", "passkey_challenge", ["organisation", "created_at"])


downgrade = one_way
