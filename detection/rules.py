"""The rule detector: all rules over whole cuts, findings out. Pure: what it remembers is in its state."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

import polars as pl
from sigma.rule import SigmaRule

from detection.sigma import correlate
from detection.sigma.compile import Binding, Compiled, ConditionError, column_of, compile_condition, parsed
from detection.sigma.correlate import Window
from detection.sigma.rule import Rule, RuleError
from sensor.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collector.store import RecordBatch
    from detection.site import Site

IDENTITY: Final = ("event", "sensor", "epoch", "sequence", "row")
"""Columns of a finding that say which record it is, and when."""

COUNTS: Final = {"event_count": "event_count", "value_count": "value_count"}
"""Names under which texts may use a correlation's count."""


@dataclass(frozen=True, slots=True)
class RuleState:
    """What the rules remember: for each correlation, rows that later windows may need."""

    rows: Mapping[str, pl.DataFrame] = field(default_factory=dict[str, pl.DataFrame])
    forgotten: int = 0
    """Rows forgotten because a correlation was over its bound."""


Findings = dict[str, pl.DataFrame]
"""Findings by rule: columns of IDENTITY, client.ip, server.ip, the rule's fields, and `count` where it counts."""


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
            seen: set[str] = set()
            twice = next(rule.name for rule in rules if rule.name in seen or seen.add(rule.name))
            raise RuleError(f"two rules have the name {twice}: rename one")
        self.inactive = {rule.name for rule in rules if any(not site.defines(name) for name in rule.placeholders)}
        self._compiled: dict[str, dict[str, Compiled]] = {}
        self._windows: dict[str, Window] = {}
        for rule in rules:
            if rule.correlation is not None:
                self._windows[rule.name] = _window(rule)
        pending = [name for name in self._windows if set(self._windows[name].rules) & self.inactive]
        self.inactive |= set(pending)
        wanted = self._wanted_columns()
        self._columns = {name: sorted(columns) for name, columns in wanted.items()}
        for rule in rules:
            if isinstance(rule.sigma, SigmaRule) and rule.name not in self.inactive:
                try:
                    compiled = _compiled(rule, site, self._columns[rule.name])
                except ConditionError as error:
                    raise RuleError(f"{rule.path}: {rule.name}: {error}") from error
                self._compiled.setdefault(compiled.table, {})[rule.name] = compiled
        self._order = self._correlation_order()

    @property
    def tables(self) -> frozenset[str]:
        """Tables that the rules look at."""
        return frozenset(self._compiled)

    def columns(self, table: str) -> list[str]:
        """Columns of a table that the rules want."""
        wanted: set[str] = {"ts"}
        for name, compiled in self._compiled.get(table, {}).items():
            wanted |= compiled.columns | set(self._columns[name])
        if table == "flow":
            wanted.add("flow.duration")
        return [column.name for column in TABLES[table].columns if column.name in wanted]

    def step(self, state: RuleState, batches: Sequence[RecordBatch]) -> tuple[RuleState, Findings]:
        """Take the batches of whole cuts in, in order of sequence."""
        matched: dict[str, list[pl.DataFrame]] = {}
        for batch in batches:
            for name, rows in self._match(batch):
                matched.setdefault(name, []).append(rows)
        matches = {name: pl.concat(frames) for name, frames in matched.items()}
        kept = dict(state.rows)
        forgotten = state.forgotten
        findings: Findings = {name: rows for name, rows in matches.items() if self.rules[name].alerts}
        for name in self._order:
            window = self._windows[name]
            sources = [matches[source].with_columns(source=pl.lit(source)) for source in window.rules if source in matches]
            if not sources:
                continue
            rows = pl.concat(sources, how="diagonal_relaxed") if len(sources) > 1 else sources[0]
            rows = rows.drop("count", strict=False)
            outcome = correlate.step(window, kept.get(name), rows)
            kept[name] = outcome.state
            forgotten += outcome.forgotten
            if outcome.fired.height:
                matches[name] = outcome.fired.drop("source", "given")
                if self.rules[name].alerts:
                    findings[name] = outcome.evidence.drop("source", "given")
        return RuleState(kept, forgotten), findings

    def _match(self, batch: RecordBatch) -> list[tuple[str, pl.DataFrame]]:
        """The rows of a batch that each rule matches."""
        compiled = self._compiled.get(batch.header.table)
        if not compiled or not batch.rows.height:
            return []
        frame = batch.rows.select(self.columns(batch.header.table))
        binding = Binding(frame)
        bound = {name: rule.bind(binding) for name, rule in compiled.items()}
        exprs = [expr.alias(name) for name, expr in bound.items() if not isinstance(expr, bool)]
        masks = frame.select(exprs) if exprs else pl.DataFrame()
        hits = [name for name, expr in bound.items() if expr is True or (expr is not False and masks.get_column(name).any())]
        if not hits:
            return []
        end = pl.col("ts") + pl.col("flow.duration") if batch.header.table == "flow" else pl.col("ts")
        header = batch.header
        frame = frame.with_columns(
            event=pl.max_horizontal(end.dt.epoch("ns"), pl.lit(header.cut_start)),
            sensor=pl.lit(header.sensor),
            epoch=pl.lit(header.epoch),
            sequence=pl.lit(header.sequence, pl.Int64),
            row=pl.int_range(pl.len(), dtype=pl.Int64),
        )
        found: list[tuple[str, pl.DataFrame]] = []
        for name in hits:
            columns = [*IDENTITY, *self._columns[name]]
            rows = frame.select(columns) if bound[name] is True else frame.select(columns).filter(masks.get_column(name))
            found.append((name, rows))
        return found

    def _wanted_columns(self) -> dict[str, set[str]]:
        """For each rule the columns that its findings carry: its own, and those of the correlations that it feeds."""
        wanted = {name: set[str]() for name in self.rules}
        for name, rule in self.rules.items():
            for source in self._sources(name):
                extra = {"client.ip", "server.ip"} | rule.fields
                window = self._windows.get(name)
                if window is not None:
                    extra |= set(window.group)
                    if window.field is not None:
                        extra.add(window.field)
                wanted[source] |= {column for column in extra if column not in {*COUNTS, "count"}}
        return wanted

    def _sources(self, name: str) -> list[str]:
        """The rules over tables that a rule rests on, itself included."""
        window = self._windows.get(name)
        if window is None:
            return [name]
        return [name, *(base for source in window.rules for base in self._sources(source))]

    def _correlation_order(self) -> list[str]:
        """Correlations, those that feed others first."""
        ordered: list[str] = []

        def visit(name: str) -> None:
            if name in self._windows and name not in ordered and name not in self.inactive:
                for source in self._windows[name].rules:
                    visit(source)
                ordered.append(name)

        for name in self._windows:
            visit(name)
        return ordered


