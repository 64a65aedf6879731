"""The rule detector: all rules over whole cuts, findings out. Pure: what it remembers is in its state."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl
from sigma.correlations import SigmaExtendedCorrelationCondition
from sigma.rule import SigmaRule

from detection.anomaly.table import ACCEPTED as ANOMALY_ACCEPTED
from detection.anomaly.table import ANOMALY
from detection.deviation import ACCEPTED, DEVIATION, TABLES
from detection.gathering import ORDER, gathered
from detection.sigma import correlate
from detection.sigma.compile import Compiled, compile_condition, parsed
from detection.sigma.correlate import Window
from detection.sigma.fields import NUMBERS, TEXTS, ConditionError, field_of
from detection.sigma.measure import MEASURES, MEDIAN, OPERATORS, Measure
from detection.sigma.rule import Fault, Rule, RuleError
from detection.sigma.values import Binding
from detection.site import Site

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from sigma.correlations import SigmaCorrelationRule

    from collector.store import RecordBatch
    from detection.sigma.fields import Field
    from detection.sigma.values import Bound

SEEN: Final = "seen"
"""Column of a finding with its record's own time (`ts`), in nanoseconds since 1970. `event` is when it could be known."""

IDENTITY: Final = (*ORDER, SEEN)
"""Columns of a finding that say which record of the run it is, and when."""

KEPT: Final = 8
"""Pairs of rules and facts of which detectors are kept, for all sites of a process: a worker has many sites that are alike."""

COUNTS: Final = frozenset({"count", "event_count", "value_count", *MEASURES})
"""Names under which texts may use how many there were, or what their values came to."""


@dataclass(frozen=True, slots=True)
class RuleState:
    """What the rules remember of one run: for each correlation, rows that later windows may need."""

    rows: Mapping[str, pl.DataFrame] = field(default_factory=dict[str, pl.DataFrame])
    """By name and definition of the correlation: one that has changed begins anew."""
    forgotten: int = 0
    """Rows forgotten because a correlation was over its bound."""


Findings = dict[str, pl.DataFrame]
"""Findings of one run by rule: IDENTITY, client.ip, server.ip, the rule's fields; where it correlates, `count` and KNOWN."""


