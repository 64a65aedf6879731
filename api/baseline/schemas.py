"""What is normal, and decisions about it, in JSON."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from api.database.scope import SITE_CHARACTERS
from api.filters import Time
from api.unfit import Unfit
from detection.baseline.decisions import RELEARN_HOURS, TEXT, Choice
from detection.baseline.kinds import KINDS


def _address(text: str) -> str:
    return str(ipaddress.ip_address(text)) if text else ""


Address = Annotated[str, StringConstraints(max_length=64), AfterValidator(_address)]

FACT_KINDS = ["", *KINDS]


def _kind(text: str) -> str:
    if text not in FACT_KINDS:
        raise Unfit("facts_kind", given=repr(text[:40]), kinds=", ".join(KINDS))
    return text


FactKind = Annotated[str, AfterValidator(_kind), Field(json_schema_extra={"enum": [*FACT_KINDS]})]

Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=256, pattern=r"^[^\x00]*$")]

Point = Annotated[str, StringConstraints(max_length=TEXT, pattern=r"^[^\x00]*$")]


class FactLine(BaseModel):
    """Facts of one client, protocol and kind in a line."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    kind: str = Field(examples=["writer"])
    client: str | None = Field(examples=["192.0.2.17"])
    protocol: str | None = Field(examples=["modbus"])
    server: str | None = Field(examples=["192.0.2.40"])
    """The first of the servers."""
    servers: int = Field(examples=[1])
    thing: str | None = Field(examples=["holding:100"])
    """The first of the points, operations or units."""
    things: int = Field(examples=[12])
    facts: int = Field(examples=[12])


class FactLines(BaseModel):
    """Facts as a person reads them: at most ten lines, the weightiest first."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    lines: list[FactLine]
    more: int = Field(examples=[0])
    """Lines of lesser weight that are left out."""


class KindCount(BaseModel):
    """How many facts of a kind are normal."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    kind: str = Field(examples=["writer"])
    facts: int = Field(examples=[12])
    new: float = Field(ge=0, le=1, examples=[0.02])
    """Share of them first seen in the last third of learning: how much of what comes will be new anyway."""


class Relearning(BaseModel):
    """What is learned anew after a planned change."""

    client: str = Field(examples=[""])
    server: str = Field(examples=["192.0.2.40"])
    since: str = Field(examples=["2026-11-23T06:00:00.000000000Z"])
    until: str = Field(examples=["2026-11-24T07:00:00.000000000Z"])


class PromiseOutput(BaseModel):
    """The rate of false alarms that models promise beside the rate of all their alarms since they learned."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    promised: float = Field(examples=[1.0])
    """Minutes with a false alarm a day, at most."""
    measured: float | None = Field(examples=[0.7])
    """Minutes with an alarm a day, those in which it was right included; null where nothing was heard yet."""
    history_hours: float = Field(examples=[13.0])
    """Hours of the site's history that the promise rests on."""
    heard_hours: float = Field(examples=[102.5])
    """Hours heard since then."""
    minutes: int = Field(examples=[3])
    """Minutes of these with an alarm."""
    hours: int = Field(examples=[104])
    """Hours on the clock with records since then."""
    alarmed_hours: int = Field(examples=[2])
    """Hours of these with an alarm."""
    holds: bool = Field(examples=[True])
    """Whether as many hours with an alarm can be if the promise is kept."""
    broken_since: str | None = Field(examples=[None])
    """When it was told that the promise does not hold, where it still does not."""


