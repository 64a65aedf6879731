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
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy.orm import Session

Effect = Site | Decision | Change
"""What took effect: facts of a site, a decision about what is normal, one about an exception."""


def effects(rows: Iterable[Mapping[str, Any]]) -> list[Effect]:
    """What took effect, from records of table `control` in their order. Raises ValueError where one cannot be read."""
    kinds = {SITE: Site.model_validate_json, NORMAL: Decision.from_json, EXCEPTION: Change.from_json}
    return [kinds[row["kind"]](row["content"]) for row in rows if row["kind"] in kinds]


def take_over(session: Session, site: str, effective: Sequence[Effect]) -> None:
    """Write down what took effect at a site, in its order."""
    for each in effective:
        if isinstance(each, Site):
            sites.take_over(session, each, site)
    decided = [each for each in effective if isinstance(each, Decision)]
    changed = [each for each in effective if isinstance(each, Change)]
    if decided:
        baseline.adopt(session, decided, site)
    if changed:
        exceptions.adopt(session, changed, site)
