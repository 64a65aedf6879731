"""The situation in JSON."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.alerts.models import Severity, State
from api.assets.models import Criticality
from api.database.scope import SITE_CHARACTERS
from api.filters import Time
from api.situation.load import Verdict
from api.zones.plan import Level

Standing = Literal["quiet", "noticed", "attacked"]
"""quiet: no open alert. noticed: open alerts up to medium. attacked: one that is high or critical."""

SHIFT_HOURS: int = 8

SinceOf = Literal["asked", "handover", "hours"]
"""asked: the caller said so. handover: when the last note of the site was handed over. hours: eight hours before."""


class SituationQuery(BaseModel):
    """Of what, and of when."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    site: Annotated[str, StringConstraints(max_length=SITE_CHARACTERS, pattern=r"^[^\x00]*$")] | None = Field(
        default=None, examples=["waterworks"]
    )
    """The site; without it, all sites."""
    as_of: Time = None
    """A past time; without it, now."""
    since: Time = None
    """When the shift began; what changed since then is told. Without it, when the last note of the site was handed over within a
    week (of several sites: a note about all of them); where there is none, eight hours before."""
    language: Literal["en", "zh-CN"] | None = None
    """Language of the texts; without it, that of `Accept-Language`."""


class Worst(BaseModel):
    """Open alerts about something."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    alerts: int = Field(examples=[3])
    severity: Severity | None = Field(examples=["high"])
    """The highest of them; null where there are none."""


class OpenAlert(BaseModel):
    """An open alert."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str = Field(examples=["9c1f0e6a52d14f0b"])
    site: str = Field(examples=["waterworks"])
    severity: Severity = Field(examples=["high"])
    rank: float = Field(examples=[67.5])
    state: State = Field(examples=["new"])
    title: str = Field(examples=["Write by a station that may not write"])
    summary: str = Field(examples=["192.0.2.17 wrote 4 registers of 192.0.2.40 (unit 1) and may not."])
    first_seen: str = Field(examples=["2026-11-23T08:12:31.104000000Z"])
    last_seen: str = Field(examples=["2026-11-23T08:13:55.870000000Z"])
    client: str | None = Field(examples=["192.0.2.17"])
    server: str | None = Field(examples=["192.0.2.40"])
    by: str | None = Field(examples=["lin.wei"])
    """Who has taken it on."""
    story: str | None = Field(examples=["9c1f0e6a52d14f0b"])


class OpenStory(BaseModel):
    """A course of action with open alerts."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str = Field(examples=["9c1f0e6a52d14f0b"])
    site: str = Field(examples=["waterworks"])
    sentence: str = Field(examples=["Since 08:12 UTC, 192.0.2.17 went against 192.0.2.40: Discovery, then Collection."])
    rank: float = Field(examples=[101.2])
    """That of its highest ranked open alert."""
    severity: Severity = Field(examples=["high"])
    alerts: int = Field(examples=[3])
    """Its open alerts."""
    stages: list[str] = Field(examples=[["Discovery", "Collection"]])
    """Names of the tactics that it has reached."""
    actors: list[str] = Field(examples=[["192.0.2.17"]])
    targets: list[str] = Field(examples=[["192.0.2.40"]])
    last_seen: str = Field(examples=["2026-11-23T08:13:55.870000000Z"])


class SeverityCount(BaseModel):
    """Open alerts of a severity."""

    severity: Severity
    new: int = Field(examples=[4])
    triaging: int = Field(examples=[1])
    escalated: int = Field(examples=[0])


class TouchedAsset(Worst):
    """An address that open alerts are about."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    address: str = Field(examples=["192.0.2.40"])
    asset: str | None = Field(examples=["5f0c1d2e3a4b5c6d7e8f90a1b2c3d4e5"])
    """The registered asset that has it; null where none does."""
    name: str = Field(examples=["PLC-3"])
    """That of the asset, else the address."""
    criticality: Criticality | None = Field(examples=["high"])
    zone: str | None = Field(examples=["Cell 1"])
    level: Level | None = Field(examples=["1"])
    acts: int = Field(examples=[0])
    """Alerts in which it is the client."""
    suffers: int = Field(examples=[3])
    """Alerts in which it is the server."""


