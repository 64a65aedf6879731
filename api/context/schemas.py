"""What is known around an alert, in JSON."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from api.alerts.models import Disposition, Severity, State
from api.assets.models import Criticality
from api.assets.schemas import LevelOf
from api.context.effects import EffectKind
from api.incidents.lifecycle import Phase
from api.points.schemas import Point
from api.topology.schemas import Agreement
from api.zones.plan import Level

Part = Literal["devices", "incidents", "operations", "points"]
"""Parts of a context that can be missing: what records tell, and what needs more than seeing the alert."""


class SaidOf(BaseModel):
    """Something that was said of a device."""

    attribute: str = Field(examples=["vendor"])
    value: str = Field(examples=["Schneider Electric"])
    source: str = Field(examples=["modbus device identification"])
    last: str = Field(examples=["2026-11-23T07:12:00.000000000Z"])


class ContextAsset(BaseModel):
    """What is registered of an address."""

    id: str = Field(examples=["5f0c1d2e3a4b5c6d7e8f90a1b2c3d4e5"])
    name: str = Field(examples=["PLC-3"])
    role: str = Field(examples=["plc"])
    criticality: Criticality = Field(examples=["high"])
    owner: str = Field(examples=["Shift B"])
    location: str = Field(examples=["Pump house"])
    vendor: str = Field(examples=["Schneider Electric"])
    product: str = Field(examples=["M340"])
    note: str = Field(examples=[""])


class ContextEnd(BaseModel):
    """The client or the server of an alert."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    side: Literal["client", "server"] = Field(examples=["server"])
    address: str = Field(examples=["192.0.2.40"])
    asset: ContextAsset | None = None
    """Null where the address is not registered."""
    factor: float | None = Field(default=None, examples=[2.0])
    """How much more it matters than others, as the site's file says."""
    zone: str | None = Field(default=None, examples=["Cell 1"])
    level: Level | None = Field(default=None, examples=["1"])
    """Purdue level."""
    level_of: LevelOf | None = Field(default=None, examples=["zone"])
    """Where the level is known from."""
    first_seen: str | None = Field(default=None, examples=["2026-11-23T08:00:00.000000000Z"])
    """When it first had part in a conversation of these days; null where none is recorded."""
    last_seen: str | None = Field(default=None, examples=["2026-11-23T08:13:00.000000000Z"])
    said: list[SaidOf] = []
    """What it said of itself in these days, or others of it, the latest first, at most 20."""


class ContextPoint(Point):
    """A process point that the alert's client touched on its server while the alert went on, and how it was in these days."""

    critical: float | None = Field(default=None, examples=[3.0])
    """How much more it matters than others, as the site's file says."""
    lists: list[str] = Field(default=[], examples=[["critical_points"]])
    """Lists of the site's file that name it."""


class OtherClient(BaseModel):
    """Somebody who did the same to the same server."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    client: str = Field(examples=["192.0.2.10"])
    name: str | None = Field(default=None, examples=["HMI-1"])
    """As it is registered."""
    zone: str | None = Field(default=None, examples=["Supervision"])
    own: bool = Field(examples=[False])
    """Whether it is the client of the alert itself."""
    operation: str = Field(examples=["write_multiple_registers"])
    """The function, the service, or where the records tell neither, the protocol."""
    records: int = Field(examples=[288])
    first: str = Field(examples=["2026-10-24T08:00:00.000000000Z"])
    last: str = Field(examples=["2026-11-23T07:59:00.000000000Z"])


class EarlierAlert(BaseModel):
    """An alert of before with the same client or server."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str = Field(examples=["1f6a3c2b7d8e4a90"])
    title: str = Field(examples=["A second client talks to a unit"])
    rule: str = Field(examples=["second_client_for_unit"])
    severity: Severity = Field(examples=["medium"])
    state: State = Field(examples=["closed"])
    disposition: Disposition | None = Field(default=None, examples=["authorised_work"])
    first_seen: str = Field(examples=["2026-11-20T08:12:31.104000000Z"])
    same: list[Literal["client", "server"]] = Field(examples=[["server"]])
    """What it has in common with the alert."""
    incident: int | None = Field(default=None, examples=[None])


class ContextIncident(BaseModel):
    """An incident that the alert, or an earlier one, belongs to."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    number: int = Field(examples=[3])
    title: str = Field(examples=["Unknown laptop writes to PLC-3"])
    state: Phase = Field(examples=["containing"])
    grade: int | None = Field(default=None, examples=[3])
    drill: bool = Field(examples=[False])
    alerts: list[str] = Field(examples=[["9c1f0e6a52d14f0b"]])
    """Which of these alerts belong to it."""


class ContextEffect(BaseModel):
    """What the alert may do to the process."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    kind: EffectKind = Field(examples=["manipulation_of_control"])
    """The effect, as ATT&CK for ICS names those of its tactic Impact."""
    text: str = Field(examples=["Manipulation of control: the process may do what nobody on shift told it to."])
    seen: bool = Field(examples=[False])
    """Whether the alert's rule names the effect itself; else it may follow."""
    techniques: list[str] = Field(examples=[["T0836"]])
    """Techniques of the alert that it follows from."""
    written: list[str] = Field(default=[], examples=[["holding:100@1"]])
    """Process points that its client wrote while it went on; none for who may not see points."""
    role: str | None = Field(default=None, examples=[None])
    """The role of the server, as it is registered, where the effect follows from that."""


class Missing(BaseModel):
    """A part that cannot be told now."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    part: Part = Field(examples=["points"])
    code: str = Field(examples=["records_missing"])
    """The problem: `records_missing`, `query_too_long`, or `forbidden` for who may not see that."""
    reason: str = Field(examples=["Stored records cannot be read."])


class AlertContext(BaseModel):
    """What is known around an alert."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    since: str = Field(examples=["2026-10-24T08:13:55.870001000Z"])
    """The time that records are looked at: 30 days up to when the alert was last seen."""
    until: str = Field(examples=["2026-11-23T08:13:55.870001000Z"])
    ends: list[ContextEnd]
    """The client and the server, as far as the alert names them."""
    effects: list[ContextEffect]
    """What the alert may do to the process, the gravest first: by its techniques, the points that were written, and the role of
    its server. None for one that only says how a server is set up."""
    way: Agreement = Field(examples=["undeclared"])
    """How they fit the plan of zones: inside one, declared by a conduit, by one that is not for this protocol, undeclared, or
    unknown where an end lies in no zone."""
    points: list[ContextPoint]
    """At most 20, those touched most often."""
    operations: list[OtherClient]
    """Who did the same to this server in these days, most often first, at most 20."""
    more_operations: int = Field(examples=[0])
    """How many more there are."""
    earlier: list[EarlierAlert]
    """The latest first, at most 20."""
    incidents: list[ContextIncident]
    missing: list[Missing]
    """Parts that are empty above because they cannot be told now."""
