"""Putting the situation together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from api.alerts import service as alerts
from api.alerts.models import SEVERITIES
from api.handovers import service as handovers
from api.sensors.sites import seen, sensors_of
from api.site import service as sites
from api.situation import collected, drawn, incidents_then, seeing
from api.situation.incidents_then import Then
from api.situation.load import BUCKET_SECONDS, DAY_ALARMS, TEN_MINUTES_ALARMS, hours_of, verdict, worst_of
from api.situation.schemas import SHIFT_HOURS, AlarmLoad, Changes, Clock, OpenAlert, OpenIncident, SeverityCount, Situation
from api.times import NANOSECONDS, iso, now
from api.zones import service as zones

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import Session

    from api.incidents.models import Incident
    from api.obligations.models import Obligation
    from api.services import Services
    from api.situation.collected import Looked, Moment
    from api.situation.schemas import SinceOf, SituationQuery

ALERTS: Final = 50
"""Alerts that are told."""


def situation(provided: Services, query: SituationQuery, language: str) -> Situation:
    """How the plant is, or was. Raises Problem `site_unknown`, `baseline_unknown`, `query_too_long`."""
    at = now() if query.as_of is None else min(query.as_of, now())
    past = query.as_of is not None
    with provided.database.read() as session:
        moment = _moment(session, provided, query, at, past=past)
        found, counts, limited = collected.open_alerts(session, moment)
        bodies = collected.bodies(session, [each.id for each in found[: collected.BODIES]])
        techniques = collected.techniques(session, [each.id for each in found])
        places = {site: zones.places(session, provided.plans, site, at if past else None) for site in moment.sites}
        where = drawn.mapped(places, collected.assets(session, moment))
        load = _load(session, moment)
        changes = _changes(session, moment, query.since)
        stated = collected.incidents(session, moment)
        incidents = _incidents(session, stated, moment)
        change = alerts.newest_change(session)
    sensors = _sensors(provided, query, moment)
    stages = drawn.stages(techniques, language)
    seconds = seeing.PAST_SECONDS if past else seeing.SEEN_SECONDS
    key = (tuple(sensors), query.as_of)
    blindness = provided.kept.get(("blindness", *key), seconds, lambda: seeing.blindness(provided, query.as_of, sensors))
    baseline = (
        None
        if past
        else provided.kept.get(("baseline", *moment.sites), seconds, lambda: seeing.baselines(provided, moment.sites))
    )
    tally = drawn.Tally()
    for each in found:
        tally.add(each)
    return Situation(
        as_of=iso(at),
        past=past,
        change=change,
        site=query.site,
        standing=tally.standing,
        counts=_counts(counts),
        stories=drawn.stories(found, bodies, language),
        alerts=[_alert(each, bodies[each.id], language) for each in found[:ALERTS] if each.id in bodies],
        assets=drawn.touched(found, where),
        zones=drawn.zones(found, where),
        conduits=drawn.conduits(found, where),
        levels=drawn.levels(found, where),
        points=drawn.points(found, bodies),
        load=load,
        blindness=blindness,
        baseline=baseline,
        stages=stages,
        furthest=stages[-1].name if stages else None,
        incidents=incidents,
        changes=changes,
        limited=limited,
    )


def _moment(session: Session, provided: Services, query: SituationQuery, at: int, *, past: bool) -> Moment:
    """Of when and of which sites it is asked."""
    if query.site is not None:
        return collected.Moment(at, past, [sites.written(session, provided, query.site)], whole=False)
    own = provided.database.scope.sites
    if own is not None:
        return collected.Moment(at, past, sorted(own), whole=False)
    return collected.Moment(at, past, sites.visible(session, provided) or [""], whole=True)


def _sensors(provided: Services, query: SituationQuery, moment: Moment) -> Sequence[str]:
    """The sensors that are meant; none for all."""
    if query.site is not None:
        return sensors_of(provided, moment.sites[0])
    limited = seen(provided)
    return () if limited is None else sorted(limited) or ("",)


def _counts(counts: Mapping[tuple[int, str], int]) -> list[SeverityCount]:
    return [
        SeverityCount(
            severity=severity, **{state: counts.get((SEVERITIES.index(severity), state), 0) for state in collected.OPEN}
        )
        for severity in reversed(SEVERITIES)
    ]


def _alert(each: Looked, body: Mapping[str, object], language: str) -> OpenAlert:
    texts: Mapping[str, str] = body["texts"][language]  # type: ignore[index]  # pyright: ignore[reportIndexIssue,reportUnknownVariableType]  as detection writes it
    story: Mapping[str, str] | None = body.get("story")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    return OpenAlert.model_validate(
        {
            "id": each.id, "site": each.site, "severity": SEVERITIES[each.severity], "rank": each.rank, "state": each.state,
            "title": texts["title"], "summary": texts["summary"], "first_seen": iso(each.first_seen),
            "last_seen": iso(each.last_seen), "client": each.client, "server": each.server, "by": each.by,
            "story": None if story is None else story["id"],
        }
    )  # fmt: skip


def _load(session: Session, moment: Moment) -> AlarmLoad:
    buckets, limited = collected.told(session, moment)
    worst, when = worst_of(buckets)
    day = sum(buckets.values())
    return AlarmLoad(
        day=day,
        day_limit=DAY_ALARMS,
        worst_ten_minutes=worst,
        worst_at=None if when is None else iso(when * BUCKET_SECONDS * NANOSECONDS),
        ten_minutes_limit=TEN_MINUTES_ALARMS,
        floods=sum(count > TEN_MINUTES_ALARMS for count in buckets.values()),
        hours=hours_of(buckets, moment.at // NANOSECONDS),
        verdict=verdict(day, worst),
        limited=limited,
    )


def _changes(session: Session, moment: Moment, since: int | None) -> Changes:
    begin, of, note = _began(session, moment, since)
    steps = collected.steps(session, moment, begin)
    taken = {name: steps.get(name, 0) for name in ("raised", "acknowledged", "escalated", "closed", "recurred")}
    told = {"since": iso(begin), "since_of": of, "handover": note}
    return Changes.model_validate({**told, **taken, **collected.changed(session, moment, begin)})


def _began(session: Session, moment: Moment, since: int | None) -> tuple[int, SinceOf, int | None]:
    """When the shift began, whence that is known, and the note that says so."""
    if since is not None:
        return since, "asked", None
    # A note about all sites hands this one over, too.
    note = handovers.latest(session, {"", *moment.sites} if len(moment.sites) == 1 else {""}, moment.at)
    if note is not None and note.handed_at is not None:
        return note.handed_at, "handover", note.id
    return max(0, moment.at - SHIFT_HOURS * 3_600 * NANOSECONDS), "hours", None


def _incidents(session: Session, stated: Sequence[Incident], moment: Moment) -> list[OpenIncident]:
    """Those that are open, or were then."""
    numbers = [each.number for each in stated]
    if moment.past:
        then = incidents_then.of(session, numbers, moment.at)
        return [_incident(each, moment, then[each.number]) for each in stated if then[each.number].state != "closed"]
    clocks = collected.clocks(session, numbers)
    return [
        _incident(each, moment, Then(each.state, each.held_until is not None, each.grade, clocks.get(each.number, [])))
        for each in stated
    ]


def _incident(incident: Incident, moment: Moment, then: Then) -> OpenIncident:
    return OpenIncident(
        number=incident.number,
        site=incident.site,
        title=incident.title,
        state=then.state,
        grade=then.grade,
        drill=incident.drill,
        lead=incident.lead,
        discovered_at=iso(incident.discovered_at),
        seconds=max(0, (moment.at - incident.discovered_at) // NANOSECONDS),
        on_hold=then.on_hold,
        clocks=[_clock(each, moment) for each in then.clocks],
    )


def _clock(each: Obligation, moment: Moment) -> Clock:
    started = each.due_at is not None and not (moment.past and (each.started_at or 0) > moment.at)
    due = each.due_at if started else None
    state: str | None = each.state
    if moment.past:
        state = "approved" if each.approved_at is not None and each.approved_at <= moment.at else None
    return Clock(
        obligation=each.id,
        rule=each.rule,
        kind=each.kind,
        state=state,
        due_at=None if due is None else iso(due),
        seconds_left=None if due is None else (due - moment.at) // NANOSECONDS,
    )
