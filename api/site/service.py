"""The sites of the organisation, and which version of a site's facts is in force, for whoever asks and for the audit trail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from api.alerts.models import Alert
from api.assets.models import Asset
from api.audit import service as audit
from api.database.scope import scope_of
from api.problems import Problem
from api.site.models import SiteVersion
from api.times import now
from api.zones.models import ZonePlan
from detection.site import Site

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from api.services import Services


def names(session: Session) -> list[str]:
    """The sites that anything is known of, heard or written down by people, in order of their names."""
    written_down = (session.scalars(sa.select(table.site).distinct()) for table in (Asset, ZonePlan))
    return sorted({*heard(session), *(name for found in written_down for name in found)})


def heard(session: Session) -> list[str]:
    """The sites that anything was heard of, in order of their names."""
    found: set[str] = set(session.scalars(sa.select(SiteVersion.site).distinct()))
    # From one to the next by the index: to look at every alert takes too long where there are many.
    name = session.scalar(sa.select(sa.func.min(Alert.site)))
    while name is not None:
        found.add(name)
        name = session.scalar(sa.select(sa.func.min(Alert.site)).where(Alert.site > name))
    return sorted(found)


def choices(session: Session, services: Services) -> list[str]:
    """The sites of which a person means one, in order of their names: that of this system where it has but one, else all."""
    return names(session) if services.site is None else [services.site]


def visible(session: Session, services: Services) -> list[str]:
    """The sites that a caller may choose from, in order of their names: his own ones, where he is limited to some."""
    own = scope_of(session).sites
    if own is not None:
        return sorted(own)
    return sorted({*names(session), *([] if services.site is None else [services.site])})


def newest(session: Session) -> str:
    """The site of which facts came in force last; that without a name where none did."""
    return session.scalar(sa.select(SiteVersion.site).order_by(SiteVersion.id.desc()).limit(1)) or ""


def meant(session: Session, services: Services, asked: str | None) -> str:
    """The site that a person means: the one that is named, that of this system where it has but one, or the only one.

    Raises Problem `site_unknown` where none has the name, `site_missing` where none is named and there are several.
    """
    known = names(session)
    if asked is None and services.site is not None:
        return services.site
    if asked is None and len(known) == 1:
        return known[0]
    if asked is None:
        raise Problem("site_missing", sites=", ".join(known) or "–")
    if asked not in known and asked != services.site:
        raise Problem("site_unknown", site=asked)
    return asked


def written(session: Session, services: Services, asked: str | None) -> str:
    """As `meant`, for what people write down of a site before anything was heard of one: whatever they call it then.

    Who is limited to some sites means one of these, whether anything was heard of it or not.
    """
    own = scope_of(session).sites
    if own is not None and services.site is None:
        if asked is None and len(own) != 1:
            raise Problem("site_missing", sites=", ".join(sorted(own)) or "–")
        if asked is not None and asked not in own:
            raise Problem("site_unknown", site=asked)
        return next(iter(own)) if asked is None else asked
    return asked or "" if services.site is None and not heard(session) else meant(session, services, asked)


def in_force(session: Session, name: str) -> Site:
    """The facts of a site that detection took over last; those of no file where it took over none."""
    newest = _newest(session, name)
    return Site() if newest is None else Site.model_validate(newest.content)


def take_over(session: Session, site: Site, name: str | None = None) -> bool:
    """Write down that these facts are in force, where others were; whether they are new.

    Args:
        session: the session.
        site: the facts.
        name: what the site is called here; its own name where it is not given.
    """
    name = site.site if name is None else name
    newest = _newest(session, name)
    if newest is not None and newest.version == site.version:
        return False
    content = site.model_dump(mode="json", by_alias=True, exclude_none=True)
    session.add(SiteVersion(at=now(), site=name, version=site.version, content=content))
    exceptions = [each.name for each in site.exceptions]
    told = {"site": name, "before": None if newest is None else newest.version, "exceptions": exceptions}
    audit.record(session, audit.Actor(audit.SYSTEM), "site.take_over", site.version, told)
    session.flush()
    return True


def _newest(session: Session, name: str) -> SiteVersion | None:
    return session.scalar(sa.select(SiteVersion).where(SiteVersion.site == name).order_by(SiteVersion.id.desc()).limit(1))