class ZoneState(Worst):
    """A zone."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    site: str = Field(examples=["waterworks"])
    name: str | None = Field(examples=["Cell 1"])
    """Null: addresses that lie in no zone."""
    level: Level | None = Field(examples=["1"])
    assets: int = Field(examples=[24])
    """Registered assets in it."""
    standing: Standing = Field(examples=["attacked"])


class ConduitState(Worst):
    """What is said between two zones, as far as open alerts tell."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    site: str = Field(examples=["waterworks"])
    zones: list[str] = Field(examples=[["Cell 1", "Supervision"]])
    declared: bool = Field(examples=[True])
    """Whether the plan has it."""
    protocols: list[str] = Field(examples=[["modbus"]])
    standing: Standing = Field(examples=["noticed"])


class LevelState(Worst):
    """A level of the Purdue model."""

    level: Level | None = Field(examples=["1"])
    standing: Standing = Field(examples=["attacked"])


class AttackedPoint(Worst):
    """A process point that open alerts are about."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    site: str = Field(examples=["waterworks"])
    server: str | None = Field(examples=["192.0.2.40"])
    point: str = Field(examples=["holding:100@1"])
    """As the alert names it."""


class AlarmLoad(BaseModel):
    """How many alarms people were told, against what a person can deal with (EEMUA 191)."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    day: int = Field(examples=[12])
    """Alerts of the last 24 hours, those that stand for themselves."""
    day_limit: int = Field(examples=[144])
    worst_ten_minutes: int = Field(examples=[4])
    worst_at: str | None = Field(examples=["2026-11-23T08:10:00.000000000Z"])
    """When the ten minutes with the most began."""
    ten_minutes_limit: int = Field(examples=[10])
    floods: int = Field(examples=[0])
    """Spans of ten minutes of these 24 hours with more than the limit."""
    hours: list[int] = Field(examples=[[0] * 23 + [4]])
    """Alerts in each of the 24 hours, the earliest first."""
    verdict: Verdict = Field(examples=["within"])
    limited: bool = Field(examples=[False])
    """Whether there were more than are counted (50,000)."""


class SensorState(BaseModel):
    """A sensor."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    sensor: str = Field(examples=["local"])
    at: str | None = Field(examples=["2026-11-30T08:00:00.000000000Z"])
    """When it last told of itself; null: never, or more than an hour ago."""
    dropped: int = Field(examples=[0])
    """What it has not used since its start: packets, segments, rows."""
    causes: list[str] = Field(examples=[["unknown_link_type"]])
    """Why, what was most first."""


class Unseen(BaseModel):
    """Conversations of the last 24 hours of which the content is not seen."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    reason: Literal["encrypted", "one_sided", "midstream", "unknown_protocol"] = Field(examples=["encrypted"])
    """encrypted: TLS, SSH, or OPC UA that is. one_sided: one direction only. midstream: begun before it was seen.
    unknown_protocol: not told by content nor port."""
    records: int = Field(examples=[120])
    """Rows of table `flow` (OPC UA: of calls)."""
    share: float = Field(ge=0, le=1, examples=[0.02])
    """Of all rows of that table."""


UnheardReason = Literal["not_heard", "never_heard", "not_stored", "nothing_stored"]
"""How it is that a sensor is not heard; the catalogue says it in words, under `situation.unheard.REASON`."""


class Unheard(BaseModel):
    """A sensor that has not told of itself for more than three minutes."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    sensor: str = Field(examples=["north"])
    reason: UnheardReason = Field(examples=["not_heard"])
    """not_heard: it was heard, and has told nothing since. never_heard: it is enrolled, and never was. not_stored: its uplink is
    heard, and what it tells of itself was last stored then. nothing_stored: it is enrolled and its uplink is heard, and nothing
    that it tells of itself was ever stored."""
    since: str | None = Field(examples=["2026-11-30T08:00:00.000000000Z"])
    """When it last told of itself; null where it never did."""


class Blindness(BaseModel):
    """What sensors do not see."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    sensors: list[SensorState]
    unheard: list[Unheard]
    """Sensors that are known not to be heard: those that were within seven days before, and those that are enrolled and not
    revoked however long ago that was. Of a past time what is stored tells."""
    silent: list[str] | None = Field(examples=[["north"]])
    """Sensors that are not heard, that ship over Kafka and are behind, and that lost batches; null where that is not known: of a
    past time, and until what sensors said before this process began has been read."""
    gaps: int | None = Field(examples=[0])
    """Gaps in what sensors sent, since this process began; null of a past time: it is not known."""
    unseen: list[Unseen]
    readable: bool = Field(examples=[True])
    """Whether the record store could be asked; where not, nothing of this is known."""


