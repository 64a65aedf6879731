"""Longer names in custody, versions that go on after what has them is taken back, and reports that were told before approval.

SQLite heeds no length.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.database.migrations import one_way

revision = "0030"
down_revision = "0032"


def upgrade() -> None:
    """Make the change; rows are kept as they are."""
    if op.get_context().dialect.name != "sqlite":
        for column in ("giver", "receiver"):
            op.alter_column(
                "evidence_custody", column, type_=sa.String(262), existing_type=sa.String(200), existing_nullable=False
            )
    for table, column in (("report_template", "withdrawn"), ("playbook", "withdrawn"), ("obligation", "before_approval")):
        op.add_column(table, sa.Column(column, sa.Boolean(), nullable=False, server_default=sa.false()))
        with op.batch_alter_table(table) as batch:
            batch.alter_column(column, existing_type=sa.Boolean(), existing_nullable=False, server_default=None)
    op.execute("UPDATE obligation SET before_approval = TRUE WHERE submitted_at < approved_at")


downgrade = one_way
