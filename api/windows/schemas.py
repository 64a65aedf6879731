"""What maintenance windows look like in JSON."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from api.alerts.schemas import Note, Permit
from api.exceptions.schemas import Address, Preview, Rule, SiteName
from api.filters import AnyOf, Moment, OneOf, Time
from api.pages import CURSOR_CHARACTERS, PAGE_ROWS, PAGE_ROWS_MOST
from api.unfit import Unfit
from api.windows.models import PERFORMER_CHARACTERS, STATES, WindowState
from api.zones.plan import ZoneName

AssetId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]

Performer = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=PERFORMER_CHARACTERS, pattern=r"^[^\x00]*$")
]


LEAST_PREFIX: Final = 8
"""Bits of the widest network that can be named."""


class Scope(BaseModel):
    """What is worked on, from where, and which alerts that sets off.

    All that it names must hold; a list holds where one of it does; servers, assets and zones are one list.
    """

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    rules: list[Rule] = Field(default=[], max_length=50, examples=[["modbus_write", "umas_program_download"]])
    """Names of rules, patterns allowed; none: any rule. What changes a controller's program, mode or firmware is hidden only
    where its very name is here."""
    clients: list[Address] = Field(default=[], max_length=100, examples=[["192.0.2.17"]])
    """Addresses or networks from which the work is done; none: any."""
    servers: list[Address] = Field(default=[], max_length=100, examples=[["192.0.2.40"]])
    """Addresses or networks that are worked on."""
    assets: list[AssetId] = Field(default=[], max_length=200, examples=[["5f0c1d2e3a4b5c6d7e8f90a1b2c3d4e5"]])
    """Ids of registered assets that are worked on."""
    zones: list[ZoneName] = Field(default=[], max_length=50, examples=[["Cell 1"]])
    """Names of zones that are worked on. Without servers, assets and zones: the whole site."""

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        for name in (*self.clients, *self.servers):
            try:
                network = ipaddress.ip_network(name, strict=False)
            except ValueError as error:
                raise Unfit("network", given=repr(name)) from error
            if network.prefixlen < LEAST_PREFIX:
                raise Unfit("network_wide", given=repr(name))
        if not (self.rules or self.servers or self.assets or self.zones):
            raise Unfit("window_everything")
        return self


class PreviewInput(Scope):
    """A window that could be made."""

    site: SiteName | None = Field(default=None, examples=["waterworks"])
    """The site; it may be left out where there is only one."""


class WindowChange(Scope):
    """A window as it is to be, after a look at what it would have hidden."""

    starts_at: Moment | None = Field(default=None, examples=["2026-12-01T00:00:00Z"])
    """From when it holds; without it, or where that is over, from now on. Of one that is running it stays as it is."""
    ends_at: Moment = Field(examples=["2026-12-01T08:00:00Z"])
    """Until when it holds, at most 31 days."""
    permit: Permit = Field(examples=["WP-2026-1123"])
    """Number of the work permit."""
    work: Note = Field(examples=["New program for the filling line"])
    """What is done."""
    performed_by: Performer = Field(examples=["Zhang San, contractor"])
    """Who does it."""
    seen: int = Field(ge=0, le=1_000_000, examples=[12])
    """`hides` of the preview that the person saw; where it would have hidden more, nothing is done."""


class WindowInput(WindowChange, PreviewInput):
    """A new window."""


class EndInput(BaseModel):
    """Ends a window before its time."""

    model_config = ConfigDict(extra="forbid")

    reason: Note = Field(examples=["The work was done earlier."])


class WindowPreview(Preview):
    """What a window would have hidden in the last 30 days, had it held."""

    told: dict[str, int] = Field(examples=[{"safety": 1}])
    """Alerts that lie in it and would have been told all the same, by why."""


class Counted(BaseModel):
    """How many alerts have a name in common."""

    name: str = Field(examples=["modbus_write"])
    count: int = Field(examples=[12])


class Report(BaseModel):
    """What a window hid."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    hidden: int = Field(examples=[14])
    """Alerts that it covered at some time."""
    restored: int = Field(examples=[11])
    """Those that came back into the list at its end, as nobody had decided about them."""
    passed: int = Field(examples=[0])
    """Those that another window hides on."""
    lifted: int = Field(examples=[2])
    """Those that it covered no more before its end: they had become something that is told all the same, or it was changed."""
    decided: int = Field(examples=[1])
    """Those that a person, or an incident, took on meanwhile."""
    severities: dict[str, int] = Field(examples=[{"medium": 12, "high": 2}])
    rules: list[Counted]
    """By rule, the most first, at most 50."""
    servers: list[Counted]
    """By server, the most first, at most 50."""
    first_seen: str | None = Field(examples=["2026-12-01T00:12:31.104000000Z"])
    last_seen: str | None = Field(examples=["2026-12-01T07:13:55.870000000Z"])
    alerts: list[str] = Field(examples=[["9c1f0e6a52d14f0b"]])
    """Ids of those that rank highest, at most 100; `GET /api/alerts?window=` lists them all."""


