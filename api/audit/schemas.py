"""What audit entries look like in JSON."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class AuditOutput(BaseModel):
    """An entry of the audit trail."""

    number: int = Field(examples=[12])
    at: str = Field(examples=["2026-11-23T08:14:02.000000000Z"])
    actor: str = Field(examples=["lin.wei"])
    address: str = Field(examples=["127.0.0.1"])
    action: str = Field(examples=["alert.acknowledge"])
    subject: str = Field(examples=["9c1f0e6a52d14f0b"])
    detail: dict[str, Any] = Field(examples=[{"note": "Asking the shift"}])
    previous_hash: str
    hash: str


class AuditPage(BaseModel):
    """Entries, newest first."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    items: list[AuditOutput]
    next: int | None = None
    """`before` of the next page; null on the last."""


class Verification(BaseModel):
    """Whether the audit trail is as it was written."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    intact: bool = Field(examples=[True])
    entries: int = Field(examples=[112])
    """Entries that hold, from the first on."""
    first_broken: int | None = Field(examples=[None])
    """Number of the first entry that has been changed, or is missing."""
