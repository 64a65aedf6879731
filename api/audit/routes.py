"""`/api/audit`: the audit trail, for administrators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from api.audit import service
from api.audit.schemas import AuditOutput, AuditPage, Verification
from api.openapi import problems
from api.pages import PAGE_ROWS, PAGE_ROWS_MOST
from api.security.access import Administrator
from api.services import Services, services
from api.times import iso

router = APIRouter(prefix="/api/audit", tags=["audit"])

Provided = Annotated[Services, Depends(services)]


@router.get("", responses=problems("signed_out", "forbidden"))
def entries(
    caller: Administrator,
    provided: Provided,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="Entries before this number.")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_ROWS_MOST, description="Most entries on the page.")] = PAGE_ROWS,
) -> AuditPage:
    """Entries, newest first."""
    del caller
    with provided.database.read() as session:
        found = service.page(session, before, limit)
        items = [
            AuditOutput(
                number=entry.number, at=iso(entry.at), actor=entry.actor, address=entry.address, action=entry.action,
                subject=entry.subject, detail=entry.detail, previous_hash=entry.previous_hash, hash=entry.hash,
            )
            for entry in found
        ]  # fmt: skip
    return AuditPage(items=items, next=items[-1].number if len(items) == limit and items[-1].number > 1 else None)


@router.get("/verification", responses=problems("signed_out", "forbidden"))
def verification(caller: Administrator, provided: Provided) -> Verification:
    """Recompute the chain of hashes, however long it takes."""
    del caller
    with provided.database.read(unlimited=True) as session:
        entries, broken = service.verify(session)
    return Verification(intact=broken is None, entries=entries, first_broken=broken)
