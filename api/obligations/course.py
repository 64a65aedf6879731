"""From when the clock of each report runs, by how its incident goes. Pure.

One report may stand in for another: where the incident goes on when the other one would be due, the one that stands in is due
then, and the other one later, from another start. Until the incident is over the clock of the first alone runs, for which of the
two is due is not known before. Where it was over by then, though that is said later, only the other one is due, as ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from api.obligations import clocks
from api.obligations.rules import made_under, rule_set

if TYPE_CHECKING:
    from collections.abc import Mapping

    from api.obligations.clocks import Due, Term
    from api.obligations.rules import Rule


@dataclass(frozen=True, slots=True)
class Course:
    """How an incident has gone so far.

    Attributes:
        discovered: when it was discovered, in nanoseconds since 1970.
        resolved: when it was over; None where it goes on.
        submitted: when the first report under each rule was submitted, by key of the rule.
        zone: time zone of the operator, by IANA name.
    """

    discovered: int
    resolved: int | None
    submitted: Mapping[str, int]
    zone: str

    def asks(self, rule: Rule) -> bool:
        """Whether a report is asked for as the incident goes: one that stands in for another, only while that one waits."""
        if rule.stands_for is None:
            return True
        # Of the newest rules that have it: a report may be of rules that newer ones do without.
        other = made_under(rule_set().version, rule.stands_for).rule(rule.stands_for)
        return rule.stands_for not in self.submitted and self._goes_on(other)

    def start(self, rule: Rule, added: int) -> tuple[int | None, Term]:
        """From when the clock of a report runs (None where it does not yet), and how long.

        Args:
            rule: what it follows from.
            added: when it was added to the series.
        """
        if rule.going_on is None or self._at(rule.start, added) is None:
            return self._at(rule.start, added), rule.term
        if self.resolved is None:
            return None, rule.term
        if self._goes_on(rule):
            return self._at(rule.going_on.start, added), rule.going_on.term
        return self._at(rule.start, added), rule.term

    def due(self, start: int | None, term: Term) -> Due | None:
        """When a clock runs out; None where none runs."""
        return None if start is None else clocks.due(start, term, self.zone)

    def _goes_on(self, rule: Rule) -> bool:
        """Whether the incident goes on when a report would be due."""
        due = self.due(self._at(rule.start, 0), rule.term)
        return due is not None and (self.resolved is None or self.resolved > due.at)

    def _at(self, start: str, added: int) -> int | None:
        after = start.removeprefix("submitted:")
        if after != start:
            return self.submitted.get(after)
        return {"discovered": self.discovered, "resolved": self.resolved}.get(start, added)
