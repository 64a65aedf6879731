"""Which sensors are not heard, and since when: by what they report over Kafka, what is stored of them, and who was enrolled.

A sensor that listens tells of itself every 10 s in table `sensor`, with the depth of its spool; its uplink reports as often over
Kafka. A capture has no such depth: one that was read to its end is no sensor that has fallen silent. In a system on one machine
nothing is reported, and what is stored tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from api.enrolment.models import EnrolledSensor
from api.problems import Problem
from api.records.span import Span, grouped
from api.situation.schemas import Unheard
from api.times import NANOSECONDS, iso
from collector.store import Filter

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from api.services import Services
    from api.situation.schemas import UnheardReason

HEARD_SECONDS: Final = 180
"""A sensor that has told nothing for longer is not heard."""

REMEMBERED_SECONDS: Final = 7 * 86_400
"""How long after it was last heard a sensor is named. One that is enrolled and not revoked is named however long ago that was."""

LISTENS: Final = Filter("sensor.spool_depth", "is_not_null")
"""What a sensor that listens to interfaces tells of itself."""

READS: Final = Filter("sensor.spool_depth", "is_null")
"""What is told of a capture that is read."""


@dataclass(frozen=True, slots=True)
class _Recorded:
    """What is stored of sensors.

    Attributes:
        live: when each of those that listen told of itself last, nanoseconds since 1970.
        captures: enrolled sensors of which captures are stored and nothing else.
    """

    live: Mapping[str, int]
    captures: Collection[str]


@dataclass(frozen=True, slots=True)
class _Moment:
    """What is asked.

    Attributes:
        at: of when, nanoseconds since 1970.
        past: whether that is not now: of a past time nothing is known but what is stored.
        late: who told nothing since then is not heard.
        enrolled: when each sensor was enrolled that was not revoked by then.
    """

    at: int
    past: bool
    late: int
    enrolled: Mapping[str, int]


def unheard(provided: Services, at: int, sensors: Sequence[str], *, past: bool) -> list[Unheard]:
    """The sensors that are known not to be heard, by name.

    Args:
        provided: the services.
        at: now or a past time, nanoseconds since 1970.
        sensors: which are meant; none for all.
        past: whether the time is a past one.
    """
    enrolled, revoked = _enrolled(provided, at, sensors)
    moment = _Moment(at, past, at - HEARD_SECONDS * NANOSECONDS, enrolled)
    reports = () if past else provided.reports.all()
    reported = {each.report.sensor: each for each in reports if not sensors or each.report.sensor in sensors}
    try:
        recorded = _recorded(provided, moment, sensors)
    except Problem:
        recorded = None
    live = {} if recorded is None else dict(recorded.live)
    for name, heard in reported.items():
        if name in live:
            # A clock that is behind makes nobody silent; one that is ahead is found out by the brokers' own.
            live[name] += max(0, heard.at - heard.report.at)
    found: list[Unheard] = []
    for name in sorted({*reported, *live, *enrolled} - revoked):
        told = reported[name].at if name in reported else None
        said = _judged(name, told, live.get(name), recorded, moment)
        # Who was not heard because what was said before is still being read may have been heard.
        if said is not None and not (said.reason == "never_heard" and provided.reports.unread):
            found.append(said)
    return found


def _judged(name: str, told: int | None, live: int | None, recorded: _Recorded | None, moment: _Moment) -> Unheard | None:
    """Whether a sensor is not heard, by when its uplink reported and it told of itself last."""
    last = max((each for each in (told, live) if each is not None), default=None)
    since = moment.enrolled.get(name)
    if last is None:
        # What is stored may be all that tells, and of a past time reports are not known.
        is_known = recorded is not None and name not in recorded.captures and not moment.past
        return _said(name, "never_heard") if is_known and since is not None and since < moment.late else None
    if last < moment.late:
        is_remembered = since is not None or last >= moment.at - REMEMBERED_SECONDS * NANOSECONDS
        return _said(name, "not_heard", last) if is_remembered else None
    if live is not None:
        return _said(name, "not_stored", live) if live < moment.late else None
    if recorded is None or name in recorded.captures or since is None or since >= moment.late:
        return None
    return _said(name, "nothing_stored")


def _said(name: str, reason: UnheardReason, since: int | None = None) -> Unheard:
    return Unheard(sensor=name, reason=reason, since=None if since is None else iso(since))


def _enrolled(provided: Services, at: int, sensors: Sequence[str]) -> tuple[dict[str, int], set[str]]:
    """When each sensor was enrolled, by a time, that was not revoked by then; and those that were."""
    asked = sa.select(EnrolledSensor.name, EnrolledSensor.enrolled_at, EnrolledSensor.revoked_at)
    # Which are meant was decided before, by the caller's sites: the answer is kept for all who mean the same.
    with provided.database.read(scope=provided.database.scope.whole) as session:
        rows = [row for row in session.execute(asked) if not sensors or row.name in sensors]
    revoked = {row.name for row in rows if row.revoked_at is not None and row.revoked_at <= at}
    enrolled = {row.name: row.enrolled_at for row in rows if row.enrolled_at is not None and row.enrolled_at <= at}
    return {name: since for name, since in enrolled.items() if name not in revoked}, revoked


def _recorded(provided: Services, moment: _Moment, sensors: Sequence[str]) -> _Recorded:
    """What is stored of sensors up to a time. Raises Problem as `asked`."""
    since = max(0, moment.at - REMEMBERED_SECONDS * NANOSECONDS)
    live = _last(provided, Span(since, moment.at + 1_000, provided.settings.query_seconds, sensors), LISTENS)
    missing = sorted(moment.enrolled.keys() - live.keys())
    if not missing:
        return _Recorded(live, ())
    # There are few, if any: of these alone all that is stored is looked at.
    whole = Span(0, moment.at + 1_000, provided.settings.query_seconds, missing)
    live |= _last(provided, whole, LISTENS)
    return _Recorded(live, _last(provided, whole, READS).keys() - live.keys())


def _last(provided: Services, span: Span, kind: Filter) -> dict[str, int]:
    """When each sensor of a span told of itself last, of those that are of a kind. Raises Problem as `asked`."""
    rows, _ = grouped(provided.records, "sensor", ["sensor"], span, filters=[kind])
    return {str(row["sensor"]): int(row["last"]) for row in rows.iter_rows(named=True)}
