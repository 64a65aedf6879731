"""What handover notes look like in JSON.

What a note tells of alerts, incidents and the rest has models of its own: a note that was handed over is read as it was written,
whatever becomes of the situation's.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.alerts.models import Severity
from api.alerts.schemas import Note
from api.database.scope import SITE_CHARACTERS
from api.filters import AnyOf, Moment, OneOf
from api.handovers.models import HANDOVER_STATES, HandoverState
from api.incidents.schemas import SiteName
from api.pages import CURSOR_CHARACTERS, PAGE_ROWS, PAGE_ROWS_MOST

Remarks = Annotated[str, StringConstraints(strip_whitespace=True, max_length=20_000, pattern=r"^[^\x00]*$")]


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class _Output(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True, from_attributes=True)


class HandoverQuery(_Input):
    """Which notes; all filters must hold."""

    state: Annotated[AnyOf | None, OneOf(HANDOVER_STATES, "handed_over")] = None
    """State."""
    site: Annotated[AnyOf | None, OneOf((), "waterworks")] = None
    """Name of the site."""
    cursor: str | None = Field(default=None, max_length=CURSOR_CHARACTERS)
    """`next` of the page before; everything else must be asked as it was then."""
    limit: int = Field(default=PAGE_ROWS, ge=1, le=PAGE_ROWS_MOST)
    """Most notes on the page."""

    def question(self) -> str:
        """What is asked, without where the page starts and how long it is."""
        return self.model_dump_json(exclude={"cursor", "limit"})


class HandoverInput(_Input):
    """What people say in a note."""

    since: Moment | None = Field(default=None, examples=["2026-11-23T00:00:00Z"])
    """When the shift began. Without it, when the last note of the site was handed over, in a week, else eight hours ago."""
    remarks: Remarks = Field(default="", examples=["The vendor comes at 14:00 for line 4, permit 4711."])


class BeginHandoverInput(HandoverInput):
    """Begins a note."""

    site: SiteName | None = Field(default=None, max_length=SITE_CHARACTERS, examples=["waterworks"])
    """The site; without it, all sites, or the only one that the caller may see."""


class TakeOverInput(_Input):
    """Takes a note over."""

    note: Note = Field(examples=["Gone through together; I have line 4."])


class NoteStory(_Output):
    """A course of action with open alerts."""

    id: str = Field(examples=["9c1f0e6a52d14f0b"])
    sentence: str = Field(examples=["Since 08:12 UTC, 192.0.2.17 went against 192.0.2.40: Discovery, then Collection."])
    severity: Severity = Field(examples=["high"])
    rank: float = Field(examples=[101.2])
    alerts: int = Field(examples=[3])
    """Its open alerts."""


class NoteAlert(_Output):
    """An open alert."""

    id: str = Field(examples=["9c1f0e6a52d14f0b"])
    site: str = Field(examples=["waterworks"])
    severity: Severity = Field(examples=["high"])
    rank: float = Field(examples=[67.5])
    state: str = Field(examples=["new"])
    title: str = Field(examples=["Write by a station that may not write"])
    summary: str = Field(examples=["192.0.2.17 wrote 4 registers of 192.0.2.40 (unit 1) and may not."])
    last_seen: str = Field(examples=["2026-11-23T08:13:55.870000000Z"])
    by: str | None = Field(default=None, examples=["lin.wei"])
    """Who has taken it on."""


class NoteCount(_Output):
    """Open alerts of a severity."""

    severity: Severity = Field(examples=["high"])
    new: int = Field(examples=[4])
    triaging: int = Field(examples=[1])
    escalated: int = Field(examples=[0])


class NoteClock(_Output):
    """A report that the law asks for, and that is not submitted."""

    obligation: int = Field(examples=[12])
    rule: str = Field(examples=["cac-2025-first"])
    kind: str = Field(examples=["first"])
    state: str = Field(examples=["pending"])
    due_at: str | None = Field(default=None, examples=["2026-11-23T12:14:02.000000000Z"])
    seconds_left: int | None = Field(default=None, examples=[7200])
    """At the time of the note; below 0 where it was late."""


class NoteIncident(_Output):
    """An incident that is not closed."""

    number: int = Field(examples=[7])
    site: str = Field(examples=["waterworks"])
    title: str = Field(examples=["Writes to the filling line"])
    state: str | None = Field(default=None, examples=["containing"])
    grade: int | None = Field(default=None, examples=[3])
    drill: bool = Field(default=False, examples=[False])
    lead: str | None = Field(default=None, examples=["lin.wei"])
    discovered_at: str = Field(examples=["2026-11-23T08:14:02.000000000Z"])
    on_hold: bool = Field(default=False, examples=[False])
    clocks: list[NoteClock]
    """The one that ends first first."""


class NoteTask(_Output):
    """A task that is due within 24 hours, or overdue."""

    id: int = Field(examples=[5])
    incident: int = Field(examples=[7])
    title: str = Field(examples=["Ask the shift what is going on"])
    state: str = Field(examples=["open"])
    mandatory: bool = Field(examples=[True])
    owner: str | None = Field(default=None, examples=["lin.wei"])
    due_at: str | None = Field(default=None, examples=["2026-11-23T08:24:00.000000000Z"])
    overdue: bool = Field(examples=[False])


class NoteEnd(_Output):
    """Something that keeps alerts or an incident quiet, and ends within 24 hours; maintenance windows are told by themselves."""

    kind: Literal["suppress", "normal", "maintenance", "hold"] = Field(examples=["suppress"])
    """The kind of an exception, or an incident that is on hold."""
    name: str = Field(examples=["line-4-night"])
    """Of the exception; of an incident its number."""
    site: str = Field(examples=["waterworks"])
    at: str = Field(examples=["2026-11-23T16:00:00Z"])
    reason: str = Field(examples=["New firmware of line 4."])
    by: str = Field(examples=["lin.wei"])


class NoteWindow(_Output):
    """A maintenance window that runs, or begins within the next shift."""

    number: int = Field(examples=[7])
    site: str = Field(examples=["waterworks"])
    state: str = Field(examples=["running"])
    starts_at: str = Field(examples=["2026-11-23T08:00:00.000000000Z"])
    ends_at: str = Field(examples=["2026-11-23T16:00:00.000000000Z"])
    permit: str = Field(examples=["WP-2026-1123"])
    work: str = Field(examples=["New firmware of line 4"])
    performed_by: str = Field(examples=["Zhao of Pumps Ltd"])
    hides: int = Field(examples=[3])
    """Alerts that it hid at the time of the note."""


class NoteAction(_Output):
    """An action in the plant that is proposed, approved or being carried out."""

    id: int = Field(examples=[4])
    incident: int = Field(examples=[7])
    site: str = Field(examples=["waterworks"])
    drill: bool = Field(default=False, examples=[False])
    title: str = Field(examples=["Close port 12 of switch S4"])
    state: str = Field(examples=["operations_approved"])
    window_from: str = Field(examples=["2026-11-23T08:00:00.000000000Z"])
    window_until: str = Field(examples=["2026-11-23T12:00:00.000000000Z"])
    seconds_left: int = Field(examples=[7200])
    """Until its window is over, at the time of the note; below 0 where it was."""
    proposed_by: str = Field(examples=["lin.wei"])
    security_by: str | None = Field(default=None, examples=["chen.jie"])
    operations_by: str | None = Field(default=None, examples=["wu.min"])
    executed_by: str | None = Field(default=None, examples=[None])


class NoteSnooze(_Output):
    """An open alert that somebody laid aside."""

    id: str = Field(examples=["9c1f0e6a52d14f0b"])
    site: str = Field(examples=["waterworks"])
    severity: Severity = Field(examples=["medium"])
    title: str = Field(examples=["Write by a station that may not write"])
    until: str = Field(examples=["2026-11-24T06:00:00.000000000Z"])
    """When it comes back at the latest."""
    conditions: list[str] = Field(examples=[["function"]])
    """What brings it back before."""
    by: str = Field(examples=["lin.wei"])
    note: str = Field(examples=["The contractor answers tomorrow"])


class NoteSensor(_Output):
    """A sensor that drops or is not heard."""

    sensor: str = Field(examples=["local"])
    at: str | None = Field(default=None, examples=["2026-11-30T08:00:00.000000000Z"])
    """When it last told of itself; null: never, or long ago."""
    dropped: int = Field(examples=[0])


class NoteUnseen(_Output):
    """Conversations of which the content is not seen."""

    reason: str = Field(examples=["encrypted"])
    share: float = Field(examples=[0.02])


class NoteUnheard(_Output):
    """A sensor that is not heard."""

    sensor: str = Field(examples=["north"])
    reason: str = Field(examples=["not_heard"])
    """As the situation tells it."""
    since: str | None = Field(default=None, examples=["2026-11-30T08:00:00.000000000Z"])
    """When it last told of itself; null where it never did."""


class NoteBlindness(_Output):
    """What sensors do not see."""

    readable: bool = Field(examples=[True])
    """Whether the record store could be asked; where not, nothing of this is known."""
    unheard: list[NoteUnheard] = []
    """Sensors that are known not to be heard."""
    silent: list[str] | None = Field(examples=[["north"]])
    """These, and those that are behind or lost batches; null where that was not known."""
    gaps: int | None = Field(examples=[0])
    sensors: list[NoteSensor]
    """Those that were not heard lately, or have not used all that they saw."""
    unseen: list[NoteUnseen]


class NoteLoad(_Output):
    """Alarms of 24 hours against what a person can deal with (EEMUA 191)."""

    day: int = Field(examples=[12])
    worst_ten_minutes: int = Field(examples=[4])
    verdict: str = Field(examples=["within"])


class NoteChanges(_Output):
    """What changed since the shift began."""

    raised: int = Field(examples=[4])
    acknowledged: int = Field(examples=[3])
    escalated: int = Field(examples=[1])
    closed: int = Field(examples=[2])
    recurred: int = Field(examples=[0])
    assets: int = Field(examples=[0])
    zones: int = Field(examples=[0])
    decisions: int = Field(examples=[1])
    incidents_declared: int = Field(examples=[1])
    incidents_closed: int = Field(examples=[0])


class Content(_Output):
    """What is open, in one language."""

    standing: str = Field(examples=["attacked"])
    furthest: str | None = Field(default=None, examples=["Impair Process Control"])
    """The last tactic of ATT&CK for ICS that open alerts show."""
    counts: list[NoteCount]
    stories: list[NoteStory]
    """By rank, at most 20."""
    alerts: list[NoteAlert]
    """By rank, at most 50."""
    incidents: list[NoteIncident]
    """The worst first, at most 50."""
    tasks: list[NoteTask]
    """Those due first before others, at most 100; lessons of closed incidents too."""
    ends: list[NoteEnd]
    """Those that end first before others, at most 100."""
    windows: list[NoteWindow] = []
    """Those that end first before others, at most 100."""
    actions: list[NoteAction] = []
    """Those whose window is over first before others, at most 100."""
    snoozed: list[NoteSnooze] = []
    """Those that come back first before others, at most 100; `alerts` has those of them that rank highest, too."""
    blindness: NoteBlindness
    load: NoteLoad
    changes: NoteChanges
    limited: bool = Field(default=False, examples=[False])
    """Whether there was more than is told."""


class HandoverItem(_Output):
    """A note in a list."""

    id: int = Field(examples=[31])
    version: int = Field(examples=[2])
    """Rises with each change; the ETag that a change must bring."""
    site: str | None = Field(default=None, examples=["waterworks"])
    """Null where it is about all sites."""
    state: HandoverState = Field(examples=["handed_over"])
    since: str = Field(examples=["2026-11-23T00:00:00.000000000Z"])
    """When the shift that leaves began."""
    at: str = Field(examples=["2026-11-23T08:00:00.000000000Z"])
    """Of when it tells what is open."""
    changed_by: str = Field(examples=["lin.wei"])
    """Who wrote in it last."""
    handed_by: str | None = Field(default=None, examples=["lin.wei"])
    handed_at: str | None = Field(default=None, examples=["2026-11-23T08:00:00.000000000Z"])
    taken_by: str | None = Field(default=None, examples=["wu.jun"])
    taken_at: str | None = Field(default=None, examples=["2026-11-23T08:06:00.000000000Z"])
    taken_note: str | None = Field(default=None, examples=["Gone through together; I have line 4."])


class HandoverOutput(HandoverItem):
    """A note."""

    remarks: str = Field(default="", examples=["The vendor comes at 14:00 for line 4, permit 4711."])
    content: Content


class HandoverPage(_Output):
    """A page of notes."""

    items: list[HandoverItem]
    next: str | None = None
    """`cursor` of the next page; null on the last."""
