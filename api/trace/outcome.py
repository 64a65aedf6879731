"""What came of a batch: its records, dead letters, what detection did, and alerts that name it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, cast

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from api.alerts.models import SEVERITIES, Alert
from api.trace import Found
from collector.store import QueryError, StoreError
from collector.stream import StreamError
from detection.own_alerts import BATCHES_MISSING
from sensor.tables import TABLES
from sensor.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from api.database import Database
    from api.trace import Sought, State
    from collector.dead_letters import DeadLetters
    from collector.store import RecordStore
    from collector.stream import Position

STORE: Final = "store"
"""Name of the store's consumer (`collector.writer`)."""

ALERTS_AT_ONCE: Final = 500

SLACK_NS: Final = 3_600_000_000_000
"""A record may be of a time before its cut: that of its request, where the answer came later."""


def in_store(sought: Sought, store: RecordStore) -> Found:
    """What the record store says: rows by table."""
    tables = [sought.header.table] if sought.header is not None else list(TABLES)
    sensor, epoch = (value.replace("'", "''") for value in sought.run)
    where = f"sensor = '{sensor}' AND epoch = '{epoch}' AND sequence = {sought.sequence}"  # escaped above
    try:
        held = store.holds(sought.run, sought.sequence)
        rows = {table: int(store.sql(f"SELECT count(*) FROM {table} WHERE {where}").item()) for table in tables if held}  # noqa: S608
        position = store.position(STORE)
    except (StoreError, QueryError) as error:
        return Found("records", "unknown", str(error))
    rows = {table: count for table, count in rows.items() if count}
    about: dict[str, object] = {"rows": rows, "stored": held}
    if rows:
        return Found("records", "done", ", ".join(f"{count:,} rows of {table}" for table, count in rows.items()), about)
    if held:
        is_empty = sought.header is not None and not sought.header.rows
        text = "stored; it has no rows" if is_empty else "stored; its rows have been removed since (retention)"
        return Found("records", "done", text, about)
    return Found("records", *_not_stored(sought, position), about)


def _not_stored(sought: Sought, position: Position | None) -> tuple[State, str]:
    if position is not None and position.seen.get(sought.run, -1) >= sought.sequence:
        return "absent", "passed by and not stored: it is a dead letter, or never came"
    if sought.offset is not None and position is not None:
        behind = sought.offset - position.offsets.get(str(sought.partition), 0)
        return "waits", f"not stored yet: the store's reader has {max(0, behind):,} batches before it"
    return "absent", "not stored: it has not come"


def in_letters(sought: Sought, letters: DeadLetters, seconds: float) -> Found:
    """What the dead letters say; they are read one by one for so long."""
    until = time.monotonic() + seconds
    count = 0
    try:
        for letter in letters.letters():
            count += 1
            if letter.header is not None and letter.header.run == sought.run and letter.header.sequence == sought.sequence:
                sought.header = sought.header or letter.header
                return Found(
                    "dead letters", "there", f"{letter.name}: {letter.reason}", {"name": letter.name, "reason": letter.reason}
                )
            if time.monotonic() > until:
                return Found("dead letters", "unknown", f"not among the first {count:,}: give more --seconds")
    except (OSError, StreamError, ValueError) as error:
        return Found("dead letters", "unknown", str(error))
    return Found("dead letters", "absent", f"none of {count:,}")


def looked_at(sought: Sought, position: Position) -> Found:
    """What a checkpoint of detection on one machine says."""
    seen = position.seen.get(sought.run)
    about: dict[str, object] = {"seen": seen}
    if seen is None:
        return Found("detection", "absent", "has not met this run", about)
    if seen < sought.sequence:
        return Found("detection", "waits", f"has come to {seen:,} of this run", about)
    return Found("detection", "done", f"has passed it: it is at {seen:,} of this run", about)


def looked_at_on_kafka(sought: Sought, prefix: str, committed: Mapping[int, int], workers: Mapping[int, str]) -> Found:
    """What the group of detection's workers says.

    Args:
        sought: the batch, with its place.
        prefix: prefix of the topics.
        committed: offset before which all is done, by partition.
        workers: name of the worker that has a partition.
    """
    partition, offset = sought.partition, sought.offset
    if partition is None or offset is None:
        return Found(
            "detection", "unknown", f"what the workers did is known by its place in {Topics(prefix).records}, which is not"
        )
    at, worker = committed.get(partition), workers.get(partition)
    about: dict[str, object] = {"partition": partition, "committed": at, "worker": worker}
    who = f"worker {worker}" if worker is not None else "no worker has this partition now"
    if at is None or at < 0:
        return Found("detection", "waits", f"nothing of partition {partition} has been looked at; {who}", about)
    if at <= offset:
        return Found("detection", "waits", f"{offset - at:,} batches of partition {partition} come before it; {who}", about)
    return Found("detection", "done", f"has passed it: partition {partition} is done up to {at:,}; {who}", about)


def in_alerts(sought: Sought, database: Database, seconds: float) -> Found:
    """Alerts that name a record of the batch, and those that say that it is missing; looked for so long."""
    until = time.monotonic() + seconds
    named: list[dict[str, object]] = []
    try:
        with database.read() as session:
            question = sa.select(Alert).order_by(Alert.last_seen.desc())
            if sought.header is not None and sought.header.cut_end:
                header = sought.header
                question = question.where(
                    Alert.first_seen <= header.cut_end + SLACK_NS, Alert.last_seen >= header.cut_start - SLACK_NS
                )
            for alert in session.scalars(question.execution_options(yield_per=ALERTS_AT_ONCE)):
                if _names(alert, sought):
                    title = cast("str", alert.body["texts"]["en"]["title"])
                    named.append({"id": alert.id, "rule": alert.rule, "severity": SEVERITIES[alert.severity], "title": title})
                if time.monotonic() > until:
                    return Found("alerts", "unknown", "not all alerts were looked at: give more --seconds", {"alerts": named})
    except SQLAlchemyError as error:
        return Found("alerts", "unknown", f"the database cannot be asked ({type(error).__name__})")
    if not named:
        return Found("alerts", "absent", "no alert names it", {"alerts": named})
    told = "; ".join(f"{each['id']} {each['title']} ({each['severity']})" for each in named)
    return Found("alerts", "there", told, {"alerts": named})


def _names(alert: Alert, sought: Sought) -> bool:
    body = alert.body
    if alert.rule == BATCHES_MISSING:
        missing = cast("dict[str, Any]", body.get("missing") or {})
        is_run = [missing.get("sensor"), missing.get("epoch")] == list(sought.run)
        return is_run and missing["first"] <= sought.sequence <= missing["last"]
    prefix = f"{sought.name}/"
    return any(record.startswith(prefix) for record in _records(body))


def _records(body: Mapping[str, Any]) -> Iterator[str]:
    yield from body.get("records", ())
    for each in body.get("related", ()):
        yield from each.get("records", ())
