"""What actions in the plant look like in JSON."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from api.actions.lifecycle import State
from api.actions.sight import Reason, Verdict
from api.alerts.schemas import Note
from api.filters import Moment
from api.incidents.schemas import Number, Title
from api.unfit import Unfit

Said = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000, pattern=r"^[^\x00]*$")]


def _address(text: str) -> str:
    """The address as records have it: one that is written otherwise would be found silent."""
    return str(ipaddress.ip_address(text))


Host = Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f.:]{2,45}$"), AfterValidator(_address)]


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class _Output(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class SafetyContext(_Input):
    """What must be known of the plant before anybody acts in it; none of it may be left out."""

    process_state: Said = Field(examples=["Line 4 in manual, dosing at 40 %, level falling slowly."])
    safety_system: Said = Field(examples=["Healthy, no bypass, key in RUN."])
    """State of the safety system."""
    manual_fallback: Said = Field(examples=["Valve V-401 by hand; two people at the skid."])
    """How the process is run where the action takes control away."""
    flows_to_preserve: Said = Field(examples=["HMI 192.0.2.10 to PLC 192.0.2.40, historian buffers."])
    """Traffic that must go on."""
    rollback: Said = Field(examples=["Open port 12 of switch S4 again."])
    """How it is taken back."""


class Silence(_Input):
    """What traffic must show: that somebody is silent."""

    kind: Literal["silent_writer", "silent_host"] = Field(examples=["silent_writer"])
    """silent_writer: it writes and calls nothing any more. silent_host: it sends nothing any more."""
    client: Host = Field(examples=["192.0.2.17"])
    """Address that must be silent."""
    server: Host | None = Field(default=None, examples=["192.0.2.40"])
    """Towards this address; without it, towards any."""
    minutes: int = Field(default=30, ge=1, le=1_440, examples=[30])
    """For how long, up to when it is verified and not before the action was carried out."""


class ProposeInput(_Input):
    """Proposes an action in the plant."""

    title: Title = Field(examples=["Close port 12 of switch S4"])
    safety: SafetyContext
    proof: Silence | None = None
    """What traffic must show; without it, a person says whether it holds."""
    window_from: Moment = Field(examples=["-1m"])
    """From when it may be carried out."""
    window_until: Moment = Field(examples=["2027-11-23T12:00:00Z"])
    """Until when; it expires where it is not begun by then."""
    reason: Note = Field(examples=["The station goes on writing."])

    @model_validator(mode="after")
    def _window(self) -> Self:
        if self.window_until <= self.window_from:
            raise Unfit("window_order")
        return self


class StepInput(_Input):
    """Takes a step, and says why."""

    note: Note = Field(examples=["Spoken with the shift leader; the process is in manual."])


class ExecuteInput(_Input):
    """Says that people carry the action out."""

    note: Note = Field(examples=["Port closed by Wu and Chen."])
    at: Moment | None = Field(default=None, examples=["-2m"])
    """When; without it, now."""


class VerifyInput(StepInput):
    """Says that an action holds."""

    vouched: bool = False
    """Whether the person vouches for it where traffic cannot tell; another one than who carried it out."""


class DoubtOutput(_Output):
    """Why nobody can tell."""

    reason: Reason = Field(examples=["paused"])
    sensor: str | None = Field(default=None, examples=["gateway-1"])
    """The sensor that it is about; null where it is about none."""


class VerdictOutput(_Output):
    """What traffic showed."""

    verdict: Verdict = Field(examples=["silent"])
    """silent: it was, and the sensors watched. broken: it was not. too_early: not long enough yet. blind: nobody can tell."""
    at: str = Field(examples=["2026-11-23T10:00:00.000000000Z"])
    """When was looked."""
    since: str = Field(examples=["2026-11-23T09:29:55.000000000Z"])
    """From when on this is said."""
    until: str = Field(examples=["2026-11-23T09:59:55.000000000Z"])
    """Up to when: so far the sensors have told."""
    sensors: list[str] = Field(default=[], examples=[["gateway-1"]])
    """Sensors that saw it before the action was carried out: these must have watched."""
    acts: list[str] = Field(default=[], examples=[[]])
    """The first 20 records that show what should not be."""
    unreadable: list[str] = Field(default=[], examples=[[]])
    """The first 20 conversations and calls of which nobody can read whether they are what should not be."""
    doubts: list[DoubtOutput] = []
    """Why nobody can tell; none unless the verdict is `blind`."""
    text: str = Field(default="", examples=["Silent for 30 minutes, and gateway-1 watched."])


class MoveOutput(_Output):
    """One move of an action."""

    state: State = Field(examples=["security_approved"])
    """The state that it led to."""
    by: str = Field(examples=["lin.wei"])
    at: str = Field(examples=["2026-11-23T08:05:00.000000000Z"])
    note: str = Field(examples=["Spoken with the shift leader; the process is in manual."])


class ActionOutput(_Output):
    """An action in the plant."""

    id: Number
    incident: Number
    """The incident that it was proposed in."""
    drill: bool = Field(examples=[False])
    """Whether it is exercise only: nothing is done in the plant."""
    version: int = Field(examples=[3])
    """Rises with each change; the ETag that a change must bring."""
    title: str = Field(examples=["Close port 12 of switch S4"])
    state: State = Field(examples=["security_approved"])
    safety: SafetyContext
    proof: Silence | None = None
    window_from: str = Field(examples=["2026-11-23T08:00:00.000000000Z"])
    window_until: str = Field(examples=["2026-11-23T12:00:00.000000000Z"])
    proposed_by: str = Field(examples=["lin.wei"])
    security_by: str | None = None
    """Who approved it for security."""
    operations_by: str | None = None
    """Who approved it for operations: another person."""
    executed_by: str | None = None
    executed_at: str | None = None
    """When it was carried out, as that person said."""
    moves: list[MoveOutput]
    """Every move, the first first."""
    verdict: VerdictOutput | None = None
    """What traffic showed when it was verified, or said to have failed; null where nobody looked."""
