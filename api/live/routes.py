"""`/api/live`: alerts, incidents and what else changes, and the sensors' health: server-sent events (WHATWG HTML, 9.2)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator  # noqa: TC003  FastAPI reads the annotation at run time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Header, Request
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from api.alerts import service as alerts
from api.incidents import timeline
from api.live import others
from api.live.feed import Change, Feed, Place, Seen, incident_limits
from api.openapi import problems
from api.problems import Problem
from api.security.access import Caller, Provided, needs
from api.services import Services
from api.texts import language_of

if TYPE_CHECKING:
    from api.live.others import Touched

router = APIRouter(prefix="/api", tags=["live"])

Reader = Annotated[Caller, needs("alert.read", "incident.read", "told.read")]
RETRY_MILLISECONDS = 2000
"""How long a browser waits before it connects again."""

SILENCE_SECONDS = 15.0
"""After so long without an event a comment is sent (WHATWG HTML, 9.2.7)."""


class EventStream(StreamingResponse):
    """Events that are put together already, many in one piece: the framework's own response makes each anew for each listener."""

    media_type = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream: what wakes it, and what it tells."""

    waiter: asyncio.Event
    feed: Feed


async def _stream(caller: Reader, provided: Provided) -> AsyncIterator[Stream]:
    hub = provided.hub
    waiter = hub.join(provided.settings.live_connections)
    if waiter is None:
        raise Problem("live_full", headers={"Retry-After": "10"})
    key = provided.database.scope, _is_authority(caller)
    feed = hub.feeds.setdefault(key, Feed(provided, authorities=_is_authority(caller)))
    feed.join(waiter, caller)
    try:
        yield Stream(waiter, feed)
    finally:
        if feed.leave(waiter) and hub.feeds.get(key) is feed:
            del hub.feeds[key]
        hub.leave(waiter)


@router.get("/live", response_class=EventStream, responses=problems("signed_out", "live_full"))
async def live(
    request: Request,
    caller: Reader,
    provided: Provided,
    stream: Annotated[Stream, Depends(_stream)],
    last_event_id: Annotated[
        str | None, Header(pattern=r"^\d{1,18}(-\d{1,18}){0,2}$", examples=["1041-77-530"], description="The last event's id.")
    ] = None,
) -> EventStream:
    """Events as they happen, of what the caller may see.

    `alert`: an alert that is new or has changed, as in the list. `incidents`: numbers of incidents that have changed, in
    whatever belongs to them: ask for them again; authorities hear of those that they are told of. `changed`: identifiers of
    windows, exceptions, handovers and jobs that have changed, by kind. An event's id says how far each of these was told, so
    that a client which comes back with `Last-Event-ID` gets all that it missed, each once, as it is now. `reload`: more was
    missed than is sent; load anew what is shown. `sensors`: the sensors' health, when it changes. Without `Last-Event-ID` the
    stream starts with what changes from now on.
    """
    first = await stream.feed.look()
    told = _told(provided, caller, stream, language_of(request), first.place, last_event_id)
    return EventStream(told, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


async def _told(
    provided: Services, caller: Caller, stream: Stream, language: str, newest: Place, last: str | None
) -> AsyncIterator[bytes]:
    """The events: all of a look in one piece, which those who stand at the same place share."""
    place = newest if last is None else Place.read(last, newest)
    hello = f'{{"change":{place.change}}}'
    yield format_sse_event(event="hello", data_str=hello, id=str(place), retry=RETRY_MILLISECONDS)
    if place.is_past(newest):
        # A backup was restored: numbers begin anew, and what is known there may be no more.
        place = newest
        yield _reload(place)
    said, health = place, None
    while not provided.hub.closed:
        stream.waiter.clear()
        seen = await stream.feed.look()
        if caller not in seen.still_in:
            break
        events = _events(caller, seen, place, language)
        if events is None:
            # It was away for longer than what is kept.
            missed = await run_in_threadpool(_missed, provided, caller, place, seen)
            events = _reload(seen.place) if missed is None else b"".join(_written(caller, missed, place, seen.place, language))
        place = seen.place
        if events:
            said = place
        if caller.may("sensor.read") and seen.health != health:
            health = seen.health
            events += format_sse_event(event="sensors", data_str=health)
        if events:
            yield events
        try:
            await asyncio.wait_for(stream.waiter.wait(), min(provided.settings.live_poll_seconds, SILENCE_SECONDS))
        except TimeoutError:
            # Nothing is told to keep what lies between awake, and who has gone away is found out by it. An identifier alone is
            # no event, and whoever is told nothing for long need not ask for all of it when he comes back.
            yield KEEPALIVE_COMMENT if said == place else f"id: {place}\n\n".encode()
            said = place


@dataclass(frozen=True, slots=True)
class Missed:
    """What has changed after a place."""

    changes: list[Change]
    incidents: list[int]
    others: list[Touched]


def _is_authority(caller: Caller) -> bool:
    """Whether a caller hears of those incidents alone that authorities are told of."""
    return caller.may("told.read") and not caller.may("incident.read")


def _hears_of_incidents(caller: Caller) -> bool:
    return caller.may("incident.read") or _is_authority(caller)


def _events(caller: Caller, seen: Seen, place: Place, language: str) -> bytes | None:
    """What a look has found after a place, as events; None where something of it was not kept."""
    told = seen.told(place, language) if caller.may("alert.read") else b""
    incidents = seen.touched(place.line) if _hears_of_incidents(caller) else []
    other = seen.other(place.entry)
    if told is None or incidents is None or other is None:
        return None
    return told + b"".join(_written(caller, Missed([], incidents, other), place, seen.place, language))


def _written(caller: Caller, missed: Missed, place: Place, reached: Place, language: str) -> list[bytes]:
    """What was missed, as events. The identifier of each says what was told up to it, and no more."""
    events = [change.event(language, place) for change in missed.changes]
    if missed.incidents:
        told = json.dumps({"numbers": missed.incidents})
        events.append(format_sse_event(event="incidents", data_str=told, id=str(replace(reached, entry=place.entry))))
    if other := others.told_to(caller, missed.others):
        events.append(format_sse_event(event="changed", data_str=json.dumps(other), id=str(reached)))
    return events


def _reload(place: Place) -> bytes:
    return format_sse_event(event="reload", data_str=f'{{"change":{place.change}}}', id=str(place))


def _missed(provided: Services, caller: Caller, place: Place, seen: Seen) -> Missed | None:
    """What has changed after a place, up to where the next look goes on; None where it is too much."""
    limit, reached = provided.settings.live_replay_rows, seen.place
    with provided.database.read() as session:
        changed = alerts.changed_since(session, place.change, limit + 1) if caller.may("alert.read") else []
        limits = incident_limits(authorities=_is_authority(caller))
        written = timeline.written_since(session, place.line, *limits) if _hears_of_incidents(caller) else {}
        other = others.touched_since(session, place.entry, reached.entry)
    if other is None or max(len(changed), len(written), len(other)) > limit:
        return None
    changes = [Change(alert.change, alert) for alert in changed if alert.change <= reached.change]
    return Missed(changes, sorted(written), list(other))
