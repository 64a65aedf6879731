"""Alerts that people lay aside: until a time, or until something joins them. The state stays; it ends by itself.

What could end it is looked at by the clock (`api.ticking`), not as alerts come in: records are read for it, which takes time.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final, cast

import sqlalchemy as sa

from api.alerts import merging, service, told
from api.alerts.models import Alert
from api.alerts.schemas import CONDITIONS
from api.audit import service as audit
from api.database import advance
from api.obligations.clocks import SLACK
from api.problems import Problem
from api.records import service as records
from api.times import NANOSECONDS, now
from api.windows.scope import BLIND, SAFETY_RULES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import Session

    from api.alerts.schemas import SnoozeInput
    from api.audit.service import Actor
    from collector.store import RecordStore

MOST_DAYS: Final = 30
"""How long an alert can be laid aside: what is forgotten comes back."""

LOOKED_AT: Final = 200
"""Alerts that are looked at in one go."""

READ_SECONDS: Final = 5.0
"""How long records are read for it in one go: other clocks wait meanwhile."""

FUNCTIONS: Final = ("modbus.function_code", "modbus.sub_function", "opcua.service")
"""Columns of records that say what was asked for."""

SYSTEM: Final = audit.Actor(audit.SYSTEM)

_log: Final = logging.getLogger(__name__)


def functions(store: RecordStore, identities: Sequence[str]) -> list[str]:
    """What was asked for in these records. Raises Problem `records_missing` where they cannot be read."""
    if not identities:
        return []
    rows = [row for table in records.of_identities(store, identities).tables for row in table.items]
    return sorted({f"{column}={row[column]}" for row in rows for column in FUNCTIONS if row.get(column) is not None})


def snooze(session: Session, alert: Alert, actor: Actor, given: SnoozeInput, known: tuple[int, Sequence[str]]) -> None:
    """Lay an alert aside, of which these functions are known as of a revision. Raises Problem `alert_state`, `snooze_times`."""
    moment = now()
    latest = moment + MOST_DAYS * 86_400 * NANOSECONDS
    if alert.triage_state not in {"new", "triaging"}:
        raise Problem("alert_state", state=alert.triage_state, action="snooze")
    until = latest if given.until is None else given.until
    if not moment < until <= latest:
        raise Problem("snooze_times", days=MOST_DAYS)
    wanted = [each for each in CONDITIONS if each in given.conditions]
    telling = _telling(session, alert)
    alert.snooze = {
        "by": actor.name, "at": moment, "note": given.note, "conditions": wanted,
        "severity": _severity(telling), "seen": {**_traits(telling), "function": list(known[1])},
    }  # fmt: skip
    # What joined it since its records were read is looked at by the clock.
    alert.snoozed_until, alert.snooze_revision = until, known[0]
    _changed(session, alert, actor, "snoozed", given.note)
    audit.record(session, actor, "alert.snooze", alert.id, {"until": until, "conditions": wanted, "note": given.note})


def wake(session: Session, alert: Alert, actor: Actor, note: str) -> None:
    """Bring an alert back that was laid aside. Raises Problem `alert_not_snoozed`."""
    if alert.snoozed_until is None:
        raise Problem("alert_not_snoozed", id=alert.id)
    alert.snoozed_until = alert.snooze = alert.snooze_revision = None
    _changed(session, alert, actor, "woken", note)
    audit.record(session, actor, "alert.wake", alert.id, {"note": note})


def too_early(session: Session, moment: int) -> list[int]:
    """The alerts laid aside later than now, by the numbers of their latest changes: the clock of a machine was ahead then."""
    laid = sa.select(Alert.change, Alert.snooze).where(_SNOOZED, Alert.snoozed_until > moment)
    return [change for change, said in session.execute(laid) if said is not None and said["at"] > moment + SLACK]


def take_back(session: Session, change: int, moment: int) -> int:
    """Bring an alert back that was laid aside later than now: it would stay away for longer than it may."""
    alert = session.scalar(sa.select(Alert).where(Alert.change == change, _SNOOZED))
    if alert is None or alert.snooze is None or alert.snooze["at"] <= moment + SLACK:
        return 0
    _end(session, alert, "time")
    return 1


def _end(session: Session, alert: Alert, why: str) -> None:
    """Let an alert come back by itself."""
    alert.snoozed_until = alert.snooze = alert.snooze_revision = None
    alert.change = advance(session, "change")
    service.add_event(session, alert, f"woken_{why}", audit.SYSTEM)
    audit.record(session, SYSTEM, "alert.wake", alert.id, {"why": why})


class Snoozed:
    """Brings back what was laid aside, alert by alert, each by the number of its latest change.

    Args:
        store: where the records behind alerts are.
    """

    def __init__(self, store: RecordStore) -> None:
        self._store = store
        self._functions: dict[int, list[str] | None] = {}
        self._after = 0
        """The change up to which those that grew were looked at: in turns, so that none keeps others up."""

    def due(self, session: Session, moment: int) -> list[int]:
        """The alerts whose time is over, and some of those that grew since they were looked at.

        Records are read for it here, where nobody waits to write; where they cannot be read now the next looks try again.
        """
        over = sa.select(Alert).where(_SNOOZED, Alert.snoozed_until <= moment).order_by(Alert.snoozed_until).limit(LOOKED_AT)
        found = [alert.change for alert in session.scalars(over)]
        self._functions = {}
        begun = time.monotonic()
        grown = sa.select(Alert).where(_SNOOZED, Alert.snoozed_until > moment, _GROWN)
        some = session.scalars(grown.where(Alert.change > self._after).order_by(Alert.change).limit(LOOKED_AT)).all()
        for alert in some:
            asks = alert.snooze is not None and "function" in alert.snooze["conditions"]
            if asks and time.monotonic() - begun > READ_SECONDS:
                break
            found.append(alert.change)
            self._after = alert.change
            try:
                self._functions[alert.change] = functions(self._store, merging.records(session, alert)) if asks else []
            except Problem as problem:
                _log.warning("what was asked for in alert %s is not known: %s", alert.id, problem.code)
                self._functions[alert.change] = None
        else:
            self._after = self._after if len(some) == LOOKED_AT else 0
        return found

    def end(self, session: Session, change: int, moment: int) -> int:
        """Bring an alert back whose time is over or that something joined; returns whether it came back."""
        alert = session.scalar(sa.select(Alert).where(Alert.change == change, _SNOOZED))
        if alert is None or alert.snoozed_until is None:
            return 0  # it has changed meanwhile: the next look sees it
        asked = self._functions.get(change, [])
        why = _joined(session, alert, asked or ()) or ("time" if alert.snoozed_until <= moment else None)
        if why is None:
            if asked is not None:
                alert.snooze_revision = alert.revision
            return 0
        _end(session, alert, why)
        return 1


_SNOOZED: Final = Alert.snoozed_until > 0
"""Alerts that are laid aside, so that SQLite finds them by the index."""

_GROWN: Final = Alert.revision > Alert.snooze_revision


def _joined(session: Session, alert: Alert, known: Sequence[str]) -> str | None:
    """What joined an alert since it was laid aside, and is to bring it back."""
    said = alert.snooze or {}
    telling = _telling(session, alert)
    if _severity(telling) > said["severity"]:
        return "severity"
    traits = {**_traits(telling), "function": list(known)}
    seen = cast("Mapping[str, Sequence[str]]", said["seen"])
    if (BLIND | SAFETY_RULES) & (set(traits["rule"]) - set(seen["rule"])):
        return "rule"  # nothing else tells it
    return next((each for each in said["conditions"] if set(traits[each]) - set(seen[each])), None)


def _telling(session: Session, alert: Alert) -> list[Alert]:
    """An alert, and those that it took in: nothing else tells them."""
    return [alert, *merging.taken_in(session, alert)]


def _severity(alerts: Sequence[Alert]) -> int:
    return max(told.severity(alert.severity, alert.body) for alert in alerts)


def _traits(alerts: Sequence[Alert]) -> dict[str, list[str]]:
    """The addresses of alerts and of their stories, and the rules whose findings belong to them."""
    every = [told.traits(alert) for alert in alerts]
    return {name: sorted({value for traits in every for value in traits[name]}) for name in ("asset", "rule")}


def _changed(session: Session, alert: Alert, actor: Actor, kind: str, note: str) -> None:
    alert.triage_version += 1
    alert.change = advance(session, "change")
    service.add_event(session, alert, kind, actor.name, note)
    session.flush()
