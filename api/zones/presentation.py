"""Plans of zones as the API shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.times import iso
from api.zones import service
from api.zones.schemas import PlanOutput

if TYPE_CHECKING:
    from api.zones.models import ZonePlan


def output(site: str, stored: ZonePlan | None) -> PlanOutput:
    """The plan of a site."""
    plan = service.plan(stored)
    made = {} if stored is None else {"by": stored.changed_by, "at": iso(stored.at)}
    return PlanOutput(site=site, version=0 if stored is None else stored.number, zones=plan.zones, conduits=plan.conduits, **made)
