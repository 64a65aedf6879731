"""What incidents look like in JSON, and how they are asked for and changed."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from api.alerts.models import Disposition
from api.alerts.schemas import Note, Permit
from api.database.scope import SITE_CHARACTERS
from api.filters import AnyOf, Moment, OneOf, Time
from api.incidents.lifecycle import PHASES, Phase
from api.incidents.models import Origin
from api.pages import CURSOR_CHARACTERS, PAGE_ROWS, PAGE_ROWS_MOST
from api.unfit import Unfit

Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00]*$")]

Short = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00]*$")]

Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=10_000, pattern=r"^[^\x00]*$")]

Person = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64, pattern=r"^[^\x00]*$")]

AlertId = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00]*$")]

SiteName = Annotated[str, StringConstraints(max_length=SITE_CHARACTERS, pattern=r"^[^\x00]*$")]

Key = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_.-]{1,64}$")]

Facts = Annotated[dict[Key, bool | int | float | Key], Field(max_length=100)]

Number = Annotated[int, Field(ge=1, le=2**53, examples=[17])]


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class _Output(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


IncidentSort = Literal[
    "declared_at", "-declared_at", "updated_at", "-updated_at", "discovered_at", "-discovered_at", "moved_at", "-moved_at",
    "grade", "-grade",
]  # fmt: skip
"""What a list can be sorted by."""


class IncidentQuery(_Input):
    """Which incidents. `FIELD=VALUE[,VALUE…]`: any of these; `FIELD=!VALUE[,VALUE…]`: none of these; all filters must hold."""

    state: Annotated[AnyOf | None, OneOf(PHASES, "!closed")] = None
    """State."""
    grade: Annotated[AnyOf | None, OneOf(("1", "2", "3", "4"), "1,2,3")] = None
    """The worst grade that was decided: 1 is the worst of all."""
    site: Annotated[AnyOf | None, OneOf((), "waterworks")] = None
    """Name of the site."""
    lead: Annotated[AnyOf | None, OneOf((), "lin.wei")] = None
    """Who leads the work."""
    category: Annotated[AnyOf | None, OneOf((), "network_attack.scan")] = None
    """Class, or class and sub-class, by GB/T 20986-2023."""
    drill: bool | None = None
    """Only drills, or none."""
    held: bool | None = None
    """Only those on hold, or none."""
    since: Time = None
    """Declared at this time or later."""
    until: Time = None
    """Declared before this time."""
    updated_since: Time = None
    """Changed at this time or later, whatever changed. Ask with `sort=updated_at`, and go on from the last `updated_at`."""
    sort: IncidentSort = "-declared_at"
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


class DeclareInput(_Input):
    """Declares an incident: from alerts, from a story, or from what somebody reported."""

    title: Title = Field(examples=["Writes to the chlorine dosing from an unknown station"])
    summary: Text = Field(default="", examples=["The shift saw the set point jump twice."])
    site: SiteName | None = Field(default=None, examples=["waterworks"])
    """The site, where there is no alert; it may be left out where there is only one site."""
    alerts: list[AlertId] = Field(default=[], max_length=1_000, examples=[["9c1f0e6a52d14f0b"]])
    """Alerts that belong to it: they are escalated."""
    story: AlertId | None = Field(default=None, examples=["9c1f0e6a52d14f0b"])
    """A story: its open alerts belong to it, and those that join the story later."""
    reported_by: Short | None = Field(default=None, examples=["Shift leader Wu, by phone 8123"])
    """Who reported it, and how, where there is no alert."""
    discovered_at: Moment | None = Field(default=None, examples=["2026-11-23T08:14:00Z"])
    """When the operator found or learned of it: legal clocks start here. Without it, now."""
    occurred_at: Moment | None = Field(default=None, examples=["2026-11-23T08:12:31Z"])
    """When it began; without it, when the first of its alerts did."""
    category: Key | None = Field(default=None, examples=["improper_operation.unauthorised_use"])
    """Class, or class and sub-class, by GB/T 20986-2023."""
    lead: Person | None = Field(default=None, examples=["lin.wei"])
    """Who leads the work."""
    drill: bool = False
    """Whether it is exercise only. What is declared from alerts of a drill always is; one of both kinds is refused."""

    @model_validator(mode="after")
    def _from_something(self) -> Self:
        if not self.alerts and self.story is None and self.reported_by is None:
            raise Unfit("incident_from")
        return self


class IncidentUpdate(_Input):
    """All of an incident that people may say otherwise later."""

    title: Title = Field(examples=["Writes to the chlorine dosing from an unknown station"])
    summary: Text = Field(examples=["The shift saw the set point jump twice."])
    category: Key | None = Field(examples=["improper_operation.unauthorised_use"])
    lead: Person | None = Field(examples=["lin.wei"])
    discovered_at: Moment = Field(examples=["2026-11-23T08:14:00Z"])
    occurred_at: Moment | None = Field(examples=["2026-11-23T08:12:31Z"])
    reason: Note = Field(examples=["The shift log says 08:14."])


class MoveInput(_Input):
    """Moves an incident to another state."""

    to: Literal["analysing", "containing", "eradicating", "recovering", "monitoring"] = Field(examples=["containing"])
    reason: Note = Field(examples=["The station is known; its port will be closed."])
    at: Moment | None = Field(default=None, examples=["-5m"])
    """When it was so; without it, now."""


class HoldInput(_Input):
    """Lays an incident aside until a time."""

    until: Moment = Field(examples=["2027-01-04T00:00:00Z"])
    """When it wakes by itself."""
    reason: Note = Field(examples=["The vendor answers on Monday."])


class ReasonInput(_Input):
    """Says why."""

    reason: Note = Field(examples=["The vendor has answered."])


class CloseIncidentInput(_Input):
    """Closes an incident, and its alerts with it."""

    disposition: Disposition = Field(examples=["true_positive_no_impact"])
    """What it turned out to be."""
    reason: Note = Field(examples=["The station is off the network; all set points are as approved."])
    permit: Permit | None = Field(default=None, examples=[None])
    """Number of the work permit; needed for, and only for, `authorised_work`."""
    override: Note | None = Field(default=None, examples=[None])
    """Why it is closed although something stands against it; told in the timeline."""

    @model_validator(mode="after")
    def _permit_with_authorised_work(self) -> Self:
        if (self.disposition == "authorised_work") != (self.permit is not None):
            raise Unfit("permit")
        return self


class AlertsInput(_Input):
    """Alerts to be put into an incident or taken out of it."""

    alerts: list[AlertId] = Field(min_length=1, max_length=1_000, examples=[["9c1f0e6a52d14f0b"]])
    note: Note = Field(examples=["Same station, an hour before."])


class EntryInput(_Input):
    """A line of the timeline by hand."""

    at: Moment = Field(examples=["2026-11-23T08:20:00Z"])
    """When it happened."""
    text: Note = Field(examples=["The operator of line 4 took the dosing to manual."])
    source: Short = Field(examples=["Phone, shift leader Wu"])
    """Where it is known from."""


class MergeInput(_Input):
    """Another incident that is the same."""

    other: Number
    reason: Note = Field(examples=["Same station, same hour."])


class SplitInput(_Input):
    """What of an incident is another one."""

    title: Title = Field(examples=["Scan of the office network"])
    alerts: list[AlertId] = Field(default=[], max_length=1_000, examples=[["9c1f0e6a52d14f0b"]])
    """Alerts that move."""
    entries: list[Annotated[int, Field(ge=1, le=2**53)]] = Field(default=[], max_length=1_000, examples=[[1]])
    """Lines of the timeline that are told in the new one too."""
    reason: Note = Field(examples=["Another cause."])


class FactsInput(_Input):
    """What is known for grading; all of it."""

    facts: Facts = Field(examples=[{"cii_total_outage_minutes": 12, "data_threat": "none"}])
    """By metric; what is left out is not known."""
    reason: Note = Field(examples=["As the shift log says."])


class GradeInput(_Input):
    """Decides a grade."""

    scheme: Key = Field(examples=["cac-2025"])
    level: int = Field(ge=1, le=4, examples=[3])
    """1 (特别重大), 2 (重大), 3 (较大), 4 (一般)."""
    reason: Note = Field(examples=["As proposed."])


class Hold(_Output):
    """That an incident is on hold."""

    until: str = Field(examples=["2027-01-04T00:00:00.000000000Z"])
    by: str = Field(examples=["lin.wei"])
    reason: str = Field(examples=["The vendor answers on Monday."])


class IncidentItem(_Output):
    """An incident in a list."""

    number: Number
    version: int = Field(examples=[3])
    """Rises with each change; the ETag that a change must bring."""
    site: str = Field(examples=["waterworks"])
    title: str = Field(examples=["Writes to the chlorine dosing from an unknown station"])
    state: Phase = Field(examples=["containing"])
    hold: Hold | None = None
    """Where it is on hold: its state stays what it was."""
    drill: bool = False
    """Whether it is exercise only."""
    origin: Origin = Field(examples=["alerts"])
    lead: str | None = Field(default=None, examples=["lin.wei"])
    category: str | None = Field(default=None, examples=["improper_operation.unauthorised_use"])
    category_name: str | None = Field(default=None, examples=["Operation against the rules: Use of resources without permission"])
    grade: int | None = Field(default=None, examples=[3])
    """The worst grade decided; null where none is."""
    grades: dict[str, int] = Field(default={}, examples=[{"cac-2025": 3}])
    """The grade decided, by scheme."""
    discovered_at: str = Field(examples=["2026-11-23T08:14:00.000000000Z"])
    declared_at: str = Field(examples=["2026-11-23T08:16:00.000000000Z"])
    moved_at: str = Field(examples=["2026-11-23T08:30:00.000000000Z"])
    """Since when it is in its state."""
    updated_at: str = Field(examples=["2026-11-23T08:31:00.000000000Z"])
    """When it changed last, with all that belongs to it."""
    closed_at: str | None = None


class IncidentOutput(IncidentItem):
    """An incident with all that is known of it."""

    summary: str = Field(examples=["The shift saw the set point jump twice."])
    declared_by: str = Field(examples=["lin.wei"])
    reported_by: str | None = None
    occurred_at: str | None = Field(default=None, examples=["2026-11-23T08:12:31.000000000Z"])
    acknowledged_at: str | None = None
    """When somebody first moved it on."""
    resolved_at: str | None = None
    """When it last came to be monitored only, or was closed."""
    disposition: Disposition | None = None
    """What it turned out to be."""
    story: str | None = None
    continues: int | None = None
    """The closed incident that it goes on from."""
    split_from: int | None = None
    merged_into: int | None = None
    """The incident that tells this one too."""
    merged: list[int] = Field(default=[], examples=[[12]])
    """Incidents that this one tells too."""
    alerts: list[str] = Field(default=[], examples=[["9c1f0e6a52d14f0b"]])
    """The first 1,000 of its alerts."""
    alert_count: int = Field(default=0, examples=[1])
    facts: dict[str, Any] = Field(default={}, examples=[{"cii_total_outage_minutes": 12}])
    moves: list[Phase] = Field(default=[], examples=[["analysing", "eradicating", "recovering"]])
    """Where a person may move it now."""
    closable: bool = False
    """Whether its state lets it be closed."""


class IncidentPage(_Output):
    """A page of incidents."""

    items: list[IncidentItem]
    next: str | None = None
    """`cursor` of the next page; null on the last."""


class TimelineEntry(_Output):
    """A line of the timeline."""

    id: int = Field(examples=[204])
    incident: Number
    """The incident that it was written for: another one where that was merged."""
    at: str = Field(examples=["2026-11-23T08:20:00.000000000Z"])
    """When it happened."""
    written_at: str = Field(examples=["2026-11-23T08:31:00.000000000Z"])
    kind: str = Field(examples=["moved"])
    actor: str = Field(examples=["lin.wei"])
    by_hand: bool = False
    """Whether a person wrote it as it stands."""
    source: str | None = None
    """Where a person has it from."""
    text: str = Field(examples=["From analysing to containing."])
    """What happened, in the caller's language."""
    note: str | None = Field(default=None, examples=["The station is known; its port will be closed."])
    """What the person wrote."""
    detail: dict[str, Any] = Field(default={}, examples=[{"before": "analysing", "after": "containing"}])


