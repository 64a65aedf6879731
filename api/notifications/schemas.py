"""What rules of notification, channels and messages look like in JSON."""

from __future__ import annotations

from datetime import time
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from api.alerts.models import Severity
from api.alerts.schemas import AlertFilter
from api.exceptions.schemas import Rule, SiteName
from api.filters import AnyOf, OneOf, Time
from api.notification_settings import ChannelName, Kind
from api.notifications.models import NAME_CHARACTERS, STATES, MessageState
from api.notifications.quiet import Day, Span
from api.pages import CURSOR_CHARACTERS, PAGE_ROWS, PAGE_ROWS_MOST
from api.unfit import Unfit
from api.zones.plan import ZoneName

Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=NAME_CHARACTERS, pattern=r"^[^\x00-\x1f]*$")
]

Clock = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]

UNFIT = ("state", "disposition", "assignee", "site", "exception", "overlay", "window", "since", "until")
"""Filters of the list that say nothing of an alert that comes up."""


class AlertMatch(BaseModel):
    """Which alerts: all that it names must hold."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    filter: AlertFilter = Field(default_factory=AlertFilter, examples=[{"severity": "high,critical"}])
    """As a list of alerts is asked for, without what is about their handling, the site or times."""
    rules: list[Rule] = Field(default=[], max_length=50, examples=[["modbus_*"]])
    """Names of rules, patterns allowed; none: any rule."""
    zones: list[ZoneName] = Field(default=[], max_length=50, examples=[[]])
    """Zones in which the client or the server lies; none: anywhere."""

    @model_validator(mode="after")
    def _is_about_what_comes_up(self) -> Self:
        for name in UNFIT:
            if getattr(self.filter, name) is not None:
                raise Unfit("rule_filter", name=name)
        return self


class QuietSpan(BaseModel):
    """A span of quiet hours."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    days: list[Day] = Field(min_length=1, max_length=7, examples=[["mon", "tue", "wed", "thu", "fri"]])
    """Days on which it begins."""
    begins: Clock = Field(examples=["22:00"])
    """When it begins, in the site's time zone."""
    ends: Clock = Field(examples=["06:00"])
    """When it ends, on the next day where that is no later than it begins."""


class Quiet(BaseModel):
    """Quiet hours: what comes up then is told when they end, unless it is urgent, or somebody has taken it on by then."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    spans: list[QuietSpan] = Field(min_length=1, max_length=14)
    through: Severity = Field(default="critical", examples=["critical"])
    """How urgent it must be to be told all the same. Alerts are as urgent as their severity; incidents are high when they are
    declared, and by their grade critical (I, II), high (III) or medium (IV); clocks of reports are medium at 50 %, high at 80 %,
    critical at 100 %."""

    def as_spans(self) -> list[Span]:
        """The spans as they are reckoned with."""
        return [Span(frozenset(each.days), time.fromisoformat(each.begins), time.fromisoformat(each.ends)) for each in self.spans]


class Repeat(BaseModel):
    """Telling it again until somebody has taken it on."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    minutes: int = Field(ge=5, le=1440, examples=[15])
    """How long after the last time."""
    times: Annotated[int, Field(ge=1, le=20)] | None = Field(default=None, examples=[None, 4])
    """How often at most; null: until somebody has."""

    def goes_on(self, repeats: int) -> bool:
        """Whether it is told again after some repeats, where nobody has taken it on."""
        return self.times is None or repeats < self.times


class Escalate(BaseModel):
    """Telling it by further channels where nobody has taken it on."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    minutes: int = Field(ge=1, le=1440, examples=[30])
    """After how long."""
    channels: list[ChannelName] = Field(min_length=1, max_length=10, examples=[["manager"]])
    """Names of channels; with the rule's own they tell each repeat that comes later."""


class _Said(BaseModel):
    """What rules say, besides which alerts they tell of."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    name: Name = Field(examples=["Night shift"])
    enabled: bool = Field(default=True, examples=[True])
    blind: bool = Field(default=False, examples=[False])
    """Alerts that say that a sensor or detection does not see: records late, lost or missing, rules that are not in use."""
    incidents: list[Literal["declared", "graded"]] = Field(default=[], max_length=2, examples=[["declared", "graded"]])
    """Incidents that are declared, and grades that are decided."""
    shares: list[Literal[50, 80, 100]] = Field(default=[], max_length=3, examples=[[80, 100]])
    """Shares of the time of a report that the law asks for, in percent."""
    channels: list[ChannelName] = Field(min_length=1, max_length=10, examples=[["shift"]])
    """Names of channels."""
    quiet: Quiet | None = None
    repeat: Repeat | None = None
    escalate: Escalate | None = None


class RuleContent(_Said):
    """What a rule says: of what is told, by which channels, and when."""

    alerts: AlertMatch | None = None
    """Alerts that come up, that were closed and go on, or that an open incident takes by itself; not what is snoozed, hidden, or
    told by a stronger one."""

    @model_validator(mode="after")
    def _is_about_something(self) -> Self:
        if self.alerts is None and not (self.blind or self.incidents or self.shares):
            raise Unfit("rule_nothing")
        return self

    def stored(self) -> dict[str, Any]:
        """As it is kept: what reads it again is this class."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"name", "enabled", "site"})

    @property
    def named(self) -> list[str]:
        """All channels that it names."""
        return [*self.channels, *([] if self.escalate is None else self.escalate.channels)]


