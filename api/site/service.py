"""Which version of the site's file is in force, for whoever asks and for the audit trail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from api.audit import service as audit
from api.site.models import SiteVersion
from api.times import now
from detection.site import Site

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def in_force(session: Session) -> Site:
    """The facts of the site's file that detection took over last; those of no file where it took over none."""
    newest = _newest(session)
    return Site() if newest is None else Site.model_validate(newest.content)


def take_over(session: Session, site: Site) -> bool:
    """Write down that these facts are in force, where others were; whether they are new."""
    newest = _newest(session)
    if newest is not None and newest.version == site.version:
        return False
    content = site.model_dump(mode="json", by_alias=True, exclude_none=True)
    session.add(SiteVersion(at=now(), version=site.version, content=content))
    exceptions = [each.name for each in site.exceptions]
    told = {"before": None if newest is None else newest.version, "exceptions": exceptions}
    audit.record(session, audit.Actor(audit.SYSTEM), "site.take_over", site.version, told)
    return True


def _newest(session: Session) -> SiteVersion | None:
    return session.scalar(sa.select(SiteVersion).order_by(SiteVersion.id.desc()).limit(1))
