"""`/api/records`: what is stored, and records by query."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from api.audit import service as audit
from api.openapi import problems
from api.records import service
from api.records.schemas import RecordPage, RecordQuery, StoredTable
from api.security.access import Viewer
from api.services import Services, services

router = APIRouter(prefix="/api/records", tags=["records"])

Provided = Annotated[Services, Depends(services)]


@router.get("", responses=problems("signed_out"))
def tables(caller: Viewer, provided: Provided) -> list[StoredTable]:
    """The record tables, and what is stored of each."""
    del caller
    return service.stored(provided.records)


@router.get("/{table}", responses=problems("signed_out", "table_unknown", "query_invalid", "records_missing"))
def records(
    table: Annotated[str, Path(max_length=64, examples=["modbus"])],
    query: Annotated[RecordQuery, Query()],
    caller: Viewer,
    provided: Provided,
) -> RecordPage:
    """Records of a table that match all conditions, the newest first unless another order is asked for.

    The audit trail says who asked for what.
    """
    found = service.find(provided.records, table, query, provided.settings.query_seconds)
    asked = query.model_dump(mode="json", exclude_defaults=True, exclude={"cursor", "language"})
    audit.record_read(provided.database, caller.actor, "records.query", table, {**asked, "rows": len(found.items)})
    return found
