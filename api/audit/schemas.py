"""What audit entries look like in JSON."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.audit.chain import Kind
from api.filters import AnyOf, OneOf, Time
from api.pages import CURSOR_CHARACTERS, PAGE_ROWS, PAGE_ROWS_MOST


class AuditQuery(BaseModel):
    """Which entries, in which order.

    `FIELD=VALUE[,VALUE…]`: any of these; `FIELD=!VALUE[,VALUE…]`: none of these; all filters must hold.
    """

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    actor: Annotated[AnyOf | None, OneOf((), "lin.wei")] = None
    """Who did it."""
    action: Annotated[AnyOf | None, OneOf((), "alert.close,alert.accept")] = None
    """What was done."""
    subject: Annotated[AnyOf | None, OneOf((), "9c1f0e6a52d14f0b")] = None
    """Identifier of what it was done to."""
    since: Time = None
    """Entries of this time or later."""
    until: Time = None
    """Entries before this time."""
    sort: Literal["number", "-number"] = "-number"
    """Order; with `-` the newest first."""
    cursor: str | None = Field(default=None, max_length=CURSOR_CHARACTERS)
    """`next` of the page before; everything else must be asked as it was then."""
    limit: int = Field(default=PAGE_ROWS, ge=1, le=PAGE_ROWS_MOST)
    """Most entries on the page."""
    language: Literal["en", "zh-CN"] | None = None
    """Language of problems; without it, that of `Accept-Language`."""

    def question(self) -> str:
        """What is asked, without where the page starts and how long it is."""
        return self.model_dump_json(exclude={"cursor", "limit", "language"})


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
    """A page of entries."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    items: list[AuditOutput]
    next: str | None = None
    """`cursor` of the next page; null on the last."""


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
