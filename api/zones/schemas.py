"""Zones and conduits in JSON."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from api.zones.plan import Plan


class PlanOutput(Plan):
    """The plan of a site."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    site: str = Field(examples=["waterworks"])
    """The site; empty where it has no name."""
    version: int = Field(examples=[3])
    """Rises with each change; the ETag that a change must bring. 0 where nobody has made a plan."""
    by: str | None = Field(default=None, examples=["lin.wei"])
    at: str | None = Field(default=None, examples=["2026-11-28T08:14:02.000000000Z"])
