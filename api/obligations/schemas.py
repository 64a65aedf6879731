"""What reports look like in JSON, and how they are drafted, approved and submitted."""

from __future__ import annotations

from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from api.alerts.schemas import Note
from api.filters import AnyOf, Moment, OneOf, Time
from api.incidents.schemas import ChoiceOutput, Key, Number, Short
from api.obligations.models import STATES, State
from api.obligations.rules import Kind, Sector
from api.pages import CURSOR_CHARACTERS, PAGE_ROWS, PAGE_ROWS_MOST
from api.unfit import Unfit

Content = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=20_000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]*$")
]
"""What a report says: of control characters only those that documents can hold."""


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise Unfit("time_zone", given=repr(name[:50]))
    return name


TimeZone = Annotated[str, StringConstraints(max_length=64), AfterValidator(_zone)]
"""IANA name of a time zone."""


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class _Output(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


ObligationSort = Literal[
    "due_at", "-due_at", "made_at", "-made_at", "updated_at", "-updated_at",
]  # fmt: skip
"""What a list can be sorted by."""


class ObligationQuery(_Input):
    """Which reports; all filters must hold."""

    state: Annotated[AnyOf | None, OneOf(STATES, "pending,drafted,approved")] = None
    """State."""
    due_before: Time = None
    """Due before this time."""
    updated_since: Time = None
    """Changed at this time or later, whatever changed. Ask with `sort=updated_at`, and go on from the last `updated_at`."""
    sort: ObligationSort = "due_at"
    """Order; with `-` the most first. The identifier breaks ties."""
    cursor: str | None = Field(default=None, max_length=CURSOR_CHARACTERS)
    """`next` of the page before; everything else must be asked as it was then."""
    limit: int = Field(default=PAGE_ROWS, ge=1, le=PAGE_ROWS_MOST)
    """Most reports on the page."""
    language: Literal["en", "zh-CN"] | None = None
    """Language of the texts; without it, that of `Accept-Language`."""

    def question(self) -> str:
        """What is asked, without where the page starts and how long it is."""
        return self.model_dump_json(exclude={"cursor", "limit", "language"})


class SupplementInput(_Input):
    """A further report of a series."""

    rule: Key = Field(examples=["cac-supplement"])
    """A rule whose kind is `supplement`."""
    reason: Note = Field(examples=["The path of the attack is known now."])


class DraftInput(_Input):
    """What a report says; all of it."""

    contents: Annotated[dict[Key, Content], Field(max_length=50)] = Field(
        examples=[{"entity": "Waterworks East, dosing of line 4", "event": "Found on 23 November at 16:14 …"}]
    )
    """By key of what it contains; what is left out is empty."""


class ApproveInput(_Input):
    """Approves a report."""

    note: Note = Field(examples=["Read and compared with the timeline."])


class SubmitInput(_Input):
    """Says that a report was submitted."""

    channel: Short = Field(examples=["12387, by phone"])
    at: Moment | None = Field(default=None, examples=["-5m"])
    """When; without it, now."""
    document: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = Field(default=None, examples=[None])
    """SHA-256 of the document that was sent, one of `GET …/documents`; none where it was told by word of mouth."""
    before_approval: bool = False
    """Whether it was told before it was approved, by phone say: `at` may be before the approval only then."""
    note: Note = Field(examples=["Officer Chen took it down."])


class AcknowledgeReportInput(_Input):
    """Says that the authority has acknowledged a report."""

    receipt: Short = Field(examples=["GD-2026-1123-07"])
    """What it gave for it: a number, a name."""
    note: Note = Field(examples=["By phone."])


class OperatorInput(_Input):
    """What the operator of a site is in the eyes of the law."""

    name: Short = Field(examples=["Waterworks East Ltd."])
    """Name, as reports bear it."""
    cii: bool = Field(examples=[False])
    """Whether it operates critical information infrastructure."""
    data_processor: bool = Field(examples=[True])
    """Whether it processes data in industry and information technology (工业和信息化领域数据处理者)."""
    nis2: Literal["none", "essential", "important"] = Field(examples=["none"])
    """Whether it is an entity of NIS2, and which."""
    china: bool = Field(default=True, examples=[True])
    """Whether it is subject to the Chinese rule on reporting incidents."""
    state_body: bool = Field(default=False, examples=[False])
    """Whether it is a central body of the state or the party, or directly under one (中央和国家机关各部门及其直属单位)."""
    served: bool = Field(default=False, examples=[False])
    """Whether a provider of security or maintenance looks after its systems, bound by contract to tell it of incidents."""
    industrial: bool = Field(default=True, examples=[True])
    """Whether it is an industrial enterprise, to which the ministry's guides for industrial control systems apply."""
    sector: Sector | None = Field(default=None, examples=["municipal"])
    """Its sector, which some reports and whom they go to depend on; null where nobody has said it."""
    time_zone: TimeZone = Field(default="Asia/Shanghai", examples=["Asia/Shanghai"])
    """Time zone in which days and months count."""


class OperatorOutput(OperatorInput):
    """What the operator of a site is."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)

    site: str = Field(examples=["waterworks"])
    sector_name: str | None = Field(examples=["Municipal water, gas and heat supply"])
    """Name of its sector."""
    version: int = Field(examples=[1])
    """Rises with each change; the ETag that a change must bring. 0 where nobody has said it yet: what is shown is assumed."""


class OperatorVocabulary(_Output):
    """What is chosen from where somebody says what the operator of a site is."""

    sectors: list[ChoiceOutput] = Field(examples=[[{"key": "municipal", "name": "Municipal water, gas and heat supply"}]])
    sites: list[str] = Field(examples=[["waterworks"]])
    """The sites that the caller sees, in order of their names; none where nothing was heard of any yet."""


class ContentOutput(_Output):
    """One thing that a report contains."""

    key: str = Field(examples=["entity"])
    name: str = Field(examples=["Name of the operator, and the systems or facilities concerned"])
    needed: bool = Field(examples=[True])
    """Whether it must be there before the report can be approved."""
    text: str = Field(default="", examples=["Waterworks East, dosing of line 4"])


class ObligationItem(_Output):
    """A report in a list."""

    id: Number
    incident: Number
    version: int = Field(examples=[2])
    """Rises with each change; the ETag that a change must bring."""
    rule: str = Field(examples=["cac-first"])
    regime: str = Field(examples=["cac-2025"])
    kind: Kind = Field(examples=["first"])
    supplement: str | None = Field(default=None, examples=["cac-supplement"])
    """The rule of further reports of its series, as `POST …/obligations` takes it; null where there is none."""
    title: str = Field(examples=["First report"])
    to: str = Field(examples=["Provincial cyberspace administration of the place"])
    channel: str = Field(examples=["12387 hotline, its web site, e-mail or fax"])
    clause: str = Field(examples=["《国家网络安全事件报告管理办法》第四条"])
    certainty: Literal["seen", "partly_seen", "from_memory"] = Field(examples=["seen"])
    """How sure the text is that the rule follows."""
    note: str = Field(default="", examples=["In time, within four hours at the latest."])
    state: State = Field(examples=["drafted"])
    drill: bool = False
    """Whether it is exercise only: it is not to be sent."""
    started_at: str | None = Field(default=None, examples=["2026-11-23T08:14:00.000000000Z"])
    """When its clock started; null where it has not yet."""
    due_at: str | None = Field(default=None, examples=["2026-11-23T12:14:00.000000000Z"])
    due_certain: bool = True
    """Whether all days off until then are known; else it is due then or later."""
    at_once: bool = False
    """Whether the law says at once, and no number of hours."""
    seconds_left: int | None = Field(default=None, examples=[7200])
    """How long until it is due; less than zero where it is overdue, null where no clock runs."""
    share: float | None = Field(default=None, examples=[50.0])
    """How much of the time is over, in percent."""
    warned: list[int] = Field(default=[], examples=[[50]])
    """Warnings that were given, in percent of the time."""
    updated_at: str = Field(examples=["2026-11-23T08:31:00.000000000Z"])
    """When it changed last, whatever changed."""
    submitted_at: str | None = None
    before_approval: bool = False
    """Whether it was told before it was approved."""
    late: bool = False
    """Whether it was submitted too late, or is overdue."""
    provisional: bool = False
    """Whether it follows from the grade that the facts propose, and nobody has decided one yet: it lapses with another one."""
    assumed: bool = False
    """Whether nobody has said what the operator of the site is: it may be another one that must report, sooner."""


class ObligationOutput(ObligationItem):
    """A report with what it says."""

    contents: list[ContentOutput] = []
    drafters: list[str] = Field(default=[], examples=[["lin.wei"]])
    """Everybody who wrote in it: none of them may approve it."""
    approved_by: str | None = None
    approved_at: str | None = None
    submitted_by: str | None = None
    submitted_by_way_of: str | None = None
    document: str | None = Field(default=None, examples=[None])
    """SHA-256 of the kept document that was sent."""
    receipt: str | None = None
    acknowledged_at: str | None = None
    sha256: str = Field(examples=["44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"])
    """SHA-256 of what it says (canonical JSON); the audit trail has it with each draft, approval and submission."""
    rules_version: str = Field(examples=["2026.11.1"])


class ObligationPage(_Output):
    """A page of reports."""

    items: list[ObligationItem]
    next: str | None = None
    """`cursor` of the next page; null on the last."""
