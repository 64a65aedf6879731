"""What drills look like in JSON."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.alerts.schemas import Note
from api.drills.models import DRILL_STATES, DrillState
from api.drills.scenarios import SCENARIO_KEYS, ScenarioKey
from api.drills.steps import StepKey
from api.filters import AnyOf, OneOf
from api.incidents.schemas import SiteName, Title
from api.pages import CURSOR_CHARACTERS, PAGE_ROWS, PAGE_ROWS_MOST

Words = Annotated[str, StringConstraints(strip_whitespace=True, max_length=4_000, pattern=r"^[^\x00]*$")]


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class _Output(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class DrillQuery(_Input):
    """Which drills; all filters must hold."""

    state: Annotated[AnyOf | None, OneOf(DRILL_STATES, "running")] = None
    """State."""
    site: Annotated[AnyOf | None, OneOf((), "waterworks")] = None
    """Name of the site."""
    scenario: Annotated[AnyOf | None, OneOf(SCENARIO_KEYS, "unauthorised_write")] = None
    """What is drilled."""
    cursor: str | None = Field(default=None, max_length=CURSOR_CHARACTERS)
    """`next` of the page before; everything else must be asked as it was then."""
    limit: int = Field(default=PAGE_ROWS, ge=1, le=PAGE_ROWS_MOST)
    """Most drills on the page."""

    def question(self) -> str:
        """What is asked, without where the page starts and how long it is."""
        return self.model_dump_json(exclude={"cursor", "limit"})


class DrillInput(_Input):
    """Starts a drill."""

    scenario: ScenarioKey = Field(examples=["unauthorised_write"])
    """What is drilled."""
    title: Title = Field(examples=["Autumn drill of shift B"])
    site: SiteName | None = Field(default=None, examples=["waterworks"])
    """The site; it may be left out where there is only one."""
    participants: Words = Field(default="", examples=["lin.wei, wu.jun, shift B"])
    """Who takes part."""
    note: Words = Field(default="", examples=["Nobody is told beforehand but the shift leader."])


class EndDrillInput(_Input):
    """Ends a drill."""

    note: Note = Field(examples=["All reports were ready in time."])


class ScenarioOutput(_Output):
    """Something that can be drilled."""

    key: ScenarioKey
    name: str = Field(examples=["Unauthorised write"])
    text: str = Field(examples=["A strange station writes one register of a controller after another."])
    """What happens in it."""
    techniques: list[str] = Field(examples=[["T0836"]])
    """What it exercises of ATT&CK for ICS."""
    playbook: str = Field(examples=["unauthorised_write"])
    """Key of the playbook that it exercises."""
    rules: list[str] = Field(examples=[["many_points_written"]])
    """Rules that tell it, of which one at least must be in use at the site."""


class DrillItem(_Output):
    """A drill as it stands in a list. It tells of traffic that was made up: nothing happened in the plant."""

    number: int = Field(examples=[3])
    version: int = Field(examples=[1])
    """Rises with each change: its ETag."""
    site: str = Field(examples=["waterworks"])
    scenario: ScenarioKey
    scenario_name: str = Field(examples=["Unauthorised write"])
    title: str = Field(examples=["Autumn drill of shift B"])
    state: DrillState = Field(examples=["running"])
    started_by: str = Field(examples=["lin.wei"])
    started_at: str = Field(examples=["2026-11-23T08:12:31.104000000Z"])
    ended_by: str | None = Field(default=None, examples=[None])
    ended_at: str | None = Field(default=None, examples=[None])


class DrillHost(_Output):
    """A machine in the traffic of a drill."""

    ip: str = Field(examples=["10.0.1.200"])
    mac: str = Field(examples=["00:00:5e:00:53:66"])


class DrillPlant(_Output):
    """What of the plant the traffic was made of."""

    controller: DrillHost
    name: str = Field(examples=["PLC of line 4"])
    """What it is registered as; empty where it is not."""
    port: int = Field(examples=[502])
    unit: int = Field(examples=[1])
    """Unit identifier."""
    registers: list[int] = Field(examples=[[100, 104]])
    """Holding registers that were read of it, from 0."""
    station: DrillHost | None
    """Who reads it; null where nobody was seen."""
    stranger: DrillHost
    """Who must not be there: an address of the controller's network that nothing is known by."""


class DrillStep(_Output):
    """One step of a drill, and how it was the last time."""

    step: StepKey = Field(examples=["acknowledged"])
    at: str | None = Field(default=None, examples=["2026-11-23T08:14:02.000000000Z"])
    """When it was done for the first time; null where it was not, or not before the end."""
    seconds: float | None = Field(default=None, examples=[91.2])
    """From the start of the drill."""
    last_seconds: float | None = Field(default=None, examples=[120.0])
    """The same of the drill that it is compared with."""
    difference: float | None = Field(default=None, examples=[-28.8])
    """How much longer it took than then; less than nothing: it was quicker."""


class DrillOutput(DrillItem):
    """A drill with its steps."""

    participants: str = Field(examples=["lin.wei, wu.jun, shift B"])
    note: str = Field(examples=["Nobody is told beforehand but the shift leader."])
    end_note: str | None = Field(default=None, examples=[None])
    playbook: str = Field(examples=["unauthorised_write"])
    techniques: list[str] = Field(examples=[["T0836"]])
    plant: DrillPlant
    alerts: list[str] = Field(examples=[["9c1f0e6a52d14f0b"]])
    """Ids of its alerts, the highest ranked first, at most 100; with them it begins."""
    incidents: list[int] = Field(examples=[[17]])
    """Numbers of the incidents that its alerts belong to."""
    compared_with: int | None = Field(default=None, examples=[2])
    """Number of the last drill of the scenario and site that was finished."""
    steps: list[DrillStep]


class DrillPage(_Output):
    """A page of drills."""

    items: list[DrillItem]
    next: str | None = None
    """`cursor` of the next page; null on the last."""
