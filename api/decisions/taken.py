"""What took effect in detection, as the database knows it: decisions that are taken up, and facts of a site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.baseline import service as baseline
from api.exceptions import service as exceptions
from api.site import service as sites
from detection.baseline.decisions import Decision
from detection.control import EXCEPTION, NORMAL, SITE
from detection.exceptions import Change
from detection.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy.orm import Session


def take_over(session: Session, site: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write down what took effect at a site, from records of table `control` in their order."""
    decided: list[Decision] = []
    changed: list[Change] = []
    for row in rows:
        if row["kind"] == SITE:
            sites.take_over(session, Site.model_validate_json(row["content"]), site)
        elif row["kind"] == NORMAL:
            decided.append(Decision.from_json(row["content"]))
        elif row["kind"] == EXCEPTION:
            changed.append(Change.from_json(row["content"]))
    if decided:
        baseline.adopt(session, decided, site)
    if changed:
        exceptions.adopt(session, changed, site)
