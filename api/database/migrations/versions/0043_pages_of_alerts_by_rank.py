"""Indexes in which alerts of a client, of a server, or of who has them stand by rank: a page needs no look at all there are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.database.migrations import one_way

revision = "0043"
down_revision = "0042"


def upgrade() -> None:
    """Make the change."""
    for name in ("client_ip", "server_ip"):
        op.drop_index(op.f(f"ix_alert_{name}"), "alert")
        op.create_index(f"ix_alert_organisation_{name}_rank_id", "alert", ["organisation", name, "rank", "id"])
    taken = sa.text("triage_by IS NOT NULL")
    op.create_index(
        "ix_alert_of_assignee",
        "alert",
        ["organisation", "triage_by", "rank", "id", "triage_state"],
        sqlite_where=taken,
        postgresql_where=taken,
    )


downgrade = one_way
