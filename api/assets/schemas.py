"""Assets in JSON."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from api.assets.addresses import normal
from api.assets.models import CRITICALITIES, NAME_CHARACTERS, TEXT_CHARACTERS, Criticality, Source
from api.filters import AnyOf, OneOf, Time
from api.pages import CURSOR_CHARACTERS, PAGE_ROWS, PAGE_ROWS_MOST
from api.records.span import SiteName
from api.zones.plan import LEVELS, Level

Address = Annotated[str, StringConstraints(max_length=64, pattern=r"^[^\x00]*$"), AfterValidator(normal)]

Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=TEXT_CHARACTERS, pattern=r"^[^\x00]*$")]

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=NAME_CHARACTERS, pattern=r"^[^\x00]*$")]

RoleName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{0,64}$")]

LevelOf = Literal["registered", "zone", "role"]
"""Where a Purdue level is known from: the asset itself, its zone, or what it is for."""

ADDRESSES: int = 64
"""Most addresses of an asset."""


class AssetInput(BaseModel):
    """A device that a site is to have."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    name: Name = Field(examples=["PLC-3"])
    addresses: list[Address] = Field(default=[], max_length=ADDRESSES, examples=[["192.0.2.40", "00:80:f4:12:34:56"]])
    """Network and hardware addresses. At a site an address belongs to one asset."""
    role: RoleName = Field(default="", examples=["plc"])
    """What it is for: plc, hmi, engineering_station, …; empty: not told."""
    zone: Annotated[Text, StringConstraints(max_length=64)] = Field(default="", examples=["Cell 1"])
    """Name of its zone; empty: that in which its addresses lie."""
    level: Level | None = Field(default=None, examples=["1"])
    """Purdue level; null: that of its zone, else that of its role."""
    criticality: Criticality = Field(default="medium", examples=["high"])
    """How much the process depends on it."""
    owner: Text = Field(default="", examples=["Shift B"])
    location: Text = Field(default="", examples=["Pump house"])
    vendor: Text = Field(default="", examples=["Schneider Electric"])
    product: Text = Field(default="", examples=["M340"])
    serial: Text = Field(default="", examples=["21071930"])
    firmware: Text = Field(default="", examples=["3.30"])
    note: Annotated[str, StringConstraints(strip_whitespace=True, max_length=4_000, pattern=r"^[^\x00]*$")] = Field(
        default="", examples=["Spare in cabinet 4"]
    )


class AssetMade(AssetInput):
    """A new asset."""

    site: SiteName | None = Field(default=None, examples=["waterworks"])
    """The site; it may be left out where there is only one."""


