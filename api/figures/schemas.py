"""Mean times in JSON, and how they are asked for."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.alerts.models import SEVERITIES
from api.filters import AnyOf, OneOf, Time
from api.obligations.schemas import TimeZone


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    since: Time = None
    """From this time on; without it, of the last 30 days."""
    until: Time = None
    """Before this time; without it, until now."""
    time_zone: TimeZone = Field(default="UTC", examples=["Asia/Shanghai"])
    """Time zone in which days, weeks and months begin."""
    site: Annotated[AnyOf | None, OneOf((), "waterworks")] = None
    """Name of the site."""


class IncidentFiguresQuery(_Query):
    """Of which incidents, by what. One counts for when it was declared; one that was merged into another does not count."""

    by: Literal["site", "grade", "day", "week", "month"] | None = None
    """What is told apart; without it, all are taken together."""
    grade: Annotated[AnyOf | None, OneOf(("1", "2", "3", "4"), "1,2,3")] = None
    """The worst grade that was decided."""
    drill: bool = False
    """Drills in place of what really happened."""


class AlertFiguresQuery(_Query):
    """Of which alerts, by what. An alert counts for when it was raised."""

    by: Literal["site", "severity", "day", "week", "month"] | None = None
    """What is told apart; without it, all are taken together."""
    severity: Annotated[AnyOf | None, OneOf(SEVERITIES, "high,critical")] = None
    """Severity."""
    rule: Annotated[AnyOf | None, OneOf((), "write_by_unauthorised_client")] = None
    """The rule that raised it."""
    drill: bool = False
    """Those of drills in place of what really happened."""


class Duration(BaseModel):
    """How long something took."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    count: int = Field(examples=[12])
    """Of how many."""
    mean_seconds: float | None = Field(examples=[431.5])
    """Null where there was none."""
    median_seconds: float | None = Field(examples=[180.0])


class IncidentFigures(BaseModel):
    """How long incidents took."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    key: str | None = Field(examples=["waterworks"])
    """Site, grade (`none`: nobody has graded it), or period (`2026-11-30`, `2026-W49`, `2026-11`); null for all together."""
    count: int = Field(examples=[12])
    """Incidents."""
    declare: Duration
    """From when it was discovered until it was declared."""
    acknowledge: Duration
    """From when it was declared until somebody first moved it on."""
    resolve: Duration
    """From when it was discovered until it last came to be monitored only, or was closed."""


class AlertFigures(BaseModel):
    """How long alerts took."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    key: str | None = Field(examples=["high"])
    """Site, severity, or period (`2026-11-30`, `2026-W49`, `2026-11`); null for all together."""
    acknowledge: Duration
    """From when it was raised until a person first decided about it."""
    resolve: Duration
    """From when it was raised until it was closed last; of those that are closed."""
