"""What only the site knows: who may do what, when, and what matters most. Rules name these lists; they never hold them.

A site file:

    site: waterworks-3
    lists:
      authorised_writers: [10.0.0.5, 10.0.1.0/24]
    windows:
      write_windows:
        - {days: [mon, tue, wed, thu, fri], from: "07:30", to: "18:00", timezone: Asia/Shanghai}
        - {start: 2026-11-20T08:00:00+08:00, end: 2026-11-20T20:00:00+08:00}
    ranges:
      point_ranges: {"holding:100@1": [0, 4000]}
    critical: {"10.0.0.20": 2.0}
    budget: 144/day,10/10min
    learning: {least_hours: 24, most_hours: 336}
    rules:
      second_client_for_unit: {enabled: false, reason: "two HMIs by design"}
      address_sweep: {threshold: 400, reason: "the historian reads all maps at night"}
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from datetime import UTC, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from detection.anomaly.history import FALSE_ALARMS_A_DAY
from detection.limits import parse as parse_budget
from detection.tuning import EXCEPTIONS, Exemption

if TYPE_CHECKING:
    from collections.abc import Mapping

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class SiteError(Exception):
    """A site file cannot be used. The text is one line that says where and what to do."""


class Window(BaseModel):
    """A span of time: once, from `start` to `end`, or each week on some days between two times of day."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, frozen=True)

    start: datetime | None = None
    end: datetime | None = None
    days: tuple[Day, ...] = DAYS
    from_time: time | None = Field(default=None, alias="from")
    to_time: time | None = Field(default=None, alias="to")
    timezone: str = "UTC"

    @field_validator("timezone")
    @classmethod
    def _timezone_exists(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"time zone {name!r} is not known; use a name such as Asia/Shanghai") from error
        return name

    @model_validator(mode="after")
    def _whole(self) -> Window:
        once = self.start is not None and self.end is not None
        weekly = self.from_time is not None and self.to_time is not None
        if once == weekly:
            raise ValueError("give either start and end, or from and to")
        for moment in (self.start, self.end):
            if moment is not None and moment.tzinfo is None:
                raise ValueError("start and end need an offset from UTC, as in 2026-11-20T08:00:00+08:00")
        return self

    def contains(self, moment: pl.Expr) -> pl.Expr:
        """Whether a column of times (UTC) lies in the window."""
        if self.start is not None and self.end is not None:
            return moment.is_between(pl.lit(self.start.astimezone(UTC)), pl.lit(self.end.astimezone(UTC)), closed="left")
        local = moment.dt.convert_time_zone(self.timezone)
        first, last = cast("time", self.from_time), cast("time", self.to_time)
        clock = local.dt.time()
        days = [DAYS.index(day) + 1 for day in self.days]
        if first <= last:
            return local.dt.weekday().is_in(days) & (clock >= first) & (clock < last)
        # Over midnight: the early hours belong to the day before.
        before = [day % 7 + 1 for day in days]
        return (local.dt.weekday().is_in(days) & (clock >= first)) | (local.dt.weekday().is_in(before) & (clock < last))


class Override(BaseModel):
    """What a site sets otherwise than a rule does, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    """Whether its findings become alerts; one that is not enabled still feeds the correlations that use it."""
    threshold: float | None = None
    """For a correlation: the count from which it fires, or the limit of what it measures."""
    reason: str = Field(min_length=3)
    """Why, for whoever looks at it in a year."""


class Learning(BaseModel):
    """When live learning of what is normal ends."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    least_hours: int = Field(default=24, ge=1, le=8760)
    """Hours with records that are learned from at least."""
    most_hours: int = Field(default=336, ge=1, le=8760)
    """And at most, however much is still new."""


