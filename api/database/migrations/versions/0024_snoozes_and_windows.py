"""Alerts that are laid aside, maintenance windows, and what windows hid."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.database.migrations import one_way

revision = "0024"
down_revision = "0022"


def upgrade() -> None:
    """Make the change."""
    for name, kind in (
        ("snoozed_until", sa.BigInteger()),
        ("snooze", sa.JSON()),
        ("snooze_revision", sa.BigInteger()),
        ("suppressed_by", sa.BigInteger()),
    ):
        op.add_column("alert", sa.Column(name, kind, nullable=True))
    op.create_index("ix_alert_organisation_snoozed_until", "alert", ["organisation", "snoozed_until"])
    op.create_index("ix_alert_organisation_suppressed_by", "alert", ["organisation", "suppressed_by"])
    op.drop_index("ix_alert_shown", "alert")
    shown = sa.text("part_of IS NULL AND exception IS NULL AND suppressed_by IS NULL")
    op.create_index(
        "ix_alert_shown",
        "alert",
        ["organisation", "site", "triage_state", "rank", "id", "severity"],
        sqlite_where=shown,
        postgresql_where=shown,
    )
    op.drop_index("ix_alert_organisation_severity_triage_state_part_of_exception", "alert")
    op.create_index(
        "ix_alert_counted",
        "alert",
        ["organisation", "severity", "triage_state", "part_of", "exception", "suppressed_by", "snoozed_until"],
    )
    op.create_table(
        "maintenance_window",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("site", sa.String(255).with_variant(sa.String(64), "sqlite"), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("permit", sa.String(64), nullable=False),
        sa.Column("work", sa.Text(), nullable=False),
        sa.Column("performed_by", sa.String(128), nullable=False),
        sa.Column("made_by", sa.String(64), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.String(64), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("end_reason", sa.Text(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("report", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("organisation", "number", name=op.f("pk_maintenance_window")),
    )
    op.create_index("ix_maintenance_window_organisation_state", "maintenance_window", ["organisation", "state"])
    op.create_table(
        "window_alert",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("window_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("alert_id", sa.String(64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("organisation", "window_number", "alert_id", name=op.f("pk_window_alert")),
    )


downgrade = one_way
