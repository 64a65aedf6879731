"""What alerts look like in JSON, and how a list of them is asked for."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from api.alerts.models import DISPOSITIONS, SEVERITIES, STATES, Disposition, MergeKind, Severity, State
from api.filters import AnyOf, Moment, OneOf, Time
from api.pages import CURSOR_CHARACTERS, PAGE_ROWS, PAGE_ROWS_MOST
from api.times import iso
from api.unfit import Unfit
from detection.tuning import Kind

Sort = Literal[
    "rank", "-rank", "first_seen", "-first_seen", "last_seen", "-last_seen", "count", "-count", "updated_at", "-updated_at"
]

Permit = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64, pattern=r"^[^\x00]*$")]

Note = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000, pattern=r"^[^\x00]*$")]


class AlertFilter(BaseModel):
    """Which alerts.

    `FIELD=VALUE[,VALUE…]`: any of these; `FIELD=!VALUE[,VALUE…]`: none of these; all filters must hold.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True, use_attribute_docstrings=True)

    severity: Annotated[AnyOf | None, OneOf(SEVERITIES, "high,critical")] = None
    """Severity."""
    state: Annotated[AnyOf | None, OneOf(STATES, "!closed")] = None
    """State of handling."""
    disposition: Annotated[AnyOf | None, OneOf(DISPOSITIONS, "false_positive")] = None
    """What a closed alert turned out to be."""
    assignee: Annotated[AnyOf | None, OneOf((), "lin.wei")] = None
    """Who has taken it on."""
    site: Annotated[AnyOf | None, OneOf((), "waterworks")] = None
    """Name of the site."""
    rule: Annotated[AnyOf | None, OneOf((), "modbus_write_by_unauthorised_client")] = None
    """Identifier of the rule or detector."""
    exception: Annotated[AnyOf | None, OneOf((), "night-copy")] = None
    """Exception of the site that hides the alert; without this filter, what one hides is left out unless it was taken on."""
    overlay: Annotated[AnyOf | None, OneOf(("snoozed", "suppressed"), "snoozed")] = None
    """What lies over the state: snoozed by a person, suppressed by a maintenance window that runs. Without this filter and
    `window` both are left out."""
    window: int | None = Field(default=None, ge=1, le=2**63 - 1, examples=[None])
    """Number of a maintenance window: what it hides, or has hidden."""
    drill: bool | None = None
    """Only alerts of drills, or none; without this filter both are told, those of drills marked as such."""
    technique: Annotated[AnyOf | None, OneOf((), "T0836")] = None
    """ATT&CK for ICS technique."""
    client_ip: Annotated[AnyOf | None, OneOf((), "192.0.2.17")] = Field(default=None, alias="client.ip")
    """Address of the client."""
    server_ip: Annotated[AnyOf | None, OneOf((), "192.0.2.40")] = Field(default=None, alias="server.ip")
    """Address of the server."""
    ip: Annotated[AnyOf | None, OneOf((), "192.0.2.17")] = None
    """Address of either."""
    since: Time = None
    """Alerts last seen at this time or later."""
    until: Time = None
    """Alerts first seen before this time."""

    def absolute(self) -> dict[str, Any]:
        """The filter as text by name, with times that mean the same later."""
        times = {name: iso(time) for name, time in (("since", self.since), ("until", self.until)) if time is not None}
        return {**self.model_dump(mode="json", by_alias=True, exclude_none=True), **times}


class AlertQuery(AlertFilter):
    """Which alerts, in which order.

    `FIELD=VALUE[,VALUE…]`: any of these; `FIELD=!VALUE[,VALUE…]`: none of these; all filters must hold.
    """

    updated_since: Time = None
    """Alerts that changed at this time or later, whatever changed; with it also those that a stronger one tells or an exception
    hides by now, so that a copy can be kept. Ask with `sort=updated_at`, and go on from the last `updated_at`."""
    sort: Sort = "-rank"
    """Order; with `-` the most first. The identifier breaks ties."""
    cursor: str | None = Field(default=None, max_length=CURSOR_CHARACTERS)
    """`next` of the page before; everything else must be asked as it was then."""
    limit: int = Field(default=PAGE_ROWS, ge=1, le=PAGE_ROWS_MOST)
    """Most alerts on the page."""
    language: Literal["en", "zh-CN"] | None = None
    """Language of the texts; without it, that of `Accept-Language`."""

    def question(self) -> str:
        """What is asked, without where the page starts and how long it is."""
        return self.model_dump_json(exclude={"cursor", "limit", "language"})


