"""Which sensors belong to the sites that a caller is limited to. Records name their sensor, not their site."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from api.enrolment.models import EnrolledSensor

if TYPE_CHECKING:
    from api.services import Services


def seen(services: Services) -> frozenset[str] | None:
    """Names of the sensors whose records the services may show; None for all.

    A system of one site has no records of others. Where there are several, a sensor belongs to the site that it was enrolled for,
    else to the one that it says.
    """
    sites = services.database.scope.sites
    if sites is None or services.site is not None:
        return None
    with services.database.read(scope=services.database.scope.whole) as session:
        enrolled = {name: site for name, site in session.execute(sa.select(EnrolledSensor.name, EnrolledSensor.site)) if site}
    of_site = {each.report.sensor: each.report.site for each in services.reports.all()} | enrolled
    return frozenset(name for name, site in of_site.items() if site in sites)
