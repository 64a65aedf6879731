"""`/api/audit`: the audit trail, its verification, export and signed checkpoints.

Whoever looks at it is in it: an entry is added about each read, after what is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from api.audit import checkpoints, keeping, keys, service
from api.audit.checkpoints import CheckpointFileError
from api.audit.keys import AuditKeyError
from api.audit.schemas import AuditOutput, AuditPage, AuditQuery, CheckpointOutput, Verification
from api.audit.verification import verify
from api.openapi import problems
from api.problems import Problem
from api.security.access import Caller, Provided, needs
from api.texts import language_of
from api.times import iso

if TYPE_CHECKING:
    from api.audit.verification import Verdict

router = APIRouter(prefix="/api/audit", tags=["audit"])

LINES_TYPE = "application/jsonl"
KEY_TYPE = "application/x-pem-file"

TRAIL = "trail"
"""What the entries about reads of the trail are about."""

Auditor = Annotated[Caller, needs("audit.read")]
Signer = Annotated[Caller, needs("audit.checkpoint")]


def _of_type(media_type: str, description: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"description": description, "content": {media_type: {"schema": {"type": "string"}}}}}


@router.get("", responses=problems("signed_out", "cursor_invalid"))
def entries(
    caller: Auditor,
    provided: Provided,
    query: Annotated[AuditQuery, Query()],
) -> AuditPage:
    """Entries that match all filters, newest first unless the other order is asked for."""
    with provided.database.read() as session:
        found, cursor = service.find(session, query)
        items = [
            AuditOutput(
                number=entry.number, at=iso(entry.at), actor=entry.actor, address=entry.address, action=entry.action,
                subject=entry.subject, detail=entry.detail, form=entry.form, previous_hash=entry.previous_hash, hash=entry.hash,
            )
            for entry in found
        ]  # fmt: skip
    shown = {"from": items[0].number, "to": items[-1].number} if items else {}
    service.record_read(provided.database, caller.actor, "audit.read", TRAIL, shown)
    return AuditPage(items=items, next=cursor)


@router.get("/verification", responses=problems("signed_out", "checkpoint_unwritten"))
def verification(caller: Auditor, provided: Provided, request: Request) -> Verification:
    """Recompute the chain of hashes and compare it with the checkpoints in this server's folder, however long it takes.

    Checkpoints that are kept elsewhere are compared by `icsight audit verify --checkpoints FOLDER --key FILE`.
    """
    settings = provided.settings
    try:
        key = keys.read(settings.audit.key(settings.data)).public_key()
        found = checkpoints.read(settings.audit.folder(settings.data), provided.database.scope.organisation)
    except (AuditKeyError, CheckpointFileError) as error:
        raise Problem("checkpoint_unwritten", reason=error) from error
    name = keys.identity(key)
    # Those of other servers of the organisation are compared where their keys are given.
    own = [each for each in found if each.key == name]
    with provided.database.read(unlimited=True) as session:
        verdict = verify(session, own, {name: key})
    service.record_read(provided.database, caller.actor, "audit.verify", TRAIL, {"entries": verdict.entries})
    return _verification(verdict, language_of(request))


@router.get(
    "/export", response_class=StreamingResponse,
    responses={**problems("signed_out", "checkpoint_unwritten"), **_of_type(LINES_TYPE, "JSON lines")},
)  # fmt: skip
def export(
    caller: Auditor,
    provided: Provided,
    after: Annotated[int, Query(ge=0, le=2**63 - 1, description="Entries after this number only.")] = 0,
) -> StreamingResponse:
    """The trail, oldest first: a line for each entry, and a signed checkpoint as the last, for others to verify."""
    service.record_read(provided.database, caller.actor, "audit.export", TRAIL, {"after": after})
    try:
        lines = keeping.export(provided.database, provided.settings, after)
    except AuditKeyError as error:
        raise Problem("checkpoint_unwritten", reason=error) from error
    headers = {"Content-Disposition": 'attachment; filename="audit.jsonl"', "Cache-Control": "no-store"}
    return StreamingResponse(lines, media_type=LINES_TYPE, headers=headers)


@router.post(
    "/checkpoints", status_code=201,
    responses=problems("signed_out", "cross_site", "checkpoint_none", "checkpoint_unwritten"),
)  # fmt: skip
def checkpoint(caller: Signer, provided: Provided) -> CheckpointOutput:
    """Sign how far the trail is now. It is written into the folder of checkpoints too; keep it where nobody here can reach it."""
    with provided.database.write() as session:
        service.record(session, caller.actor, "audit.checkpoint", TRAIL)
    try:
        made = keeping.checkpoint(provided.database, provided.settings)
    except (AuditKeyError, CheckpointFileError) as error:
        raise Problem("checkpoint_unwritten", reason=error) from error
    if made is None:
        raise Problem("checkpoint_none")
    return CheckpointOutput.model_validate(made.fields())


@router.get(
    "/key", response_class=Response,
    responses={**problems("signed_out", "checkpoint_unwritten"), **_of_type(KEY_TYPE, "PEM")},
)  # fmt: skip
def key(caller: Auditor, provided: Provided) -> Response:
    """The public key that checkpoints are verified with. Keep it elsewhere."""
    del caller
    settings = provided.settings
    try:
        public = keys.read_public(settings.audit.key(settings.data))
    except AuditKeyError as error:
        raise Problem("checkpoint_unwritten", reason=error) from error
    return Response(keys.pem(public), media_type=KEY_TYPE)


def _verification(verdict: Verdict, language: str) -> Verification:
    return Verification(
        intact=verdict.fault is None,
        entries=verdict.entries,
        checkpoints=verdict.checkpoints,
        up_to=verdict.up_to,
        first_broken=None if verdict.fault is None else verdict.fault.number,
        fault=None if verdict.fault is None else verdict.fault.kind,
        text=verdict.line(language),
    )
