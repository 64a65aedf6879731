"""A life from several sources, merged by time, page by page.

Sources have an order, and entries of one time stand in it. A cursor is the place of the last entry that was shown: its time, its
source, and what it is called there. Each source goes on behind that place by itself, so that no entry is shown twice and none is
left out, whatever comes in meanwhile.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import sqlalchemy as sa

from api.alerts.models import SEVERITIES, Alert, AlertEvent
from api.assets import service as assets
from api.assets.addresses import is_hardware
from api.database import row_of
from api.pages import read_cursor, write_cursor
from api.problems import Problem
from api.records.service import shown
from api.records.span import Span, asked, moment
from api.texts import text
from collector.records import plain
from collector.store import IDENTITY, Filter, Query
from collector.store.query import cursor_behind

if TYPE_CHECKING:
    from sqlalchemy.orm import InstrumentedAttribute, Session

    from api.timeline.schemas import TimelineQuery
    from collector.store import RecordStore

TABLES: Final = ("modbus", "opcua_item", "violation", "device")
"""Record tables that tell of a life."""

_WANTED: Final[dict[str, list[Filter]]] = {
    "modbus": [Filter("modbus.access", "in", ["write", "read_write"])],
    "opcua_item": [Filter("opcua.kind", "in", ["write", "call", "node_management"])],
    "violation": [],
    "device": [],
}
"""Which of their rows: not what is read all the time."""

_TELLING: Final = {
    "modbus": "modbus.function",
    "opcua_item": "opcua.kind",
    "violation": "violation.kind",
    "device": "device.attribute",
}
"""The column that says in a word what a row tells."""


WHO: Final = ("record", "ts", "client.ip", "server.ip", "device.ip")
"""Columns of a record that say which it is, when, and between whom; the rest is what it holds."""


@dataclass(frozen=True, slots=True)
class Life:
    """What is looked at.

    Attributes:
        site: the site; None where it is not known from what was asked for.
        addresses: whose records, on either side.
        targets: where only records between two sides are wanted, the other side.
        alerts: the alerts; None for all of these addresses.
        whole: whether it is that of the site, and nobody's.
    """

    site: str | None
    addresses: Sequence[str]
    targets: Sequence[str] = ()
    alerts: Sequence[str] | None = None
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Happened:
    """An entry, with its place."""

    at: int
    source: int
    name: str
    fields: dict[str, Any]

    @property
    def key(self) -> tuple[int, int]:
        """Sorts entries of different sources: the latest first."""
        return -self.at, self.source


def without_values(entry: Happened) -> Happened:
    """An entry without what its record holds, the word that tells it among that."""
    if "record" not in entry.fields:
        return entry
    record = {name: value for name, value in entry.fields["record"].items() if name in WHO}
    return replace(entry, fields={**entry.fields, "text": entry.fields["table"], "record": record})


_DECISIONS: Final = 1
"""The source of what people did; alerts go before it, and records come behind."""

Place = tuple[int, int, str]
"""Time, source, and name of the last entry that was shown."""

Source = Callable[["Place | None", int], list[Happened]]
"""Gives the entries behind a place, the latest first, at most so many."""


def life(session: Session, query: TimelineQuery) -> Life:
    """What is asked for. Raises Problem `asset_unknown`, `story_unknown`."""
    if query.asset is not None:
        asset = assets.get(session, query.asset)
        return Life(asset.site, [address for address in asset.addresses if not is_hardware(address)])
    if query.address is not None:
        return Life(None, [query.address])
    if query.story is None:
        return Life(None, [], whole=True)
    name = query.story
    # A story is called by its first alert.
    first = row_of(session, Alert, name)
    told = None if first is None else first.body.get("story")
    if first is None or told is None:
        raise Problem("story_unknown", id=name)
    return Life(first.site, told["actors"], told["targets"], told["alerts"])


def page(
    session: Session, store: RecordStore, of: tuple[Life, Span], query: TimelineQuery, language: str
) -> tuple[list[Happened], str | None]:
    """One page of a life, and the cursor of the next one. Raises Problem `cursor_invalid`, and as `api.records.span.asked`."""
    life, span = of
    question = query.question()
    place: Place | None = None
    since, until = span.since, span.until
    if query.cursor is not None:
        at, source, name, since, until = read_cursor(question, query.cursor, (int, int, str, int, int))
        place = int(at), int(source), str(name)
        # Anybody can write a cursor: it must name what its source has.
        if not _is_named(place) or min(place[0], int(since), int(until)) < 0:
            raise Problem("cursor_invalid")
    # The next page is of the same time, whatever comes in meanwhile.
    span = Span(int(since), int(until), span.seconds, span.sensors)
    wanted = {kind for kind in ("alert", "decision", "record") if _is_wanted(query, kind)}
    sources: list[Source] = []
    if "alert" in wanted:
        sources.append(_alerts(session, span, life, language))
    if "decision" in wanted:
        sources.append(_decisions(session, span, life, language))
    if "record" in wanted:
        sources += [
            _records(store, span, table, filters, number) for number, (table, filters) in enumerate(_sides(life), start=2)
        ]
    found = [source(place, query.limit + 1) for source in sources]
    merged = list(heapq.merge(*found, key=lambda each: each.key))
    items = merged[: query.limit]
    if len(merged) <= query.limit:
        return items, None
    last = items[-1]
    return items, write_cursor(question, last.at, last.source, last.name, span.since, span.until)


def _is_named(place: Place) -> bool:
    """Whether the source of a place has entries of such names."""
    _, source, name = place
    if source > _DECISIONS:
        parts = name.rsplit("/", 3)
        return len(parts) == len(IDENTITY) and all(map(_is_number, parts[2:]))
    return source == 0 or (source == _DECISIONS and _is_number(name))


def _is_number(text: str) -> bool:
    """Whether a text is a number that databases and stores take."""
    return text.isascii() and text.isdecimal() and len(text) < 20 and int(text) < 2**63


def _is_wanted(query: TimelineQuery, kind: str) -> bool:
    return query.kind is None or (kind in query.kind.values) != query.kind.negated


def _after(
    at: InstrumentedAttribute[int], name: InstrumentedAttribute[Any], source: int, place: Place | None, own: Any
) -> list[sa.ColumnElement[bool]]:
    """The condition for what is behind a place: later sources have what is at its time still before them."""
    if place is None:
        return []
    if source == place[1]:
        return [sa.tuple_(at, name) < sa.tuple_(place[0], own)]
    return [at <= place[0] if source > place[1] else at < place[0]]


def _of_life(life: Life) -> sa.ColumnElement[bool]:
    if life.whole:
        return Alert.drill.is_(None)
    if life.alerts is not None:
        return Alert.id.in_(list(life.alerts))
    addresses = list(life.addresses)
    return sa.and_(Alert.drill.is_(None), sa.or_(Alert.client_ip.in_(addresses), Alert.server_ip.in_(addresses)))


def _alerts(session: Session, span: Span, life: Life, language: str) -> Source:
    """Alerts, when they began."""

    def behind(place: Place | None, limit: int) -> list[Happened]:
        conditions = [_of_life(life), Alert.site == life.site, Alert.first_seen >= span.since, Alert.first_seen < span.until]
        conditions += _after(Alert.first_seen, Alert.id, 0, place, place and place[2])
        rows = session.scalars(
            sa.select(Alert).where(*conditions).order_by(Alert.first_seen.desc(), Alert.id.desc()).limit(limit)
        )
        return [
            Happened(
                alert.first_seen, 0, alert.id,
                {
                    "kind": "alert", "text": alert.body["texts"][language]["title"], "alert": alert.id,
                    "severity": SEVERITIES[alert.severity],
                },
            )
            for alert in rows
        ]  # fmt: skip

    return behind


def _decisions(session: Session, span: Span, life: Life, language: str) -> Source:
    """What was done about these alerts."""

    def behind(place: Place | None, limit: int) -> list[Happened]:
        conditions = [_of_life(life), Alert.site == life.site, AlertEvent.kind != "raised", AlertEvent.at >= span.since]
        # What people do comes after what they do it about, however old the records are.
        own = int(place[2]) if place is not None and place[1] == 1 else 0
        conditions += _after(AlertEvent.at, AlertEvent.id, 1, place, own)
        joined = sa.select(AlertEvent, Alert).join(
            Alert, sa.and_(Alert.id == AlertEvent.alert_id, Alert.organisation == AlertEvent.organisation)
        )
        rows = session.execute(joined.where(*conditions).order_by(AlertEvent.at.desc(), AlertEvent.id.desc()).limit(limit))
        return [
            Happened(
                event.at, 1, str(event.id),
                {
                    "kind": "decision", "text": _step(language, event.kind, alert), "alert": alert.id,
                    "severity": SEVERITIES[alert.severity], "actor": event.actor, "note": event.note,
                },
            )
            for event, alert in rows
        ]  # fmt: skip

    return behind


def _step(language: str, kind: str, alert: Alert) -> str:
    try:
        step = text(language, f"history.{kind}")
    except KeyError:
        step = kind
    return f"{step}: {alert.body['texts'][language]['title']}"


def _sides(life: Life) -> list[tuple[str, list[Filter]]]:
    """Tables with the conditions on who."""
    if life.whole:
        return [(table, _WANTED[table]) for table in TABLES]
    ours = list(life.addresses)
    if not ours:
        return []
    if life.targets:
        between = [Filter("client.ip", "in", ours), Filter("server.ip", "in", list(life.targets))]
        return [(table, [*_WANTED[table], *between]) for table in TABLES if table != "device"]
    found: list[tuple[str, list[Filter]]] = []
    for table in TABLES:
        if table == "device":
            found.append((table, [*_WANTED[table], Filter("device.ip", "in", ours)]))
            continue
        asks = [*_WANTED[table], Filter("client.ip", "in", ours)]
        # One that talks to itself is told once.
        answers = [*_WANTED[table], Filter("server.ip", "in", ours), *(Filter("client.ip", "!=", each) for each in ours)]
        found += [(table, asks), (table, answers)]
    return found


def _records(store: RecordStore, span: Span, table: str, filters: Sequence[Filter], source: int) -> Source:
    """Records of a table."""

    def behind(place: Place | None, limit: int) -> list[Happened]:
        conditions = [*span.filters, *filters]
        query = Query(table, conditions, since=moment(span.since), until=moment(span.until), limit=limit, seconds=span.seconds)
        if place is not None and place[1] == source:
            sensor, epoch, sequence, row = place[2].rsplit("/", 3)
            last = {"ts": place[0], "sensor": sensor, "epoch": epoch, "sequence": int(sequence), "row": int(row)}
            query = Query(
                table, conditions, since=query.since, until=query.until, limit=limit, cursor=cursor_behind(query, last),
                seconds=span.seconds,
            )  # fmt: skip
        elif place is not None:
            later = Filter("ts", "<=" if source > place[1] else "<", place[0])
            query = Query(table, [*conditions, later], since=query.since, until=query.until, limit=limit, seconds=span.seconds)
        rows = asked(lambda: store.query(query)).rows
        times = rows.select(pl.col("ts").dt.epoch("ns")).to_series().to_list()
        return [
            Happened(
                at, source, "/".join(str(record[name]) for name in IDENTITY),
                {"kind": "record", "text": str(record[_TELLING[table]]), "table": table, "record": shown(record)},
            )
            for at, record in zip(times, plain(rows), strict=True)
        ]  # fmt: skip

    return behind