class AssetOutput(BaseModel):
    """A registered asset."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str = Field(examples=["5f0c1d2e3a4b5c6d7e8f90a1b2c3d4e5"])
    version: int = Field(examples=[1])
    """Rises with each change; the ETag that a change must bring."""
    site: str = Field(examples=["waterworks"])
    name: str = Field(examples=["PLC-3"])
    addresses: list[str] = Field(examples=[["192.0.2.40", "00:80:f4:12:34:56"]])
    role: str = Field(examples=["plc"])
    zone: str | None = Field(default=None, examples=["Cell 1"])
    """Its zone, or that in which its addresses lie; null where it lies in none."""
    registered_zone: str = Field(examples=[""])
    """The zone that was registered; empty where it follows from the addresses."""
    level: Level | None = Field(default=None, examples=["1"])
    level_of: LevelOf | None = Field(default=None, examples=["zone"])
    """Where the level is known from."""
    registered_level: Level | None = Field(default=None, examples=[None])
    criticality: Criticality = Field(examples=["high"])
    owner: str = Field(examples=["Shift B"])
    location: str = Field(examples=["Pump house"])
    vendor: str = Field(examples=["Schneider Electric"])
    product: str = Field(examples=["M340"])
    serial: str = Field(examples=["21071930"])
    firmware: str = Field(examples=["3.30"])
    note: str = Field(examples=[""])
    source: Source = Field(examples=["people"])
    foreign_id: str = Field(examples=[""])
    """What the source calls it; empty where people registered it."""
    made_at: str = Field(examples=["2026-11-23T08:14:02.000000000Z"])
    changed_at: str = Field(examples=["2026-11-23T08:14:02.000000000Z"])
    changed_by: str = Field(examples=["lin.wei"])


class AssetQuery(BaseModel):
    """Which registered assets.

    `FIELD=VALUE[,VALUE…]`: any of these; `FIELD=!VALUE[,VALUE…]`: none of these; all filters must hold.
    """

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    site: Annotated[AnyOf | None, OneOf((), "waterworks")] = None
    """Name of the site."""
    role: Annotated[AnyOf | None, OneOf((), "plc,rtu")] = None
    """What it is for."""
    zone: Annotated[AnyOf | None, OneOf((), "Cell 1")] = None
    """Zone that was registered."""
    level: Annotated[AnyOf | None, OneOf(LEVELS, "0,1")] = None
    """Purdue level that was registered."""
    criticality: Annotated[AnyOf | None, OneOf(CRITICALITIES, "high,critical")] = None
    """Criticality."""
    owner: Annotated[AnyOf | None, OneOf((), "Shift B")] = None
    """Owner."""
    source: Annotated[AnyOf | None, OneOf(("people", "csv", "netbox"), "netbox")] = None
    """Where it was registered from."""
    address: Annotated[AnyOf | None, OneOf((), "192.0.2.40")] = None
    """Address that it has."""
    updated_since: Time = None
    """Assets that were made or changed at this time or later."""
    cursor: str | None = Field(default=None, max_length=CURSOR_CHARACTERS)
    """`next` of the page before; everything else must be asked as it was then."""
    limit: int = Field(default=PAGE_ROWS, ge=1, le=PAGE_ROWS_MOST)
    """Most assets on the page."""

    def question(self) -> str:
        """What is asked, without where the page starts and how long it is."""
        return self.model_dump_json(exclude={"cursor", "limit"})


class AssetPage(BaseModel):
    """A page of registered assets, by name."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    items: list[AssetOutput]
    next: str | None = None
    """`cursor` of the next page; null on the last."""


class Said(BaseModel):
    """Something that was said of a device."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    attribute: str = Field(examples=["vendor"])
    value: str = Field(examples=["Schneider Electric"])
    source: str = Field(examples=["modbus device identification"])
    confidence: float = Field(ge=0, le=1, examples=[0.9])
    differs: bool = Field(examples=[False])
    """Whether a more trusted or later source says otherwise."""


class InferredRole(BaseModel):
    """What a device is for, as far as traffic tells."""

    role: str = Field(examples=["plc"])
    confidence: float = Field(ge=0, le=1, examples=[0.6])
    reason: str = Field(examples=["answers modbus"])


class ObservedDevice(BaseModel):
    """A device that traffic shows."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    device: str = Field(examples=["00:80:f4:12:34:56"])
    """Its lowest hardware address, or its network address where no hardware address is its own."""
    macs: list[str] = Field(examples=[["00:80:f4:12:34:56"]])
    ips: list[str] = Field(examples=[["192.0.2.40"]])
    name: str | None = Field(default=None, examples=["PLC-3"])
    vendor: str | None = Field(default=None, examples=["Schneider Electric"])
    product: str | None = Field(default=None, examples=["M340"])
    version: str | None = Field(default=None, examples=["3.30"])
    serial: str | None = Field(default=None, examples=["21071930"])
    os: str | None = Field(default=None, examples=[None])
    roles: list[InferredRole]
    """What it is for, the surest first."""
    attributes: list[Said]
    """The evidence: what it said of itself, or others of it, at most 50."""
    confidence: float = Field(ge=0, le=1, examples=[0.9])
    """How sure it is what it is: that of the surest evidence; 0.3 where nothing but its addresses is seen."""
    first_seen: str | None = Field(default=None, examples=["2026-11-23T08:00:00.000000000Z"])
    last_seen: str | None = Field(default=None, examples=["2026-11-30T07:59:59.000000000Z"])
    zone: str | None = Field(default=None, examples=["Cell 1"])
    level: Level | None = Field(default=None, examples=["1"])
    level_of: LevelOf | None = Field(default=None, examples=["role"])
    criticality: Criticality | None = Field(default=None, examples=["high"])
    """That of the registered asset; null where there is none."""
    owner: str | None = Field(default=None, examples=["Shift B"])
    asset: str | None = Field(default=None, examples=["5f0c1d2e3a4b5c6d7e8f90a1b2c3d4e5"])
    """The registered asset that has one of its addresses."""