class Triage(BaseModel):
    """What people decided about an alert."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    state: State = Field(examples=["triaging"])
    version: int = Field(examples=[1])
    """Rises with each decision; the second number of the alert's ETag."""
    by: str | None = Field(default=None, examples=["lin.wei"])
    at: str | None = Field(default=None, examples=["2026-11-23T08:14:02.000000000Z"])
    note: str | None = Field(default=None, examples=["Asking the shift whether maintenance is at line 4"])
    disposition: Disposition | None = None
    permit: str | None = None
    incident: int | None = Field(default=None, examples=[None])
    """Number of the incident that it belongs to, or that it was closed with."""


Condition = Literal["function", "asset", "rule"]
CONDITIONS: tuple[Condition, ...] = get_args(Condition)
"""What can join an alert: a function that its records did not have, an address, findings of another rule."""


class Snooze(BaseModel):
    """That an alert was laid aside."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    until: str = Field(examples=["2026-11-24T06:00:00.000000000Z"])
    """When it comes back at the latest."""
    conditions: list[Condition] = Field(examples=[["function"]])
    """What brings it back before, as soon as it joins the alert. A higher severity always does."""
    by: str = Field(examples=["lin.wei"])
    at: str = Field(examples=["2026-11-23T08:14:02.000000000Z"])
    note: str = Field(examples=["The contractor answers tomorrow"])


class AlertItem(BaseModel):
    """An alert in a list, and in a live event."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True, use_attribute_docstrings=True)

    id: str = Field(examples=["9c1f0e6a52d14f0b"])
    revision: int = Field(examples=[3])
    change: int = Field(examples=[1041])
    """Rises over all alerts with every change; the id of the alert's live event."""
    updated_at: str = Field(examples=["2026-11-23T08:14:02.000000000Z"])
    """When it changed last, as this server's clock has it."""
    site: str = Field(examples=["waterworks"])
    """The site that it is of; empty where the site has no name."""
    rule: str = Field(examples=["modbus_write_by_unauthorised_client"])
    severity: Severity = Field(examples=["high"])
    confidence: float = Field(ge=0, le=1, examples=[0.9])
    rank: float = Field(examples=[67.5])
    title: str = Field(examples=["Write by a station that may not write"])
    summary: str = Field(examples=["192.0.2.17 wrote 4 registers of 192.0.2.40 (unit 1) and may not."])
    first_seen: str = Field(examples=["2026-11-23T08:12:31.104000000Z"])
    last_seen: str = Field(examples=["2026-11-23T08:13:55.870000000Z"])
    count: int = Field(ge=1, examples=[4])
    client_ip: str | None = Field(default=None, alias="client.ip", examples=["192.0.2.17"])
    server_ip: str | None = Field(default=None, alias="server.ip", examples=["192.0.2.40"])
    techniques: list[str] = Field(examples=[["T0836"]])
    part_of: str | None = Field(default=None, examples=[None])
    """The stronger alert that tells this one too; lists leave it out then, unless a person has taken it on."""
    hidden_by: str | None = Field(default=None, examples=[None])
    """The exception that hides it; lists leave it out then as well."""
    suppressed_by: int | None = Field(default=None, examples=[None])
    """Number of the maintenance window that hides it until its end; likewise."""
    snooze: Snooze | None = None
    """That somebody laid it aside; lists leave it out then, whatever its state is."""
    merged_into: str | None = Field(default=None, examples=[None])
    """The alert that a person let tell it, which `part_of` names then; lists leave it out, whatever its state is."""
    detached_from: str | None = Field(default=None, examples=[None])
    """The alert that a person took it out of: it is told by itself."""
    drill: int | None = Field(default=None, examples=[None])
    """Number of the drill that it is of: it tells of traffic that was made up, and nothing happened. Null: it is real."""
    triage: Triage


