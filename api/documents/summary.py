"""What a summary of an incident says: what happened, its grade and why, who has to do what, and what is not known.

Each list is bounded, and where something was left out for that, the summary says so.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from api.alerts.models import SEVERITIES, Alert
from api.assets import service as assets
from api.assets.models import CRITICALITIES
from api.documents.contents import NOTHING, Due, Grade, Line, Raised, Summary, Task, Touched, local
from api.documents.report import about, due, level_name, missing
from api.incidents import grades, grading, presentation, service, timeline
from api.incidents.models import IncidentEntry
from api.obligations import presentation as obligation_presentation
from api.obligations import service as obligations
from api.playbooks import service as playbooks
from api.situation.drawn import mapped
from api.texts import text
from api.times import now, parse
from api.zones import service as zones
from api.zones.plan import Places
from sensor import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from api.incidents.models import Incident
    from api.obligations.models import Obligation
    from api.obligations.schemas import OperatorInput
    from api.playbooks.models import IncidentTask
    from api.situation.schemas import Blindness, Unheard

LINES: Final = 300
"""Lines of the timeline that are told, the latest."""

ALERTS: Final = 30
"""Alerts that are told, the most severe."""

ASSETS: Final = 50
"""Addresses that are told, those with the most alerts."""

TASKS: Final = 100

NAMED: Final = 20
"""Things that one gap names."""


@dataclass(frozen=True, slots=True)
class Reader:
    """For whom a summary is made.

    Attributes:
        name: name of the account.
        language: language of the texts.
        plant: whether the account may see alerts and assets.
    """

    name: str
    language: str
    plant: bool


def contents(
    session: Session, incident: Incident, operator: OperatorInput, blindness: Blindness | None, reader: Reader
) -> Summary:
    """What there is to say of an incident now.

    Args:
        session: whose scope is the reader's.
        incident: the incident.
        operator: what the operator of its site is.
        blindness: what sensors do not see; None where the reader may not know.
        reader: for whom.
    """
    language, zone, moment = reader.language, operator.time_zone, now()
    told, lines_left_out = _timeline(session, incident.number, zone, language)
    raised, touched, alert_count, plant_gaps = _plant(session, incident, zone, reader)
    tasks = playbooks.tasks(session, incident.number)
    undone = [each for each in tasks if each.state in playbooks.UNDONE]
    reports = [each for each in obligations.of_incident(session, incident.number) if each.state != "lapsed"]
    graded = _grades(session, incident, zone, language)
    gaps = [
        *_gaps(incident, graded, reports, language),
        *plant_gaps,
        *([] if not lines_left_out else [text(language, "document.gap.timeline", count=lines_left_out)]),
        *([] if len(undone) <= TASKS else [text(language, "document.gap.tasks", count=len(undone) - TASKS)]),
        *([] if blindness is None else _unseen(blindness, zone, language)),
    ]
    return Summary(
        operator=operator.name,
        site=incident.site or NOTHING,
        incident=about(incident, zone, language),
        drill=incident.drill,
        grades=graded,
        obligations=[_due(session, each, incident, zone, language) for each in reports],
        tasks=[_task(each, zone, moment, language) for each in undone[:TASKS]],
        tasks_done=str(len(tasks) - len(undone)),
        assets=touched,
        alerts=raised,
        alert_count=str(alert_count),
        timeline=told,
        gaps=gaps,
        made_at=local(moment, zone),
        made_by=reader.name,
        version=__version__,
        time_zone=zone,
    )


def _timeline(session: Session, number: int, zone: str, language: str) -> tuple[list[Line], int]:
    """The latest lines in the order in which things happened, and how many were before them."""
    mine = IncidentEntry.incident.in_(timeline.told_by(session, number))
    latest = sa.select(IncidentEntry).where(mine).order_by(IncidentEntry.at.desc(), IncidentEntry.id.desc()).limit(LINES)
    rows = session.scalars(latest).all()[::-1]
    whole = session.scalar(sa.select(sa.func.count(IncidentEntry.id)).where(mine)) or 0
    lines: list[Line] = []
    for row in rows:
        shown = presentation.line(row, language)
        lines.append(Line(local(row.at, zone), row.actor, shown.text, shown.note or "", shown.source or ""))
    return lines, whole - len(rows)


def _plant(session: Session, incident: Incident, zone: str, reader: Reader) -> tuple[list[Raised], list[Touched], int, list[str]]:
    """Alerts and assets of an incident, how many alerts there are, and what of this is not known."""
    language = reader.language
    ids = service.alert_ids(session, incident.number)
    if not reader.plant:
        return [], [], len(ids), [text(language, "document.gap.not_shown")]
    if not ids:
        return [], [], 0, [text(language, "document.gap.no_alerts")]
    counts: Counter[str] = Counter()
    ranked: list[tuple[int, int, str]] = []
    for some in service.in_parts(ids):
        columns = (Alert.id, Alert.severity, Alert.first_seen, Alert.client_ip, Alert.server_ip)
        for row in session.execute(sa.select(*columns).where(Alert.id.in_(some))):
            ranked.append((-row.severity, row.first_seen, row.id))
            counts.update({address for address in (row.client_ip, row.server_ip) if address})
    chosen = [identity for *_, identity in sorted(ranked)[:ALERTS]]
    alerts = session.scalars(sa.select(Alert).where(Alert.id.in_(chosen)).order_by(Alert.first_seen, Alert.id))
    raised = [
        Raised(
            local(each.first_seen, zone), text(language, f"severity.{SEVERITIES[each.severity]}"),
            each.body["texts"][language]["title"], each.client_ip or NOTHING, each.server_ip or NOTHING,
        )
        for each in alerts
    ]  # fmt: skip
    gaps = [] if len(ids) <= ALERTS else [text(language, "document.gap.alerts", count=len(ids) - ALERTS)]
    touched, more = _assets(session, incident.site, counts, language)
    return raised, touched, len(ids), [*gaps, *more]


def _assets(session: Session, site: str, counts: Counter[str], language: str) -> tuple[list[Touched], list[str]]:
    places = Places(zones.plan(zones.in_force(session, site)))
    where = mapped({site: places}, assets.of_site(session, site))
    touched: list[Touched] = []
    unknown: list[str] = []
    for address, count in sorted(counts.items(), key=lambda each: (-each[1], each[0])):
        asset, zone = where.assets.get((site, address)), where.zone(site, address)
        if asset is None:
            unknown.append(address)
        touched.append(
            Touched(
                name=text(language, "document.unregistered") if asset is None else asset.name,
                address=address,
                zone=NOTHING if zone is None else zone.name,
                criticality=NOTHING if asset is None else text(language, f"criticality.{CRITICALITIES[asset.criticality]}"),
                alerts=str(count),
            )
        )
    gaps: list[str] = []
    if unknown:
        gaps.append(text(language, "document.gap.unregistered", count=len(unknown), names=_some(unknown, language)))
    if len(touched) > ASSETS:
        gaps.append(text(language, "document.gap.assets", count=len(touched) - ASSETS))
    return touched[:ASSETS], gaps


def _grades(session: Session, incident: Incident, zone: str, language: str) -> list[Grade]:
    """What each scheme makes of the incident that has something to go by, or that somebody decided by."""
    decisions = {each.scheme: each for each in grades.history(session, incident.number)}
    found: list[Grade] = []
    for proposal in grades.proposals(incident):
        decided, scheme = decisions.get(proposal.scheme), grading.grading().scheme(proposal.scheme)
        if proposal.level is None and proposal.scheme not in incident.grades:
            continue
        metrics = {each.metric: grading.grading().metric(each.metric) for each in proposal.met}
        known = {key: _fact(incident.facts[key], metric, language) for key, metric in metrics.items()}
        found.append(
            Grade(
                scheme=scheme.name(language),
                citation=scheme.citation,
                decided=level_name(scheme.key, incident.grades.get(scheme.key), language),
                proposed=level_name(scheme.key, proposal.level, language),
                reason="" if decided is None else decided.reason,
                by="" if decided is None else decided.by,
                at="" if decided is None else local(decided.at, zone),
                met=[f"{metric.name(language)}{_colon(language)}{known[key]}" for key, metric in metrics.items()],
                unknown=[grading.grading().metric(key).name(language) for key in proposal.unknown],
            )
        )
    return found


def _fact(value: object, metric: grading.Metric, language: str) -> str:
    """What is known, in words."""
    if isinstance(value, bool):
        return text(language, "document.yes" if value else "document.no")
    choice = next((each.name(language) for each in metric.choices if each.key == value), None)
    return choice or f"{value} {metric.unit}".strip()


def _due(session: Session, each: Obligation, incident: Incident, zone: str, language: str) -> Due:
    shown = obligation_presentation.output(session, each, incident, language)
    regime = next(regime for regime in obligations.rules_of(each).regimes if regime.key == shown.regime)
    state = text(language, f"obligation.state.{each.state}")
    if each.submitted_at is not None:
        state = f"{state}\n{local(each.submitted_at, zone)}"
    return Due(
        shown.title, regime.name(language), shown.to, due(each, zone, language), state, shown.late, missing(each, language)
    )


def _task(each: IncidentTask, zone: str, moment: int, language: str) -> Task:
    return Task(
        title=each.title[language],
        role=text(language, f"role.{each.role}"),
        owner=each.owner or NOTHING,
        due=local(each.due_at, zone),
        state=text(language, f"task.state.{each.state}"),
        mandatory=each.mandatory,
        overdue=each.due_at is not None and each.due_at <= moment,
    )


def _gaps(incident: Incident, graded: Sequence[Grade], reports: Sequence[Obligation], language: str) -> list[str]:
    """What of the incident is not known."""
    conditions = (
        ("category", incident.category is None), ("lead", incident.lead is None), ("occurred", incident.occurred_at is None),
        ("grade", not incident.grades),
    )  # fmt: skip
    gaps = [text(language, f"document.gap.{name}") for name, holds in conditions if holds]
    for grade in graded:
        if grade.unknown:
            values = {"scheme": grade.scheme, "count": len(grade.unknown), "names": _some(grade.unknown, language)}
            gaps.append(text(language, "document.gap.facts", **values))
    for each in reports:
        lacks = missing(each, language)
        if lacks:
            title = obligations.rule_of(each).name(language)
            gaps.append(text(language, "document.gap.report", title=title, names=_some(lacks, language)))
    return gaps


def _unseen(blindness: Blindness, zone: str, language: str) -> list[str]:
    """What sensors do not see now, as the situation tells it."""
    late = {each.sensor for each in blindness.unheard}
    said = [
        text(language, f"situation.unheard.{each.reason}", sensor=each.sensor, since=_since(each, zone))
        for each in blindness.unheard
    ]
    said += [text(language, "situation.silent", sensor=each) for each in blindness.silent or () if each not in late]
    if blindness.silent is None:
        said.append(text(language, "situation.sensors_unknown"))
    if not blindness.readable:
        return [text(language, "situation.unreadable"), *said]
    found = [
        text(language, f"unseen.{each.reason}", percent=_percent(each.share), records=each.records) for each in blindness.unseen
    ]
    dropping = [each for each in blindness.sensors if each.dropped]
    found += [
        text(language, "situation.dropped", sensor=each.sensor, count=each.dropped, causes=", ".join(each.causes))
        for each in dropping
    ]
    if blindness.gaps:
        found.append(text(language, "situation.gaps", count=blindness.gaps))
    said += [text(language, "document.gap.sensors", what=each) for each in found]
    if not blindness.sensors:
        return [*said, text(language, "document.gap.no_sensors")]
    return said or [text(language, "situation.sees_all")]


def _since(each: Unheard, zone: str) -> str:
    return NOTHING if each.since is None else local(parse(each.since), zone)


def _percent(share: float) -> str:
    return f"{share * 100:.1f}".removesuffix(".0")


def _some(names: Sequence[str], language: str) -> str:
    between = "、" if language == "zh-CN" else ", "
    more = "" if len(names) <= NAMED else " …"
    return between.join(names[:NAMED]) + more


def _colon(language: str) -> str:
    return "：" if language == "zh-CN" else ": "