def _compiled(rule: Rule, site: Site, columns: Sequence[str]) -> Compiled:
    """A rule's condition over its table, which must have these columns. Raises ConditionError."""
    if rule.table is None or rule.table not in TABLES:
        raise ConditionError(f"unknown log source service {rule.table!r}: one of {', '.join(TABLES)}")
    for name in columns:
        column_of(rule.table, name)
    return compile_condition(rule.table, parsed(getattr(rule.sigma, "detection", None)), site)


def _window(rule: Rule) -> Window:
    """A correlation's window. Raises RuleError for a kind that is not supported."""
    sigma = rule.correlation
    if sigma is None:
        raise RuleError(f"{rule.path}: {rule.name}: not a correlation")
    kind = sigma.type.name.lower()
    sources = tuple(_source_name(reference.rule) for reference in sigma.rules or [])
    field_name: str | None = None
    threshold = len(sources)
    if kind in COUNTS:
        condition = sigma.condition
        operator = getattr(getattr(condition, "op", None), "name", "")
        if operator not in {"GTE", "GT"}:
            raise RuleError(f"{rule.path}: {rule.name}: a count needs the condition gte or gt")
        threshold = int(getattr(condition, "count", 0)) + (operator == "GT")
        named = cast("list[str] | str | None", getattr(condition, "fieldref", None))
        field_name = named[0] if isinstance(named, list) else named
        if kind == "value_count" and field_name is None:
            raise RuleError(f"{rule.path}: {rule.name}: value_count needs a field in its condition")
    elif kind not in {"temporal", "temporal_ordered"}:
        raise RuleError(f"{rule.path}: {rule.name}: correlation type {kind} is not supported")
    return Window(kind, sources, tuple(sigma.group_by or ()), field_name, sigma.timespan.seconds * 1_000_000_000, threshold)


def _source_name(sigma: object) -> str:
    return str(getattr(sigma, "name", None) or getattr(sigma, "id", ""))