class Related(BaseModel):
    """Findings of another rule that belong to an alert."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    rule: str = Field(examples=["second_client_for_unit"])
    title: str = Field(examples=["A second client talks to a unit"])
    severity: Severity = Field(examples=["medium"])
    count: int = Field(examples=[12])
    """Records in these findings."""
    first_seen: str = Field(examples=["2026-11-23T08:12:31.104000000Z"])
    last_seen: str = Field(examples=["2026-11-23T08:13:55.870000000Z"])
    records: list[str] = Field(examples=[["local/5f0c1d2e3a4b5c6d7e8f90a1b2c3d4e5/12/882"]])
    """Identities of its first records, at most 20."""


class StoryStage(BaseModel):
    """A tactic of ATT&CK for ICS that a story has reached."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    tactic: str = Field(examples=["discovery"])
    """Its short name."""
    name: str = Field(examples=["Discovery"])
    techniques: list[str] = Field(examples=[["T0888"]])
    first_seen: str = Field(examples=["2026-11-23T08:12:31.104000000Z"])
    """When the first alert with it began."""


class Story(BaseModel):
    """The course of action that alerts belong to."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str = Field(examples=["9c1f0e6a52d14f0b"])
    sentence: str = Field(examples=["Since 08:12 UTC, 192.0.2.17 went against 192.0.2.40: Discovery, then Collection."])
    """Who, against whom, in which stages, and how far it got."""
    stages: list[StoryStage]
    """In the order of the ATT&CK matrix."""
    alerts: list[str] = Field(examples=[["9c1f0e6a52d14f0b", "1f6a3c2b7d8e4a90"]])
    """Ids of its alerts, in the order in which they began."""
    actors: list[str] = Field(examples=[["192.0.2.17"]])
    targets: list[str] = Field(examples=[["192.0.2.40"]])


class HidingException(BaseModel):
    """The exception of the site that hides an alert."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str = Field(examples=["night-copy"])
    kind: Literal["suppress", "normal", "maintenance"] | None = None
    """Null, like the rest, where the site has the exception no more."""
    reason: str | None = Field(default=None, examples=["The historian copies all maps at night."])
    by: str | None = Field(default=None, examples=["lin.wei"])
    end: str | None = Field(default=None, examples=["2027-02-27T16:00:00Z"])
    """Until when it holds."""


class ProposedException(BaseModel):
    """An exception that could be made, as it stands in a site's file, and what it would have hidden."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str = Field(examples=["address_sweep-1f6a3c2b"])
    kind: Kind = Field(examples=["suppress"])
    rules: list[str] = Field(examples=[["address_sweep"]])
    clients: list[str] = Field(examples=[["192.0.2.17"]])
    """None: any client."""
    servers: list[str] = Field(examples=[["192.0.2.40"]])
    """None: any server."""
    target: dict[str, str] = Field(examples=[{"modbus.unit_id": "3"}])
    end: str | None = Field(examples=["2027-02-27T16:00:00Z"])
    hides: int = Field(examples=[12])
    """Alerts of the last 30 days that it would have hidden."""
    undecided: int = Field(examples=[2])
    """How many of them nobody has closed."""
    alerts: list[str] = Field(examples=[["9c1f0e6a52d14f0b"]])
    """Ids of the latest 20 of them."""


class AcceptedFact(BaseModel):
    """What would be normal, as it was seen so far; empty for any."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    kind: str = Field(examples=["writer"])
    client: str = Field(examples=["192.0.2.17"])
    server: str = Field(examples=["192.0.2.40"])
    point: str = Field(examples=[""])
    unit: str = Field(default="", examples=[""])
    """Unit identifier."""
    rare: bool = Field(default=False, examples=[False])
    """Whether only what was set apart as rare while learning is meant."""
    observed: str = Field(default="", examples=[""])
    """Of an anomaly: what was seen, up to which the model knows it as normal then."""


class AcceptanceOutput(BaseModel):
    """What accepting an alert as normal would mean, and what would not have been told."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    fact: AcceptedFact | None = None
    """A fact of the baseline, where the alert is a deviation from it."""
    exception: ProposedException | None = None
    """Else an exception without an end."""
    hides: int = Field(examples=[12])
    """Alerts of the last 30 days that would not have been told."""
    undecided: int = Field(examples=[2])
    """How many of them nobody has closed."""
    alerts: list[str] = Field(examples=[["9c1f0e6a52d14f0b"]])
    """Ids of the latest 20 of them."""
    right: int = Field(examples=[0])
    """How many of those that were ever closed as right it covers: what was an attack would be told no more."""
    limited: bool = Field(default=False, examples=[False])
    """Whether there were more alerts than are looked at."""


class AcceptInput(BaseModel):
    """Accepts as normal what an alert tells, after a look at what would not have been told."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    note: Annotated[Note, StringConstraints(max_length=256)] = Field(examples=["The new historian, as commissioned"])
    """Why it is normal."""
    seen: int = Field(ge=0, le=1_000_000, examples=[12])
    """`hides` as the person saw it; where more would not have been told, nothing is done."""


