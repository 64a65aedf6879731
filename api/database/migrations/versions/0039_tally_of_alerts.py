"""A tally of alerts by severity and state, and indexes that fit columns which next to no alert has."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.database.migrations import one_way

revision = "0039"
down_revision = "0034"


def upgrade() -> None:
    """Make the change."""
    op.drop_index("ix_alert_counted", "alert")
    op.drop_index("ix_alert_rule", "alert")
    op.create_index("ix_alert_organisation_rule_rank_id", "alert", ["organisation", "rule", "rank", "id"])
    for name in ("snoozed_until", "suppressed_by", "merged_into"):
        there = sa.text(f"{name} IS NOT NULL")
        op.drop_index(f"ix_alert_organisation_{name}", "alert")
        op.create_index(
            f"ix_alert_organisation_{name}", "alert", ["organisation", name], sqlite_where=there, postgresql_where=there
        )
    op.create_table(
        "alert_tally",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("site", sa.String(255).with_variant(sa.String(64), "sqlite"), nullable=False),
        sa.Column("severity", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("triage_state", sa.String(16), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organisation", "site", "severity", "triage_state", name=op.f("pk_alert_tally")),
    )
    op.execute(
        """
        INSERT INTO alert_tally (organisation, site, severity, triage_state, count)
        SELECT organisation, site, severity, triage_state, count(*) FROM alert
        WHERE (part_of IS NULL AND exception IS NULL AND suppressed_by IS NULL OR triage_state <> 'new')
        AND snoozed_until IS NULL AND merged_into IS NULL AND drill IS NULL
        GROUP BY organisation, site, severity, triage_state
        """
    )


downgrade = one_way
