"""Rules of who is told what, what they brought up, and the messages that it leaves in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.database.migrations import one_way

revision = "0033"
down_revision = "0030"


def _number() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False)


def _site() -> sa.Column[str]:
    return sa.Column("site", sa.String(255).with_variant(sa.String(64), "sqlite"), nullable=False)


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "notification_rule",
        sa.Column("organisation", sa.String(64), nullable=False),
        _site(),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("changed_by", sa.String(64), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organisation", "number", name=op.f("pk_notification_rule")),
    )
    op.create_table(
        "notice",
        sa.Column("organisation", sa.String(64), nullable=False),
        _site(),
        _number(),
        sa.Column("rule", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("occasion", sa.String(64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("urgency", sa.SmallInteger(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("told_at", sa.BigInteger(), nullable=False),
        sa.Column("repeats", sa.BigInteger(), nullable=False),
        sa.Column("escalated", sa.Boolean(), nullable=False),
        sa.Column("look_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice")),
        sa.UniqueConstraint(
            "organisation", "rule", "kind", "subject", "occasion", name=op.f("uq_notice_organisation_rule_kind_subject_occasion")
        ),
    )
    op.create_index("ix_notice_organisation_look_at", "notice", ["organisation", "look_at"])
    op.create_table(
        "telling",
        sa.Column("organisation", sa.String(64), nullable=False),
        _site(),
        _number(),
        sa.Column("notice", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("why", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("message", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_telling")),
    )
    op.create_index(op.f("ix_telling_notice"), "telling", ["notice"])
    op.create_index(
        "ix_telling_organisation_state_channel_site_due_at", "telling", ["organisation", "state", "channel", "site", "due_at"]
    )
    op.create_table(
        "notification",
        sa.Column("organisation", sa.String(64), nullable=False),
        _site(),
        _number(),
        sa.Column("key", sa.String(32), nullable=False),
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("test", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("held_back", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notification")),
    )
    op.create_index("ix_notification_organisation_state_due_at", "notification", ["organisation", "state", "due_at"])
    op.create_index("ix_notification_organisation_channel_made_at", "notification", ["organisation", "channel", "made_at"])
    # What came up before there were rules is told by none.
    op.execute(
        "INSERT INTO counter (organisation, name, value) "
        "SELECT organisation, 'notified_change', value FROM counter WHERE name = 'change'"
    )
    op.execute(
        "INSERT INTO counter (organisation, name, value) "
        "SELECT organisation, 'notified_entry', MAX(id) FROM incident_entry GROUP BY organisation"
    )


downgrade = one_way