class RuleDetector:
    """Runs rules over cuts of records.

    Args:
        rules: the rules; those that name a site list which `site` does not define are inactive.
        site: facts of the site.

    Raises:
        RuleError: a rule cannot be compiled.
    """

    def __init__(self, rules: Sequence[Rule], site: Site) -> None:
        self.rules = {rule.name: rule for rule in rules}
        if len(self.rules) != len(rules):
            twice = next(rule for rule in rules if rule is not self.rules[rule.name])
            raise RuleError(f"{self.rules[twice.name].path} has a rule of that name too: rename one", twice)
        self.windows = {rule.name: _window(rule) for rule in rules if rule.correlation is not None}
        """Windows of the correlations by name, with the thresholds of the site."""
        for name, override in site.rules.items():
            if name in self.windows and override.threshold is not None:
                self.windows[name] = _with_threshold(self.windows[name], override.threshold)
            if name in self.rules and not override.enabled:
                self.rules[name] = self.rules[name].feeding()
        self._order = self._correlation_order()
        self.inactive = {rule.name for rule in rules if any(not site.defines(name) for name in rule.placeholders)}
        for name in self._order:
            if set(self.windows[name].rules) & self.inactive:
                self.inactive.add(name)
        self._order = [name for name in self._order if name not in self.inactive]
        self._keys = {name: f"{name}@{self._definition(name)}" for name in self._order}
        self._columns = {name: sorted(columns) for name, columns in self._wanted_columns().items()}
        self._tables = self._compile_tables(rules, site)
        self._check_measures()

    @classmethod
    def at(cls, rules: Sequence[Rule], site: Site) -> RuleDetector:
        """A detector of these rules, one for all sites of the process of which rules ask for the same facts. Raises RuleError."""
        return _detector(tuple(rules), site.asked_by_rules)

    @property
    def tables(self) -> frozenset[str]:
        """Tables that the rules look at."""
        return frozenset(self._tables)

    def columns(self, table: str) -> list[str]:
        """Columns of a table that the rules want."""
        return self._tables[table].columns

    def sources(self, name: str) -> Sequence[str]:
        """The rules that a rule correlates, by name; of others there are none."""
        window = self.windows.get(name)
        return () if window is None else window.rules

    def step(
        self, state: RuleState, batches: Sequence[RecordBatch], matched: Findings | None = None
    ) -> tuple[RuleState, Findings]:
        """Take the batches of whole cuts of one run in, in order of sequence.

        `matched` is what `match` gave for batches of the same cuts of other tables, where they were looked at before.
        """
        matches = {**(matched or {}), **self.match(batches)}
        kept = {key: state.rows[key] for key in self._keys.values() if key in state.rows}
        forgotten = state.forgotten
        findings: Findings = {name: rows for name, rows in matches.items() if self.rules[name].alerts}
        for name in self._order:
            window = self.windows[name]
            sources = [_of_source(matches[source], source) for source in window.rules if source in matches]
            if not sources:
                continue
            rows = pl.concat(sources, how="diagonal_relaxed") if len(sources) > 1 else sources[0]
            outcome = correlate.step(window, kept.get(self._keys[name]), rows)
            kept[self._keys[name]] = outcome.state
            forgotten += outcome.forgotten
            if outcome.fired is not None and outcome.evidence is not None:
                matches[name] = outcome.fired.drop("source", "given")
                if self.rules[name].alerts:
                    found = outcome.evidence
                    if self.rules[name].section.completing:
                        found = found.filter(pl.col("source") == window.rules[-1])
                    if found.height:
                        findings[name] = found.drop("source", "given")
        return RuleState(kept, forgotten), findings

    def match(self, batches: Sequence[RecordBatch]) -> Findings:
        """The rows of batches that each rule which is no correlation matches."""
        return {
            name: rows
            for batch in gathered(batches)
            if batch.header.table in self._tables and batch.rows.height
            for name, rows in self._match(batch.header.table, batch.rows)
        }

    def _match(self, name_of_table: str, frame: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
        """The rows of one table that each rule matches."""
        table = self._tables[name_of_table]
        binding = Binding(frame, table.keys)
        bound = table.bound(binding)
        exprs = [expr.alias(name) for name, expr in bound.items() if not isinstance(expr, bool)]
        masks = frame.select(exprs) if exprs else pl.DataFrame()
        places: dict[str, pl.Series | None] = {name: None for name, expr in bound.items() if expr is True}
        places |= {name: masks.get_column(name).arg_true() for name, any_row in _any(masks).items() if any_row}
        for name in [name for name in places if table.rules[name].costly is not None]:
            places[name] = _passing(frame, places[name], table.rules[name], binding)
        hits = [name for name in table.rules if name in places and ((rows := places[name]) is None or len(rows))]
        if not hits:
            return []
        wanted = sorted({name for hit in hits for name in self._columns[hit]})
        frame = frame.select(
            *ORDER,
            pl.col("ts").dt.epoch("ns").alias(SEEN),
            *(field_of(name_of_table, name).expr.alias(name) for name in wanted),
        )
        found: list[tuple[str, pl.DataFrame]] = []
        for name in hits:
            rows, part = places[name], frame[[*IDENTITY, *self._columns[name]]]
            found.append((name, part if rows is None or len(rows) == frame.height else part[rows]))
        return found

    def _compile_tables(self, rules: Sequence[Rule], site: Site) -> dict[str, _Table]:
        """The active rules by the table that they look at, with the columns that they want of it."""
        compiled: dict[str, dict[str, Compiled]] = {}
        wanted: dict[str, set[str]] = {}
        for rule in rules:
            if not isinstance(rule.sigma, SigmaRule) or rule.name in self.inactive:
                continue
            try:
                each = _compiled(rule, site)
                carried = [_carried(each.table, name) for name in self._columns[rule.name]]
            except ConditionError as error:
                raise RuleError(str(error), rule) from error
            compiled.setdefault(each.table, {})[rule.name] = each
            columns = wanted.setdefault(each.table, {"ts", "flow.duration"} if each.table == "flow" else {"ts"})
            columns |= each.columns.union(*(carry.columns for carry in carried))
        return {name: _Table(name, each, wanted[name]) for name, each in compiled.items()}

    def _check_measures(self) -> None:
        """Refuse measures of fields that are no numbers. Raises RuleError."""
        for name, window in self.windows.items():
            tables = {self.rules[source].table for source in self._sources(name)[1:]} - {None}
            for table in tables if window.kind in MEASURES else ():
                if field_of(str(table), str(window.field)).kind not in NUMBERS:
                    raise RuleError(f"{window.field} is no number: {window.kind} needs one", self.rules[name])

    def _definition(self, name: str) -> str:
        """A hash of what a correlation is made of."""
        parts = [repr(self.windows[name]), *(repr(self.rules[source].content) for source in self._sources(name))]
        return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=8).hexdigest()

    def _wanted_columns(self) -> dict[str, set[str]]:
        """For each rule the columns that its findings carry: its own, and those of the correlations that it feeds."""
        wanted = {name: set[str]() for name in self.rules}
        for name, rule in self.rules.items():
            for source in self._sources(name):
                extra = {"client.ip", "server.ip"} | rule.fields
                window = self.windows.get(name)
                if self.rules[source].table == DEVIATION.name:
                    # What is accepted as normal is named by it.
                    extra |= {*ACCEPTED}
                if self.rules[source].table == ANOMALY.name:
                    extra |= {*ANOMALY_ACCEPTED}
                if window is not None:
                    extra |= set(window.group)
                    if window.field is not None:
                        extra.add(window.field)
                wanted[source] |= {column for column in extra if column not in COUNTS}
        return wanted

    def _sources(self, name: str) -> list[str]:
        """The rules that a rule rests on, itself included."""
        window = self.windows.get(name)
        if window is None:
            return [name]
        return [name, *(base for source in window.rules for base in self._sources(source))]

    def _correlation_order(self) -> list[str]:
        """Correlations, those that feed others first. Raises RuleError where one feeds itself."""
        ordered: list[str] = []
        path: list[str] = []

        def visit(name: str) -> None:
            if name not in self.windows or name in ordered:
                return
            if name in path:
                raise RuleError("the correlation rests on itself", self.rules[name])
            path.append(name)
            for source in self.windows[name].rules:
                visit(source)
            path.pop()
            ordered.append(name)

        for name in self.windows:
            visit(name)
        return ordered


