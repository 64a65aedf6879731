"""What reviews of incidents look like in JSON."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from api.alerts.schemas import Note
from api.filters import Moment
from api.incidents.schemas import Number, Person, Text, Title
from api.playbooks.content import Doer
from api.playbooks.schemas import TaskOutput

Participants = Annotated[list[Person], Field(max_length=100)]


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class ReviewInput(_Input):
    """What people make of an incident; all of it."""

    went_well: Text = Field(examples=["The shift took the dosing to manual within two minutes."])
    went_badly: Text = Field(examples=["Nobody knew whose station it was for half an hour."])
    cause: Text = Field(default="", examples=["A laptop of the vendor was left on the control network."])
    """What it came from in the end."""
    participants: Participants = Field(default=[], examples=[["lin.wei", "wu.jun"]])
    """Who took part in the review."""


class LessonInput(_Input):
    """A lesson: something to be done, by somebody, until a time."""

    title: Title = Field(examples=["Keep a list of the vendor's stations"])
    text: Text = Field(default="", examples=["With serial numbers, and who let them in."])
    role: Doer = Field(default="engineer", examples=["engineer"])
    """Who it is for."""
    owner: Person = Field(examples=["wu.jun"])
    due_at: Moment = Field(examples=["2026-12-28T00:00:00Z"])


class SignInput(_Input):
    """Signs a review."""

    note: Note = Field(examples=["As we agreed on 27 November."])


class Times(BaseModel):
    """How long an incident took, from when it was discovered, in seconds; null for what did not happen."""

    declared: float = Field(examples=[120.0])
    acknowledged: float | None = Field(examples=[300.0])
    """Somebody first moved it on."""
    resolved: float | None = Field(examples=[7200.0])
    """It last came to be monitored only, or was closed."""
    closed: float | None = Field(examples=[86400.0])


class SignedReview(BaseModel):
    """A review that was signed before the incident was opened again."""

    closed_at: str = Field(examples=["2026-11-24T08:14:00.000000000Z"])
    went_well: str = Field(examples=["The shift took the dosing to manual within two minutes."])
    went_badly: str = Field(examples=["Nobody knew whose station it was for half an hour."])
    cause: str = Field(examples=["A laptop of the vendor was left on the control network."])
    participants: list[str] = Field(examples=[["lin.wei", "wu.jun"]])
    signed_by: str = Field(examples=["wu.jun"])
    signed_at: str = Field(examples=["2026-11-27T08:14:00.000000000Z"])


class ReviewOutput(BaseModel):
    """The review of an incident."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    incident: Number
    version: int = Field(examples=[2])
    """Rises with each change; the ETag that a change must bring. 0 where nothing was written yet."""
    closed_at: str | None = Field(default=None, examples=["2026-11-24T08:14:00.000000000Z"])
    """The closing that it is about; null where nothing was written yet."""
    went_well: str = Field(default="", examples=["The shift took the dosing to manual within two minutes."])
    went_badly: str = Field(default="", examples=["Nobody knew whose station it was for half an hour."])
    cause: str = Field(default="", examples=["A laptop of the vendor was left on the control network."])
    participants: list[str] = Field(default=[], examples=[["lin.wei", "wu.jun"]])
    writers: list[str] = Field(default=[], examples=[["lin.wei"]])
    """Everybody who wrote in it: none of them may sign it."""
    signed_by: str | None = Field(default=None, examples=["wu.jun"])
    signed_at: str | None = Field(default=None, examples=["2026-11-27T08:14:00.000000000Z"])
    """When it was signed: nothing of it is changed from then on. Its lessons go on."""
    times: Times
    lessons: list[TaskOutput]
    """Tasks of the incident for when it is closed; changed under `/api/tasks`."""
    earlier: list[SignedReview] = []
    """Those that were signed before the incident was opened again."""
