"""Loading is proved: every rule is compiled, and fired by a record made of its own condition, before the first record comes.

All rules are proved in one step of the detector. Each has a span of time of its own, so that no rule's records count for the
window of another, and the facts of a made-up site are such that each record passes the lists that its rule names.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from collector.store import RecordBatch
from collector.stream import BatchHeader
from detection.deviation import DERIVED
from detection.rules import KEPT, SEEN, RuleDetector, RuleState
from detection.sigma.compile import parsed
from detection.sigma.fields import ConditionError, field_of
from detection.sigma.record import LISTED, Needs, Record, distinct, filled, records_for
from detection.sigma.rule import Fault, Rule, RuleError
from detection.site import Site
from detection.site import Window as SiteWindow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from detection.sigma.correlate import Window

SECOND: Final = 1_000_000_000
SLOT_NS: Final = 40 * 86_400 * SECOND
"""Time of each rule: longer than two of any window."""

RECORDS: Final = 20_000
"""Records that are made for one rule, at most."""

NOT_FIRED: Final = "is not fired by the record that its own condition asks for"


@dataclass(frozen=True, slots=True)
class Timed:
    """A record, and when it comes: nanoseconds from the beginning of its rule's time."""

    at: int
    table: str
    record: Record


class _NoRecord(Exception):  # noqa: N818 - never leaves this module
    """Why no record can be made."""


def sound(rules: Sequence[Rule], site: Site) -> tuple[list[Rule], list[Fault]]:
    """The rules that can be compiled for a site, and why the others cannot; what rests on one that cannot be is gone too."""
    left, faults = _sound(tuple(rules), site.asked_by_rules)
    return list(left), list(faults)


@lru_cache(maxsize=KEPT)
def _sound(rules: tuple[Rule, ...], facts: str) -> tuple[tuple[Rule, ...], tuple[Fault, ...]]:
    left: Sequence[Rule] = rules
    faults: list[Fault] = []
    site = Site.model_validate_json(facts)
    while True:
        try:
            RuleDetector.at(left, site)
        except RuleError as error:
            if error.rule is None:
                raise
            faults.append(Fault(error.rule.path, error.rule.name, error.reason))
            left = _without(left, error.rule)
        else:
            return tuple(left), tuple(faults)


def _without(rules: Sequence[Rule], gone: Rule) -> list[Rule]:
    """The rules without one and those that rest on it."""
    left = [rule for rule in rules if rule is not gone]
    names = {rule.name for rule in left} | {rule.id for rule in left}
    for rule in left:
        if set(rule.sources) - names:
            return _without(left, rule)
    return left


def unproved(rules: Sequence[Rule]) -> list[Fault]:
    """The rules that raise alerts and that no record of their own fires. All of them must be sound for a site without facts."""
    return list(_unproved(tuple(rules)))


@lru_cache(maxsize=KEPT)
def _unproved(rules: tuple[Rule, ...]) -> tuple[Fault, ...]:
    needs = Needs()
    made: dict[str, list[Timed]] = {}
    faults: list[Fault] = []
    plain = RuleDetector.at(rules, Site())
    for rule in rules:
        if not rule.alerts:
            continue
        try:
            made[rule.name] = list(_Maker(rules, plain, needs).of(rule))
        except _NoRecord as reason:
            faults.append(Fault(rule.path, rule.name, f"{reason}: give values in icsight.record"))
    detector = RuleDetector(rules, _site(needs))
    _, findings = detector.step(RuleState(), list(_batches(made)))
    for place, name in enumerate(made):
        start = place * SLOT_NS
        found = findings.get(name)
        if found is None or found.filter(pl.col(SEEN).is_between(start, start + SLOT_NS, closed="left")).is_empty():
            faults.append(Fault(detector.rules[name].path, name, NOT_FIRED))
    return tuple(faults)


def prove(rules: Sequence[Rule], site: Site) -> tuple[list[Rule], list[Fault]]:
    """The rules to run at a site, and what is wrong: rules that cannot be compiled are gone, rules that did not fire are told."""
    left, faults = sound(rules, site)
    # At the site of the proof every rule is active.
    provable, more = sound(left, Site())
    return left, [*faults, *more, *unproved(provable)]


