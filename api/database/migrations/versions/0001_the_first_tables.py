"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.database.migrations import one_way

revision = "0001"
down_revision = None

_APPEND_ONLY = {
    "sqlite": [
        f"CREATE TRIGGER audit_entry_{what.lower()} BEFORE {what} ON audit_entry "
        "BEGIN SELECT RAISE(ABORT, 'audit entries cannot be changed'); END"
        for what in ("UPDATE", "DELETE")
    ],
    "postgresql": [
        "CREATE FUNCTION audit_entry_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'audit entries cannot be changed'; END $$",
        "CREATE TRIGGER audit_entry_append_only BEFORE UPDATE OR DELETE ON audit_entry "
        "FOR EACH ROW EXECUTE PROCEDURE audit_entry_refuse()",
    ],
}
"""What makes the database refuse to change the audit trail, by dialect."""


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "alert",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("rule", sa.String(length=128), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("confidence", sa.Double[float](), nullable=False),
        sa.Column("rank", sa.Double[float](), nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("client_ip", sa.String(length=45), nullable=True),
        sa.Column("server_ip", sa.String(length=45), nullable=True),
        sa.Column("part_of", sa.String(length=64), nullable=True),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.Column("triage_state", sa.String(length=16), nullable=False),
        sa.Column("triage_version", sa.BigInteger(), nullable=False),
        sa.Column("triage_by", sa.String(length=64), nullable=True),
        sa.Column("triage_at", sa.BigInteger(), nullable=True),
        sa.Column("triage_note", sa.Text(), nullable=True),
        sa.Column("triage_disposition", sa.String(length=32), nullable=True),
        sa.Column("triage_permit", sa.String(length=64), nullable=True),
        sa.Column("triage_count", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert")),
        sa.UniqueConstraint("change", name=op.f("uq_alert_change")),
    )
    op.create_index(op.f("ix_alert_client_ip"), "alert", ["client_ip"])
    op.create_index("ix_alert_count_id", "alert", ["count", "id"])
    op.create_index("ix_alert_first_seen_id", "alert", ["first_seen", "id"])
    op.create_index("ix_alert_last_seen_id", "alert", ["last_seen", "id"])
    op.create_index("ix_alert_rank_id", "alert", ["rank", "id"])
    op.create_index(op.f("ix_alert_rule"), "alert", ["rule"])
    op.create_index(op.f("ix_alert_server_ip"), "alert", ["server_ip"])
    op.create_index("ix_alert_severity_rank_id", "alert", ["severity", "rank", "id"])
    op.create_index("ix_alert_severity_triage_state_part_of", "alert", ["severity", "triage_state", "part_of"])
    op.create_index("ix_alert_triage_state_last_seen_id", "alert", ["triage_state", "last_seen", "id"])
    op.create_index("ix_alert_triage_state_rank_id", "alert", ["triage_state", "rank", "id"])
    op.create_table(
        "audit_entry",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("previous_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit_entry")),
    )
    op.create_index(op.f("ix_audit_entry_action"), "audit_entry", ["action"])
    op.create_index(op.f("ix_audit_entry_subject"), "audit_entry", ["subject"])
    counter = op.create_table(
        "counter",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counter")),
    )
    op.create_table(
        "setup_link",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_setup_link")),
    )
    op.create_table(
        "stream_position",
        sa.Column("consumer", sa.String(length=32), nullable=False),
        sa.Column("position", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("consumer", name=op.f("pk_stream_position")),
    )
    op.create_table(
        "user_account",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("password_hash", sa.String(length=255), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("disabled_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_account")),
        sa.UniqueConstraint("name", name=op.f("uq_user_account_name")),
    )
    op.create_table(
        "alert_event",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("alert_id", sa.String(length=64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("disposition", sa.String(length=32), nullable=True),
        sa.Column("permit", sa.String(length=64), nullable=True),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["alert_id"], ["alert.id"], name=op.f("fk_alert_event_alert_id_alert")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_event")),
    )
    op.create_index(op.f("ix_alert_event_alert_id"), "alert_event", ["alert_id"])
    op.create_table(
        "alert_technique",
        sa.Column("technique", sa.String(length=16), nullable=False),
        sa.Column("alert_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["alert_id"], ["alert.id"], name=op.f("fk_alert_technique_alert_id_alert")),
        sa.PrimaryKeyConstraint("technique", "alert_id", name=op.f("pk_alert_technique")),
    )
    op.create_index(op.f("ix_alert_technique_alert_id"), "alert_technique", ["alert_id"])
    op.create_table(
        "user_session",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("agent", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_user_session_user_id_user_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_session")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_user_session_token_hash")),
    )
    op.create_index(op.f("ix_user_session_user_id"), "user_session", ["user_id"])
    op.bulk_insert(counter, [{"name": "change", "value": 0}, {"name": "audit", "value": 0}])
    for statement in _APPEND_ONLY.get(op.get_context().dialect.name, ()):
        op.execute(statement)


downgrade = one_way