class BaselineOutput(BaseModel):
    """What is normal in the records of one sensor."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    site: str = Field(examples=["waterworks"])
    """The site that it is of; empty where the site has no name."""
    sensor: str = Field(examples=["local"])
    epoch: str = Field(examples=["5f0c1d2e3a4b5c6d7e8f90a1b2c3d4e5"])
    learning: bool = Field(examples=[False])
    """Whether it is being learned still."""
    phase: Literal["provisional", "proposed", "enforced"] = Field(examples=["proposed"])
    """provisional: being learned. proposed: learned, to be looked at. enforced: a person approved it."""
    immaturity: float = Field(ge=0, le=1, examples=[0.02])
    """How much of what came in the last third of learning was new, the most of any kind that tells. Below 0.05 it may end."""
    heard_hours: int = Field(examples=[26])
    """Hours with records that were learned from."""
    learned_from: str = Field(examples=["2026-11-22T06:00:00.000000000Z"])
    learned_until: str = Field(examples=["2026-11-23T08:00:00.000000000Z"])
    """End of what was learned; an approval names it."""
    approved_by: str = Field(examples=["li.na"])
    approved_at: str | None = Field(examples=["2026-11-23T09:00:00.000000000Z"])
    assets: dict[str, str] = Field(examples=[{"192.0.2.40": "proposed"}])
    """Servers of which the phase is another."""
    parties: dict[str, str] = Field(examples=[{"192.0.2.18": "192.0.2.17"}])
    """Addresses that are one party with another."""
    relearning: list[Relearning]
    counts: list[KindCount]
    promise: PromiseOutput | None
    """What models promise, and what is measured; null while they learn."""
    normal: FactLines
    rare: FactLines
    """Rare while learning, and not normal until somebody approves or accepts it."""
    gone: FactLines
    """Drift: normal, and not seen for long."""
    come: FactLines
    """Drift: not normal, and regular."""


class DecisionOutput(BaseModel):
    """A decision about what is normal."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str = Field(examples=["9c1f0e6a52d14f0b"])
    site: str = Field(examples=["waterworks"])
    """The site that it is about; empty where the site has no name."""
    choice: Choice = Field(examples=["approve"])
    by: str = Field(examples=["li.na"])
    at: str = Field(examples=["2026-11-23T09:00:00.000000000Z"])
    reason: str = Field(examples=["As commissioned"])
    about: dict[str, str] = Field(examples=[{"server": "192.0.2.40"}])
    """What it is about, as it was given."""
    waiting: bool = Field(examples=[False])
    """Whether detection has not taken it up."""


class DecisionInput(BaseModel):
    """A decision about what is normal."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    choice: Choice = Field(examples=["accept"])
    """propose: learning ends with this hour. approve: what is proposed is right. relearn: learn a part anew after a planned
    change. merge: addresses are one party. accept: what was told as new, or set apart as rare, is normal."""
    reason: Annotated[Text, StringConstraints(min_length=1)] = Field(examples=["As commissioned"])
    sensor: Annotated[str, StringConstraints(max_length=256)] = Field(default="", examples=["local"])
    """For propose and approve: the sensor."""
    epoch: Annotated[str, StringConstraints(max_length=64)] = Field(default="", examples=["5f0c1d2e3a4b5c6d7e8f90a1b2c3d4e5"])
    """Likewise: its epoch."""
    learned_until: Time = Field(default=None, examples=["2026-11-23T08:00:00.000000000Z"])
    """For approve: end of what the person looked at; approval holds for no other."""
    with_rare: bool = Field(default=False, examples=[False])
    """For approve: what was rare while learning is normal, too."""
    server: Address = Field(default="", examples=["192.0.2.40"])
    """For approve, relearn and accept: address of the server that it is about; empty: any."""
    client: Address = Field(default="", examples=["192.0.2.17"])
    """For relearn and accept: address of the client."""
    kind: FactKind = Field(default="", examples=["writer"])
    """For accept: kind of facts, with what it implies; empty: all."""
    point: Point = Field(default="", examples=[""])
    """For accept: point, operation or unit; empty: all."""
    since: Time = Field(default=None, examples=["2026-11-23T06:00:00Z"])
    """For relearn: time of the planned change."""
    hours: int = Field(default=RELEARN_HOURS, ge=1, le=24 * 366, examples=[24])
    """For relearn: how long to learn."""
    parties: list[Address] = Field(default=[], max_length=64, examples=[[]])
    """For merge: the addresses; facts name the first."""
    site: Annotated[str, StringConstraints(max_length=SITE_CHARACTERS)] | None = Field(default=None, examples=["waterworks"])
    """The site. It may be left out where there is only one; and for propose and approve, where only one has such records."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.choice in {"propose", "approve"} and not (self.sensor and self.epoch):
            raise Unfit("decision_run")
        if self.choice == "approve" and self.learned_until is None:
            raise Unfit("decision_until")
        if self.choice in {"relearn", "accept"} and not (self.server or self.client):
            raise Unfit("decision_ends")
        if self.choice == "relearn" and self.since is None:
            raise Unfit("decision_since")
        if self.choice == "merge" and ("" in self.parties or len(set(self.parties)) < 2):
            raise Unfit("decision_parties")
        return self
