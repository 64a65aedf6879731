"""What playbooks and tasks look like in JSON."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.alerts.schemas import Note
from api.filters import AnyOf, Moment, OneOf, Time
from api.incidents.lifecycle import Phase
from api.incidents.schemas import Number, Person, Text, Title
from api.pages import CURSOR_CHARACTERS, PAGE_ROWS, PAGE_ROWS_MOST
from api.playbooks.content import Doer
from api.playbooks.content import Key as PlaybookKey
from api.playbooks.models import TASK_STATES, TaskState

OpenPhase = Literal["declared", "analysing", "containing", "eradicating", "recovering", "monitoring"]


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class _Output(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class PlaybookItem(_Output):
    """A playbook in a list."""

    key: str = Field(examples=["unauthorised_write"])
    version: int = Field(examples=[1])
    origin: Literal["product", "site"] = Field(examples=["product"])
    """Whether it came with the product, or was brought in."""
    title: str = Field(examples=["Unauthorised write"])
    summary: str = Field(examples=["A station that may not write has written to a controller."])
    tasks: int = Field(examples=[9])
    mandatory: int = Field(examples=[8])
    """How many of its tasks stand against closing while they are not done."""


class ProposedPlaybook(PlaybookItem):
    """A playbook that fits an incident."""

    score: int = Field(examples=[4])
    """How well: alerts of the incident that it is for, and as many again where it is for the incident's class."""
    begun: bool = Field(default=False, examples=[False])
    """Whether the incident has its tasks already."""


class PlaybookTask(_Output):
    """A task of a playbook."""

    key: str = Field(examples=["ask_the_shift"])
    phase: Phase = Field(examples=["analysing"])
    role: Doer = Field(examples=["operator"])
    within_minutes: int = Field(examples=[10])
    mandatory: bool = Field(examples=[True])
    title: str = Field(examples=["Ask the shift what is going on"])
    text: str = Field(examples=["Call the control room."])


class PlaybookOutput(_Output):
    """A playbook with its tasks."""

    key: str = Field(examples=["unauthorised_write"])
    version: int = Field(examples=[1])
    origin: Literal["product", "site"] = Field(examples=["product"])
    title: str = Field(examples=["Unauthorised write"])
    summary: str = Field(examples=["A station that may not write has written to a controller."])
    rules: list[str] = Field(examples=[["write_by_unauthorised_client"]])
    categories: list[str] = Field(examples=[["improper_operation"]])
    tasks: list[PlaybookTask]


class ImportInput(_Input):
    """A CACAO 2.0 playbook to be brought in."""

    playbook: dict[str, Any] = Field(examples=[{"type": "playbook", "spec_version": "cacao-2.0"}])
    """The CACAO 2.0 playbook as it is."""


class BeginInput(_Input):
    """Begins a playbook for an incident."""

    playbook: PlaybookKey = Field(examples=["unauthorised_write"])
    reason: Note = Field(examples=["As proposed."])


TaskSort = Literal[
    "due_at", "-due_at", "made_at", "-made_at", "updated_at", "-updated_at",
]  # fmt: skip
"""What a list can be sorted by."""


class TaskQuery(_Input):
    """Which tasks; all filters must hold."""

    state: Annotated[AnyOf | None, OneOf(TASK_STATES, "open,doing")] = None
    """State."""
    owner: Annotated[AnyOf | None, OneOf((), "wu.jun")] = None
    """Who has taken it on, or was given it."""
    site: Annotated[AnyOf | None, OneOf((), "waterworks")] = None
    """Name of the incident's site."""
    lesson: bool | None = None
    """Only lessons of incidents that are closed, or none."""
    due_before: Time = None
    """Due before this time."""
    updated_since: Time = None
    """Changed at this time or later, whatever changed. Ask with `sort=updated_at`, and go on from the last `updated_at`."""
    sort: TaskSort = "due_at"
    """Order; with `-` the most first. The identifier breaks ties."""
    cursor: str | None = Field(default=None, max_length=CURSOR_CHARACTERS)
    """`next` of the page before; everything else must be asked as it was then."""
    limit: int = Field(default=PAGE_ROWS, ge=1, le=PAGE_ROWS_MOST)
    """Most tasks on the page."""
    language: Literal["en", "zh-CN"] | None = None
    """Language of the texts; without it, that of `Accept-Language`."""

    def question(self) -> str:
        """What is asked, without where the page starts and how long it is."""
        return self.model_dump_json(exclude={"cursor", "limit", "language"})


class TaskInput(_Input):
    """A task by hand."""

    title: Title = Field(examples=["Photograph the cabinet of line 4"])
    text: Text = Field(default="", examples=["Before anybody opens it."])
    phase: OpenPhase = Field(default="analysing", examples=["containing"])
    role: Doer = Field(default="operator", examples=["operator"])
    """Who it is for."""
    mandatory: bool = False
    """Whether it stands against closing while it is not done."""
    owner: Person | None = Field(default=None, examples=["lin.wei"])
    due_at: Moment | None = Field(default=None, examples=["2026-11-23T10:00:00Z"])


class AssignInput(_Input):
    """Says who does a task, and by when."""

    owner: Person | None = Field(examples=["lin.wei"])
    due_at: Moment | None = Field(examples=["2026-11-23T10:00:00Z"])


class TaskMove(_Input):
    """Says how a task stands."""

    to: TaskState = Field(examples=["done"])
    note: Note = Field(examples=["Wu confirms: no work at line 4."])


class TaskOutput(_Output):
    """A task of an incident."""

    id: Number
    incident: Number
    version: int = Field(examples=[1])
    """Rises with each change; the ETag that a change must bring."""
    playbook: str | None = Field(default=None, examples=["unauthorised_write"])
    title: str = Field(examples=["Ask the shift what is going on"])
    text: str = Field(examples=["Call the control room."])
    phase: Phase = Field(examples=["analysing"])
    """State of the incident in which it is done; `closed`: it is a lesson."""
    role: Doer = Field(examples=["operator"])
    mandatory: bool = Field(examples=[True])
    state: TaskState = Field(examples=["open"])
    owner: str | None = Field(default=None, examples=["lin.wei"])
    due_at: str | None = Field(default=None, examples=["2026-11-23T08:24:00.000000000Z"])
    overdue: bool = Field(default=False, examples=[False])
    updated_at: str = Field(examples=["2026-11-23T08:31:00.000000000Z"])
    """When it changed last, whatever changed."""
    done_by: str | None = None
    done_at: str | None = None
    note: str | None = None


class TaskPage(_Output):
    """A page of tasks."""

    items: list[TaskOutput]
    next: str | None = None
    """`cursor` of the next page; null on the last."""


class CacaoPlaybook(BaseModel):
    """A CACAO Security Playbook 2.0 (OASIS), whole; its form is the standard's."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)

    type: Annotated[str, Field(examples=["playbook"])]
    spec_version: Annotated[str, Field(examples=["cacao-2.0"])]
    id: Annotated[str, Field(examples=["playbook--8f0d3f0e-2d6b-5c1b-9f59-0b4f5a3a8a11"])]
    name: Annotated[str, Field(examples=["Unauthorised write"])]
