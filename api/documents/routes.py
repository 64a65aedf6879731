"""`/api/obligations/{id}/document`, `/api/incidents/{number}/summary`, `/api/report-templates`: documents and their templates."""

from __future__ import annotations

from typing import Annotated, Any, Final, cast

from fastapi import APIRouter, Header, Path, Query, Request, Response

from api.documents import presentation, service
from api.documents.models import Form, Language
from api.documents.schemas import DocumentOutput, TemplateInput, TemplateOutput
from api.incidents import service as incidents
from api.obligations import service as obligations
from api.openapi import problems
from api.problems import Problem
from api.security.access import Caller, Provided, needs
from api.sensors.sites import sensors_of
from api.services import Services
from api.situation import seeing
from api.situation.schemas import Blindness
from api.texts import language_of

router = APIRouter(prefix="/api", tags=["documents"])

MEDIA_TYPES: Final = {
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "pdf": "application/pdf",
}

IncidentReader = Annotated[Caller, needs("incident.read")]
ReportReader = Annotated[Caller, needs("report.read")]
Templater = Annotated[Caller, needs("report.template")]
Identity = Annotated[int, Path(ge=1, le=2**53, examples=[5])]
Number = Annotated[int, Path(ge=1, le=2**53, examples=[17])]
TemplateKey = Annotated[str, Path(pattern=r"^[a-z0-9_.-]{1,64}$", examples=["cac-first"])]
Kind = Annotated[Form, Query(alias="format", description="Word, or PDF that is made of it.")]
Spoken = Annotated[
    Language | None, Query(alias="language", description="Language of the document; without it, that of `Accept-Language`.")
]
IfMatch = Annotated[
    str | None,
    Header(
        max_length=1024, examples=['"1"'], description="ETag of the plant's template that there is; without it 428, else 412."
    ),
]

_DECISION = ("signed_out", "cross_site", "query_too_long")
_FILLING = (
    "documents_busy", "placeholder_unfit", "placeholder_unknown", "template_active", "template_broken", "template_heavy",
    "template_large", "template_unreadable",
)  # fmt: skip
_MAKING = ("signed_out", "query_too_long", "converter_failed", "converter_none", *_FILLING)


def _files(*kinds: str) -> dict[int | str, dict[str, Any]]:
    binary = {"schema": {"type": "string", "format": "binary"}}
    told = "The file; its SHA-256 in X-Content-SHA256; in X-Template-Fault why the product's template stands in for the plant's"
    return {200: {"description": told, "content": {MEDIA_TYPES[kind]: binary for kind in kinds}}}


@router.get(
    "/obligations/{identity}/document",
    response_class=Response,
    responses={**problems(*_MAKING, "obligation_unknown"), **_files("docx", "pdf")},
)
async def document(
    identity: Identity, caller: ReportReader, request: Request, provided: Provided, form: Kind = "docx", language: Spoken = None
) -> Response:
    """A report as a document: what it says as it stands, and what it must say and does not.

    Of a report that was approved each is made once and kept, so that what was sent can be shown later.
    """
    asked = service.Asked(form, language or _language(request), caller.actor)
    made, name = await provided.documents.run(lambda: service.report_document(provided.database, identity, asked))
    return _file(made, f"{name}.{form}", form)


@router.get("/obligations/{identity}/documents", responses=problems("signed_out", "query_too_long", "obligation_unknown"))
def documents(identity: Identity, caller: ReportReader, provided: Provided) -> list[DocumentOutput]:
    """The documents of a report as it was approved that are kept, and which of them was sent."""
    del caller
    with provided.database.read() as session:
        found, _ = obligations.get(session, identity)
        return presentation.documents(service.kept(session, found), found)


