"""Drills, and which alerts are of one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.database.migrations import one_way

revision = "0034"
down_revision = "0033"


def upgrade() -> None:
    """Make the change."""
    op.add_column("alert", sa.Column("drill", sa.BigInteger(), nullable=True))
    of_drill = sa.text("drill IS NOT NULL")
    op.create_index("ix_alert_of_drill", "alert", ["organisation", "drill"], sqlite_where=of_drill, postgresql_where=of_drill)
    op.drop_index("ix_alert_shown", "alert")
    shown = sa.text("part_of IS NULL AND exception IS NULL AND suppressed_by IS NULL AND drill IS NULL")
    op.create_index(
        "ix_alert_shown",
        "alert",
        ["organisation", "site", "triage_state", "rank", "id", "severity"],
        sqlite_where=shown,
        postgresql_where=shown,
    )
    op.create_table(
        "drill",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("site", sa.String(255).with_variant(sa.String(64), "sqlite"), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("scenario", sa.String(32), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("participants", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("started_by", sa.String(64), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_by", sa.String(64), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("end_note", sa.Text(), nullable=True),
        sa.Column("plant", sa.JSON(), nullable=False),
        sa.Column("packets", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("organisation", "number", name=op.f("pk_drill")),
    )
    op.create_index("ix_drill_organisation_site_state", "drill", ["organisation", "site", "state"])
    op.create_index("ix_drill_organisation_site_scenario_number", "drill", ["organisation", "site", "scenario", "number"])


downgrade = one_way