class TimelinePage(_Output):
    """A page of the timeline."""

    items: list[TimelineEntry]
    next: str | None = None
    """`cursor` of the next page; null on the last."""


class CriterionOutput(_Output):
    """A condition of a grade that is met."""

    metric: str = Field(examples=["cii_total_outage_minutes"])
    name: str = Field(examples=["Critical information infrastructure stopped as a whole"])
    at_least: float | None = Field(default=None, examples=[10])
    one_of: list[str] = Field(default=[], examples=[[]])
    unit: str = Field(examples=["min"])


class ProposalOutput(_Output):
    """The grade that a scheme proposes for the facts, and what was decided."""

    scheme: str = Field(examples=["cac-2025"])
    name: str = Field(examples=["Cybersecurity incidents: grading guide of the national rule on reporting"])
    citation: str = Field(examples=["《国家网络安全事件报告管理办法》附件"])
    certainty: str = Field(examples=["seen"])
    """How sure the text is: seen, partly_seen, from_memory."""
    level: int | None = Field(examples=[3])
    """The grade; null where the scheme has nothing to go by."""
    level_name: str | None = Field(default=None, examples=["relatively serious"])
    met: list[CriterionOutput] = []
    """The conditions that are met."""
    unknown: list[str] = Field(default=[], examples=[["direct_loss_cny"]])
    """What it asks for and is not known."""
    decided: int | None = Field(default=None, examples=[3])