def _of_source(rows: pl.DataFrame, source: str) -> pl.DataFrame:
    """A rule's rows with the rule's name, for a correlation; what an earlier correlation counted is left out."""
    name = pl.Series("source", [source]).new_from_index(0, rows.height)
    return (rows.drop("count") if "count" in rows.columns else rows).hstack([name])


class _Table:
    """The rules that look at one table.

    Args:
        table: name of the table.
        rules: compiled rules by name.
        wanted: columns that they want.
    """

    def __init__(self, table: str, rules: Mapping[str, Compiled], wanted: AbstractSet[str]) -> None:
        self.rules = rules
        self.columns = [column.name for column in TABLES[table].columns if column.name in wanted]
        read = {name for rule in rules.values() for name in rule.columns}
        self.keys = [column.name for column in TABLES[table].columns if column.name in read and column.kind in {*TEXTS, "u8"}]
        self._bound: tuple[object, dict[str, Bound]] = (None, {})

    def bound(self, binding: Binding) -> dict[str, Bound]:
        """The rules' cheap conditions for a batch; those of the batch before while it has the same distinct values."""
        known = self._bound
        if known[0] != binding.signature:
            # Set as one: runs may be worked on side by side.
            known = self._bound = binding.signature, {name: rule.bind(binding) for name, rule in self.rules.items()}
        return known[1]


def _any(masks: pl.DataFrame) -> dict[str, bool]:
    """For each mask, whether some row passes."""
    return masks.select(pl.all().any()).row(0, named=True) if masks.width else {}


def _passing(frame: pl.DataFrame, places: pl.Series | None, rule: Compiled, binding: Binding) -> pl.Series | None:
    """Of the rows at these places (None: all), those that pass the rule's costly tests as well."""
    bound = True if rule.costly is None else rule.costly(binding)
    if bound is True:
        return places
    if bound is False:
        return pl.Series(dtype=pl.UInt32)
    part = frame if places is None else frame[places]
    passed = part.select(bound.alias("passed")).to_series()
    return passed.arg_true() if places is None else places.filter(passed)


@lru_cache(maxsize=KEPT)
def _detector(rules: tuple[Rule, ...], facts: str) -> RuleDetector:
    return RuleDetector(rules, Site.model_validate_json(facts))


def _compiled(rule: Rule, site: Site) -> Compiled:
    """A rule's condition over its table. Raises ConditionError."""
    if rule.table is None or rule.table not in TABLES:
        raise ConditionError(f"unknown log source service {rule.table!r}: one of {', '.join(TABLES)}")
    return compile_condition(rule.table, parsed(getattr(rule.sigma, "detection", None)), site)


