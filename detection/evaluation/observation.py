"""Detection over one capture, and what the figures need of it: when each alert was known, when its records were, who talked.

A capture file is cut into batches of many minutes, so that detection of it says nothing about how soon an alert would have come
live. While an event lasts and shortly after, its records are therefore handed on in slices of seconds, each when its last packet
has been seen; the pipeline promises the same alerts for any slices.
"""

from __future__ import annotations

import ipaddress
import itertools
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import polars as pl

from collector.store import RecordBatch
from detection.anomaly.promise import told_minutes
from detection.captures import detect
from detection.grouping import LAST_RECORDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from detection.alerts import Alert
    from detection.baseline.normality import Normality
    from detection.pipeline import Pipeline, State

SECOND: Final = 1_000_000_000

IDLE_SECONDS: Final = 60
"""A capture with no record for longer counts for so long only: files that were joined have gaps of years."""

SLICES: Final = 120
"""Slices of an event, at most; none is shorter than a second."""

CONVERSATIONS: Final = 100_000
"""Pairs of addresses that are remembered of a capture; more count as these."""

AFTER_SECONDS: Final = 120
"""How long after an event its cuts are cut again: a conversation that nobody opens, or speaks in, has a row a minute later."""

HALF_OPEN_SECONDS: Final = 36
"""After so long the packet core gives up a connection that is not open yet; it looks once a second."""

UNSPOKEN_SECONDS: Final = 61
"""After so long it tells of an open connection without a byte."""

_WAITING: Final = {"flow.state", "flow.final", "flow.bytes_out", "flow.bytes_in"}

_DURATIONS: Final = {"flow": "flow.duration", "modbus": "modbus.response_time", "opcua": "opcua.response_time"}
"""Table → how long after `ts` a row could be known."""

Moments = tuple[tuple[int, int], ...]
"""Spans of time in which records lie: most are of one record, and of one moment."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """An alert as the figures see it. Times are nanoseconds since 1970."""

    id: str
    rule: str
    severity: str
    rank: float
    techniques: frozenset[str]
    first_technique: str
    """The one that it names first; empty where it names none."""
    told: frozenset[str]
    """Its techniques, and those of related rules that it tells."""
    hosts: frozenset[str]
    """Its client, its server, and addresses in what it is about."""
    first: int
    """Time of its first record."""
    moments: Moments
    """When its records were, those of its related findings included."""
    known: int
    """Packet clock when the alert was first told."""


@dataclass(frozen=True, slots=True)
class Modelled:
    """Minutes that models judged. Times are minutes since 1970."""

    promised: float
    """Minutes with a false alarm a day that they promise at most."""
    heard: int
    """Minutes heard since they learned."""
    first: int
    """The first of these."""
    last: int
    """The last of them."""
    told: tuple[int, ...]
    """Those in which a model told something, rising."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What detection said of a capture, and the capture's own measures."""

    sightings: tuple[Sighting, ...]
    """Its alarms; posture is none."""
    posture: tuple[Sighting, ...]
    """What it said of how servers are set up: neither true nor false of any attack."""
    start: int
    """Time of the first record, nanoseconds since 1970; 0 without records."""
    end: int
    """Time of the last record."""
    active_seconds: float
    """How long something was heard: gaps count for `IDLE_SECONDS` at most."""
    records: int
    conversations: frozenset[tuple[str, str]]
    """Pairs of addresses, in order of text."""
    warnings: tuple[str, ...]
    models: Modelled | None = None
    """What models did; None where they judged nothing."""