class MergedAlert(BaseModel):
    """An alert that was merged into another."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str = Field(examples=["1f6a3c2b7d8e4a90"])
    title: str = Field(examples=["A second client talks to a unit"])
    severity: Severity = Field(examples=["medium"])
    state: State = Field(examples=["new"])
    count: int = Field(examples=[12])
    first_seen: str = Field(examples=["2026-11-23T08:12:31.104000000Z"])
    last_seen: str = Field(examples=["2026-11-23T08:13:55.870000000Z"])


class AlertOutput(AlertItem):
    """An alert with all that is known of it."""

    technique_aliases: list[str] = Field(examples=[["T0855"]])
    target: dict[str, Any] = Field(default={}, examples=[{"modbus.unit_id": 3}])
    """What it is about besides client and server: fields with their values."""
    posture: bool = Field(default=False, examples=[False])
    """Whether it says how a server is set up, and not that something happened: it is no alarm."""
    expected: str = Field(examples=["Writes only from the stations in the list authorised_writers."])
    observed: str = Field(examples=["4 writes to holding registers 100 to 103."])
    next_steps: list[str] = Field(examples=[["Ask the shift.", "Compare the set points with the last approved ones."]])
    records: list[str] = Field(examples=[["local/5f0c1d2e3a4b5c6d7e8f90a1b2c3d4e5/12/881"]])
    """Identities of records behind the alert (`sensor/epoch/sequence/row`)."""
    related: list[Related]
    """Findings of other rules with the same cause."""
    story: Story | None = None
    """The course of action that it belongs to, with other alerts; it raises the rank."""
    exception: HidingException | None = None
    """The exception of the site that hides it."""
    own_severity: Severity | None = Field(default=None, examples=[None])
    """Its own severity, where others were merged into it: `severity` and `rank` are then the highest of all."""
    merged: list[MergedAlert] = []
    """What people merged into it."""
    holds: list[str] = Field(default=[], examples=[["9c1f0e6a52d14f0b"]])
    """Of a digest (rule `digest`): the first 100 of the alerts that it holds because the alarm budget was spent."""


class AlertPage(BaseModel):
    """A page of alerts."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    items: list[AlertItem]
    next: str | None = None
    """`cursor` of the next page; null on the last."""


class AlertCount(BaseModel):
    """How many alerts there are of a severity in a state."""

    severity: Severity
    state: State
    count: int


class SimilarAlert(BaseModel):
    """A closed alert that is like another."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str = Field(examples=["1f6a3c2b7d8e4a90"])
    alike: list[Literal["rule", "client", "server", "target", "technique"]] = Field(examples=[["rule", "server"]])
    """What they have in common."""
    title: str = Field(examples=["Write by a station that may not write"])
    first_seen: str = Field(examples=["2026-11-20T08:12:31.104000000Z"])
    disposition: Disposition | None = Field(examples=["authorised_work"])
    by: str | None = Field(examples=["lin.wei"])
    at: str | None = Field(examples=["2026-11-20T09:02:00.000000000Z"])
    """When it was closed."""
    note: str | None = Field(examples=["New set points, as ordered"])
    permit: str | None = Field(examples=["WP-2026-1102"])
    incident: int | None = Field(examples=[None])
    """The incident that it was closed with."""


class Similar(BaseModel):
    """Alerts of the past that are like one, and how they ended."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    ended: dict[str, int] = Field(examples=[{"authorised_work": 11, "false_positive": 2}])
    """How many closed alerts that are like it had each disposition, of the 500 closed last of its rule, client and server
    each."""
    alerts: list[SimilarAlert]
    """Those most alike, at most 20; of several that are as much alike the one that was closed last first."""


