"""Starting, finding and ending drills."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from api.alerts import service as alerts
from api.alerts import upserts
from api.alerts.models import Alert
from api.audit import service as audit
from api.database import advance
from api.database.scope import scope_of
from api.drills import detecting, packets, plant, steps, traffic
from api.drills.models import Drill
from api.drills.scenarios import SCENARIOS
from api.incidents import service as incidents
from api.incidents.schemas import CloseIncidentInput
from api.pages import read_cursor, write_cursor
from api.problems import Problem
from api.site import service as sites
from api.times import now
from detection.sigma.rule import RuleError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from api.audit.service import Actor
    from api.drills.models import DrillState
    from api.drills.plant import Plant
    from api.drills.scenarios import ScenarioKey
    from api.drills.schemas import DrillInput, DrillQuery
    from api.services import Services
    from detection.alerts import Alert as Revision

COUNTER: Final = "drill"
"""Counter that numbers drills."""

NAMED: Final = 100
"""Alerts of a drill that are named."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a drill begins with."""

    site: str
    plant: Plant
    capture: bytes
    alerts: Sequence[Revision]


def get(session: Session, number: int) -> Drill:
    """One drill. Raises Problem `drill_unknown`."""
    key = {"organisation": scope_of(session).organisation, "number": number}
    found, sites_seen = session.get(Drill, key), scope_of(session).sites
    if found is None or (sites_seen is not None and found.site not in sites_seen):
        raise Problem("drill_unknown", number=number)
    return found


def find(session: Session, query: DrillQuery) -> tuple[Sequence[Drill], str | None]:
    """One page of drills, the latest first, and the cursor of the next one."""
    statement = sa.select(Drill)
    for asked, column in ((query.state, Drill.state), (query.site, Drill.site), (query.scenario, Drill.scenario)):
        if asked is not None:
            statement = statement.where(asked.on(column))
    question = query.question()
    if query.cursor is not None:
        statement = statement.where(Drill.number < read_cursor(question, query.cursor, (int,))[0])
    rows = session.scalars(statement.order_by(Drill.number.desc()).limit(query.limit + 1)).all()
    if len(rows) <= query.limit:
        return rows, None
    return rows[: query.limit], write_cursor(question, rows[query.limit - 1].number)


def etag(drill: Drill) -> str:
    """The entity tag of a drill."""
    return f'"{drill.version}"'


def prepare(provided: Services, given: DrillInput) -> Prepared:
    """Make the traffic of a drill and look at it; nothing is written.

    Raises Problem `site_missing`, `site_unknown`, `drill_running`, `drill_plant_unknown`, `rules_unreadable`, `drill_silent`, and
    as `api.records.span.asked`.
    """
    with provided.database.read() as session:
        site = sites.meant(session, provided, given.site)
        _check_free(session, site)
        facts = sites.in_force(session, site).model_copy(update={"site": site})
    scenario = SCENARIOS[given.scenario]
    of_plant = plant.of(provided, site)
    capture = traffic.made(scenario, of_plant, now())
    try:
        found = detecting.detect(capture, provided.ruleset(site), facts)
    except RuleError as error:
        raise Problem("rules_unreadable", reason=error) from error
    if not {alert.rule for alert in found} & {*scenario.rules}:
        raise Problem("drill_silent", site=site or "–", rules=", ".join(scenario.rules))
    return Prepared(site, of_plant, capture, found)


def start(session: Session, prepared: Prepared, given: DrillInput, actor: Actor) -> Drill:
    """Begin a drill: its alerts are there from now on. Raises Problem `drill_running`."""
    _check_free(session, prepared.site)
    drill = Drill(
        number=advance(session, COUNTER), site=prepared.site, version=1, scenario=given.scenario, title=given.title,
        participants=given.participants, note=given.note, state="running", started_by=actor.name, started_at=now(),
        ended_by=None, ended_at=None, end_note=None, plant=prepared.plant.told(), packets=packets.kept(prepared.capture),
    )  # fmt: skip
    session.add(drill)
    session.flush()
    upserts.apply(session, [upserts.fitting(each) for each in prepared.alerts], prepared.site, drill.number)
    told: dict[str, Any] = {
        "site": drill.site, "scenario": drill.scenario, "title": drill.title, "participants": drill.participants,
        "alerts": [each.id for each in prepared.alerts],
    }  # fmt: skip
    audit.record(session, actor, "drill.start", str(drill.number), told)
    return drill


def end(session: Session, drill: Drill, actor: Actor, note: str, state: DrillState) -> None:
    """End a drill, finished or aborted: what is open of its alerts and its incident is closed as a drill.

    Raises Problem `drill_over`.
    """
    if drill.state != "running":
        raise Problem("drill_over", number=drill.number)
    # Before all that it closes: what is closed by the end itself nobody has done.
    drill.ended_at, drill.ended_by, drill.end_note, drill.state = now(), actor.name, note, state
    drill.version += 1
    outcome = CloseIncidentInput(disposition="authorised_work", permit=f"drill {drill.number}", reason=note)
    for number in steps.incident_numbers(session, drill):
        incident = incidents.get(session, number)
        if incident.state != "closed":
            incidents.close_over(session, incident, actor, outcome)
    left = session.scalars(sa.select(Alert).where(Alert.drill == drill.number, Alert.triage_state != "closed")).all()
    for alert in left:
        alerts.close_with_incident(session, alert, actor, outcome)
    told = {"note": note, "closed": [alert.id for alert in left]}
    audit.record(session, actor, "drill.end" if state == "finished" else "drill.abort", str(drill.number), told)


def last_before(session: Session, drill: Drill) -> Drill | None:
    """The drill that a drill is compared with: the last of its scenario and site that ran to its end before it."""
    before = sa.select(Drill).where(
        Drill.site == drill.site, Drill.scenario == drill.scenario, Drill.state == "finished", Drill.number < drill.number
    )
    return session.scalar(before.order_by(Drill.number.desc()).limit(1))


def alerts_of(session: Session, drill: Drill) -> list[str]:
    """The alerts of a drill that are told by themselves, the highest ranked first."""
    mine = sa.select(Alert.id).where(Alert.drill == drill.number, Alert.part_of.is_(None))
    return list(session.scalars(mine.order_by(Alert.rank.desc(), Alert.id).limit(NAMED)))


def capture_of(session: Session, number: int) -> bytes:
    """The traffic of a drill as a capture file. Raises Problem `drill_unknown`."""
    return packets.given_back(get(session, number).packets)


def scenario_keys() -> Sequence[ScenarioKey]:
    """All that can be drilled."""
    return tuple(SCENARIOS)


def _check_free(session: Session, site: str) -> None:
    """Raises Problem `drill_running` where one runs at a site."""
    running = session.scalar(sa.select(Drill.number).where(Drill.site == site, Drill.state == "running").limit(1))
    if running is not None:
        raise Problem("drill_running", number=running, site=site or "–")
