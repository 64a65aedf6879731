"""Alerts of the past that are like one, and how they ended: what others found out is a start for whoever looks now."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

import sqlalchemy as sa

from api.alerts.models import Alert

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

Likeness = Literal["rule", "client", "server", "target", "technique"]
LIKENESSES: Final[tuple[Likeness, ...]] = get_args(Likeness)
"""What two alerts can have in common."""

WEIGHTS: Final = {"rule": 4, "client": 3, "server": 3, "target": 2, "technique": 1}

LEAST: Final = 4
"""What two alerts must at least have in common, by weight: the rule, or two ends, or one end and more."""

LOOKED_AT: Final = 500
"""Closed alerts that are looked at of the rule, of the client and of the server: those decided last."""

TOLD: Final = 20
"""Alerts that are told, those most alike."""


@dataclass(frozen=True, slots=True)
class Alike:
    """A closed alert that is like another."""

    alert: Alert
    alike: tuple[Likeness, ...]

    @property
    def weight(self) -> int:
        """How much they have in common."""
        return sum(WEIGHTS[each] for each in self.alike)


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of an alert's kind."""

    ended: Counter[str]
    """Dispositions of all closed alerts that are like it, of those looked at."""
    alerts: tuple[Alike, ...]


def likenesses(one: Alert, other: Alert) -> tuple[Likeness, ...]:
    """What two alerts have in common."""
    mine, others = one.body.get("target"), other.body.get("target")
    same: dict[Likeness, bool] = {
        "rule": one.rule == other.rule,
        "client": one.client_ip is not None and one.client_ip == other.client_ip,
        "server": one.server_ip is not None and one.server_ip == other.server_ip,
        "target": bool(mine) and mine == others,
        "technique": bool(set(one.body["techniques"]) & set(other.body["techniques"])),
    }
    return tuple(name for name in LIKENESSES if same[name])


def similar(session: Session, alert: Alert) -> Past:
    """The closed alerts of its site that are most like an alert, and how all that are like it ended."""
    found: dict[str, Alert] = {}
    for column, value in ((Alert.rule, alert.rule), (Alert.client_ip, alert.client_ip), (Alert.server_ip, alert.server_ip)):
        if value is not None:
            found |= {each.id: each for each in _closed(session, alert, column == value)}
    looked = [Alike(each, likenesses(alert, each)) for each in found.values()]
    alike = [each for each in looked if each.weight >= LEAST]
    alike.sort(key=lambda each: (-each.weight, -(each.alert.triage_at or 0), each.alert.id))
    return Past(Counter(str(each.alert.triage_disposition) for each in alike), tuple(alike[:TOLD]))


def _closed(session: Session, alert: Alert, like: sa.ColumnElement[bool]) -> Sequence[Alert]:
    # Above 0, so that SQLite looks in the index of what was decided.
    decided = sa.and_(Alert.triage_at > 0, Alert.drill.is_(None))
    meant = sa.select(Alert).where(decided, Alert.site == alert.site, Alert.triage_state == "closed", Alert.id != alert.id, like)
    return session.scalars(meant.order_by(Alert.triage_at.desc()).limit(LOOKED_AT)).all()
