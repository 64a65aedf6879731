"""Rows belong to organisations, alerts to sites too."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

from api.database.migrations import one_way, option

revision = "0004"
down_revision = "0003"

_KEYED: Final = {
    "alert": ["id"],
    "alert_technique": ["technique", "alert_id"],
    "audit_entry": ["number"],
    "counter": ["name"],
    "site_exception": ["name"],
    "stream_position": ["consumer"],
}
"""Tables whose keys become an organisation's own, and the keys."""

_OTHERS: Final = ("alert_event", "decision", "setup_link", "site_version", "user_account", "user_session")

_UNIQUE: Final = {"alert": "change", "user_account": "name"}
"""What becomes unique in each organisation."""

_ORDERS: Final = (
    ("rank", "id"),
    ("last_seen", "id"),
    ("first_seen", "id"),
    ("count", "id"),
    ("triage_state", "rank", "id"),
    ("triage_state", "last_seen", "id"),
    ("severity", "rank", "id"),
    ("severity", "triage_state", "part_of", "exception"),
)
"""Columns of the indices of alerts that lists and counts go through, now of one organisation."""


def upgrade() -> None:
    """Make the change."""
    organisation = option("organisation")
    for child in ("alert_event", "alert_technique"):
        with op.batch_alter_table(child) as batch:
            batch.drop_constraint(f"fk_{child}_alert_id_alert", type_="foreignkey")
    for columns in _ORDERS:
        op.drop_index(f"ix_alert_{'_'.join(columns)}", "alert")
    for table in (*_KEYED, *_OTHERS):
        with op.batch_alter_table(table) as batch:
            batch.add_column(sa.Column("organisation", sa.String(64), nullable=False, server_default=organisation))
            if table == "alert":
                batch.add_column(sa.Column("site", sa.String(64), nullable=False, server_default=""))
    # A column of its own: what has a default for old rows must have none for new ones.
    for table in (*_KEYED, *_OTHERS):
        with op.batch_alter_table(table) as batch:
            batch.alter_column("organisation", existing_type=sa.String(64), existing_nullable=False, server_default=None)
            if table == "alert":
                batch.alter_column("site", existing_type=sa.String(64), existing_nullable=False, server_default=None)
            if table in _KEYED:
                batch.drop_constraint(f"pk_{table}", type_="primary")
                batch.create_primary_key(f"pk_{table}", ["organisation", *_KEYED[table]])
            if table in _UNIQUE:
                batch.drop_constraint(f"uq_{table}_{_UNIQUE[table]}", type_="unique")
                batch.create_unique_constraint(f"uq_{table}_organisation_{_UNIQUE[table]}", ["organisation", _UNIQUE[table]])
    for child in ("alert_event", "alert_technique"):
        with op.batch_alter_table(child) as batch:
            batch.create_foreign_key(
                f"fk_{child}_organisation_alert", "alert", ["organisation", "alert_id"], ["organisation", "id"]
            )
    for columns in _ORDERS:
        op.create_index(f"ix_alert_organisation_{'_'.join(columns)}", "alert", ["organisation", *columns])
    if op.get_context().dialect.name == "sqlite":
        # Making a table anew takes its triggers away.
        for what in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_entry_{what.lower()} BEFORE {what} ON audit_entry "
                "BEGIN SELECT RAISE(ABORT, 'audit entries cannot be changed'); END"
            )


downgrade = one_way
