"""What live streams tell: looked up once for all who may see the same, however many listen."""

from __future__ import annotations

import asyncio
import logging
import time
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Final, TypeVar

from fastapi.sse import format_sse_event
from starlette.concurrency import run_in_threadpool

from api.alerts import presentation
from api.alerts import service as alerts
from api.incidents import timeline
from api.live import others
from api.security.access import still_in
from api.sensors import service as sensors
from api.told.service import is_told

if TYPE_CHECKING:
    from collections.abc import Mapping

    import sqlalchemy as sa

    from api.alerts.models import Alert
    from api.live.others import Touched
    from api.security.access import Caller
    from api.services import Services

PAUSE_SECONDS: Final = 0.1
"""From one look to the next at least: what changes meanwhile is told together."""

HEALTH_SECONDS: Final = 1.0
"""From one look at the sensors' health to the next at least."""

_log = logging.getLogger(__name__)
_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class Place:
    """How far a listener is: the identifier of events.

    Attributes:
        change: the last change of an alert that he was told of.
        line: the newest line of an incident's timeline.
        entry: the newest entry of the audit trail, which tells of all else.
    """

    change: int
    line: int
    entry: int

    @classmethod
    def read(cls, given: str, newest: Place) -> Place:
        """The place that an identifier names; what it does not say, as older ones, is the newest there is."""
        parts = [int(part) for part in given.split("-")]
        return cls(*parts, *(newest.change, newest.line, newest.entry)[len(parts) :])

    def __str__(self) -> str:
        return f"{self.change}-{self.line}-{self.entry}"

    def is_past(self, other: Place) -> bool:
        """Whether something of it is more than another knows."""
        return self.change > other.change or self.line > other.line or self.entry > other.entry