class BaselineState(BaseModel):
    """How mature it is what is normal, of one sensor."""

    site: str = Field(examples=["waterworks"])
    sensor: str = Field(examples=["local"])
    phase: Literal["provisional", "proposed", "enforced"] = Field(examples=["proposed"])
    learning: bool = Field(examples=[False])
    immaturity: float = Field(ge=0, le=1, examples=[0.02])
    heard_hours: int = Field(examples=[26])
    promise_holds: bool | None = Field(examples=[True])


class Stage(BaseModel):
    """A tactic of ATT&CK for ICS that open alerts show."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    tactic: str = Field(examples=["discovery"])
    name: str = Field(examples=["Discovery"])
    alerts: int = Field(examples=[3])


class Clock(BaseModel):
    """A report that the law asks for, and that is not submitted."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    obligation: int = Field(examples=[12])
    rule: str = Field(examples=["cac-2025-first"])
    """Key of the rule that it follows from."""
    kind: str = Field(examples=["first"])
    state: str | None = Field(examples=["pending"])
    """Null for a past time at which it was not approved: whether it was drafted then is not kept."""
    due_at: str | None = Field(examples=["2026-11-23T12:14:02.000000000Z"])
    """Null: its clock has not started."""
    seconds_left: int | None = Field(examples=[7200])
    """Below 0 where it is late."""


class OpenIncident(BaseModel):
    """An incident that is not closed."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    number: int = Field(examples=[7])
    site: str = Field(examples=["waterworks"])
    title: str = Field(examples=["Writes to the filling line"])
    state: str | None = Field(examples=["containing"])
    """Null for a past time of which its timeline says nothing."""
    grade: int | None = Field(examples=[3])
    """1 is the worst of all; null: nobody has graded it, or had by a past time."""
    drill: bool = Field(examples=[False])
    lead: str | None = Field(examples=["lin.wei"])
    discovered_at: str = Field(examples=["2026-11-23T08:14:02.000000000Z"])
    """When legal clocks started."""
    seconds: int = Field(examples=[3600])
    """How long they have run."""
    on_hold: bool = Field(examples=[False])
    clocks: list[Clock]
    """Those that run, the one that ends first first. Of a past time without those that have lapsed since."""


class Changes(BaseModel):
    """What changed since the shift began."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    since: str = Field(examples=["2026-11-30T00:00:00.000000000Z"])
    since_of: SinceOf = Field(examples=["handover"])
    """asked: the caller said when. handover: a note was handed over then. hours: nobody says; eight hours before."""
    handover: int | None = Field(default=None, examples=[31])
    """The note that was handed over then."""
    raised: int = Field(examples=[4])
    """Alerts."""
    acknowledged: int = Field(examples=[3])
    escalated: int = Field(examples=[1])
    closed: int = Field(examples=[2])
    recurred: int = Field(examples=[0])
    assets: int = Field(examples=[0])
    """Registered assets that were made or changed."""
    zones: int = Field(examples=[0])
    """Plans of zones."""
    decisions: int = Field(examples=[1])
    """About what is normal, and about exceptions."""
    incidents_declared: int = Field(examples=[1])
    incidents_closed: int = Field(examples=[0])


class Situation(BaseModel):
    """How the plant is."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    as_of: str = Field(examples=["2026-11-30T08:00:00.000000000Z"])
    past: bool = Field(examples=[False])
    """Whether a past time was asked for. Severity, rank and texts of alerts are those of today then."""
    change: int = Field(examples=[1041])
    """The latest change of any alert, as live events are numbered."""
    site: str | None = Field(examples=[None])
    standing: Standing = Field(examples=["attacked"])
    counts: list[SeverityCount]
    """Open alerts, the most severe first."""
    stories: list[OpenStory]
    """By rank, at most 20."""
    alerts: list[OpenAlert]
    """By rank, at most 50."""
    assets: list[TouchedAsset]
    """By rank of their alerts, at most 100."""
    zones: list[ZoneState]
    conduits: list[ConduitState]
    levels: list[LevelState]
    points: list[AttackedPoint]
    """At most 50."""
    load: AlarmLoad
    blindness: Blindness
    baseline: list[BaselineState] | None
    """Null for a past time, and where what was learned cannot be read."""
    stages: list[Stage]
    """In the order of the matrix."""
    furthest: str | None = Field(examples=["Impair Process Control"])
    """Name of the last of them."""
    incidents: list[OpenIncident]
    """Those that are not closed, the worst first, at most 50."""
    changes: Changes
    limited: bool = Field(examples=[False])
    """Whether there are more open alerts than the rest is told from: the 300 of each site and state that rank highest."""
