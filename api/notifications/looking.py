"""What rules bring up: looked for by the clock, in the order in which it happened, each thing once.

Alerts are followed by the number of their latest change, incidents and clocks of reports by the lines of their timelines. How far
was looked and what came of it are one transaction, so that a crash loses nothing and brings up nothing twice.
"""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from api.alerts import service as alerts
from api.alerts import told
from api.alerts.models import SEVERITIES, Alert, AlertEvent
from api.alerts.tuning import Seen
from api.incidents.models import Incident, IncidentEntry
from api.notifications import joining, quiet, service, standing
from api.notifications.models import Notice, Telling
from api.obligations import service as obligations
from api.windows.ground import ground_of
from api.windows.scope import BLIND, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy.orm import Session

    from api.notifications.models import NotificationRule, Why
    from api.notifications.schemas import AlertMatch, RuleContent

CHUNK: Final = 1_000
"""Changes and lines that are looked at in one transaction."""

MOST_CHUNKS: Final = 50
"""Of these in one look; the next goes on."""

DECLARED: Final = ("declared", "continues", "split_off")
"""Kinds of lines with which an incident begins."""

KINDS: Final = (*DECLARED, "graded", "obligation_warned")

HIGH: Final = SEVERITIES.index("high")

GRADES: Final = {1: "critical", 2: "critical", 3: "high", 4: "medium"}
"""How urgent an incident of a grade is."""

SHARES: Final = {50: "medium", 80: "high", 100: "critical"}
"""How urgent a report is of whose time so much is over."""


def changed(session: Session, moment: int) -> Sequence[int]:
    """Whether there are changes of alerts that were not looked at: a number for each part of them."""
    del moment
    return _parts(alerts.newest_change(session) - service.position(session, service.ALERTS))


def look_at_alerts(session: Session, part: int, moment: int) -> int:
    """Look at the next changes of alerts; returns how many notices came of them."""
    del part
    at, newest = service.position(session, service.ALERTS), alerts.newest_change(session)
    rules = service.enabled(session)
    upto = min(at + CHUNK, newest) if rules else newest
    if upto <= at:
        return 0
    made = 0
    for rule, said in rules:
        for alert, occasion in _came_up(session, rule, said, (at, upto)):
            urgency = told.severity(alert.severity, alert.body)
            detail = {"incident": alert.triage_incident} if alert.triage_state == "escalated" else {}
            made += _bring_up(session, (rule, said), alert.site, ("alert", alert.id, occasion), urgency, detail, moment)
    service.stand(session, service.ALERTS, upto)
    return made


def written(session: Session, moment: int) -> Sequence[int]:
    """Whether there are lines of incidents that were not looked at: a number for each part of them."""
    del moment
    return _parts(service.newest_entry(session) - service.position(session, service.ENTRIES))


def look_at_entries(session: Session, part: int, moment: int) -> int:
    """Look at the next lines of incidents; returns how many notices came of them."""
    del part
    at, newest = service.position(session, service.ENTRIES), service.newest_entry(session)
    rules = service.enabled(session)
    upto = min(at + CHUNK, newest) if rules else newest
    if upto <= at:
        return 0
    made = 0
    lines = sa.select(IncidentEntry).where(IncidentEntry.id > at, IncidentEntry.id <= upto, IncidentEntry.kind.in_(KINDS))
    for entry in session.scalars(lines.order_by(IncidentEntry.id)).all() if rules else ():
        # What a merge or a split tells again was told.
        if "copied_from" in entry.detail:
            continue
        incident = session.scalar(sa.select(Incident).where(Incident.number == entry.incident))
        # Nothing of a drill leaves the site.
        if incident is None or incident.drill:
            continue
        for rule, said in rules:
            if rule.site and rule.site != incident.site:
                continue
            about = _about(entry, said)
            if about is not None:
                subject, urgency, detail = about
                made += _bring_up(session, (rule, said), incident.site, subject, urgency, detail, moment)
    service.stand(session, service.ENTRIES, upto)
    return made


