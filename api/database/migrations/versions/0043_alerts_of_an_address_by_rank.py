"""Indexes in which alerts of a client, or of a server, stand by rank: a page of them needs no look at all there are."""

from __future__ import annotations

from alembic import op

from api.database.migrations import one_way

revision = "0043"
down_revision = "0042"


def upgrade() -> None:
    """Make the change."""
    for name in ("client_ip", "server_ip"):
        op.drop_index(op.f(f"ix_alert_{name}"), "alert")
        op.create_index(f"ix_alert_organisation_{name}_rank_id", "alert", ["organisation", name, "rank", "id"])


downgrade = one_way
