"""Accepting as normal what an alert tells: a fact of the baseline where it is a deviation, else an exception without an end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from api.alerts.models import Alert
from api.alerts.tuning import LOOKED_AT, TRUE, Hidden, Seen, hidden_by, last_days, proposals, seen
from api.problems import Problem
from detection.anomaly.accepting import reached
from detection.anomaly.members import MODELS as SETS
from detection.anomaly.table import MODELS
from detection.baseline.decisions import Decision
from detection.baseline.kinds import IMPLIED
from detection.tuning import Exemption

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What would be accepted, and what would not have been told."""

    meant: Decision | Exemption
    hides: Hidden


def acceptance(session: Session, alert: Alert, by: str, reason: str) -> Acceptance:
    """What accepting an alert would mean. Raises Problem `acceptance_none` where one that was right cannot be told from it.

    Raises Problem `alert_of_drill` too: what was made up is never normal.
    """
    if alert.drill is not None:
        raise Problem("alert_of_drill", id=alert.id, number=alert.drill)
    fact = cast("Mapping[str, Any] | None", alert.body.get("accept"))
    # Alerts stored before may name no kind, which would mean all, and lack what came later.
    if fact is not None and fact["kind"]:
        named: dict[str, Any] = {name: fact[name] for name in ("server", "client", "kind", "point")}
        named |= {name: fact[name] for name in ("unit", "rare", "observed", "value") if name in fact}
        decision = replace(Decision("accept", by, reason), **named)
        return Acceptance(decision, _told(session, decision, alert.site))
    found = proposals(session, alert, by)
    if not found:
        raise Problem("acceptance_none", id=alert.id)
    fields: dict[str, Any] = found[0].exemption.model_dump(exclude={"kind", "end", "reason"})
    normal = Exemption.model_validate({**fields, "kind": "normal", "name": f"normal-{fields['name']}"[:64], "reason": reason})
    return Acceptance(normal, hidden_by(session, normal, alert.site))


def _told(session: Session, accepted: Decision, site: str) -> Hidden:
    """Deviations of a site that would have been none, had this been normal: those of 30 days, and those ever closed as right."""
    since, _ = last_days(session)
    hosts = [(Alert.client_ip, accepted.client), (Alert.server_ip, accepted.server)]
    named = [Alert.site == site, *(column == address for column, address in hosts if address)]
    kinds = {accepted.kind, *(() if accepted.point or accepted.rare else IMPLIED.get(accepted.kind, ()))}

    def meant(alert: Seen) -> bool:
        fact = alert.body.get("accept")
        if fact is None or (accepted.kind and fact["kind"] not in kinds):
            return False
        if accepted.kind in MODELS:
            return fact["point"] in reached(accepted.kind, accepted.point) and _no_farther(fact, accepted)
        # What was rare is told again each day by its own kind until it is normal.
        named = {"", fact["point"], *([fact.get("operation")] if accepted.rare else [])}
        return accepted.point in named and accepted.unit in {"", fact.get("unit") or accepted.unit}

    recent = seen(session, Alert.first_seen >= since, *named)
    right = [each for each in seen(session, Alert.triage_disposition.in_(TRUE), *named) if meant(each)]
    return Hidden(tuple(each for each in recent if meant(each)), len(right), len(recent) == LOOKED_AT)


def _no_farther(fact: Mapping[str, Any], accepted: Decision) -> bool:
    """Whether an anomaly would be within what is accepted; of a range it is not known where it is left, so that all are shown."""
    return accepted.kind not in {"order", *SETS} or (fact["observed"], fact["value"]) == (accepted.observed, accepted.value)
