"""What is known of an incident at a moment, as JSON lines: itself, its timeline, grades and alerts, and their records."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final, Literal, cast, get_args

import sqlalchemy as sa

from api.alerts.models import Alert, AlertEvent
from api.incidents import service as incidents
from api.incidents import timeline
from api.incidents.models import Incident, IncidentEntry, IncidentGrade
from api.records import service as records
from api.times import iso

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy.orm import Session

    from api.database import Base
    from collector.store import RecordStore

Content = Literal["timeline", "alerts", "records"]

CONTENTS: Final[tuple[Content, ...]] = get_args(Content)
"""What a snapshot can hold besides the incident itself."""

MOST_RECORDS: Final = 100_000
"""Most records of a snapshot; how many more there are is told at its end."""

MEDIA_TYPE: Final = "application/jsonl"

_PART: Final = 1_000
"""Rows or records that are held at a time."""


class Snapshot:
    """Writes down what is known of an incident and of those merged into it.

    Args:
        number: the incident.
        contents: what is wanted.
        at: now, in nanoseconds since 1970.
    """

    def __init__(self, number: int, contents: Sequence[Content], at: int) -> None:
        self._number = number
        self._contents = frozenset(contents)
        self._at = at
        self._wanted: dict[str, None] = {}
        self.counts: dict[str, int] = {}
        """How many lines of each kind were written."""
        self.left_out = 0
        """Records that are not in it, for there are too many."""

    def told(self, session: Session) -> Iterator[bytes]:
        """The lines of what the database holds. Times in them are nanoseconds since 1970."""
        numbers = timeline.told_by(session, self._number)
        yield self._line("snapshot", {"incident": self._number, "at": iso(self._at), "contents": sorted(self._contents)})
        yield from self._rows(
            "incident", session, sa.select(Incident).where(Incident.number.in_(numbers)).order_by(Incident.number)
        )
        grades = sa.select(IncidentGrade).where(IncidentGrade.incident.in_(numbers)).order_by(IncidentGrade.id)
        yield from self._rows("grade", session, grades)
        if "timeline" in self._contents:
            lines = sa.select(IncidentEntry).where(IncidentEntry.incident.in_(numbers))
            yield from self._rows("line", session, lines.order_by(IncidentEntry.at, IncidentEntry.id))
        if self._contents & {"alerts", "records"}:
            for some in incidents.in_parts(incidents.alert_ids(session, self._number)):
                yield from self._alerts(session, some)

    def recorded(self, store: RecordStore) -> Iterator[bytes]:
        """The lines of the records behind the alerts, and the last line. Raises Problem `records_missing`."""
        wanted = list(self._wanted)
        for begin in range(0, len(wanted), _PART):
            found = records.of_identities(store, wanted[begin : begin + _PART])
            lines = [self._line("record", {"table": table.table, **record}) for table in found.tables for record in table.items]
            yield b"".join([*lines, *(self._line("record_missing", {"record": each}) for each in found.missing)])
        yield self._line("end", {"counts": dict(self.counts), "records_left_out": self.left_out})

    def _alerts(self, session: Session, ids: Sequence[str]) -> Iterator[bytes]:
        chosen = session.scalars(sa.select(Alert).where(Alert.id.in_(ids)).order_by(Alert.first_seen, Alert.id)).all()
        for alert in chosen if "records" in self._contents else ():
            self._want(alert)
        if "alerts" in self._contents:
            yield b"".join(self._line("alert", _row(alert)) for alert in chosen)
            events = sa.select(AlertEvent).where(AlertEvent.alert_id.in_(ids)).order_by(AlertEvent.id)
            yield from self._rows("decision", session, events)
        session.expunge_all()

    def _want(self, alert: Alert) -> None:
        for identity in alert.body["records"]:
            if identity in self._wanted:
                continue
            if len(self._wanted) < MOST_RECORDS:
                self._wanted[identity] = None
            else:
                self.left_out += 1

    def _rows(self, kind: str, session: Session, statement: sa.Select[Any]) -> Iterator[bytes]:
        for some in session.scalars(statement.execution_options(yield_per=_PART)).partitions():
            yield b"".join(self._line(kind, _row(row)) for row in some)

    def _line(self, kind: str, content: Mapping[str, Any]) -> bytes:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        said = {"kind": kind, **content}
        try:
            line = json.dumps(said, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        except ValueError:
            # A value of a process may be no number: JSON has none of these, and what is taken cannot be mended.
            line = json.dumps(_finite(said), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return line.encode() + b"\n"


def _finite(value: Any) -> Any:
    """A value with the words of JSON in place of numbers that it has none for."""
    match value:
        case float() if not math.isfinite(value):
            return str(value)
        case dict():
            return {name: _finite(inner) for name, inner in cast("dict[str, Any]", value).items()}
        case list() | tuple():
            return [_finite(inner) for inner in cast("Iterable[Any]", value)]
        case _:
            return value


def _row(row: Base) -> dict[str, Any]:
    """A row as it is stored. What it calls `kind` is called `what`: each line has a kind of its own."""
    names = [column.key for column in sa.inspect(type(row)).column_attrs]
    return {"what" if name == "kind" else name: getattr(row, name) for name in names}