@router.get(
    "/incidents/{number}/summary",
    response_class=Response,
    responses={**problems(*_MAKING, "incident_unknown"), **_files("docx", "pdf")},
)
async def summary(
    number: Number, caller: IncidentReader, request: Request, provided: Provided, form: Kind = "docx", language: Spoken = None
) -> Response:
    """A summary of an incident for who answers for the plant: what happened, grade and why, clocks, tasks, and what is not known.

    Alerts, assets and what sensors do not see are left out, and said to be, where the caller may not see them.
    """
    plant = caller.may("alert.read") and caller.may("asset.read")
    asked = service.Asked(form, language or _language(request), caller.actor, plant)

    def make() -> service.Made:
        with provided.database.read() as session:
            site = incidents.get(session, number).site
        blindness = _blindness(provided, site) if caller.may("situation.read") else None
        return service.summary_document(provided.database, number, asked, blindness)

    return _file(await provided.documents.run(make), f"incident-{number}-summary.{form}", form)


@router.get("/report-templates", responses=problems("signed_out", "query_too_long"))
def templates(caller: ReportReader, provided: Provided) -> list[TemplateOutput]:
    """The templates in force: those that the plant brought, and the product's."""
    del caller
    with provided.database.read() as session:
        return presentation.templates(service.templates(session))


@router.get(
    "/report-templates/{key}",
    response_class=Response,
    responses={**problems("signed_out", "query_too_long", "documents_busy", "template_unknown"), **_files("docx")},
)
async def template(
    key: TemplateKey, caller: ReportReader, request: Request, provided: Provided, language: Spoken = None
) -> Response:
    """The template in force, as a Word file: to be changed and brought back. The header ETag is what `If-Match` must bring."""
    del caller

    def take() -> tuple[service.Template, bytes]:
        with provided.database.read() as session:
            found = service.template(session, key, language or _language(request))
        return found, found.file()

    found, file = await provided.documents.run(take)
    answer = _file(service.Made(file, ""), f"template-{key}-{found.language}.docx", "docx")
    answer.headers["ETag"] = f'"{found.version if found.key == key else 0}"'
    return answer


@router.post(
    "/report-templates", status_code=201,
    responses=problems(
        *_DECISION, *_FILLING, "body_too_large", "precondition_failed", "precondition_required", "template_unknown"
    ),
)  # fmt: skip
async def bring(
    body: TemplateInput, caller: Templater, provided: Provided, response: Response, if_match: IfMatch = None
) -> TemplateOutput:
    """Bring a template of the plant, drawn in Word, with placeholders in braces. It is filled with examples before it is taken.

    Refused is what is no Word document, what acts or lies elsewhere (macros, links, embedded files), and a placeholder that
    nothing is known of or that calls anything; the answer names it.
    """

    def take() -> TemplateOutput:
        content = service.read(body)
        with provided.database.write() as session:
            return presentation.template(service.bring(session, body, content, caller.actor, if_match))

    shown = await provided.documents.run(take)
    response.headers["ETag"] = f'"{shown.version}"'
    return shown


@router.delete(
    "/report-templates/{key}", status_code=204,
    responses=problems(*_DECISION, "precondition_failed", "precondition_required", "template_unknown"),
)  # fmt: skip
def withdraw(
    key: TemplateKey, caller: Templater, request: Request, provided: Provided, language: Spoken = None, if_match: IfMatch = None
) -> None:
    """Take back a template of the plant: the product's is in force again. Documents that were made stay."""
    with provided.database.write() as session:
        service.withdraw(session, key, language or _language(request), caller.actor, if_match)


def _language(request: Request) -> Language:
    return cast("Language", language_of(request))


def _blindness(provided: Services, site: str) -> Blindness:
    """What the sensors of a site do not see."""
    try:
        return seeing.blindness(provided, None, sensors_of(provided, site))
    except Problem:  # it is not known which they are
        return seeing.unreadable()


def _file(made: service.Made, name: str, form: Form) -> Response:
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store", "X-Content-SHA256": made.sha256,
    }  # fmt: skip
    if made.template_fault is not None:
        headers["X-Template-Fault"] = made.template_fault
    return Response(made.content, media_type=MEDIA_TYPES[form], headers=headers)
