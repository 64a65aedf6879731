"""Alerts and audit entries in partitions by organisation, on PostgreSQL; nothing is done on SQLite and openGauss.

Each question is about one organisation, so that it looks at one partition. By time they cannot be cut: what is unique in a
partitioned table must contain what it is cut by, and an alert would then be one alert within a month only.
"""

from __future__ import annotations

from typing import Final

from alembic import op

from api.database.migrations import one_way, option

revision = "0005"
down_revision = "0004"

PARTITIONS: Final = 16
"""Partitions of each table."""

_KEYS: Final = {"alert": "organisation, id", "audit_entry": "organisation, number"}


def upgrade() -> None:
    """Make the change."""
    if op.get_context().dialect.name != "postgresql" or not option("partitioned"):
        return
    for child in ("alert_event", "alert_technique"):
        op.drop_constraint(f"fk_{child}_organisation_alert", child, type_="foreignkey")
    for table, key in _KEYS.items():
        indices = op.get_bind().exec_driver_sql(
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() AND tablename = %(table)s "
            "AND indexname LIKE 'ix\\_%%' ORDER BY indexname",
            {"table": table},
        ).all()  # fmt: skip
        op.execute(f"ALTER TABLE {table} RENAME TO {table}_whole")
        op.execute(f"CREATE TABLE {table} (LIKE {table}_whole INCLUDING DEFAULTS) PARTITION BY HASH (organisation)")
        for number in range(PARTITIONS):
            op.execute(
                f"CREATE TABLE {table}_p{number:02d} PARTITION OF {table} "
                f"FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {number})"
            )
        op.execute(f"INSERT INTO {table} SELECT * FROM {table}_whole")  # noqa: S608  names of ours
        op.execute(f"DROP TABLE {table}_whole")
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT pk_{table} PRIMARY KEY ({key})")
        for _, definition in indices:
            op.execute(definition)
    op.create_unique_constraint("uq_alert_organisation_change", "alert", ["organisation", "change"])
    for child in ("alert_event", "alert_technique"):
        op.create_foreign_key(
            f"fk_{child}_organisation_alert", child, "alert", ["organisation", "alert_id"], ["organisation", "id"]
        )
    op.execute(
        "CREATE TRIGGER audit_entry_append_only BEFORE UPDATE OR DELETE ON audit_entry "
        "FOR EACH ROW EXECUTE PROCEDURE audit_entry_refuse()"
    )


downgrade = one_way
