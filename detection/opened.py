"""Alerts that may still grow: what is remembered of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

RELATED_RECORDS: Final = 20
"""Records that an alert names of each rule that belongs to it: the first."""

Place = tuple[int, int, int, str]
"""A record in the order of all records: event, sequence, row; and its identity."""


@dataclass(frozen=True, slots=True)
class Part:
    """Findings of one rule that belong to a stronger alert."""

    count: int
    first: int
    """Time of its earliest record."""
    last: int
    """Time of its latest record."""
    places: tuple[Place, ...]
    """Its first records, in order."""

    def with_more(self, more: Part) -> Part:
        """Both together; the same whichever comes first."""
        places = sorted({*self.places, *more.places})[:RELATED_RECORDS]
        return Part(self.count + more.count, min(self.first, more.first), max(self.last, more.last), tuple(places))


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """An alert that may still grow, or findings that attached to one as they came."""

    id: str
    cause: tuple[str, ...]
    rule: str
    first: int
    """Event time of its first finding."""
    last: int
    """Event time of its latest finding."""
    seen: tuple[int, int]
    """Earliest and latest time of its records."""
    count: int
    touched: int
    """Event time of its last change, that of what attaches to it included."""
    places: tuple[Place, ...] = ()
    """Its first records, should it become part of another."""
    records_first: tuple[str, ...] = ()
    records_last: tuple[str, ...] = ()
    sample: Mapping[str, Any] = field(default_factory=dict[str, Any])
    client: str | None = None
    server: str | None = None
    target: tuple[tuple[str, str], ...] = ()
    """What it is about besides client and server: field and value."""
    parent: str | None = None
    """Id of the stronger alert that it belongs to."""
    raised: bool = True
    """Whether it is told, by itself or with the id of what it is part of; false where only what it attached to tells it."""
    related: Mapping[str, Part] = field(default_factory=dict[str, "Part"])
    """What belongs to it, by rule."""
    criticality: float = 0.0
    """Highest factor of the servers of what belongs to it, where it has no server of its own."""
    story: str | None = None
    """Id of the story that it is part of."""
    digest: str | None = None
    """Id of the digest that holds it, where it is more than the alarm budget."""
    exception: str | None = None
    """Name of the site's exception that hides it."""
