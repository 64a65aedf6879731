"""Alerts that people merge into one, and take out of one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.database.migrations import one_way

revision = "0035"
down_revision = "0031"


def upgrade() -> None:
    """Make the change."""
    for name, kind in (
        ("merged_into", sa.String(64)),
        ("detached_from", sa.String(64)),
        ("own_severity", sa.SmallInteger()),
        ("own_rank", sa.Double[float]()),
    ):
        op.add_column("alert", sa.Column(name, kind, nullable=True))
    op.create_index("ix_alert_organisation_merged_into", "alert", ["organisation", "merged_into"])
    op.drop_index("ix_alert_counted", "alert")
    op.create_index(
        "ix_alert_counted",
        "alert",
        [
            "organisation", "severity", "triage_state", "part_of", "exception", "suppressed_by", "snoozed_until", "merged_into",
        ],
    )  # fmt: skip
    op.create_table(
        "alert_merge",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("site", sa.String(255).with_variant(sa.String(64), "sqlite"), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("alert_id", sa.String(64), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("made_by", sa.String(64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("after", sa.JSON(), nullable=True),
        sa.Column("undone_by", sa.String(64), nullable=True),
        sa.Column("undone_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("organisation", "number", name=op.f("pk_alert_merge")),
    )
    op.create_index("ix_alert_merge_organisation_alert_id", "alert_merge", ["organisation", "alert_id"])
    op.create_table(
        "alert_merge_part",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("merge_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("alert_id", sa.String(64), nullable=False),
        sa.Column("merged_into", sa.String(64), nullable=True),
        sa.Column("detached_from", sa.String(64), nullable=True),
        sa.PrimaryKeyConstraint("organisation", "merge_number", "alert_id", name=op.f("pk_alert_merge_part")),
    )
    op.create_index("ix_alert_merge_part_organisation_alert_id", "alert_merge_part", ["organisation", "alert_id"])


downgrade = one_way