def followed_up(session: Session, moment: int) -> Sequence[int]:
    """The notices that are to be repeated or escalated, or to be looked at whether they are."""
    due = sa.select(Notice.id).where(Notice.look_at <= moment).order_by(Notice.look_at, Notice.id)
    return session.scalars(due.limit(CHUNK)).all()


def follow_up(session: Session, identity: int, moment: int) -> int:
    """Repeat or escalate a notice of what nobody has taken on; returns how often it is told for that."""
    notice = session.scalar(sa.select(Notice).where(Notice.id == identity))
    if notice is None or notice.look_at is None or notice.look_at > moment:
        return 0
    said = next((content for rule, content in service.enabled(session) if rule.number == notice.rule), None)
    state = standing.of(session, notice)
    if said is None or state in {"over", "looked_after"}:
        notice.look_at = None
        return 0
    if state == "hidden":
        # It is told on once it comes back.
        notice.look_at = moment + standing.HIDDEN_SECONDS * standing.NANOSECONDS
        return 0
    due_at = _due(session, said, notice.site, notice.urgency, moment)
    if due_at > moment:
        notice.look_at = due_at
        return 0
    tellings = 0
    if said.escalate is not None and not notice.escalated and moment >= standing.escalates_at(notice.began_at, said.escalate):
        notice.escalated = True
        tellings += _tell(session, notice, said.escalate.channels, "escalation", (moment, moment))
    again = said.repeat is not None and said.repeat.goes_on(notice.repeats)
    if again and said.repeat is not None and moment >= standing.repeats_at(notice.told_at, said.repeat):
        notice.repeats, notice.told_at = notice.repeats + 1, moment
        further = said.escalate.channels if notice.escalated and said.escalate is not None else []
        tellings += _tell(session, notice, dict.fromkeys([*said.channels, *further]), "repeat", (moment, moment))
    notice.look_at = standing.next_look(notice, said)
    return tellings


WORSE: Final = "worse"
"""What occasions begin with of what is more severe than it was told."""

WOKEN: Final = "woken_"
"""What steps begin with by which an alert comes back by itself that was laid aside."""


