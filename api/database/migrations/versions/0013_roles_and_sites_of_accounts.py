"""Accounts may have more roles than three, and be limited to sites."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.database.migrations import one_way

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Make the change."""
    if op.get_context().dialect.name != "sqlite":
        op.alter_column("user_account", "role", type_=sa.String(32), existing_type=sa.String(16), existing_nullable=False)
    op.add_column("user_account", sa.Column("sites", sa.JSON(), nullable=True))
    op.add_column("user_account", sa.Column("version", sa.BigInteger(), nullable=False, server_default="1"))
    # A column of its own: what has a default for old rows must have none for new ones.
    with op.batch_alter_table("user_account") as batch:
        batch.alter_column("version", existing_type=sa.BigInteger(), existing_nullable=False, server_default=None)


downgrade = one_way
