"""Which sensors belong to which sites. Records name their sensor, not their site."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from api.enrolment.models import EnrolledSensor
from api.problems import Problem
from detection.checkpoint import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from api.services import Services


def seen(services: Services) -> frozenset[str] | None:
    """Names of the sensors whose records the services may show; None for all.

    A system of one site has no records of others. Where there are several, a sensor belongs to the site that it was enrolled for,
    else to the one that it says.
    """
    sites = services.database.scope.sites
    if sites is None or services.site is not None:
        return None
    return frozenset(name for name, site in _told(services).items() if site in sites)


def sensors_of(services: Services, site: str) -> Sequence[str]:
    """The sensors of a site, in order of their names; none where records of all may be looked at, for they are the site's.

    What was learned of a sensor tells its site, too. Raises Problem `baseline_unknown` where nothing else tells, and what was
    learned cannot be read.
    """
    if services.site is not None:
        return ()
    known = _told(services)
    try:
        known = {run[0]: name for name, learned in services.learned().items() for run, _, _ in learned} | known
    except CheckpointError as error:
        if not known:
            raise Problem("baseline_unknown") from error
    if services.database.scope.sites is None and set(known.values()) <= {site}:
        return ()
    # None of them: no sensor has an empty name.
    return sorted(name for name, where in known.items() if where == site) or ("",)


def _told(services: Services) -> dict[str, str]:
    """The site of each sensor, as it was enrolled or says itself."""
    with services.database.read(scope=services.database.scope.whole) as session:
        enrolled = {name: site for name, site in session.execute(sa.select(EnrolledSensor.name, EnrolledSensor.site)) if site}
    return {each.report.sensor: each.report.site for each in services.reports.all()} | enrolled