class _Maker:
    """Makes the records of rules.

    Args:
        rules: all rules.
        detector: the rules, compiled.
        needs: facts of the site that the records need; added to.
    """

    def __init__(self, rules: Sequence[Rule], detector: RuleDetector, needs: Needs) -> None:
        self._rules = {name: rule for rule in rules for name in (rule.name, rule.id)}
        self._detector = detector
        self._needs = needs

    def of(self, rule: Rule) -> Iterator[Timed]:
        """Records that fire a rule, in order of time. Raises _NoRecord where none can be made."""
        window = self._detector.windows.get(rule.name)
        if window is None:
            yield Timed(0, str(rule.table), self._one(rule))
            return
        yield from self._windowed(rule, window)

    def _one(self, rule: Rule) -> Record:
        table = str(rule.table)
        try:
            condition = parsed(getattr(rule.sigma, "detection", None))
            for record, needs in records_for(table, condition, rule.section.record):
                _join(self._needs, needs)
                return record
        except ConditionError as error:
            raise _NoRecord(str(error)) from error
        raise _NoRecord("no record could be made of its condition")

    def _windowed(self, rule: Rule, window: Window) -> Iterator[Timed]:
        """The records of a correlation: of each of its rules, as often and with such values as it asks for."""
        sources = [self._rules[name] for name in window.rules]
        if window.kind in {"temporal", "temporal_ordered"}:
            parts = [list(self.of(source)) for source in sources]
        else:
            parts = self._repeated(rule, window, list(self.of(sources[0])))
        longest = max(part[-1].at for part in parts) + 1
        if sum(map(len, parts)) > RECORDS or longest * len(parts) >= window.span_ns:
            longest = max(1, (window.span_ns - longest) // len(parts))
        start = 0
        for part in parts:
            for each in part:
                yield Timed(start + each.at, each.table, each.record)
            start += longest

    def _repeated(self, rule: Rule, window: Window, part: list[Timed]) -> list[list[Timed]]:
        """One rule's records, so often that their number, their different values or their measure passes."""
        if window.kind == "event_count":
            return [part] * window.threshold
        field, last = str(window.field), part[-1]
        known = field_of(last.table, field)
        if window.kind == "value_count":
            made = distinct(last.table, field, last.record, window.threshold)
            if len(made) < window.threshold:
                raise _NoRecord(f"{field} has no {window.threshold} values")
            return [[Timed(last.at, last.table, record)] for record in made]
        limit = 0.0 if window.measure is None else window.measure.limit
        operator = "" if window.measure is None else window.measure.operator
        value = limit + {"gt": 1, "gte": 0, "eq": 0, "neq": 1, "lt": -1, "lte": 0}.get(operator, 0)
        most = {"u8": 255, "u16": 65_535}.get(known.kind, 2**31)
        times = max(1, -(-int(value) // most)) if window.kind == "value_sum" else 1
        if times > RECORDS:
            raise _NoRecord(f"{rule.name} asks for more records than are made")
        record = {**last.record, field: value / times if known.kind == "f64" else int(value) // times}
        return [[Timed(last.at, last.table, record)]] * (times + (times > 1))


def _join(all_needs: Needs, needs: Needs) -> None:
    for name, values in needs.listed.items():
        all_needs.listed.setdefault(name, set()).update(values)
    all_needs.windows.update(needs.windows)
    all_needs.ranges.update(needs.ranges)


def _site(needs: Needs) -> Site:
    """A site at which records pass: lists name what must be named and nothing else that a record holds."""
    long_ago = datetime(1900, 1, 1, tzinfo=UTC)
    ever = {True: datetime(2260, 1, 1, tzinfo=UTC), False: datetime(1901, 1, 1, tzinfo=UTC)}
    return Site(
        lists={
            name: tuple(sorted(values)) or ("0" if _numeric(values) else f"{LISTED}250",) for name, values in needs.listed.items()
        },
        windows={name: (SiteWindow(start=long_ago, end=ever[inside]),) for name, inside in needs.windows.items()},
        ranges={name: {} if inside else {"proof": (-1.0, 0.0)} for name, inside in needs.ranges.items()},
    )


def _numeric(values: set[str]) -> bool:
    return bool(values) and all(value.isdigit() for value in values)


def _batches(made: Mapping[str, Sequence[Timed]]) -> Iterator[RecordBatch]:
    """The records as one batch for each table, each rule's in its own time."""
    rows: defaultdict[str, list[Record]] = defaultdict(list)
    for place, records in enumerate(made.values()):
        for each in records:
            rows[each.table].append({**each.record, "ts": place * SLOT_NS + each.at})
    for sequence, (table, records) in enumerate(rows.items()):
        frame = filled(table, records)
        if table in DERIVED:
            places: dict[str, Any] = {"event": pl.col("ts").dt.epoch("ns"), "sequence": pl.lit(sequence, pl.Int64)}
            frame = frame.with_columns(**places).with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
        header = BatchHeader(
            sensor="proof", epoch="proof", sequence=sequence, table=table, rows=frame.height, site="", cut=0, cut_start=0,
            cut_end=0, cut_last=True,
        )  # fmt: skip
        yield RecordBatch(header, frame)
