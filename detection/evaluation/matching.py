"""Which alert is about which event.

An alert is **true** if its first record lies in an event, not earlier than `BEFORE_SECONDS` before its first packet and not later
than the tolerance after its last, and if the two share a host: the alert's client or server or an address in what it is about,
and one of the event's. An event whose hosts nobody knows shares them all; an alert that names no host shares none with an event
whose hosts are known. So an alert that begins in normal traffic and goes on into an attack is judged by where it begins: false.

An event is **found** by each true alert that has a record in it, within the same bounds, and shares a host. One alert may find
several events, for it goes on while findings of one cause go on. Nothing is counted by points in time: an alert that touches an
event finds it once, whatever the length of either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from detection.evaluation.events import Event
    from detection.evaluation.observation import Sighting

SECOND: Final = 1_000_000_000

BEFORE_SECONDS: Final = 1.0
"""How far an alert's record may lie before the event's first packet: labels are rounded."""

TOLERANCE_SECONDS: Final = 30.0
"""How far an alert's record may lie after the event's last packet: consequences come after, as a poll that nobody answers."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Alerts and events of one capture, told apart."""

    true: tuple[Sighting, ...]
    false: tuple[Sighting, ...]
    found: tuple[tuple[Event, tuple[Sighting, ...]], ...]
    """Each event with the alerts that find it, strongest first; none for one that was missed."""


def bounds(event: Event, tolerance_seconds: float = TOLERANCE_SECONDS) -> tuple[int, int]:
    """The span in which records are taken to be about the event, nanoseconds since 1970."""
    return event.start - int(BEFORE_SECONDS * SECOND), event.end + int(tolerance_seconds * SECOND)


def shares_host(sighting_hosts: Iterable[str], event: Event) -> bool:
    """Whether hosts of an alert are those of the event."""
    return not event.hosts or not event.hosts.isdisjoint(sighting_hosts)


def judge(events: Sequence[Event], sightings: Sequence[Sighting], tolerance_seconds: float = TOLERANCE_SECONDS) -> Judged:
    """Tell true alerts from false ones, and found events from missed ones."""
    spans = [(event, *bounds(event, tolerance_seconds)) for event in events]
    true = [
        each
        for each in sightings
        if any(first <= each.first <= last and shares_host(each.hosts, event) for event, first, last in spans)
    ]
    ranked = sorted(true, key=lambda each: (-each.rank, each.known, each.id))
    found = [
        (
            event,
            tuple(
                each
                for each in ranked
                if shares_host(each.hosts, event) and any(begin <= last and end >= first for begin, end in each.moments)
            ),
        )
        for event, first, last in spans
    ]
    taken = {each.id for each in true}
    return Judged(tuple(true), tuple(each for each in sightings if each.id not in taken), tuple(found))