def _carried(table: str, name: str) -> Field:
    """A field that findings carry, for texts and groups. Raises ConditionError."""
    found = field_of(table, name)
    if found.predicate is not None:
        raise ConditionError(f"{name} can be tested only; it cannot stand in texts or groups")
    return found


def _window(rule: Rule) -> Window:
    """A correlation's window. Raises RuleError for a kind that is not supported."""
    sigma = rule.correlation
    if sigma is None:
        raise RuleError("not a correlation", rule)
    if len(sigma.aliases):
        raise RuleError("aliases are not supported: group by fields that all its rules have", rule)
    kind = sigma.type.name.lower()
    sources = tuple(_source_name(reference.rule) for reference in sigma.rules or [])
    field_name: str | None = None
    threshold = len(sources)
    condition = sigma.condition
    if kind in {"event_count", "value_count"}:
        operator = getattr(getattr(condition, "op", None), "name", "")
        if operator not in {"GTE", "GT"}:
            raise RuleError("a count needs the condition gte or gt", rule)
        threshold = int(getattr(condition, "count", 0)) + (operator == "GT")
        field_name = rule.counted
        if kind == "value_count" and field_name is None:
            raise RuleError("value_count needs a field in its condition", rule)
        if threshold < 1:
            raise RuleError(f"a count of {threshold} holds always: give one of 1 or more", rule)
    elif kind in MEASURES:
        return _measure(rule, sigma, sources)
    elif kind not in {"temporal", "temporal_ordered"}:
        raise RuleError(f"correlation type {kind} is not supported", rule)
    elif isinstance(condition, SigmaExtendedCorrelationCondition):
        raise RuleError("a condition in words is not supported: all its rules must come together", rule)
    if rule.section.newcomers and kind != "value_count":
        raise RuleError("icsight.newcomers is for value_count: only that has values that may be new", rule)
    span_ns = sigma.timespan.seconds * 1_000_000_000
    return Window(kind, sources, tuple(sigma.group_by or ()), field_name, span_ns, threshold, rule.section.newcomers)


def _with_threshold(window: Window, threshold: float) -> Window:
    """A window with another count or limit; one that has neither stays."""
    if window.measure is not None:
        return replace(window, measure=replace(window.measure, limit=threshold))
    counts = window.kind in {"event_count", "value_count"}
    return replace(window, threshold=max(1, int(threshold))) if counts else window


def unfit_overrides(rules: Sequence[Rule], site: Site) -> list[Fault]:
    """What a site sets of rules that cannot be set."""
    named = {rule.name: rule for rule in rules}
    faults: list[Fault] = []
    for name, override in site.rules.items():
        rule = named.get(name)
        if rule is None:
            faults.append(Fault(Path("site.yml"), name, "there is no rule of that name"))
        elif override.threshold is not None and (
            rule.correlation is None or rule.correlation.type.name.lower() in {"temporal", "temporal_ordered"}
        ):
            faults.append(Fault(Path("site.yml"), name, "the rule has no threshold"))
    return faults


def _measure(rule: Rule, sigma: SigmaCorrelationRule, sources: tuple[str, ...]) -> Window:
    """The window of a correlation that measures values. Raises RuleError."""
    kind, condition = sigma.type.name.lower(), sigma.condition
    operator = str(getattr(getattr(condition, "op", None), "name", "")).lower()
    percentile = getattr(condition, "percentile", None)
    if rule.counted is None or operator not in OPERATORS:
        raise RuleError(f"{kind} needs a field and one of {', '.join(OPERATORS)} in its condition", rule)
    if kind == "value_percentile" and not (isinstance(percentile, int) and 1 <= percentile <= 100):
        raise RuleError("value_percentile needs a percentile from 1 to 100 in its condition", rule)
    span_ns = sigma.timespan.seconds * 1_000_000_000
    return Window(
        kind,
        sources,
        tuple(sigma.group_by or ()),
        rule.counted,
        span_ns,
        threshold=1,
        measure=Measure(kind, operator, float(getattr(condition, "count", 0)), percentile or MEDIAN),
    )


def _source_name(sigma: object) -> str:
    return str(getattr(sigma, "name", None) or getattr(sigma, "id", ""))