def _parts(waiting: int) -> Sequence[int]:
    return range(min(-(-waiting // CHUNK), MOST_CHUNKS)) if waiting > 0 else ()


def _came_up(
    session: Session, rule: NotificationRule, said: RuleContent, span: tuple[int, int]
) -> list[tuple[Alert, str]]:  # fmt: skip
    """The alerts among some changes that a rule tells of and nobody has taken on, each with what happened to it."""
    found: dict[str, Alert] = {}
    changed = [Alert.change > span[0], Alert.change <= span[1], *([Alert.site == rule.site] if rule.site else [])]
    # Nobody has taken on what was closed and goes on, though it is triaged, nor what an incident took by itself.
    standing_alone = [
        Alert.triage_state.in_(("new", "triaging", "escalated")), Alert.part_of.is_(None), Alert.exception.is_(None),
        Alert.suppressed_by.is_(None), Alert.snoozed_until.is_(None), Alert.merged_into.is_(None),
        # Nothing of a drill leaves the site.
        Alert.drill.is_(None),
    ]  # fmt: skip
    base = sa.select(Alert).where(*changed, *standing_alone).order_by(Alert.change)
    if said.alerts is not None:
        asked = said.alerts.filter.model_copy(update={"severity": None})
        matching = session.scalars(base.where(*alerts.conditions(asked))).all()
        found |= {alert.id: alert for alert in _fitting(session, said.alerts, matching)}
    if said.blind:
        found |= {alert.id: alert for alert in session.scalars(base) if BLIND & {alert.rule, *told.rules(alert.body)}}
    again = _comes_back(session, [alert.id for alert in found.values() if alert.triage_state != "escalated"])
    again |= _joins(session, rule, [alert for alert in found.values() if alert.triage_state == "escalated"])
    return [
        (alert, again.get(alert.id, standing.RAISED))
        for alert in found.values()
        if alert.triage_state == "new" or alert.id in again
    ]


def _joins(session: Session, rule: NotificationRule, escalated: Sequence[Alert]) -> dict[str, str]:
    """Of alerts of incidents those that joined one by themselves, each with the occasion by which a rule told it or has to."""
    joined = joining.by_itself(session, [alert.id for alert in escalated])
    numbers = {alert.triage_incident for alert in escalated if alert.id in joined}
    # Nothing of a drill leaves the site.
    real = set(session.scalars(sa.select(Incident.number).where(Incident.number.in_(numbers), Incident.drill.is_(False))))
    mine = sa.select(Notice.subject, Notice.occasion).where(
        Notice.rule == rule.number,
        Notice.kind == "alert",
        Notice.subject.in_(list(joined)),
        Notice.occasion.not_like(f"{WORSE}-%"),
    )
    # It may be more severe by now than it was told.
    known = {
        subject: occasion
        for subject, occasion in (session.execute(mine.order_by(Notice.id)) if joined else ())
        if _step(occasion) >= (joined[subject].begun if joined[subject].goes_on else 0)
    }
    return {
        alert.id: known.get(alert.id, f"{standing.JOINED}-{joined[alert.id].step}")
        for alert in escalated
        if alert.id in joined and alert.triage_incident in real
    }


def _step(occasion: str) -> int:
    """The number of the step that an occasion of an alert is about; 0 where it has none."""
    return int(occasion.partition("-")[2] or 0)


def _fitting(session: Session, match: AlertMatch, matching: Sequence[Alert]) -> Iterable[Alert]:
    """Those of some alerts that are severe enough, have one of the rules and lie in one of the zones."""
    if match.filter.severity is not None:
        wanted, is_not = set(match.filter.severity.values), match.filter.severity.negated
        matching = [alert for alert in matching if any((each in wanted) != is_not for each in _severities(alert))]
    if match.rules:
        # What belongs to an alert is told by nothing else.
        matching = [
            alert
            for alert in matching
            if any(fnmatch.fnmatchcase(name, each) for each in match.rules for name in (alert.rule, *told.rules(alert.body)))
        ]
    if not match.zones:
        return matching
    by_site: dict[str, list[Alert]] = {}
    for alert in matching:
        by_site.setdefault(alert.site, []).append(alert)
    kept: list[Alert] = []
    for site, some in by_site.items():
        ground = ground_of(session, site, [Seen.of(alert) for alert in some])
        hosts = {alert.id: told.traits(alert)["asset"] for alert in some}
        kept += [alert for alert in some if any(ground.get(host, UNKNOWN).zone in match.zones for host in hosts[alert.id])]
    return kept


def _severities(alert: Alert) -> set[str]:
    """The severities of all that an alert tells: what belongs to it is told by nothing else."""
    return {SEVERITIES[alert.severity], *(str(each["severity"]) for each in alert.body.get("related", ()))}


def _comes_back(session: Session, ids: Sequence[str]) -> dict[str, str]:
    """Of those whose last step was that they go on, or are laid aside no longer since something joined them, what happened."""
    found: dict[str, str] = {}
    # A comment changes nothing: what happened before it is still the last.
    of_these = AlertEvent.alert_id.in_(list(ids)), AlertEvent.kind != "commented"
    latest = sa.select(AlertEvent.alert_id, AlertEvent.id, AlertEvent.kind).where(*of_these)
    last: dict[str, tuple[int, str]] = {}
    for alert_id, number, kind in session.execute(latest.order_by(AlertEvent.id)) if ids else ():
        last[alert_id] = (number, kind)
    for alert_id, (number, kind) in last.items():
        if kind == "recurred" or kind.startswith(WOKEN):
            found[alert_id] = f"{kind.partition('_')[0]}-{number}"
    return found


def _about(entry: IncidentEntry, said: RuleContent) -> tuple[tuple[str, str, str], int, dict[str, Any]] | None:
    """What a line tells of, how urgent that is, and what more there is to say; None where the rule does not tell it."""
    detail: dict[str, Any] = {"incident": entry.incident}
    if entry.kind in DECLARED and "declared" in said.incidents:
        return ("incident", str(entry.incident), "declared"), HIGH, detail
    if entry.kind == "graded" and "graded" in said.incidents:
        grade = int(entry.detail["after"])
        urgency = SEVERITIES.index(GRADES.get(grade, "medium"))  # pyright: ignore[reportArgumentType]  it is one of them
        return ("incident", str(entry.incident), f"graded-{entry.id}"), urgency, {**detail, "grade": grade}
    if entry.kind == "obligation_warned" and entry.detail["share"] in said.shares:
        share = int(entry.detail["share"])
        urgency = SEVERITIES.index(SHARES[share])  # pyright: ignore[reportArgumentType]  it is one of them
        more = {**detail, "share": share, "due_at": entry.detail["due_at"], "report": entry.detail["rule"]}
        return ("obligation", str(entry.detail["obligation"]), f"{share}-{entry.id}"), urgency, more
    return None


def _bring_up(  # noqa: PLR0913, PLR0917  what a notice is about has a name each
    session: Session, of: tuple[NotificationRule, RuleContent], site: str, subject: tuple[str, str, str], urgency: int,
    detail: dict[str, Any], moment: int,
) -> int:  # fmt: skip
    """Write down what a rule has to tell; returns whether that is new."""
    rule, said = of
    kind, identity, occasion = subject
    stored = sa.select(Notice).where(
        Notice.rule == rule.number, Notice.kind == kind, Notice.subject == identity, Notice.occasion == occasion
    )
    known = session.scalar(stored)
    channels = list(dict.fromkeys(said.channels))
    if known is not None:
        if urgency <= known.urgency:
            return 0
        # Those by which it still waits tell it as it is now.
        waiting = _raise(session, said, known, urgency, moment)
        channels = [channel for channel in channels if channel not in waiting]
        if not channels:
            return 0
        occasion = f"{WORSE}-{urgency}-{occasion}"
        told = (Notice.rule == rule.number, Notice.kind == kind, Notice.subject == identity, Notice.occasion == occasion)
        # What it was told as first may be kept no longer, and have been told anew.
        if session.scalar(sa.select(Notice.id).where(*told)) is not None:
            return 0
    due_at = _due(session, said, site, urgency, moment)
    notice = Notice(
        rule=rule.number, site=site, kind=kind, subject=identity, occasion=occasion, at=moment, urgency=urgency, detail=detail,
        began_at=due_at, told_at=due_at, repeats=0, escalated=False,
    )  # fmt: skip
    notice.look_at = standing.next_look(notice, said)
    session.add(notice)
    session.flush()
    _tell(session, notice, channels, "first", (moment, due_at))
    return 1


def _raise(session: Session, said: RuleContent, notice: Notice, urgency: int, moment: int) -> set[str]:
    """Let a notice be more urgent than it was; the channels by which it is still to be told, which may now be earlier."""
    notice.urgency = urgency
    due_at = _due(session, said, notice.site, urgency, moment)
    unsaid = session.scalars(sa.select(Telling).where(Telling.notice == notice.id, Telling.state == "waiting")).all()
    for telling in unsaid:
        telling.due_at = min(telling.due_at, due_at)
    notice.began_at, notice.told_at = min(notice.began_at, due_at), min(notice.told_at, due_at)
    if notice.look_at is not None:
        notice.look_at = standing.next_look(notice, said)
    return {telling.channel for telling in unsaid}


def _due(session: Session, said: RuleContent, site: str, urgency: int, moment: int) -> int:
    """When what is so urgent may be told at a site."""
    if said.quiet is None or urgency >= SEVERITIES.index(said.quiet.through):
        return moment
    operator, _ = obligations.operator_of(session, site)
    return quiet.until(said.quiet.as_spans(), moment, operator.time_zone)


def _tell(session: Session, notice: Notice, channels: Iterable[str], why: Why, times: tuple[int, int]) -> int:
    made = [
        Telling(
            notice=notice.id, site=notice.site, channel=channel, why=why, state="waiting", made_at=times[0], due_at=times[1],
            message=None,
        )
        for channel in channels
    ]  # fmt: skip
    session.add_all(made)
    session.flush()
    return len(made)
