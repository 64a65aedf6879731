"""`/api/records`: what is stored, and records by query."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.audit import service as audit
from api.openapi import problems
from api.records import service
from api.records.schemas import RecordPage, RecordQuery, StoredTable
from api.security.access import Caller, Provided, needs

router = APIRouter(prefix="/api/records", tags=["records"])

Reader = Annotated[Caller, needs("records.read")]


@router.get("", responses=problems("signed_out"))
def tables(caller: Reader, provided: Provided) -> list[StoredTable]:
    """The record tables, and what is stored of each."""
    del caller
    return service.stored(provided)


@router.get("/{table}", responses=problems("signed_out", "table_unknown", "query_invalid", "records_missing"))
def records(
    table: Annotated[str, Path(max_length=64, examples=["modbus"])],
    query: Annotated[RecordQuery, Query()],
    caller: Reader,
    provided: Provided,
) -> RecordPage:
    """Records of a table that match all conditions, the newest first unless another order is asked for.

    The audit trail says who asked for what.
    """
    found = service.find(provided, table, query)
    asked = query.model_dump(mode="json", exclude_defaults=True, exclude={"cursor", "language"})
    audit.record_read(provided.database, caller.actor, "records.query", table, {**asked, "rows": len(found.items)})
    return found
