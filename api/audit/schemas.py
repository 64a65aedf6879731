"""What audit entries look like in JSON."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from api.audit.chain import Kind


class AuditOutput(BaseModel):
    """An entry of the audit trail."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    number: int = Field(examples=[12])
    at: str = Field(examples=["2026-11-23T08:14:02.000000000Z"])
    actor: str = Field(examples=["lin.wei"])
    address: str = Field(examples=["127.0.0.1"])
    action: str = Field(examples=["alert.acknowledge"])
    subject: str = Field(examples=["9c1f0e6a52d14f0b"])
    detail: dict[str, Any] = Field(examples=[{"note": "Asking the shift"}])
    form: int = Field(examples=[2])
    """How it is hashed: 2, canonical JSON (RFC 8785); 1 for entries of versions before."""
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
    checkpoints: int = Field(examples=[24])
    """Checkpoints in this server's folder that say the same."""
    up_to: int = Field(examples=[110])
    """The newest entry of which one does."""
    first_broken: int | None = Field(examples=[None])
    """Number of the entry at which it first shows that something was changed, moved, taken away or written anew."""
    fault: Kind | None = Field(default=None, examples=[None])
    """What is wrong there."""
    text: str = Field(examples=["Intact: 112 entries hold, and 24 checkpoints say the same, the last of entry 110."])
    """All of this in one sentence."""


class CheckpointOutput(BaseModel):
    """How far the trail was at a time, signed: in canonical JSON (RFC 8785) it is what lies in the folder."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    at: str = Field(examples=["2026-11-23T08:14:02.000000000Z"])
    hash: str = Field(examples=["f" * 64])
    """Hash of the newest entry then."""
    key: str = Field(examples=["0123456789abcdef"])
    """Name of the key: the first 16 hexadecimal digits of the SHA-256 of its 32 bytes."""
    kind: str = Field(examples=["icsight.audit.checkpoint"])
    number: int = Field(examples=[112])
    """Number of the newest entry then."""
    organisation: str = Field(examples=["default"])
    signature: str = Field(examples=["base64"])
    """Ed25519 over the rest in canonical JSON, base64."""
