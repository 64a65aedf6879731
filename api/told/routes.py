"""`/api/told`: incidents and reports as authorities are told of them, and the documents that they were sent."""

from __future__ import annotations

import base64
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from api.audit import service as audit
from api.documents.routes import MEDIA_TYPES
from api.openapi import problems
from api.security.access import Caller, Provided, needs
from api.texts import language_of
from api.told import presentation, service
from api.told.schemas import ToldContents, ToldIncident, ToldPage, ToldQuery

router = APIRouter(prefix="/api/told", tags=["told"])

Reader = Annotated[Caller, needs("told.read")]
Number = Annotated[int, Path(ge=1, le=2**53, examples=[17])]
Identity = Annotated[int, Path(ge=1, le=2**53, examples=[5])]

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FILE = {"description": "The file; its SHA-256 in X-Content-SHA256", "content": dict.fromkeys(MEDIA_TYPES.values(), _BINARY)}


@router.get("/incidents", responses=problems("signed_out", "cursor_invalid", "query_too_long"))
def incidents(query: Annotated[ToldQuery, Query()], caller: Reader, request: Request, provided: Provided) -> ToldPage:
    """Incidents of which a report was submitted, the latest declared first. Drills are none of them."""
    del caller
    with provided.database.read() as session:
        rows, cursor = service.find(session, query)
        return ToldPage(items=[presentation.item(row, language_of(request)) for row in rows], next=cursor)


@router.get("/incidents/{number}", responses=problems("signed_out", "incident_unknown"))
def incident(number: Number, caller: Reader, request: Request, provided: Provided) -> ToldIncident:
    """One incident of which a report was submitted, with the reports that were."""
    del caller
    with provided.database.read() as session:
        return presentation.incident(session, service.incident(session, number), language_of(request))


@router.get("/reports/{identity}", responses=problems("signed_out", "obligation_unknown"))
def report(identity: Identity, caller: Reader, request: Request, provided: Provided) -> ToldContents:
    """One report that was submitted, with what it says. The audit trail says who read it."""
    with provided.database.read() as session:
        found, of = service.report(session, identity)
        shown = presentation.contents(session, found, of, language_of(request))
    told = {"state": shown.state, "sha256": shown.sha256}
    audit.record_read(provided.database, caller.actor, "report.read", str(identity), told)
    return shown


@router.get(
    "/reports/{identity}/document",
    response_class=Response,
    responses={**problems("signed_out", "document_none", "obligation_unknown"), 200: _FILE},
)
def document(identity: Identity, caller: Reader, provided: Provided) -> Response:
    """The document of a report that was sent, byte by byte as it was sent. The audit trail says who took it."""
    with provided.database.read() as session:
        found, of = service.report(session, identity)
        sent = service.document(session, found)
        content = base64.b64decode(sent.content)
        name = f"incident-{of.number}-{found.rule}-{found.id}.{sent.form}"
        told = {"format": sent.form, "language": sent.language, "state": found.state, "sha256": sent.sha256}
    audit.record_read(provided.database, caller.actor, "report.take", str(identity), told)
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store", "X-Content-SHA256": told["sha256"],
    }  # fmt: skip
    return Response(content, media_type=MEDIA_TYPES[told["format"]], headers=headers)
