"""The web application: routes, middleware and the console, over a database and a record store."""

from __future__ import annotations

import time
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.staticfiles import StaticFiles
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request  # noqa: TC002  routes are made of it
from starlette.responses import FileResponse, JSONResponse, Response

from api import openapi, probes, problems
from api.actions.routes import router as actions
from api.alerts.routes import router as alerts
from api.assets.routes import router as assets
from api.audit.routes import router as audit
from api.baseline.routes import router as baseline
from api.context.routes import router as context
from api.custody.routes import router as custody
from api.documents.routes import router as documents
from api.drills.routes import router as drills
from api.enrolment.routes import router as enrolment
from api.evidence.routes import router as evidence
from api.exceptions.routes import router as exceptions
from api.factors.routes import router as factors
from api.figures.routes import router as figures
from api.handovers.routes import router as handovers
from api.idempotency import middleware as idempotency
from api.incidents.routes import router as incidents
from api.jobs.routes import router as jobs
from api.live.routes import router as live
from api.notifications.routes import router as notifications
from api.obligations.routes import router as obligations
from api.oidc.routes import PAGE as OIDC_PAGE
from api.oidc.routes import router as oidc
from api.passkeys.routes import router as passkeys
from api.playbooks.routes import router as playbooks
from api.points.routes import router as points
from api.records.routes import router as records
from api.reviews.routes import router as reviews
from api.security.access import permissions_of_routes
from api.security.guard import BodyLimit, Guard, Texts
from api.sensors.routes import router as sensors
from api.sharing.routes import router as sharing
from api.site.routes import router as sites
from api.situation.routes import router as situation
from api.texts import language_of
from api.texts.routes import router as texts
from api.timeline.routes import router as timeline
from api.tokens.routes import router as tokens
from api.told.routes import router as told
from api.topology.routes import router as topology
from api.users.links import PAGE as PASSWORD_PAGE
from api.users.routes import router as users
from api.views.routes import router as views
from api.windows.routes import router as windows
from api.zones.routes import router as zones
from sensor import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from api.security.access import Needs
    from api.services import Services

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

CORS_HEADERS = ("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Last-Event-ID")
"""Headers that pages of other origins may send, where any are let in."""

CORS_EXPOSED = ("ETag", "Idempotency-Replayed", "Link", "Retry-After")
"""Headers of answers that they may read."""

_ROUTERS = (
    probes.router, users, figures, alerts, context, views, evidence, exceptions, incidents, custody, jobs, obligations, documents,
    playbooks, reviews, told, sharing, actions, drills, baseline, assets, windows, zones, topology, points, timeline, records,
    situation, sites, handovers, sensors, enrolment, notifications, live, audit, texts, tokens, factors, oidc, passkeys,
)  # fmt: skip

DOCUMENT = "/api/openapi.json"
"""Where the document of the API is."""

PAGES = ("/", "/setup", PASSWORD_PAGE, "/sign-in", OIDC_PAGE)
"""Paths at which the console answers; the page itself shows what is needed."""


def create_app(services: Services) -> FastAPI:
    """The application. It owns nothing: whoever made the services closes them."""
    app = FastAPI(
        title="icsight",
        version=__version__,
        description=openapi.DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        # The routes themselves, not `include_router`: that works each out anew for every application, a second of its start.
        routes=[route for router in _ROUTERS for route in router.routes],
    )
    app.state.services = services
    _console(app)
    permissions = permissions_of_routes(app.routes)
    problems.install(app)
    app.openapi = lambda: _document(app, permissions)
    _describe(app)
    app.add_middleware(Texts)
    idempotency.install(app, services)
    app.add_middleware(BodyLimit, settings=services.settings)
    if services.settings.cors_origins:
        # Without cookies: what another origin's page may do follows from the token that it was given.
        app.add_middleware(
            CORSMiddleware, allow_origins=services.settings.cors_origins, allow_methods=sorted(_METHODS - {"HEAD", "OPTIONS"}),
            allow_headers=CORS_HEADERS, expose_headers=CORS_EXPOSED,
        )  # fmt: skip
    app.add_middleware(Guard, settings=services.settings)
    app.add_middleware(Measure, services=services)
    return app


class Parts(StaticFiles):
    """The parts of the page. Those that are texts say how they are written, the icon too, which is XML."""

    def file_response(self, *given: Any, **named: Any) -> Response:
        """The answer with a part."""
        answer = super().file_response(*given, **named)
        if answer.headers.get("Content-Type") == "image/svg+xml":
            answer.headers["Content-Type"] = "image/svg+xml; charset=utf-8"
        return answer


class Measure:
    """ASGI middleware that counts requests and times them, by route; those that are refused at the door too."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._metrics = services.metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and count when the answer begins: a live stream has no end worth timing."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        method = scope["method"] if scope["method"] in _METHODS else "other"

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "none")
                self._metrics.requests.labels(method, route, str(message["status"])).inc()
                self._metrics.request_seconds.labels(route).observe(time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, counted)


def _console(app: FastAPI) -> None:
    """The page and its parts. Nothing of it is secret; all that it shows comes from the API."""
    console = files("api") / "console"
    page = str(console / "index.html")

    def index() -> FileResponse:
        return FileResponse(page, media_type="text/html; charset=utf-8", headers={"Cache-Control": "no-cache"})

    for path in PAGES:
        app.add_api_route(path, index, methods=["GET"], include_in_schema=False)
    app.mount("/console", Parts(directory=str(console)))


def _describe(app: FastAPI) -> None:
    """The document of the API, in the caller's language as far as it is told in any."""
    told: dict[str, bytes] = {}

    def document(request: Request) -> Response:
        language = language_of(request)
        if language not in told:
            told[language] = bytes(JSONResponse(openapi.in_language(app.openapi(), language)).body)
        return Response(
            told[language], media_type="application/json", headers={"Content-Language": language, "Vary": "Accept-Language"}
        )

    app.add_route(DOCUMENT, document, include_in_schema=False)


def _document(app: FastAPI, permissions: Mapping[tuple[str, str], Needs]) -> dict[str, Any]:
    if app.openapi_schema is None:
        app.openapi_schema = openapi.complete(
            get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes), permissions
        )
    return app.openapi_schema
