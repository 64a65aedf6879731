"""When each alert changed last: those there are, when they were last seen or decided on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.database.migrations import one_way

revision = "0020"
down_revision = "0016"


def upgrade() -> None:
    """Make the change."""
    op.add_column("alert", sa.Column("updated_at", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute("UPDATE alert SET updated_at = last_seen")
    op.execute("UPDATE alert SET updated_at = triage_at WHERE triage_at > last_seen")
    op.create_index("ix_alert_organisation_updated_at_id", "alert", ["organisation", "updated_at", "id"])


downgrade = one_way
