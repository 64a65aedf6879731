"""`/api/incidents/{number}/evidence`: taken, handed on, read, and given out as a package. Nothing of it is changed or removed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from api.alerts.schemas import Note
from api.audit import service as audit
from api.custody import chain, giving, package, presentation, service, snapshot, trail
from api.custody.files import PIECE, DamagedError, Draft
from api.custody.files import check as check_file
from api.custody.schemas import (
    CustodyOutput,
    CustodyPage,
    EvidenceOutput,
    EvidencePage,
    EvidenceVerification,
    HandInput,
    Name,
    PackageInput,
    PacketsInput,
    SnapshotInput,
)
from api.custody.service import About, Hands
from api.evidence import taking
from api.evidence.routes import MEDIA_TYPE as PCAPNG
from api.incidents import service as incidents
from api.incidents.schemas import Short
from api.openapi import problems
from api.pages import CURSOR_CHARACTERS, PAGE_ROWS, PAGE_ROWS_MOST, read_cursor, write_cursor
from api.problems import Problem
from api.security.access import Caller, Provided, needs
from api.services import Services
from api.texts import language_of
from api.times import iso, now

if TYPE_CHECKING:
    from collections.abc import Iterable

    from api.custody.models import EvidenceItem

router = APIRouter(prefix="/api/incidents", tags=["evidence"])

Reader = Annotated[Caller, needs("evidence.read")]
Taker = Annotated[Caller, needs("evidence.write")]
Number = Annotated[int, Path(ge=1, le=2**53, examples=[17])]
Identity = Annotated[int, Path(ge=1, le=2**53, examples=[5])]
Cursor = Annotated[str | None, Query(max_length=CURSOR_CHARACTERS, description="`next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=PAGE_ROWS_MOST, description="Most rows on the page.")]

STALL_SECONDS = 60
"""A body of which nothing comes for so long is given up."""

_TAKE = (
    "signed_out", "cross_site", "query_too_long", "incident_unknown", "incident_merged", "evidence_full", "evidence_no_room",
    "evidence_unwritten", "body_too_large",
)  # fmt: skip
_LOOK = ("signed_out", "incident_unknown", "evidence_unknown")
_READ = (*_LOOK, "evidence_read_busy", "evidence_missing", "evidence_changed", "evidence_unreadable")


def _binary(media_type: str, description: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"description": description, "content": {media_type: {"schema": {"type": "string", "format": "binary"}}}}}


@router.post(
    "/{number}/evidence", status_code=201, responses=problems(*_TAKE, "evidence_empty", "body_cut"),
    openapi_extra={
        "requestBody": {"required": True, "content": {service.OCTETS: {"schema": {"type": "string", "format": "binary"}}}}
    },
)  # fmt: skip
async def take(
    number: Number,
    name: Annotated[Name, Query(examples=["engineering station.log"], description="What it is called; no path is made of it.")],
    reason: Annotated[Note, Query(examples=["Log of the station"], description="What it shows, and why it is taken.")],
    giver: Annotated[Short, Query(examples=["Wang Fang, engineering"], description="From whom or what it was taken.")],
    caller: Taker,
    request: Request,
    response: Response,
    provided: Provided,
) -> EvidenceOutput:
    """Take a file as evidence: the body is the file, to the byte, and `Content-Type` says what it is.

    It goes to the disk as it comes, and its hashes are computed on the way: SHA-256, and SM3 (GB/T 32905). At most
    `evidence_bytes`; 8 MiB (`import_bytes`) with an `Idempotency-Key`. What breaks off counts as nothing.
    """
    await run_in_threadpool(_check_open, provided, number)
    about = About("file", name, reason, giver, service.media_type(request.headers.get("Content-Type", "")))
    with service.refusals():
        draft = await run_in_threadpool(_draft, provided)
        with draft:
            await _receive(request, draft)
            if not draft.size:
                raise Problem("evidence_empty")
            item = await run_in_threadpool(service.keep, provided.database, draft, number, about, caller.actor)
    return _taken(item, response, provided)


@router.post(
    "/{number}/evidence/packets", status_code=201, responses=problems(*_TAKE, *taking.PROBLEMS, "alert_not_in_incident"),
)  # fmt: skip
def take_packets(number: Number, body: PacketsInput, caller: Taker, response: Response, provided: Provided) -> EvidenceOutput:
    """Take the packets of an alert of the incident as evidence, as a pcapng file; `origin` is its manifest.

    Needs `packets.read` too.
    """
    if not caller.may("packets.read"):
        raise Problem("forbidden", permission="packets.read")
    with provided.database.read() as session:
        service.open_to_evidence(session, number)
        if body.alert not in incidents.alert_ids(session, number):
            raise Problem("alert_not_in_incident", id=body.alert, number=number)
    found = taking.take(body.alert, body.sensor, caller.actor, provided, mask_values=body.mask_values)
    sensor = str(found.manifest.get("sensor", ""))
    origin = {"alert": body.alert, "manifest": dict(found.manifest)}
    about = About("packets", f"alert-{body.alert}.pcapng", body.reason, f"sensor {sensor}".strip(), PCAPNG, origin)
    return _taken(_kept(provided, number, about, [found.file], caller), response, provided)


@router.post("/{number}/evidence/snapshot", status_code=201, responses=problems(*_TAKE, "records_missing"))
def take_snapshot(number: Number, body: SnapshotInput, caller: Taker, response: Response, provided: Provided) -> EvidenceOutput:
    """Take what is known of the incident now as evidence, as JSON lines.

    That is the incident itself with its grades, its timeline, its alerts, and the records behind them.
    Records need `records.read` too. At most 100,000 of them; the last line says how many are left out.
    """
    if "records" in body.contents and not caller.may("records.read"):
        raise Problem("forbidden", permission="records.read")
    _check_open(provided, number)
    moment = now()
    made = snapshot.Snapshot(number, body.contents, moment)
    name = f"incident-{number}-{iso(moment)[:19].replace(':', '')}Z.jsonl"
    with service.refusals(), _draft(provided) as draft:
        with provided.database.read(unlimited=True) as session:
            for lines in made.told(session):
                draft.write(lines)
        for lines in made.recorded(provided.records):
            draft.write(lines)
        origin = {"contents": sorted(body.contents), "counts": made.counts, "records_left_out": made.left_out}
        about = About("snapshot", name, body.reason, "icsight", snapshot.MEDIA_TYPE, origin)
        item = service.keep(provided.database, draft, number, about, caller.actor)
    return _taken(item, response, provided)


@router.get("/{number}/evidence", responses=problems("signed_out", "incident_unknown", "cursor_invalid"))
def evidence(number: Number, caller: Reader, provided: Provided, cursor: Cursor = None, limit: Limit = PAGE_ROWS) -> EvidencePage:
    """Evidence of the incident and of those merged into it, in the order in which it was taken."""
    del caller
    question = f"evidence {number}"
    after = 0 if cursor is None else int(read_cursor(question, cursor, (int,))[0])
    with provided.database.read() as session:
        rows = service.find(session, number, after, limit + 1)
        following = write_cursor(question, rows[limit - 1].id) if len(rows) > limit else None
        return EvidencePage(items=[presentation.item(row) for row in rows[:limit]], next=following)


@router.post(
    "/{number}/evidence/package", response_class=StreamingResponse,
    responses={
        **problems(
            *_READ, "cross_site", "query_too_long", "package_empty", "package_large", "custody_full", "checkpoint_unwritten"
        ),
        **_binary(package.MEDIA_TYPE, "A zip archive"),
    },
)  # fmt: skip
async def give(number: Number, body: PackageInput, caller: Taker, request: Request, provided: Provided) -> StreamingResponse:
    """Give evidence out as a package that others verify offline: pieces, custody, what the audit trail says of them, signed.

    `python3 -I verify.py` in it says whether all of it is as it was given out. Every byte is looked at before; that
    it is given out is written into custody, timeline and audit trail of the incident.
    """
    wish = giving.Wish(number, body.items, caller.actor, Hands(caller.name, body.receiver, body.reason), language_of(request))
    parts = await provided.readings.run(lambda: giving.give(provided, wish))
    provided.hub.notify()
    headers = {
        "Content-Disposition": f'attachment; filename="evidence-{number}.zip"',
        "Content-Length": str(package.size(parts)),
        "Cache-Control": "no-store",
    }
    return StreamingResponse(package.archive(parts), media_type=package.MEDIA_TYPE, headers=headers)


@router.get("/{number}/evidence/{identity}", responses=problems(*_LOOK))
def piece(number: Number, identity: Identity, caller: Reader, provided: Provided) -> EvidenceOutput:
    """One piece of evidence."""
    del caller
    with provided.database.read() as session:
        return presentation.item(service.get(session, number, identity))


@router.get(
    "/{number}/evidence/{identity}/content", response_class=StreamingResponse,
    responses={**problems(*_READ), **_binary(service.OCTETS, "The file, to the byte; its SHA-256 in X-Content-SHA256")},
)  # fmt: skip
async def content(number: Number, identity: Identity, caller: Reader, provided: Provided) -> StreamingResponse:
    """The file of a piece of evidence, once every byte of it was compared with its hashes. Who reads it is in the audit trail."""
    folder = provided.settings.evidence_place

    def look() -> EvidenceItem:
        with provided.database.read() as session:
            found = service.get(session, number, identity)
        service.check(provided.database, folder, found, caller.actor)
        told = {"name": found.name, "sha256": found.sha256}
        audit.record_read(provided.database, caller.actor, "evidence.read", service.subject(found), told)
        return found

    found = await provided.readings.run(look)
    headers = {
        # Never as what it says it is: it may be what attacks whoever opens it.
        "Content-Disposition": f'attachment; filename="evidence-{found.id}.{package.ENDINGS[found.kind]}"',
        "Content-Length": str(found.size),
        "Cache-Control": "no-store",
        "X-Content-SHA256": found.sha256,
    }
    told = service.content(provided.database, folder, found, caller.actor)
    return StreamingResponse(told, media_type=service.OCTETS, headers=headers)


@router.get("/{number}/evidence/{identity}/verification", responses=problems(*_LOOK, "evidence_read_busy", "evidence_unreadable"))
async def verification(number: Number, identity: Identity, caller: Reader, provided: Provided) -> EvidenceVerification:
    """Whether a piece of evidence is as it was taken: its file by every byte, its custody by its chain and by the audit trail."""
    return await provided.readings.run(lambda: _verified(provided, number, identity, caller))


@router.get("/{number}/evidence/{identity}/custody", responses=problems(*_LOOK, "cursor_invalid"))
def custody(
    number: Number, identity: Identity, caller: Reader, provided: Provided, cursor: Cursor = None, limit: Limit = PAGE_ROWS
) -> CustodyPage:
    """Through whose hands a piece of evidence went, from the taking on. Each entry has the hash of the one before."""
    del caller
    question = f"custody {number} {identity}"
    after = 0 if cursor is None else int(read_cursor(question, cursor, (int,))[0])
    with provided.database.read() as session:
        service.get(session, number, identity)
        rows = service.entries(session, identity, after, limit + 1)
        following = write_cursor(question, rows[limit - 1].number) if len(rows) > limit else None
        return CustodyPage(items=[presentation.entry(row) for row in rows[:limit]], next=following)


@router.post(
    "/{number}/evidence/{identity}/custody", status_code=201,
    responses=problems(*_LOOK, "cross_site", "query_too_long", "custody_full"),
)  # fmt: skip
def hand_on(number: Number, identity: Identity, body: HandInput, caller: Taker, provided: Provided) -> CustodyOutput:
    """Write down that a piece of evidence, or what it was taken from, went from somebody to somebody, and why."""
    with provided.database.write() as session:
        found = service.get(session, number, identity)
        made = service.hand_on(session, number, found, caller.actor, Hands(body.giver, body.receiver, body.reason))
        shown = presentation.entry(made)
    provided.hub.notify()
    return shown


def _verified(provided: Services, number: int, identity: int, caller: Caller) -> EvidenceVerification:
    with provided.database.read() as session:
        found = service.get(session, number, identity)
        custody = trail.Following(session).follow(found)
    file = "intact"
    try:
        with service.damage(provided.database, found, caller.actor):
            check_file(provided.settings.evidence_place / found.file, service.hashes(found))
    except Problem as problem:
        if not isinstance(problem.__cause__, DamagedError):
            raise
        file = problem.__cause__.how
    intact = file == "intact" and custody.first_broken is None and custody.trail in chain.SOUND
    return EvidenceVerification(
        intact=intact, file=file, entries=custody.entries, first_broken=custody.first_broken, clock_back=custody.clock_back,
        trail=custody.trail,
    )  # fmt: skip


def _check_open(provided: Services, number: int) -> None:
    """Before anything is written: whether the incident takes evidence."""
    with provided.database.read() as session:
        service.open_to_evidence(session, number)


def _draft(provided: Services) -> Draft:
    return Draft(provided.settings.evidence_place, provided.settings.evidence_bytes)


async def _receive(request: Request, draft: Draft) -> None:
    """Write the body down as it comes. Raises Problem `body_cut`."""
    held, pieces = bytearray(), request.stream()
    try:
        while True:
            async with asyncio.timeout(STALL_SECONDS):
                piece = await anext(pieces, None)
            if piece is None:
                break
            held += piece
            if len(held) >= PIECE:
                await run_in_threadpool(draft.write, bytes(held))
                held.clear()
    except (ClientDisconnect, TimeoutError) as error:
        raise Problem("body_cut") from error
    if held:
        await run_in_threadpool(draft.write, bytes(held))


def _kept(provided: Services, number: int, about: About, pieces: Iterable[bytes], caller: Caller) -> EvidenceItem:
    with service.refusals(), _draft(provided) as draft:
        for each in pieces:
            draft.write(each)
        return service.keep(provided.database, draft, number, about, caller.actor)


def _taken(item: EvidenceItem, response: Response, provided: Services) -> EvidenceOutput:
    provided.hub.notify()
    response.headers["Location"] = f"/api/incidents/{item.incident}/evidence/{item.id}"
    return presentation.item(item)
