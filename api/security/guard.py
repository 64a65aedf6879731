"""What every request is checked for before it is answered, and the headers that every answer carries.

- Host: only names of this server and a port, so that a hostile page cannot rebind its own name to this address (DNS rebinding).
- NUL: refused in paths and queries.
- Size: a body that says it is too large is refused before it is read.
- Texts: a body of JSON must be UTF-8 without NUL and without halves of UTF-16 pairs, however they are written: JSON can name
  them, no text of a database or of the audit trail can hold them.
- Origin: a change that a browser sends from another site is refused, and whatever such a site asks of the API (OWASP CSRF cheat
  sheet, Fetch Metadata).
- Headers: a content security policy without inline script and without any other origin, and the rest of the OWASP list.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

from anyio import BrokenResourceError
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import Request

from api import problems
from api.problems import Problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from api.settings import Settings

_log = logging.getLogger(__name__)

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

IDEMPOTENCY_KEY: Final = "idempotency-key"
"""Header of a change that can be sent again."""

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)

_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


FILES: Final = frozenset({"/api/assets/import", "/api/report-templates"})
"""Paths that take files, which may be larger than what people write."""

EVIDENCE: Final = re.compile(r"/api/incidents/\d+/evidence")
"""Paths that take evidence, which goes to the disk as it comes."""

LONG: Final = re.compile(r"/api/(playbooks|zones|obligations/\d+/draft)")
"""Paths that take whole playbooks, plans of zones and reports."""

LONG_BYTES: Final = 2 * 1024 * 1024
"""Most bytes of these, whatever the limit of others."""


def body_limit(settings: Settings, path: str, headers: Headers) -> int:
    """Most bytes of a request's body."""
    if path in FILES:
        return settings.import_bytes
    if EVIDENCE.fullmatch(path):
        # What is sent with a key is held in memory until it is known whether it was carried out.
        return settings.import_bytes if IDEMPOTENCY_KEY in headers else settings.evidence_bytes
    if LONG.fullmatch(path):
        return max(LONG_BYTES, settings.body_bytes)
    return settings.body_bytes


class BodyLimit:
    """ASGI middleware that ends a body which turns out to be too large."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on, with the limit of the path."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = body_limit(self._settings, scope["path"], Headers(scope=scope))
        await RequestBodyLimitMiddleware(self._app, max_body_size=limit)(scope, receive, send)


_TEXT: Final = re.compile(
    rb"(?:[^\\]*+"
    rb"(?:\\[^u]"
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|\\u(?!0000|[dD][89a-fA-F])))*+[^\\]*+"
)
"""JSON of which each escape can be held: another character's, a whole pair, no NUL and no half of a pair. Nothing is looked at
twice: the check costs about what reading the JSON does, whatever is sent."""


def is_text(body: bytes) -> bool:
    """Whether all that a body of JSON says can be kept: it is UTF-8, without NUL and without half a pair."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in body and _TEXT.fullmatch(body) is not None


class Texts:
    """ASGI middleware that refuses a body of JSON with texts that nothing can hold, once for all routes.

    A route that has the framework read its body takes JSON, whatever the body is said to be. What others take is theirs.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on; what is refused is told where the body is read, when the route is known."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        parts: list[bytes] = []

        async def checked() -> Message:
            message = await receive()
            if message["type"] == "http.request" and getattr(scope.get("route"), "body_field", None) is not None:
                parts.append(message.get("body", b""))
                if not message.get("more_body", False) and not is_text(b"".join(parts)):
                    raise HTTPException(422)
            return message

        await self._app(scope, checked, send)


class Guard:
    """ASGI middleware that stands before everything else."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._headers = dict(_HEADERS)
        if settings.encrypted:
            self._headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
        names = {"localhost", "127.0.0.1", "[::1]", settings.host, f"[{settings.host}]", *settings.host_names}
        self._origins = frozenset(settings.cors_origins)
        self._names = {name.lower() for name in names if name}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, then hand on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        problem = self._refusal(Headers(scope=scope), scope)
        if problem is None:
            try:
                await self._app(scope, receive, send_with_headers)
            except Exception as error:  # what no handler foresaw: the caller gets a problem, the log says what it was
                if started and _has_left(error):
                    return
                _log.exception("%s %s failed", scope["method"], scope["path"])
                if started:
                    raise
                problem = Problem("internal")
            else:
                return
        answer = problems.answer(Request(scope), problem)
        await answer(scope, receive, send_with_headers)

    def _refusal(self, headers: Headers, scope: Scope) -> Problem | None:
        host = headers.get("host", "")
        if _name(host) not in self._names:
            return Problem("host_unknown", host=host[:100])
        if "\0" in scope["path"] or b"%00" in scope["query_string"]:
            # No text of a database may hold it, and nothing is named so.
            return Problem("input_invalid", places="NUL")
        length = headers.get("content-length", "0")
        limit = body_limit(self._settings, scope["path"], headers)
        if length.isdecimal() and int(length) > limit:
            return Problem("body_too_large", limit=limit, headers={"Connection": "close"})
        origin = headers.get("origin")
        # Some reads are written down, as who was given evidence: no page of another site has them made.
        guarded = scope["method"] not in SAFE_METHODS or scope["path"].startswith("/api/")
        if guarded and origin not in self._origins and not _same_site(headers, host):
            return Problem("cross_site")
        return None


def _has_left(error: BaseException) -> bool:
    """Whether all that went wrong is that nobody listens any more: a live stream ends so, as a rule."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_has_left, cast("BaseExceptionGroup[BaseException]", error).exceptions))
    return isinstance(error, BrokenResourceError)


_HOST: Final = re.compile(r"(?P<name>[^:\[\]]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
"""A Host header: a name or an address, and a port. Addresses of this system are made of it as it is."""


def _name(host: str) -> str:
    """The name in a Host header, without the port; empty where it is none."""
    found = _HOST.fullmatch(host)
    return "" if found is None else found["name"].lower()


def _same_site(headers: Headers, host: str) -> bool:
    """Whether a browser says that the request comes from this server's own pages; other clients send neither header."""
    site = headers.get("sec-fetch-site")
    if site is not None and site not in {"same-origin", "none"}:
        return False
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == host.lower()