class Site(BaseModel):
    """Facts of one site."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    site: str = ""
    """Name of the site."""
    lists: dict[str, tuple[str, ...]] = Field(default_factory=dict[str, "tuple[str, ...]"])
    """Lists that rules name: addresses, networks in CIDR notation, point identifiers, other texts."""
    windows: dict[str, tuple[Window, ...]] = Field(default_factory=dict[str, "tuple[Window, ...]"])
    """Spans of time that rules name."""
    ranges: dict[str, dict[str, tuple[float, float]]] = Field(default_factory=dict[str, "dict[str, tuple[float, float]]"])
    """Ranges of values that rules name: point identifier → least and most."""
    critical: dict[str, float] = Field(default_factory=dict[str, float])
    """Devices and points that matter more (or less): address or point identifier → factor of the rank, else 1."""
    false_alarms_a_day: float = Field(default=FALSE_ALARMS_A_DAY, gt=0, le=1_000)
    """Minutes with a false alarm that all models of `detection/anomaly` together may have in a day."""

    split: bool = False
    """Whether workers on Kafka share the site's sensors out among them; once it is, it stays so."""

    learning: Learning = Field(default_factory=Learning)
    """When live learning of what is normal ends."""

    budget: str = ""
    """How many alerts people can look at, as in `144/day,10/10min`; empty: any number."""

    exceptions: tuple[Exemption, ...] = Field(default=(), max_length=EXCEPTIONS)
    """Alerts that the site does not want to see: kept, and marked with the exception."""

    @field_validator("exceptions")
    @classmethod
    def _told_apart(cls, exceptions: tuple[Exemption, ...]) -> tuple[Exemption, ...]:
        names = [each.name for each in exceptions]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two exceptions are named {twice[0]}; rename one")
        return exceptions

    @field_validator("budget")
    @classmethod
    def _budget(cls, budget: str) -> str:
        parse_budget(budget)
        return budget

    rules: dict[str, Override] = Field(default_factory=dict[str, Override])
    """What the site sets otherwise than rules do, by the rule's name."""

    @field_validator("critical")
    @classmethod
    def _factors(cls, critical: dict[str, float]) -> dict[str, float]:
        for thing, factor in critical.items():
            if not 0 < factor <= 10:
                raise ValueError(f"the factor of {thing} is {factor}; give one above 0 and up to 10")
        return {normal_address(thing): factor for thing, factor in critical.items()}

    @field_validator("ranges")
    @classmethod
    def _rising(cls, ranges: dict[str, dict[str, tuple[float, float]]]) -> dict[str, dict[str, tuple[float, float]]]:
        for name, points in ranges.items():
            for point, (least, most) in points.items():
                if not least <= most:
                    raise ValueError(f"{name}: the range of {point} is from {least} to {most}; give the least first")
        return ranges

    @model_validator(mode="after")
    def _one_meaning(self) -> Site:
        names = [*self.lists, *self.windows, *self.ranges]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{twice[0]} is defined twice; lists, windows and ranges need different names")
        return self

    def kind_of(self, name: str) -> Literal["lists", "windows", "ranges"] | None:
        """Where the site defines a name; None where it does not."""
        return "lists" if name in self.lists else "windows" if name in self.windows else "ranges" if name in self.ranges else None

    def defines(self, name: str) -> bool:
        """Whether a rule that names this list, window or range can be used."""
        return self.kind_of(name) is not None

    @property
    def version(self) -> str:
        """A hash of the content: equal facts have equal versions."""
        content = self.model_dump_json(exclude=self._unsaid)
        return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()

    def to_text(self) -> str:
        """The facts as they are written down and published: versions before take those that say nothing that they do not know."""
        content = self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=self._unsaid)
        return json.dumps(content, ensure_ascii=False)

    @property
    def _unsaid(self) -> set[str]:
        """Of the fields that came in later versions those that say nothing. All others are written: their defaults may change."""
        return {name for name in ("rules", "split") if not getattr(self, name)}

    @property
    def asked_by_rules(self) -> str:
        """The facts that rules ask for, as JSON: equal for sites at which rules are compiled alike."""
        return self.model_dump_json(include={"lists", "windows", "ranges", "rules"}, by_alias=True, exclude_none=True)


def normal_address(text: str) -> str:
    """An address as records write it (RFC 5952 for IPv6); any other text as it is."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text


def with_budget(site: Site, budget: str) -> Site:
    """The facts with another alarm budget. Raises SiteError where it is none."""
    try:
        parse_budget(budget)
    except ValueError as error:
        raise SiteError(f"budget: {error}") from error
    return site.model_copy(update={"budget": budget})


def load(path: Path | str) -> Site:
    """The site of a file. Raises SiteError where it cannot be read or breaks the format."""
    try:
        content = cast("Mapping[str, Any] | None", yaml.safe_load(Path(path).read_text(encoding="utf-8")))
        return Site.model_validate(content or {})
    except (OSError, UnicodeDecodeError) as error:
        raise SiteError(f"{path}: cannot be read ({error}). Check the path.") from error
    except yaml.YAMLError as error:
        raise SiteError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SiteError(f"{path}: {place or 'the file'}: {first['msg']}. deploy/docs/rules.md describes the format.") from error
