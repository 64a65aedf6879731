"""What authorities are told, in JSON: each field is named here, so that what incidents get later is not told by itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.filters import AnyOf, OneOf, Time
from api.incidents.lifecycle import PHASES, Phase
from api.incidents.schemas import Number
from api.obligations.rules import Kind
from api.obligations.schemas import ContentOutput
from api.pages import CURSOR_CHARACTERS, PAGE_ROWS, PAGE_ROWS_MOST


class _Output(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class ToldQuery(BaseModel):
    """Which incidents; all filters must hold."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    state: Annotated[AnyOf | None, OneOf(PHASES, "!closed")] = None
    """State."""
    grade: Annotated[AnyOf | None, OneOf(("1", "2", "3", "4"), "1,2,3")] = None
    """The worst grade that was decided: 1 is the worst of all."""
    site: Annotated[AnyOf | None, OneOf((), "waterworks")] = None
    """Name of the site."""
    since: Time = None
    """Declared at this time or later."""
    until: Time = None
    """Declared before this time."""
    sort: Literal["declared_at", "-declared_at", "discovered_at", "-discovered_at"] = "-declared_at"
    """Order; with `-` the most first. The identifier breaks ties."""
    cursor: str | None = Field(default=None, max_length=CURSOR_CHARACTERS)
    """`next` of the page before; everything else must be asked as it was then."""
    limit: int = Field(default=PAGE_ROWS, ge=1, le=PAGE_ROWS_MOST)
    """Most incidents on the page."""
    language: Literal["en", "zh-CN"] | None = None
    """Language of the texts; without it, that of `Accept-Language`."""

    def question(self) -> str:
        """What is asked, without where the page starts and how long it is."""
        return self.model_dump_json(exclude={"cursor", "limit", "language"})


class ToldItem(_Output):
    """An incident in a list."""

    number: Number
    site: str = Field(examples=["waterworks"])
    title: str = Field(examples=["Writes to the chlorine dosing from an unknown station"])
    state: Phase = Field(examples=["containing"])
    category: str | None = Field(default=None, examples=["improper_operation.unauthorised_use"])
    category_name: str | None = Field(default=None, examples=["Operation against the rules: Use of resources without permission"])
    grade: int | None = Field(default=None, examples=[3])
    """The worst grade decided; null where none is."""
    grades: dict[str, int] = Field(default={}, examples=[{"cac-2025": 3}])
    """The grade decided, by scheme."""
    discovered_at: str = Field(examples=["2026-11-23T08:14:00.000000000Z"])
    declared_at: str = Field(examples=["2026-11-23T08:16:00.000000000Z"])
    closed_at: str | None = None
    merged_into: int | None = None
    """The incident that tells this one too: what goes on, goes on there."""


class ToldPage(_Output):
    """A page of incidents."""

    items: list[ToldItem]
    next: str | None = None
    """`cursor` of the next page; null on the last."""


class ToldReport(_Output):
    """A report that was submitted."""

    id: Number
    incident: Number
    rule: str = Field(examples=["cac-first"])
    regime: str = Field(examples=["cac-2025"])
    kind: Kind = Field(examples=["first"])
    title: str = Field(examples=["First report"])
    to: str = Field(examples=["Provincial cyberspace administration of the place"])
    clause: str = Field(examples=["《国家网络安全事件报告管理办法》第四条"])
    state: Literal["submitted", "acknowledged"] = Field(examples=["submitted"])
    due_at: str | None = Field(default=None, examples=["2026-11-23T12:14:00.000000000Z"])
    submitted_at: str = Field(examples=["2026-11-23T09:02:00.000000000Z"])
    late: bool = False
    """Whether it was submitted too late."""


class ToldIncident(ToldItem):
    """An incident with the reports that were submitted."""

    reports: list[ToldReport] = []
    """Those of incidents that were merged into it are among them; the first submitted comes first."""


class ToldContents(ToldReport):
    """A report with what it says."""

    contents: list[ContentOutput] = []
    submitted_by_way_of: str | None = Field(default=None, examples=["12387, by phone"])
    receipt: str | None = Field(default=None, examples=["GD-2026-1123-07"])
    """What the authority gave for it."""
    acknowledged_at: str | None = None
    document: str | None = Field(default=None, examples=[None])
    """SHA-256 of the document that was sent: `GET …/document`. Null where it was told by word of mouth."""
    sha256: str = Field(examples=["44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"])
    """SHA-256 of what it says (canonical JSON)."""
