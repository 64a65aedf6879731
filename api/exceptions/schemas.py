"""What exceptions look like in JSON."""

from __future__ import annotations

import re
from datetime import datetime  # noqa: TC003  pydantic reads the annotation at run time
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from api.database.scope import SITE_CHARACTERS
from api.unfit import Unfit
from detection.tuning import Kind, Name

_WILD: Final = re.compile(r"\[!?\]?[^\]]*\]|[*?]")
"""What stands for others in a pattern, as `fnmatch` reads it."""

LEAST_LITERAL: Final = 3
"""Characters in a row that a pattern must have, so that it names something."""


def _names_something(pattern: str) -> str:
    if _WILD.search(pattern) and max(map(len, _WILD.split(pattern))) < LEAST_LITERAL:
        raise Unfit("pattern", least=LEAST_LITERAL)
    return pattern


Rule = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.*?!\[\]-]{1,128}$"), AfterValidator(_names_something)]

Address = Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f.:/]{1,64}$")]

Field_ = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\x00]*$")]

Value = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00]*$")]

Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1_000, pattern=r"^[^\x00]*$")]

SiteName = Annotated[str, StringConstraints(max_length=SITE_CHARACTERS, pattern=r"^[^\x00]*$")]

Origin = Literal["people", "file"]
"""Whether people made it here, or it stands in the site's file."""

State = Literal["waiting", "withdrawing", "planned", "in_force", "overruled", "ended", "withdrawn"]
"""waiting, withdrawing: detection has not taken the latest change up. planned: it begins later. overruled: the site's file has
one of its name. ended: its end is over. withdrawn: somebody took it back."""


class Scope(BaseModel):
    """What an exception covers. All that it names must hold; a list holds where one of it does."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    kind: Literal["suppress", "normal"] = Field(default="suppress", examples=["suppress"])
    """suppress: not wanted until its end. normal: accepted as normal here. Planned work is a maintenance window (`/api/windows`),
    which never hides what must be told."""
    rules: list[Rule] = Field(min_length=1, max_length=50, examples=[["address_sweep"]])
    """Names of rules, patterns allowed."""
    clients: list[Address] = Field(default=[], max_length=100, examples=[["192.0.2.17"]])
    """Addresses or networks; none: any client."""
    servers: list[Address] = Field(default=[], max_length=100, examples=[["192.0.2.0/24"]])
    """Addresses or networks; none: any server."""
    target: dict[Field_, Value] = Field(default={}, max_length=16, examples=[{"modbus.unit_id": "3"}])
    """Fields of what the alert is about, with their values."""
    start: datetime | None = Field(default=None, examples=["2026-11-28T00:00:00+08:00"])
    """From when it holds, with offset from UTC; without it, always before its end."""
    end: datetime | None = Field(default=None, examples=["2027-02-28T00:00:00+08:00"])
    """Until when it holds, with offset from UTC; only what is normal may have none."""


class OfSite(BaseModel):
    """Which site an exception is meant for."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    alert: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00]*$")] | None = Field(
        default=None, examples=["9c1f0e6a52d14f0b"]
    )
    """The alert that it is made for: it is then meant for the alert's site."""
    site: SiteName | None = Field(default=None, examples=["waterworks"])
    """The site, where there is no alert; it may be left out where there is only one site."""


class PreviewInput(Scope, OfSite):
    """An exception that could be made."""


class Decided(Scope):
    """An exception that is to hold, after a look at what it would have hidden."""

    reason: Reason = Field(examples=["The historian copies all maps at night."])
    seen: int = Field(ge=0, le=1_000_000, examples=[12])
    """`hides` of the preview that the person saw; where it would have hidden more, nothing is done."""


class ExceptionInput(Decided, OfSite):
    """A new exception."""

    name: Name = Field(examples=["night-copy"])


class WithdrawInput(BaseModel):
    """Takes an exception back."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason = Field(examples=["The historian is gone."])


class Preview(BaseModel):
    """What an exception would have hidden in the last 30 days, had it held."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    hides: int = Field(examples=[12])
    """Alerts."""
    undecided: int = Field(examples=[2])
    """How many of them nobody has closed."""
    right: int = Field(examples=[0])
    """How many of those that were ever closed as right it covers: it hides what was an attack."""
    severities: dict[str, int] = Field(examples=[{"low": 12}])
    """How many of each severity."""
    alerts: list[str] = Field(examples=[["9c1f0e6a52d14f0b"]])
    """Ids of the latest 20 of them."""
    limited: bool = Field(default=False, examples=[False])
    """Whether there are more alerts than are looked at."""


class ExceptionOutput(BaseModel):
    """An exception of the site."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str = Field(examples=["night-copy"])
    site: str = Field(examples=["waterworks"])
    """The site that it holds at; empty where the site has no name."""
    origin: Origin = Field(examples=["people"])
    """Where it was made."""
    state: State = Field(examples=["in_force"])
    """Whether it holds."""
    kind: Kind = Field(examples=["suppress"])
    rules: list[str] = Field(examples=[["address_sweep"]])
    clients: list[str] = Field(examples=[["192.0.2.17"]])
    servers: list[str] = Field(examples=[["192.0.2.0/24"]])
    target: dict[str, str] = Field(examples=[{"modbus.unit_id": "3"}])
    start: str | None = Field(default=None, examples=["2026-11-27T16:00:00Z"])
    end: str | None = Field(default=None, examples=["2027-02-27T16:00:00Z"])
    reason: str = Field(examples=["The historian copies all maps at night."])
    by: str = Field(examples=["lin.wei"])
    at: str | None = Field(default=None, examples=["2026-11-28T08:14:02.000000000Z"])
    """When it was last changed; null for one of the site's file."""
    version: int = Field(default=0, examples=[1])
    """Rises with each change; the ETag that a change must bring. 0 for one of the site's file."""
    hidden: int = Field(examples=[4])
    """Alerts that it hides now."""
    alert: str | None = Field(default=None, examples=["9c1f0e6a52d14f0b"])
    """The alert that it was made for."""
