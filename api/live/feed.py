"""What live streams tell: looked up once for all who may see the same, however many listen."""

from __future__ import annotations

import asyncio
import logging
import time
from bisect import bisect_right
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from fastapi.sse import format_sse_event
from starlette.concurrency import run_in_threadpool

from api.alerts import presentation
from api.alerts import service as alerts
from api.incidents import timeline
from api.security.access import still_in
from api.sensors import service as sensors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from api.alerts.models import Alert
    from api.security.access import Caller
    from api.services import Services

PAUSE_SECONDS: Final = 0.1
"""From one look to the next at least: what changes meanwhile is told together."""

HEALTH_SECONDS: Final = 1.0
"""From one look at the sensors' health to the next at least."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """An alert as it is since a change."""

    number: int
    alert: Alert
    _events: dict[str, bytes] = field(default_factory=dict[str, bytes], compare=False)

    def event(self, language: str) -> bytes:
        """The alert as in the list, as an event; made once for each language."""
        if language not in self._events:
            told = presentation.item(self.alert, language).model_dump_json()
            self._events[language] = format_sse_event(event="alert", data_str=told, id=str(self.number))
        return self._events[language]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look has found.

    Attributes:
        start: changes after this one are in `changes`, each alert's last.
        reached: the last change that was looked at.
        changes: in order.
        line: the newest line of a timeline that was looked for.
        incidents: what has changed since somebody listens: the newest line of each incident.
        still_in: the listeners who would be let in now.
        health: the sensors' health as JSON, as it was known last; None where it is not known yet.
    """

    start: int
    reached: int
    changes: tuple[Change, ...] = ()
    line: int = 0
    incidents: Mapping[int, int] = field(default_factory=dict[int, int])
    still_in: frozenset[Caller] = frozenset()
    health: str | None = None
    _told: dict[tuple[int, str], bytes] = field(default_factory=dict[tuple[int, str], bytes], compare=False)

    def after(self, number: int) -> tuple[Change, ...] | None:
        """The changes after one; None where it is before what was kept."""
        if number < self.start:
            return None
        return self.changes[bisect_right(self.changes, number, key=attrgetter("number")) :]

    def told(self, number: int, language: str) -> bytes | None:
        """As `after`, as events; put together once for all who stand at the same place."""
        if (number, language) not in self._told:
            changes = self.after(number)
            if changes is None:
                return None
            self._told[number, language] = b"".join(change.event(language) for change in changes)
        return self._told[number, language]

    def touched(self, line: int) -> list[int]:
        """The incidents that have changed since a line."""
        return sorted(number for number, newest in self.incidents.items() if newest > line)

    def moved(self, changed: list[Alert], reached: int, most: int) -> tuple[int, tuple[Change, ...]]:
        """Where what is kept starts, and what it is, once these alerts have changed, of which `most` are kept."""
        if len(changed) > most:
            return reached, ()
        again = {alert.id for alert in changed}
        kept = [each for each in self.changes if each.alert.id not in again]
        kept += [Change(alert.change, alert) for alert in changed]
        dropped = kept[: max(0, len(kept) - most)]
        return (dropped[-1].number if dropped else self.start), tuple(kept[len(dropped) :])


class Feed:
    """What the listeners of one scope are told. Used in one event loop, which looks are not made in.

    Who asks gets what a look has found that began after he asked: looks are made one after the other, each for all who wait.
    The sensors' health, which the record store is asked for, is looked up beside them: no look waits for it, or fails with it.
    """

    def __init__(self, provided: Services) -> None:
        """A feed of what these services, limited as its listeners are, show."""
        self._provided = provided
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
            reached = alerts.newest_change(session)
            line = timeline.newest(session)
            seen = self._seen
            if seen is None:
                # All who come back after a restart are told of one look.
                first = max(0, reached - most)
                seen = Seen(first, first, line=line)
            changed = alerts.changed_since(session, seen.reached, most + 1) if reached > seen.reached else []
            start, changes = seen.moved(changed, reached, most)
            incidents = seen.incidents
            if line > seen.line:
                incidents = {**incidents, **timeline.written_since(session, seen.line)}
            good = still_in(session, self._provided.settings, listeners)
        last = changes[-1].number if changes else 0
        known = max(seen.line, line), incidents
        return Seen(start, max(seen.reached, reached, last), changes, *known, good, health)

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


def _taken_note_of(task: asyncio.Task[Seen]) -> None:
    """A look that failed is told to those who wait for it, of whom none may be left."""
    if not task.cancelled():
        task.exception()