class HistoryEntry(BaseModel):
    """A step in the life of an alert."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    at: str = Field(examples=["2026-11-23T08:14:02.000000000Z"])
    kind: Literal[
        "raised", "acknowledged", "assigned", "accepted", "escalated", "moved", "released", "undone", "closed", "recurred",
        "snoozed", "woken", "woken_time", "woken_function", "woken_asset", "woken_rule", "woken_severity",
        "suppressed", "lifted", "restored", "alone", "merged", "took_in", "detached", "let_go", "commented",
    ]  # fmt: skip
    actor: str = Field(examples=["lin.wei"])
    note: str | None = None
    disposition: Disposition | None = None
    permit: str | None = None
    count: int = Field(examples=[4])
    other: str | None = Field(default=None, examples=["wang.fang"])
    """The account that it was given to, or the other alert of a merge."""


class AcknowledgeInput(BaseModel):
    """Takes an alert on."""

    model_config = ConfigDict(extra="forbid")

    note: Note = Field(examples=["Asking the shift whether maintenance is at line 4"])


class CommentInput(BaseModel):
    """Says something about an alert."""

    model_config = ConfigDict(extra="forbid")

    note: Note = Field(examples=["The contractor says that his laptop was in the workshop then"])


AccountName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64, pattern=r"^[^\x00]*$")]


class AssignAlertInput(BaseModel):
    """Gives an alert to somebody."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    to: AccountName = Field(examples=["wang.fang"])
    """Name of an account that may decide on alerts of the site."""
    note: Note = Field(examples=["You know the controllers of line 4"])


class SnoozeInput(BaseModel):
    """Lays an alert aside for a while; its state stays."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    until: Moment | None = Field(default=None, examples=["2026-12-24T06:00:00Z"])
    """Until when, at most 30 days; these where only conditions are given."""
    conditions: list[Condition] = Field(default=[], max_length=3, examples=[["function", "asset"]])
    """What brings it back before."""
    note: Note = Field(examples=["The contractor answers tomorrow"])

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.until is None and not self.conditions:
            raise Unfit("snooze")
        return self


class WakeInput(BaseModel):
    """Brings an alert back that was laid aside."""

    model_config = ConfigDict(extra="forbid")

    note: Note = Field(examples=["The contractor has answered"])


class SeenAlert(BaseModel):
    """An alert as a person saw it."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    id: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00]*$")] = Field(
        examples=["1f6a3c2b7d8e4a90"]
    )
    version: int = Field(ge=0, le=2**63 - 1, examples=[0])
    """`triage.version` then."""


class MergeAlertsInput(BaseModel):
    """Lets an alert tell others."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    alerts: list[SeenAlert] = Field(min_length=1, max_length=50, examples=[[{"id": "1f6a3c2b7d8e4a90", "version": 0}]])
    """What it is to tell."""
    note: Note = Field(examples=["The same laptop, on both controllers"])


class DetachInput(BaseModel):
    """Lets an alert be told by itself."""

    model_config = ConfigDict(extra="forbid")

    note: Note = Field(examples=["Another laptop than we thought"])


class MergeOutput(BaseModel):
    """That alerts were merged, or one was detached."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    number: int = Field(examples=[4])
    kind: MergeKind = Field(examples=["merge"])
    alert: str = Field(examples=["9c1f0e6a52d14f0b"])
    """The alert that took others in, or that one was taken out of."""
    parts: list[str] = Field(examples=[["1f6a3c2b7d8e4a90"]])
    """Those that were taken in, with what these had taken in before; or the one that was taken out."""
    note: str = Field(examples=["The same laptop, on both controllers"])
    by: str = Field(examples=["lin.wei"])
    at: str = Field(examples=["2026-11-23T08:14:02.000000000Z"])
    undone_by: str | None = Field(default=None, examples=[None])
    undone_at: str | None = Field(default=None, examples=[None])


class CloseInput(BaseModel):
    """Closes an alert."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    disposition: Disposition = Field(examples=["authorised_work"])
    note: Note = Field(examples=["Planned exchange of the flow controller"])
    permit: (
        Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64, pattern=r"^[^\x00]*$")] | None
    ) = Field(default=None, examples=["WP-2026-1123"])
    """Number of the work permit; needed for, and only for, `authorised_work`."""

    @model_validator(mode="after")
    def _permit_with_authorised_work(self) -> Self:
        if (self.disposition == "authorised_work") != (self.permit is not None):
            raise Unfit("permit")
        return self
