"""The header `Idempotency-Key` on its way in, and the answer on its way out."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final, cast

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api import problems
from api.idempotency import service
from api.idempotency.service import ANSWER_BYTES, CURRENT, KEPT_HEADERS, Answer, Answered, Claim
from api.problems import Problem
from api.security.guard import IDEMPOTENCY_KEY, SAFE_METHODS, body_limit
from api.texts import language_of

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from api.services import Services

REPLAYED: Final = "Idempotency-Replayed"
"""Header of an answer that was given before."""

_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")

_log = logging.getLogger(__name__)


class Idempotency:
    """ASGI middleware around what carries requests out.

    It takes nothing up by itself: `api.security.access.current` does once it knows who calls, so that what needs no caller is
    carried out whatever its key.
    """

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._database = services.database
        self._settings = services.settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry the request out, and keep its answer before it is sent."""
        key = (
            Headers(scope=scope).get(IDEMPOTENCY_KEY) if scope["type"] == "http" and scope["method"] not in SAFE_METHODS else None
        )
        if key is None:
            await self._app(scope, receive, send)
            return
        if _KEY.fullmatch(key) is None:
            answer = problems.response(Problem("idempotency_invalid"), language_of(Request(scope)), scope["path"])
            await answer(scope, receive, send)
            return
        try:
            messages = await _body(receive)
        except HTTPException:
            # The bound on bodies, which stands before.
            problem = Problem("body_too_large", limit=body_limit(self._settings, scope["path"], Headers(scope=scope)))
            answer = problems.response(problem, language_of(Request(scope)), scope["path"])
            await answer(scope, receive, send)
            return
        body = b"".join(message.get("body", b"") for message in messages)
        address = scope["path"] + "?" + scope["query_string"].decode("latin-1")
        claim = Claim(key, service.request_hash(scope["method"], address, body))
        held = _Held(send)

        async def again() -> Message:
            return messages.pop(0) if messages else await receive()

        token = CURRENT.set(claim)
        try:
            await self._app(scope, again, held)
        except BaseException:
            await self._settle(claim, None)
            raise
        else:
            await self._settle(claim, held.answer())
            await held.release()
        finally:
            CURRENT.reset(token)

    async def _settle(self, claim: Claim, answer: Answer | None) -> None:
        if not claim.holder:
            return
        try:
            await run_in_threadpool(service.settle, self._database, claim, answer)
        except SQLAlchemyError:
            # It was carried out, or not, and the caller is told; whoever asks again is told that it was.
            _log.exception("the answer to a request with a key was not kept")


class _Held:
    """Holds an answer back until it is kept; one that is too long is let through, and not kept."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._messages: list[Message] = []
        self._size = 0
        self._is_whole = False

    async def __call__(self, message: Message) -> None:
        self._messages.append(message)
        self._size += len(message.get("body", b""))
        self._is_whole = message["type"] == "http.response.body" and not message.get("more_body", False)
        if self._size > ANSWER_BYTES:
            await self.release()

    def answer(self) -> Answer | None:
        if not self._is_whole or self._size > ANSWER_BYTES:
            return None
        start = self._messages[0]
        headers = Headers(raw=start["headers"])
        kept = {name: headers[name] for name in KEPT_HEADERS if name in headers}
        return Answer(start["status"], kept, b"".join(message.get("body", b"") for message in self._messages[1:]))

    async def release(self) -> None:
        messages, self._messages = self._messages, []
        for message in messages:
            await self._send(message)


async def _body(receive: Receive) -> list[Message]:
    """The whole body: its bound is checked by who hands it on."""
    messages: list[Message] = []
    while True:
        message = await receive()
        messages.append(message)
        if message["type"] != "http.request" or not message.get("more_body", False):
            return messages


def install(app: FastAPI, services: Services) -> None:
    """Make the application carry out once what is sent again, and answer as the first time."""
    services.database.before_commit = service.mark
    app.add_middleware(Idempotency, services=services)
    app.add_exception_handler(Answered, _answered)


async def _answered(request: Request, error: Exception) -> Response:
    del request
    answer = cast("Answered", error).answer
    return Response(answer.body, answer.status, {**answer.headers, REPLAYED: "true"})