class RuleInput(RuleContent):
    """A new rule."""

    site: SiteName | None = Field(default=None, examples=["waterworks"])
    """The site; without it the whole organisation, for those who have all of it."""


class AlertMatchOutput(BaseModel):
    """Which alerts a rule tells of."""

    filter: dict[str, str] = Field(examples=[{"severity": "high,critical"}])
    rules: list[str] = Field(examples=[["modbus_*"]])
    zones: list[str] = Field(examples=[[]])


class RuleOutput(_Said):
    """A rule."""

    alerts: AlertMatchOutput | None

    number: int = Field(examples=[3])
    version: int = Field(examples=[1])
    """Rises with each change; the ETag that a change must bring."""
    site: str | None = Field(examples=["waterworks"])
    """The site; null: all sites of the organisation."""
    changed_by: str = Field(examples=["lin.wei"])
    changed_at: str = Field(examples=["2026-11-23T08:14:02.000000000Z"])


class ChannelOutput(BaseModel):
    """A channel, without anything secret."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str = Field(examples=["shift"])
    kind: Kind = Field(examples=["mail"])
    place: str = Field(examples=["mail.example:587"])
    """Where it goes, without any key."""
    language: Literal["en", "zh-CN"] = Field(examples=["zh-CN"])
    addresses: bool = Field(examples=[False])
    """Whether messages name network addresses and titles of incidents."""
    most_per_hour: int = Field(examples=[30])


class ItemOutput(BaseModel):
    """A notice in a message."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    kind: Literal["alert", "incident", "obligation"] = Field(examples=["alert"])
    subject: str = Field(examples=["9c1f0e6a52d14f0b"])
    """Id of the alert or of the report, number of the incident."""
    occasion: str = Field(examples=["raised"])
    why: Literal["first", "repeat", "escalation"] = Field(examples=["first"])
    urgency: Severity = Field(examples=["high"])
    line: str = Field(examples=["[high] Modbus write by unauthorised client"])
    """What it says."""


class MessageOutput(BaseModel):
    """A message that is to leave, has left, or could not."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    number: int = Field(examples=[41])
    key: str = Field(examples=["5f0c1d2e3a4b5c6d7e8f90a1b2c3d4e5"])
    """The same at each try: a receiver who has it already drops what comes twice."""
    channel: str = Field(examples=["shift"])
    site: str = Field(examples=["waterworks"])
    test: bool = Field(examples=[False])
    """Whether it only tries the channel."""
    state: MessageState = Field(examples=["sent"])
    made_at: str = Field(examples=["2026-11-23T08:14:02.000000000Z"])
    due_at: str | None = Field(examples=[None])
    """When a pending one is tried next."""
    attempts: int = Field(examples=[1])
    ended_at: str | None = Field(examples=["2026-11-23T08:14:03.000000000Z"])
    """When it was sent, or given up."""
    reason: str | None = Field(examples=[None])
    """Why the last try failed, or what was odd about it."""
    count: int = Field(examples=[1])
    """Notices that it tells."""
    held_back: int = Field(examples=[0])
    """Those of them that had to wait for the channel."""
    title: str = Field(examples=["icsight, waterworks: Modbus write by unauthorised client"])
    items: list[ItemOutput]
    """What it tells, the most urgent first; where people read it, the first 20."""


class MessagePage(BaseModel):
    """Messages, newest first."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    items: list[MessageOutput]
    next: str | None = None
    """`cursor` of the next page; null on the last."""


class MessageQuery(BaseModel):
    """Which messages. `FIELD=VALUE[,VALUE…]`: any of these; `FIELD=!VALUE[,VALUE…]`: none of these."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    state: Annotated[AnyOf | None, OneOf(STATES, "failed")] = None
    """State."""
    channel: Annotated[AnyOf | None, OneOf((), "shift")] = None
    """Name of the channel."""
    site: Annotated[AnyOf | None, OneOf((), "waterworks")] = None
    """Name of the site."""
    since: Time = None
    """Messages made at this time or later."""
    cursor: str | None = Field(default=None, max_length=CURSOR_CHARACTERS)
    """`next` of the page before; everything else must be asked as it was then."""
    limit: int = Field(default=PAGE_ROWS, ge=1, le=PAGE_ROWS_MOST)
    """Most messages on the page."""
    language: Literal["en", "zh-CN"] | None = None
    """Language of problems; without it, that of `Accept-Language`."""

    def question(self) -> str:
        """What is asked, without where the page starts and how long it is."""
        return f"notifications {self.model_dump_json(exclude={'cursor', 'limit', 'language'})}"