@dataclass
class Observer:
    """A pipeline that is looked at while it works: the same `site` and `step`, and what was seen.

    Args:
        pipeline: detection.
        slices: times at which a cut is cut again, rising, nanoseconds since 1970; None: everywhere.
    """

    pipeline: Pipeline
    slices: Sequence[int] | None = ()
    known: dict[str, int] = field(default_factory=dict[str, int])
    times: dict[int, np.ndarray[Any, np.dtype[np.int64]]] = field(default_factory=dict[int, np.ndarray[Any, np.dtype[np.int64]]])
    """Times of records by sequence of their batch."""
    ends: dict[int, np.ndarray[Any, np.dtype[np.int64]]] = field(default_factory=dict[int, np.ndarray[Any, np.dtype[np.int64]]])
    """Until when records tell of packets, where that is later: of a conversation, its last packet so far."""
    heard: list[pl.Series] = field(default_factory=list[pl.Series])
    conversations: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    records: int = 0
    state: State | None = None
    """What detection remembers."""
    _sequence: int = 0
    _cut: int = 0

    def __getattr__(self, name: str) -> Any:
        """Whatever else is asked of the pipeline."""
        return getattr(self.pipeline, name)

    def step(self, state: State, batches: Sequence[RecordBatch]) -> tuple[State, list[Alert]]:
        """As `Pipeline.step`."""
        upserts: list[Alert] = []
        # Detection may be handed several cuts at once; each is cut again by itself, for rows of one are never late in it.
        for _, cut in itertools.groupby(batches, key=lambda batch: batch.header.cut):
            for end, piece in self._pieces(list(cut)):
                state, grown = self.pipeline.step(state, piece)
                self.state = state
                upserts += grown
                for alert in grown:
                    self.known.setdefault(alert.id, end)
        return state, upserts

    def _pieces(self, batches: Sequence[RecordBatch]) -> Iterator[tuple[int, list[RecordBatch]]]:
        """The cut in slices with their ends, their batches numbered anew."""
        header = batches[-1].header
        clocks = [_known(batch) for batch in batches]
        after = self._after(min((int(known[0]) for known in clocks if len(known)), default=header.cut_end), header.cut_end)
        ends = [*after, header.cut_end]
        parts: list[list[RecordBatch]] = [[] for _ in ends]
        for batch, known in zip(batches, clocks, strict=True):
            self._hear(batch)
            self.heard.append((known // SECOND).unique())
            # A row is known at the first end that is not before it.
            places: np.ndarray[Any, np.dtype[np.intp]] = np.searchsorted(np.asarray(after, dtype=np.int64), known.to_numpy())
            bounds = np.searchsorted(places, np.arange(len(ends) + 1))
            for part, first, last in zip(parts, bounds[:-1], bounds[1:], strict=True):
                if last > first:
                    part.append(RecordBatch(batch.header, batch.rows.slice(int(first), int(last - first))))
        start = header.cut_start
        for end, part in zip(ends, parts, strict=True):
            if part:
                self._cut += 1
                yield end, [self._renumbered(batch, start, end, last=batch is part[-1]) for batch in part]
                start = end

    def _after(self, start: int, end: int) -> Sequence[int]:
        """The times at which a cut of this span is cut again."""
        if self.slices is None:
            return slices_of([(start, end)], 0)
        return self.slices[bisect_right(self.slices, start) : bisect_right(self.slices, end)]

    def _renumbered(self, batch: RecordBatch, start: int, end: int, *, last: bool) -> RecordBatch:
        number = self._sequence
        self._sequence += 1
        self.times[number] = batch.rows["ts"].cast(pl.Int64).to_numpy()
        if "flow.duration" in batch.rows.columns:
            self.ends[number] = self.times[number] + batch.rows["flow.duration"].cast(pl.Int64).fill_null(0).to_numpy()
        place = {"cut": self._cut, "cut_start": start, "cut_end": end, "cut_last": last}
        return RecordBatch(replace(batch.header, sequence=number, rows=batch.rows.height, **place), batch.rows)

    def _hear(self, batch: RecordBatch) -> None:
        self.records += batch.rows.height
        if "client.ip" in batch.rows.columns and len(self.conversations) < CONVERSATIONS:
            pairs = batch.rows.select(pl.col("client.ip", "server.ip").cast(pl.String())).drop_nulls().unique()
            self.conversations.update((min(pair), max(pair)) for pair in cast("list[tuple[str, str]]", pairs.rows()))

    def moment(self, identity: str) -> tuple[int, int] | None:
        """When a record was, by its identity `sensor/epoch/sequence/row`: from `ts` to its end; None where it was not seen."""
        _, _, rest = identity.partition("/")
        _, sequence, row = rest.rsplit("/", 2) if rest.count("/") == 2 else ("", "", "")
        times = self.times.get(int(sequence)) if sequence.isdigit() else None
        if times is None or not row.isdigit() or int(row) >= len(times):
            return None
        ends = self.ends.get(int(sequence), times)
        return int(times[int(row)]), int(ends[int(row)])


def observe(capture: Path, pipeline: Pipeline, slices: Sequence[int] | None = (), normal: Normality | None = None) -> Observation:
    """Run detection over a capture; `slices` as in `Observer`, `normal` as in `detect`. Raises CaptureError."""
    observer = Observer(pipeline, slices)
    alerts, warnings = detect(str(capture), cast("Pipeline", observer), normal=normal)
    heard = pl.concat(observer.heard).unique().sort() if observer.heard else pl.Series(dtype=pl.Int64())
    times = [array for array in observer.times.values() if len(array)]
    # What became part of a stronger alert is told there.
    told = [alert for alert in alerts if alert.part_of is None and alert.exception is None]
    return Observation(
        sightings=tuple(_sighting(observer, alert) for alert in told if not alert.posture),
        posture=tuple(_sighting(observer, alert) for alert in told if alert.posture),
        start=min((int(array.min()) for array in times), default=0),
        end=max((int(array.max()) for array in times), default=0),
        active_seconds=active_seconds(heard.to_list()),
        records=observer.records,
        conversations=frozenset(observer.conversations),
        warnings=tuple(warnings),
        models=None if observer.state is None else _modelled(observer.state),
    )


def _modelled(state: State) -> Modelled | None:
    """What models did in the one run of a capture."""
    (run,) = state.runs.values()
    known = run.anomaly
    if known is None or not known.since.blocks:
        return None
    return Modelled(known.promised, known.since.blocks, known.since.first, known.since.last, tuple(told_minutes(known)))


def active_seconds(seconds: Sequence[int]) -> float:
    """How long something was heard, given the seconds in which something was, rising."""
    return float(sum(min(later - earlier, IDLE_SECONDS) for earlier, later in itertools.pairwise(seconds)))


def slices_of(spans: Iterable[tuple[int, int]], after_seconds: float = AFTER_SECONDS) -> list[int]:
    """Times at which cuts are cut again so that delays from these events are known to a second or a 120th of the event."""
    times: set[int] = set()
    for start, end in spans:
        last = end + int(after_seconds * SECOND)
        step = max(SECOND, (last - start) // SLICES)
        times.update(range(start, last + step, step))
    return sorted(times)


def _waited() -> pl.Expr:
    """Nanoseconds that the packet core waits after the last packet of a conversation that nobody opens, or speaks in."""
    opening = pl.col("flow.state").cast(pl.String).is_in(["attempt", "half_open"])
    final, silent = pl.col("flow.final"), pl.col("flow.bytes_out") + pl.col("flow.bytes_in") == 0
    waited = pl.when(final & opening).then(HALF_OPEN_SECONDS).when(~final & silent).then(UNSPOKEN_SECONDS).otherwise(0)
    return waited.cast(pl.Int64) * SECOND


def _known(batch: RecordBatch) -> pl.Series:
    """When each row could be known, rising: rows stand in the order in which the packet core told them."""
    known = pl.col("ts").cast(pl.Int64)
    column = _DURATIONS.get(batch.header.table)
    if column is not None and column in batch.rows.columns:
        known += pl.col(column).cast(pl.Int64).fill_null(0)
    if set(batch.rows.columns) >= _WAITING:
        known += _waited()
    # A row that came late is not known before those that stand ahead of it.
    return batch.rows.select(known.clip(batch.header.cut_start, batch.header.cut_end).cum_max())["ts"]


def _sighting(observer: Observer, alert: Alert) -> Sighting:
    spans = _moments(observer, cast("Sequence[str]", alert.body.get("records", ())), alert.count)
    for each in cast("Sequence[dict[str, Any]]", alert.body.get("related", ())):
        named = cast("Sequence[str]", each.get("records", ()))
        # Of related findings only the first records are named.
        counted = int(each["count"]) <= len(named)
        spans |= _moments(observer, named, len(named)) if counted else {(int(each["first_seen"]), int(each["last_seen"]))}
    if not spans:
        spans = {(alert.first_seen, alert.last_seen)}
    named = cast("Sequence[str]", alert.body.get("techniques", ()))
    techniques = frozenset(named)
    rules = observer.pipeline.detector.rules
    told = (rules[each["rule"]].techniques for each in alert.body.get("related", ()) if each["rule"] in rules)
    target = cast("dict[str, Any]", alert.body.get("target", {}))
    hosts = {alert.client_ip, alert.server_ip, *(str(value) for value in target.values() if _is_address(value))}
    return Sighting(
        id=alert.id,
        rule=alert.rule,
        severity=alert.severity,
        rank=alert.rank,
        techniques=techniques,
        first_technique=next(iter(named), ""),
        told=techniques.union(*told),
        hosts=frozenset(host for host in hosts if host),
        first=min(first for first, _ in spans),
        moments=tuple(sorted(spans)),
        known=observer.known.get(alert.id, alert.last_seen),
    )


def _moments(observer: Observer, named: Sequence[str], count: int) -> set[tuple[int, int]]:
    """When the records of an alert were: each that it names, and the span in which lie those that it only counts."""
    moments = [moment for identity in named if (moment := observer.moment(identity)) is not None]
    spans = set(moments)
    if count > len(named) and len(moments) > LAST_RECORDS:
        around = moments[-LAST_RECORDS - 1][0], moments[-LAST_RECORDS][0]
        spans.add((min(around), max(around)))
    return spans


def _is_address(value: object) -> bool:
    try:
        ipaddress.ip_address(str(value))
    except ValueError:
        return False
    return True