class GradeEntry(_Output):
    """One decision about a grade."""

    at: str = Field(examples=["2026-11-23T08:40:00.000000000Z"])
    by: str = Field(examples=["lin.wei"])
    scheme: str = Field(examples=["cac-2025"])
    proposed: int | None = Field(default=None, examples=[3])
    decided: int = Field(examples=[3])
    reason: str = Field(examples=["As proposed."])
    facts: dict[str, Any] = Field(examples=[{"cii_total_outage_minutes": 12}])
    schemes_version: str = Field(examples=["2026.11.1"])


class ChoiceOutput(_Output):
    """Something that can be chosen."""

    key: str = Field(examples=["scan"])
    name: str = Field(examples=["Scanning and probing"])


class MetricOutput(ChoiceOutput):
    """Something that grading asks for."""

    kind: Literal["number", "choice", "yes_no"]
    unit: str = Field(examples=["min"])
    choices: list[ChoiceOutput] = []


class ClassOutput(ChoiceOutput):
    """A class of incidents."""

    sub: list[ChoiceOutput] = []


class Vocabulary(_Output):
    """What facts grading asks for, and the classes of incidents."""

    version: str = Field(examples=["2026.11.1"])
    """Version of the schemes' data."""
    metrics: list[MetricOutput]
    categories_citation: str = Field(examples=["GB/T 20986-2023"])
    categories: list[ClassOutput]
