"""The packets behind an alert, taken for somebody and on record."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from api.alerts import service as alerts
from api.audit import service as audit
from api.drills import packets as drill_packets
from api.drills import service as drills
from api.evidence.statement import sensors_of, statement_of, statement_of_time
from api.problems import Problem
from sensor.packets import Asked, Evidence, EvidenceError, NoPackets
from sensor.tables import LOCAL_SENSOR

if TYPE_CHECKING:
    from collections.abc import Mapping

    from api.services import Services

PROBLEMS = (
    "alert_unknown", "evidence_busy", "evidence_gone", "evidence_none", "evidence_unreadable", "evidence_waits",
)  # fmt: skip
"""Why there may be none."""


def take(alert_id: str, sensor: str | None, actor: audit.Actor, provided: Services, *, mask_values: bool) -> Evidence:
    """The packets of an alert, and an entry in the audit trail. Raises Problem, one of `PROBLEMS`."""
    with provided.database.read() as session:
        alert = alerts.get(session, alert_id)
        capture = None if alert.drill is None else drills.capture_of(session, alert.drill)
        statement = statement_of(alert.id, alert.client_ip, alert.server_ip, (alert.first_seen, alert.last_seen))
        sensors = sensors_of(alert.body) if capture is None else [drill_packets.SENSOR]
        if (statement is None and not sensors) or sensor not in {None, *sensors}:
            raise Problem("evidence_none", id=alert_id)
        statement = statement or statement_of_time(alert.id, alert.first_seen)
    try:
        asked = Asked(actor.name, time.time_ns(), sensor or (sensors or [LOCAL_SENSOR])[0], mask_values)
        found = provided.packets.take(statement, asked) if capture is None else drill_packets.take(capture, statement, asked)
    except NoPackets as error:
        raise Problem("evidence_gone", id=alert_id) from error
    except EvidenceError as error:
        raise Problem("evidence_unreadable", reason=str(error)) from error
    with provided.database.write() as session:
        audit.record(session, actor, "evidence.take", alert_id, {"sensor": asked.sensor, **_told(found.manifest)})
    return found


def _told(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {name: manifest[name] for name in ("sha256", "bytes", "packets", "from", "to", "masked", "limited")}
