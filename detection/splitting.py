"""What of a site's detection may be split over workers by conversation, derived from what each part keeps its memory by. Pure.

Split by conversation means: all records of one client and one server go to one worker, in their order, and others elsewhere. A
part of detection gives the same then if it remembers nothing, or if what it remembers of one conversation has no say in another.
So it needs one declaration: the columns that it keeps its memory by (`KEPT_BY` of each part; of a correlation what it groups by).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from detection import budget, grouping, merging, stories
from detection.anomaly import history
from detection.anomaly.table import ANOMALY
from detection.baseline import kinds
from detection.deviation import DEVIATION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detection.rules import RuleDetector

CONVERSATION: Final = ("client.ip", "server.ip")
"""Columns that name a conversation."""

PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "what is normal (table deviation)": kinds.KEPT_BY,
    "models (table anomaly)": history.KEPT_BY,
    "grouping of findings into alerts": grouping.KEPT_BY,
    "order of sensors": merging.KEPT_BY,
    "stories": stories.KEPT_BY,
    "alarm budget": budget.KEPT_BY,
}
"""The parts of detection besides rules, each with the columns that it keeps its memory by."""

_WRITERS: Final[Mapping[str, tuple[str, ...]]] = {DEVIATION.name: kinds.KEPT_BY, ANOMALY.name: history.KEPT_BY}
"""Tables that detectors write, with the columns that these keep their memory by."""


@dataclass(frozen=True, slots=True)
class Splitting:
    """Whether a part may be split by conversation.

    Attributes:
        name: the rule or the part.
        allowed: whether it may.
        why: the reason, in a few words.
    """

    name: str
    allowed: bool
    why: str


def of_parts() -> list[Splitting]:
    """The parts of detection besides rules."""
    return [_kept(name, columns) for name, columns in PARTS.items()]


def of_rules(detector: RuleDetector) -> list[Splitting]:
    """The rules that are active, in their order; those that only feed correlations among them."""
    found: dict[str, Splitting] = {}

    def of(name: str) -> Splitting:
        if name not in found:
            found[name] = _of_rule(detector, name, [of(source) for source in detector.sources(name)])
        return found[name]

    return [of(name) for name in detector.rules if name not in detector.inactive]


def _of_rule(detector: RuleDetector, name: str, sources: Sequence[Splitting]) -> Splitting:
    """Whether a rule may be split, given the rules that it correlates."""
    held = next((source for source in sources if not source.allowed), None)
    if held is not None:
        return Splitting(name, allowed=False, why=f"rests on {held.name}, which {held.why}")
    window = detector.windows.get(name)
    if window is not None:
        return _kept(name, window.group)
    table = str(detector.rules[name].table)
    written = _WRITERS.get(table)
    if written is not None and not _holds(written):
        return Splitting(name, allowed=False, why=f"looks at table {table}, whose detector {_kept(table, written).why}")
    return Splitting(name, allowed=True, why="looks at one record at a time")


def _kept(name: str, columns: Sequence[str]) -> Splitting:
    """A part that keeps its memory by these columns."""
    if not columns:
        return Splitting(name, allowed=False, why="keeps one memory for the whole site")
    return Splitting(name, _holds(columns), f"keeps its memory by {', '.join(columns)}")


def _holds(columns: Sequence[str]) -> bool:
    """Whether all that is kept by these columns together is of one conversation."""
    return set(CONVERSATION) <= set(columns)
