"""`/api/live`: alerts as they change, and the sensors' health, as server-sent events (WHATWG HTML, 9.2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator  # noqa: TC003  FastAPI reads the annotation at run time
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from api.alerts import presentation
from api.alerts import service as alerts
from api.openapi import problems
from api.problems import Problem
from api.security.access import Caller, Provided, is_still_in, needs
from api.sensors import service as sensors
from api.services import Services
from api.texts import language_of

router = APIRouter(prefix="/api", tags=["live"])

Reader = Annotated[Caller, needs("alert.read")]
RETRY_MILLISECONDS = 2000
"""How long a browser waits before it connects again."""


async def _waiter(provided: Provided) -> AsyncIterator[asyncio.Event]:
    waiter = provided.hub.join(provided.settings.live_connections)
    if waiter is None:
        raise Problem("live_full", headers={"Retry-After": "10"})
    try:
        yield waiter
    finally:
        provided.hub.leave(waiter)


@router.get("/live", response_class=EventSourceResponse, responses=problems("signed_out", "live_full"))
async def live(
    request: Request,
    caller: Reader,
    provided: Provided,
    waiter: Annotated[asyncio.Event, Depends(_waiter)],
    last_event_id: Annotated[int | None, Header(ge=0, le=2**63 - 1)] = None,
) -> AsyncIterator[ServerSentEvent]:
    """Events as they happen.

    `alert`: an alert that is new or has changed, as in the list; its event id is the alert's `change`, so that a client which
    comes back with `Last-Event-ID` gets all that it missed, each alert once, as it is now. `reload`: more was missed than is
    sent; load the list anew. `sensors`: the sensors' health, when it changes. Without `Last-Event-ID` the stream starts with what
    changes from now on.
    """
    language = language_of(request)
    newest = await run_in_threadpool(_newest, provided)
    position = newest if last_event_id is None else last_event_id
    yield ServerSentEvent(event="hello", data={"change": position}, id=str(position), retry=RETRY_MILLISECONDS)
    if position > newest:
        # A backup was restored: the numbers of changes begin anew, and what is known there may be no more.
        position = newest
        yield ServerSentEvent(event="reload", data={"change": position}, id=str(position))
    health = None
    while not provided.hub.closed:
        waiter.clear()
        signed_in, changed, reached, missed = await run_in_threadpool(_changes, provided, caller, position)
        if not signed_in:
            break
        if missed:
            position = reached
            yield ServerSentEvent(event="reload", data={"change": position}, id=str(position))
        for row in changed:
            position = row.change
            yield ServerSentEvent(event="alert", data=presentation.item(row, language), id=str(position))
        if changed:
            continue
        # All that others have changed meanwhile need not be looked through again.
        position = reached
        current = await run_in_threadpool(sensors.health, provided) if caller.may("sensor.read") else None
        if current != health:
            health = current
            yield ServerSentEvent(event="sensors", data=current)
        try:
            await asyncio.wait_for(waiter.wait(), provided.settings.live_poll_seconds)
        except TimeoutError:
            continue


def _newest(provided: Services) -> int:
    with provided.database.read() as session:
        return alerts.newest_change(session)


def _changes(provided: Services, caller: Caller, position: int) -> tuple[bool, list[alerts.Alert], int, bool]:
    """Whether the caller is still signed in, the alerts changed since, how far they reach, and whether they are too many to send.

    That far all is told where there are none, or too many.
    """
    with provided.database.read() as session:
        if not is_still_in(session, provided.settings, caller):
            return False, [], position, False
        limit = provided.settings.live_replay_rows
        # Asked before: whatever is committed up to there is seen by what is asked next.
        reached = max(position, alerts.newest_change(session))
        changed = alerts.changed_since(session, position, limit + 1)
        missed = len(changed) > limit
        return True, [] if missed else changed, reached, missed
