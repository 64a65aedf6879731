"""The alerts that the API has in its database, as text that can be held against detection's own."""

from __future__ import annotations

import json
from typing import Final

import psycopg
from psycopg.rows import dict_row

from api.alerts.models import SEVERITIES

COLUMNS: Final = (
    "id", "revision", "rule", "severity", "confidence", "rank", "first_seen", "last_seen", "count", "client_ip", "server_ip",
    "body",
)  # fmt: skip
"""What detection says of an alert; the rest is what people did with it."""


def alerts_of(dsn: str, site: str) -> list[str]:
    """The alerts of a site in a database of PostgreSQL. Raises psycopg.Error."""
    statement = f"SELECT {', '.join(COLUMNS)} FROM alert WHERE site = %s ORDER BY id"
    with psycopg.connect(dsn) as connection, connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(statement.encode(), [site]).fetchall()
    return [json.dumps({**row, "severity": SEVERITIES[row["severity"]]}, sort_keys=True) for row in rows]


def raised_twice(dsn: str, site: str) -> int:
    """How often too often an alert of a site was said to be new."""
    statement = (
        b"SELECT count(*) - count(DISTINCT alert.id) FROM alert_event JOIN alert ON alert.id = alert_event.alert_id"
        b" WHERE alert.site = %s AND alert_event.kind = 'raised'"
    )
    with psycopg.connect(dsn) as connection:
        row = connection.execute(statement, [site]).fetchone()
    assert row is not None
    return int(row[0])
