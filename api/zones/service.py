"""Which plan of zones and conduits holds, or held."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import sqlalchemy as sa

from api.audit import service as audit
from api.database.scope import scope_of
from api.problems import Problem
from api.times import now
from api.zones.models import ZonePlan
from api.zones.plan import Places, Plan

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from api.audit.service import Actor
    from api.situation.kept import Kept


def in_force(session: Session, site: str, at: int | None = None) -> ZonePlan | None:
    """The plan of a site that was made last, up to a time; None where nobody had made one."""
    number = _number(session, site, at)
    return session.scalar(sa.select(ZonePlan).where(ZonePlan.site == site, ZonePlan.number == number))


def places(session: Session, kept: Kept, site: str, at: int | None = None) -> Places:
    """Where addresses of a site lie, as `in_force` says: a plan is read and looked through once, for it never changes."""
    number = _number(session, site, at)
    if number is None:
        return Places(Plan())
    found = sa.select(ZonePlan).where(ZonePlan.site == site, ZonePlan.number == number)
    key = (scope_of(session).organisation, site, number)
    return kept.get(key, math.inf, lambda: Places(plan(session.scalar(found))))


def _number(session: Session, site: str, at: int | None) -> int | None:
    found = sa.select(ZonePlan.number).where(ZonePlan.site == site)
    if at is not None:
        found = found.where(ZonePlan.at <= at)
    return session.scalar(found.order_by(ZonePlan.number.desc()).limit(1))


def plan(stored: ZonePlan | None) -> Plan:
    """What a stored plan says; an empty plan where there is none."""
    return Plan() if stored is None else Plan.model_validate(stored.content)


def etag(stored: ZonePlan | None) -> str:
    """The entity tag of a site's plan: its number."""
    return f'"{0 if stored is None else stored.number}"'


def replace(session: Session, site: str, plan: Plan, actor: Actor, if_match: str | None) -> ZonePlan:
    """Put a plan in the place of what held. Raises Problem `precondition_required` or `precondition_failed`."""
    before = in_force(session, site)
    if if_match is None:
        raise Problem("precondition_required")
    if etag(before) not in [tag.strip() for tag in if_match.split(",")] and if_match.strip() != "*":
        raise Problem("precondition_failed", by=audit.SYSTEM if before is None else before.changed_by)
    number = 1 if before is None else before.number + 1
    content = plan.model_dump(mode="json", exclude_defaults=True)
    stored = ZonePlan(site=site, number=number, at=now(), changed_by=actor.name, content=content)
    session.add(stored)
    told = {"site": site, "before": None if before is None else before.content, "plan": content}
    audit.record(session, actor, "zones.change", f"{site}/{number}", told)
    session.flush()
    return stored