@dataclass(frozen=True, slots=True)
class Change:
    """An alert as it is since a change."""

    number: int
    alert: Alert
    _told: dict[str, str] = field(default_factory=dict[str, str], compare=False)

    def event(self, language: str, place: Place) -> bytes:
        """The alert as in the list, as an event for who was at a place; told once in each language."""
        if language not in self._told:
            self._told[language] = presentation.item(self.alert, language).model_dump_json()
        return format_sse_event(event="alert", data_str=self._told[language], id=str(replace(place, change=self.number)))


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look has found.

    Attributes:
        start: what changed after this place is here, each once, as it is since its last change.
        place: the last of all that was looked at.
        changes: alerts, in order.
        incidents: the newest line of each incident.
        others: the newest entry of what else has changed.
        still_in: the listeners who would be let in now.
        health: the sensors' health as JSON, as it was known last; None where it is not known yet.
    """

    start: Place
    place: Place
    changes: tuple[Change, ...] = ()
    incidents: Mapping[int, int] = field(default_factory=dict[int, int])
    others: Mapping[Touched, int] = field(default_factory=dict["Touched", int])
    still_in: frozenset[Caller] = frozenset()
    health: str | None = None
    _told: dict[tuple[Place, str], bytes] = field(default_factory=dict[tuple[Place, str], bytes], compare=False)

    def after(self, number: int) -> tuple[Change, ...] | None:
        """The changes of alerts after one; None where it is before what was kept."""
        if number < self.start.change:
            return None
        return self.changes[bisect_right(self.changes, number, key=attrgetter("number")) :]

    def told(self, place: Place, language: str) -> bytes | None:
        """As `after`, as events; put together once for all who stand at the same place."""
        if (place, language) not in self._told:
            changes = self.after(place.change)
            if changes is None:
                return None
            self._told[place, language] = b"".join(change.event(language, place) for change in changes)
        return self._told[place, language]

    def touched(self, line: int) -> list[int] | None:
        """The incidents that have changed since a line; None where it is before what was kept."""
        if line < self.start.line:
            return None
        return sorted(number for number, newest in self.incidents.items() if newest > line)

    def other(self, entry: int) -> list[Touched] | None:
        """What else has changed since an entry; None where it is before what was kept."""
        if entry < self.start.entry:
            return None
        return [each for each, newest in self.others.items() if newest > entry]

    def moved(self, changed: list[Alert], reached: int, most: int) -> tuple[int, tuple[Change, ...]]:
        """Where what is kept starts, and what it is, once these alerts have changed, of which `most` are kept."""
        if len(changed) > most:
            return reached, ()
        again = {alert.id for alert in changed}
        kept = [each for each in self.changes if each.alert.id not in again]
        kept += [Change(alert.change, alert) for alert in changed]
        dropped = kept[: max(0, len(kept) - most)]
        return (dropped[-1].number if dropped else self.start.change), tuple(kept[len(dropped) :])


class Feed:
    """What the listeners of one scope are told. Used in one event loop, which looks are not made in.

    Who asks gets what a look has found that began after he asked: looks are made one after the other, each for all who wait.
    The sensors' health, which the record store is asked for, is looked up beside them: no look waits for it, or fails with it.
    """

    def __init__(self, provided: Services, *, authorities: bool = False) -> None:
        """A feed of what these services, limited as its listeners are, show; of incidents, for authorities, what they know of."""
        self._provided = provided
        self._limits = incident_limits(authorities=authorities)
        self._listeners: dict[asyncio.Event, Caller] = {}
        self._seen: Seen | None = None
        self._looking: asyncio.Task[Seen] | None = None
        self._next: asyncio.Task[Seen] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._health: str | None = None
        self._is_health_missing = False
        self._began = self._asked = -PAUSE_SECONDS - HEALTH_SECONDS

    def join(self, waiter: asyncio.Event, caller: Caller) -> None:
        """A stream, which an event wakes, begins to listen in the name of a caller."""
        self._listeners[waiter] = caller

    def leave(self, waiter: asyncio.Event) -> bool:
        """A stream has ended; whether none is left."""
        self._listeners.pop(waiter, None)
        return not self._listeners

    async def look(self) -> Seen:
        """What is so now. Raises what a look raises."""
        if self._next is None:
            self._next = asyncio.create_task(self._run(self._looking))
            self._next.add_done_callback(_taken_note_of)
        return await asyncio.shield(self._next)

    async def _run(self, before: asyncio.Task[Seen] | None) -> Seen:
        if before is not None:
            await asyncio.wait([before])
        await asyncio.sleep(self._began + PAUSE_SECONDS - time.monotonic())
        self._looking, self._next = self._next, None
        self._began = time.monotonic()
        is_due = self._asking is None and self._began - self._asked >= HEALTH_SECONDS
        if is_due and any(caller.may("sensor.read") for caller in self._listeners.values()):
            self._asked = self._began
            self._asking = asyncio.create_task(self._ask())
        self._seen = seen = await run_in_threadpool(self._looked, list(self._listeners.values()), self._health)
        return seen

    def _looked(self, listeners: list[Caller], health: str | None) -> Seen:
        most = self._provided.settings.live_replay_rows
        with self._provided.database.read() as session:
            # Asked before: whatever is committed up to there is seen by what is asked next.
            reached = Place(alerts.newest_change(session), timeline.newest(session), others.newest(session))
            seen = self._seen
            if seen is None:
                # All who come back after a restart are told of one look.
                first = Place(*(max(0, number - most) for number in (reached.change, reached.line, reached.entry)))
                seen = Seen(first, first)
            before = seen.place
            changed = alerts.changed_since(session, before.change, most + 1) if reached.change > before.change else []
            start, changes = seen.moved(changed, reached.change, most)
            incidents, other, kept = seen.incidents, seen.others, replace(seen.start, change=start)
            if reached.line > before.line:
                written = timeline.written_since(session, before.line, *self._limits)
                line, incidents = _newest({**incidents, **written}, kept.line, most)
                kept = replace(kept, line=line)
            if reached.entry > before.entry:
                found = others.touched_since(session, before.entry, reached.entry)
                entry, other = (reached.entry, {}) if found is None else _newest({**other, **found}, kept.entry, most)
                kept = replace(kept, entry=entry)
            good = still_in(session, self._provided.settings, listeners)
        last = changes[-1].number if changes else 0
        place = Place(max(before.change, reached.change, last), max(before.line, reached.line), max(before.entry, reached.entry))
        return Seen(kept, place, changes, incidents, other, good, health)

    async def _ask(self) -> None:
        """Look up the sensors' health, and wake those who listen where it has changed."""
        try:
            found = (await run_in_threadpool(sensors.health, self._provided)).model_dump_json()
        except Exception as error:  # noqa: BLE001  whatever keeps it from being known, alerts are told all the same
            if not self._is_health_missing:
                _log.warning("the sensors' health cannot be told", exc_info=error)
            self._is_health_missing = True
        else:
            self._is_health_missing = False
            if found != self._health:
                self._health = found
                for waiter in self._listeners:
                    waiter.set()
        finally:
            self._asking = None


def incident_limits(*, authorities: bool) -> tuple[sa.ColumnElement[bool], ...]:
    """What is so of the incidents that listeners hear of, if anything must be."""
    return (is_told(),) if authorities else ()


def _newest(found: dict[_Key, int], start: int, most: int) -> tuple[int, dict[_Key, int]]:
    """Of what has changed, each with a number, the `most` that did last, and after which number nothing is left out."""
    if len(found) <= most:
        return start, found
    in_order = sorted(found.items(), key=itemgetter(1))
    return in_order[-most - 1][1], dict(in_order[-most:])


def _taken_note_of(task: asyncio.Task[Seen]) -> None:
    """A look that failed is told to those who wait for it, of whom none may be left."""
    if not task.cancelled():
        task.exception()