class WindowOutput(BaseModel):
    """A maintenance window."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    number: int = Field(examples=[7])
    version: int = Field(examples=[1])
    """Rises with each change; the ETag that a change must bring."""
    site: str = Field(examples=["waterworks"])
    state: WindowState = Field(examples=["running"])
    rules: list[str] = Field(examples=[["modbus_write"]])
    clients: list[str] = Field(examples=[["192.0.2.17"]])
    servers: list[str] = Field(examples=[["192.0.2.40"]])
    assets: list[str] = Field(examples=[["5f0c1d2e3a4b5c6d7e8f90a1b2c3d4e5"]])
    zones: list[str] = Field(examples=[["Cell 1"]])
    starts_at: str = Field(examples=["2026-12-01T00:00:00.000000000Z"])
    ends_at: str = Field(examples=["2026-12-01T08:00:00.000000000Z"])
    permit: str = Field(examples=["WP-2026-1123"])
    work: str = Field(examples=["New program for the filling line"])
    performed_by: str = Field(examples=["Zhang San, contractor"])
    made_by: str = Field(examples=["lin.wei"])
    made_at: str = Field(examples=["2026-11-30T08:14:02.000000000Z"])
    changed_by: str = Field(examples=["lin.wei"])
    changed_at: str = Field(examples=["2026-11-30T08:14:02.000000000Z"])
    updated_at: str = Field(examples=["2026-11-23T08:14:00.000000000Z"])
    """When it changed last, whatever changed."""
    end_reason: str | None = Field(examples=[None])
    """Why a person ended it before its time."""
    ended_at: str | None = Field(examples=[None])
    report: Report | None = None
    """What it hid, once it is over."""


class WindowPage(BaseModel):
    """Windows, the latest made first."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    items: list[WindowOutput]
    next: str | None = None
    """`cursor` of the next page; null on the last."""


WindowSort = Literal[
    "number", "-number", "starts_at", "-starts_at", "ends_at", "-ends_at", "updated_at", "-updated_at",
]  # fmt: skip
"""What a list can be sorted by."""


class WindowQuery(BaseModel):
    """Which windows. `FIELD=VALUE[,VALUE…]`: any of these; `FIELD=!VALUE[,VALUE…]`: none of these."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    state: Annotated[AnyOf | None, OneOf(STATES, "running,planned")] = None
    """State."""
    site: Annotated[AnyOf | None, OneOf((), "waterworks")] = None
    """Name of the site."""
    permit: Annotated[AnyOf | None, OneOf((), "WP-2026-1123")] = None
    """Number of the work permit."""
    updated_since: Time = None
    """Changed at this time or later, whatever changed. Ask with `sort=updated_at`, and go on from the last `updated_at`."""
    sort: WindowSort = "-number"
    """Order; with `-` the most first. The identifier breaks ties."""
    cursor: str | None = Field(default=None, max_length=CURSOR_CHARACTERS)
    """`next` of the page before; everything else must be asked as it was then."""
    limit: int = Field(default=PAGE_ROWS, ge=1, le=PAGE_ROWS_MOST)
    """Most windows on the page."""
    language: Literal["en", "zh-CN"] | None = None
    """Language of problems; without it, that of `Accept-Language`."""

    def question(self) -> str:
        """What is asked, without where the page starts and how long it is."""
        return f"windows {self.model_dump_json(exclude={'cursor', 'limit', 'language'})}"