class Inventory(BaseModel):
    """The devices that traffic of a site shows."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    site: str = Field(examples=["waterworks"])
    since: str = Field(examples=["2026-11-23T08:00:00.000000000Z"])
    until: str = Field(examples=["2026-11-30T08:00:00.000000000Z"])
    devices: list[ObservedDevice]
    limited: bool = Field(examples=[False])
    """Whether there is more than is looked at: ask for less time then."""


class Difference(BaseModel):
    """Something that traffic shows otherwise than it was registered."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    field: Literal["addresses", "role", "vendor", "product", "serial", "firmware"] = Field(examples=["product"])
    registered: str = Field(examples=["M340"])
    observed: str = Field(examples=["M580"])
    confidence: float = Field(ge=0, le=1, examples=[0.9])
    source: str = Field(examples=["modbus device identification"])
    """What shows it."""


class Changed(BaseModel):
    """A registered asset that traffic shows otherwise."""

    asset: AssetOutput
    device: str = Field(examples=["00:80:f4:12:34:56"])
    differences: list[Difference]


class Comparison(BaseModel):
    """What traffic shows against what is registered."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    site: str = Field(examples=["waterworks"])
    since: str = Field(examples=["2026-11-23T08:00:00.000000000Z"])
    until: str = Field(examples=["2026-11-30T08:00:00.000000000Z"])
    new: list[ObservedDevice]
    """Devices without a registered asset."""
    missing: list[AssetOutput]
    """Registered assets with addresses of which nothing was seen."""
    changed: list[Changed]
    """Registered assets of which something is otherwise."""
    alike: int = Field(examples=[38])
    """Registered assets that are as registered."""
    silent: int = Field(examples=[2])
    """Registered assets without an address: traffic tells nothing of them."""
    limited: bool = Field(examples=[False])
    """Whether there is more than is looked at: ask for less time then."""


class ImportInput(BaseModel):
    """Assets of another system."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    format: Literal["csv", "netbox"] = Field(examples=["csv"])
    """csv: a heading and a line for each asset. netbox: what NetBox's REST interface answers."""
    content: str = Field(
        min_length=1, max_length=8 * 1024 * 1024, examples=["name,addresses,role,criticality\nPLC-3,192.0.2.40,plc,high\n"]
    )
    """The file, as text."""
    site: SiteName | None = Field(default=None, examples=["waterworks"])
    """The site; it may be left out where there is only one."""
    dry_run: bool = Field(default=True, examples=[True])
    """Whether to tell what would be done, and change nothing."""


class ImportedItem(BaseModel):
    """What became, or would become, of one asset of an import."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    place: str = Field(examples=["line 2"])
    """Where it stands in the file."""
    name: str = Field(examples=["PLC-3"])
    outcome: Literal["made", "changed", "unchanged", "refused"] = Field(examples=["made"])
    asset: str | None = Field(default=None, examples=[None])
    """Its identity; null where it is refused, or would only be made."""
    fields: list[str] = Field(default=[], examples=[["criticality"]])
    """What changes of it."""
    reason: str = Field(default="", examples=[""])
    """Why it is refused."""


class ImportOutput(BaseModel):
    """What an import did, or would do."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    dry_run: bool = Field(examples=[True])
    made: int = Field(examples=[1])
    changed: int = Field(examples=[0])
    unchanged: int = Field(examples=[0])
    refused: int = Field(examples=[0])
    items: list[ImportedItem]
