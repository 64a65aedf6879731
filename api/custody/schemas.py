"""What evidence looks like in JSON, and how it is taken and handed on."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.alerts.schemas import Note
from api.custody.models import CustodyKind, EvidenceKind
from api.custody.service import MOST_ITEMS
from api.custody.snapshot import CONTENTS, Content
from api.incidents.schemas import AlertId, Short

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class _Output(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class PacketsInput(_Input):
    """Takes the packets of an alert of the incident as evidence."""

    alert: AlertId = Field(examples=["9c1f0e6a52d14f0b"])
    sensor: Annotated[str, StringConstraints(max_length=256, pattern=r"^[^\x00]*$")] | None = Field(
        default=None, examples=["gateway-7"]
    )
    """The sensor whose packets are wanted, of an alert that rests on several; else that of its first record."""
    mask_values: bool = False
    """Zeros in place of all that carries values."""
    reason: Note = Field(examples=["What the unknown station wrote to the dosing"])
    """What it shows, and why it is taken."""


class SnapshotInput(_Input):
    """Takes what is known of the incident now as evidence."""

    contents: list[Content] = Field(
        default=list(CONTENTS), min_length=1, max_length=len(CONTENTS), examples=[["alerts", "records"]]
    )
    """What is taken besides the incident and its grades."""
    reason: Note = Field(examples=["As it was before the controller was started again"])
    """What it shows, and why it is taken."""


class HandInput(_Input):
    """Writes down that a piece of evidence, or what it was taken from, went from somebody to somebody."""

    giver: Short = Field(examples=["Lin Wei, shift B"])
    receiver: Short = Field(examples=["Officer Zhao, municipal police"])
    reason: Note = Field(examples=["Copy on a sealed disk, for the investigation"])


class PackageInput(_Input):
    """Gives evidence out as a package."""

    receiver: Short = Field(examples=["Officer Zhao, municipal police"])
    """Who gets it."""
    reason: Note = Field(examples=["Investigation 2026-114"])
    """Why."""
    items: list[Annotated[int, Field(ge=1, le=2**53)]] = Field(default_factory=list[int], max_length=MOST_ITEMS, examples=[[5]])
    """These pieces; without any, all."""


class EvidenceOutput(_Output):
    """A piece of evidence. Nothing of it ever changes."""

    id: int = Field(examples=[5])
    incident: int = Field(examples=[17])
    """The incident that it was taken for; another may tell that by now."""
    kind: EvidenceKind
    name: str = Field(examples=["engineering station.log"])
    media_type: str = Field(examples=["text/plain"])
    """What whoever brought it says that it is."""
    description: str = Field(examples=["Log of the engineering station"])
    size: int = Field(examples=[1024])
    """Bytes."""
    sha256: str
    sm3: str
    taken_at: str = Field(examples=["2026-11-23T08:14:02.000000000Z"])
    taken_by: str = Field(examples=["lin.wei"])
    origin: dict[str, Any] = Field(examples=[{"alert": "9c1f0e6a52d14f0b"}])
    """What it was taken from: alert and manifest of packets; what a snapshot holds."""


class EvidencePage(_Output):
    """A page of evidence, in the order in which it was taken."""

    items: list[EvidenceOutput]
    next: str | None = None
    """`cursor` of the next page; null on the last."""


class CustodyOutput(_Output):
    """Who gave a piece of evidence to whom, and why."""

    number: int = Field(examples=[1])
    """From 1 for each piece; the first is the taking."""
    kind: CustodyKind
    at: str = Field(examples=["2026-11-23T08:14:02.000000000Z"])
    actor: str = Field(examples=["lin.wei"])
    """Who wrote the entry."""
    giver: str = Field(examples=["Lin Wei, shift B"])
    receiver: str = Field(examples=["Officer Zhao, municipal police"])
    reason: str = Field(examples=["Copy on a sealed disk, for the investigation"])
    previous_hash: str
    """`hash` of the entry before; of the first, SHA-256 of all that is said of the piece, as canonical JSON."""
    hash: str


class CustodyPage(_Output):
    """A page of custody entries, the first first."""

    items: list[CustodyOutput]
    next: str | None = None
    """`cursor` of the next page; null on the last."""


class EvidenceVerification(_Output):
    """Whether a piece of evidence is as it was taken."""

    intact: bool = Field(examples=[True])
    file: Literal["intact", "missing", "changed"] = Field(examples=["intact"])
    """Its file, by every byte."""
    entries: int = Field(examples=[2])
    """Custody entries."""
    first_broken: int | None = Field(default=None, examples=[None])
    """Number of the first custody entry that does not hold."""
    clock_back: int | None = Field(default=None, examples=[None])
    """Number of the first custody entry whose time is before that of the one before: a clock was set back. Their order holds."""
    trail: Literal["intact", "older", "differs", "missing"] = Field(examples=["intact"])
    """Whether the audit trail has the same custody entries, by their hashes; `missing`: it has none. `older`: the piece was taken
    before custody was in the audit trail, which told the same of it then, and has the same entries since."""
