"""`/api/live`: alerts as they change, which incidents do, and the sensors' health, as server-sent events (WHATWG HTML, 9.2)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator  # noqa: TC003  FastAPI reads the annotation at run time
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from api.alerts import service as alerts
from api.live.feed import Change, Feed, Seen
from api.openapi import problems
from api.problems import Problem
from api.security.access import Caller, Provided, needs
from api.services import Services
from api.texts import language_of

router = APIRouter(prefix="/api", tags=["live"])

Reader = Annotated[Caller, needs("alert.read")]
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
    scope = provided.database.scope
    feed = hub.feeds.setdefault(scope, Feed(provided))
    feed.join(waiter, caller)
    try:
        yield Stream(waiter, feed)
    finally:
        if feed.leave(waiter) and hub.feeds.get(scope) is feed:
            del hub.feeds[scope]
        hub.leave(waiter)


@router.get("/live", response_class=EventStream, responses=problems("signed_out", "live_full"))
async def live(
    request: Request,
    caller: Reader,
    provided: Provided,
    stream: Annotated[Stream, Depends(_stream)],
    last_event_id: Annotated[int | None, Header(ge=0, le=2**63 - 1)] = None,
) -> EventStream:
    """Events as they happen.

    `alert`: an alert that is new or has changed, as in the list; its event id is the alert's `change`, so that a client which
    comes back with `Last-Event-ID` gets all that it missed, each alert once, as it is now. `reload`: more was missed than is
    sent; load the list anew. `incidents`: numbers of incidents that have changed, in whatever belongs to them: ask for them
    again, as after a reconnect. `sensors`: the sensors' health, when it changes. Without `Last-Event-ID` the stream starts with
    what changes from now on.
    """
    first = await stream.feed.look()
    told = _told(provided, caller, stream, language_of(request), first, last_event_id)
    return EventStream(told, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


async def _told(
    provided: Services, caller: Caller, stream: Stream, language: str, first: Seen, last: int | None
) -> AsyncIterator[bytes]:
    """The events: all of a look in one piece, which those who stand at the same place share."""
    newest, line = first.reached, first.line
    position = newest if last is None else last
    yield format_sse_event(event="hello", data_str=f'{{"change":{position}}}', id=str(position), retry=RETRY_MILLISECONDS)
    if position > newest:
        # A backup was restored: the numbers of changes begin anew, and what is known there may be no more.
        position = newest
        yield _reload(position)
    health = None
    while not provided.hub.closed:
        stream.waiter.clear()
        seen = await stream.feed.look()
        if caller not in seen.still_in:
            break
        events = seen.told(position, language)
        if events is None:
            # It was away for longer than what is kept.
            missed = await run_in_threadpool(_missed, provided, position, seen.reached)
            events = _reload(seen.reached) if missed is None else b"".join(change.event(language) for change in missed)
        position = max(position, seen.reached)
        if caller.may("incident.read") and (touched := seen.touched(line)):
            events += format_sse_event(event="incidents", data_str=json.dumps({"numbers": touched}))
        line = max(line, seen.line)
        if caller.may("sensor.read") and seen.health != health:
            health = seen.health
            events += format_sse_event(event="sensors", data_str=health)
        if events:
            yield events
        try:
            await asyncio.wait_for(stream.waiter.wait(), min(provided.settings.live_poll_seconds, SILENCE_SECONDS))
        except TimeoutError:
            # Nothing is told to keep what lies between awake; who has gone away is found out by it.
            yield KEEPALIVE_COMMENT


def _reload(position: int) -> bytes:
    return format_sse_event(event="reload", data_str=f'{{"change":{position}}}', id=str(position))


def _missed(provided: Services, position: int, reached: int) -> list[Change] | None:
    """The alerts that changed after a position, up to `reached`, where the next look goes on; None where they are too many."""
    limit = provided.settings.live_replay_rows
    with provided.database.read() as session:
        changed = alerts.changed_since(session, position, limit + 1)
    return None if len(changed) > limit else [Change(alert.change, alert) for alert in changed if alert.change <= reached]
