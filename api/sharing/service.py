"""What a bundle is made of, and that it was made."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import rfc8785
import sqlalchemy as sa

from api.actions.models import Action
from api.alerts.models import Alert
from api.assets import service as assets
from api.assets.models import Asset
from api.audit import service as audit
from api.custody.models import CustodyEntry, EvidenceItem
from api.database import row_of
from api.database.scope import scope_of
from api.enrolment.models import EnrolledSensor
from api.incidents import presentation, timeline
from api.incidents import service as incidents
from api.incidents.models import IncidentGrade
from api.playbooks import service as playbooks
from api.problems import Problem
from api.sharing.bundle import Line, Seen, Subject, bundle
from api.sharing.masking import Mask
from api.texts import text
from api.users.models import User
from api.zones import service as zones
from api.zones.models import ZonePlan

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy.orm import Session

    from api.audit.service import Actor
    from api.incidents.models import Incident
    from api.sharing.masking import Kind
    from api.sharing.schemas import ShareInput

MOST_ALERTS: Final = 200
"""Most alerts of a bundle: those that rank highest."""

MOST_HANDS: Final = 10_000
"""Most custody entries whose people are masked in texts."""

MOST_LINES: Final = 200
"""Most lines by hand of a bundle."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a bundle is about, and what is masked in it."""

    subject: Subject
    mask: Mask

    def made(self, given: ShareInput, language: str) -> dict[str, Any]:
        """The bundle. It takes a while: no transaction waits for it."""
        return bundle(self.subject, self.mask, given.tlp, language)


def incident(session: Session, number: int, given: ShareInput, language: str, sensors: Iterable[str]) -> Prepared:
    """What the bundle of an incident is about. Raises Problem `incident_unknown`, `drill_stays`.

    Args:
        session: one that sees the incident.
        number: the incident.
        given: what is asked for.
        language: of what the product says.
        sensors: what sensors are called besides those that were enrolled.
    """
    found = incidents.get(session, number)
    if found.drill:
        raise Problem("drill_stays", number=number)
    alerts = _alerts(session, incidents.alert_ids(session, number))
    registered = assets.of_site(session, found.site)
    lines = timeline.by_hand(session, number, MOST_LINES)
    people = _people_of(session, found)
    subject = Subject(
        kind="incident", id=str(number), title=found.title, by_hand=True, summary=found.summary,
        category=_category(found, language), begun_at=found.declared_at,
        changed_at=max([found.moved_at, *(each.written_at for each in lines)]),
        alerts=[_seen(each, language) for each in alerts], devices=_devices(registered, alerts),
        lines=[Line(str(each.id), each.written_at, each.actor, each.note or "") for each in lines],
        organisation=scope_of(session).organisation, site=found.site,
    )  # fmt: skip
    people += [each.actor for each in lines]
    names = [*_names(session, sensors), *_of("person", people), *_of("place", [found.site])]
    return Prepared(subject, Mask(given.mask, names, _addresses(alerts, registered)))


def story(session: Session, alert_id: str, given: ShareInput, language: str, sensors: Iterable[str]) -> Prepared:
    """The same of a story, which is called by its first alert. Raises Problem `story_unknown`, `story_of_drill`."""
    first = row_of(session, Alert, alert_id)
    told: Mapping[str, Any] | None = None if first is None else first.body.get("story")
    if first is None or told is None:
        raise Problem("story_unknown", id=alert_id)
    if first.drill is not None:
        raise Problem("story_of_drill", number=first.drill)
    alerts = _alerts(session, list(dict.fromkeys([alert_id, *told["alerts"]])))
    registered = assets.of_site(session, first.site)
    subject = Subject(
        kind="story", id=str(told["id"]), title=told["sentence"][language], by_hand=False, summary="",
        category=text(language, "stix.story"), begun_at=min(each.first_seen for each in alerts),
        changed_at=max(each.updated_at for each in alerts), alerts=[_seen(each, language) for each in alerts],
        devices=_devices(registered, alerts), lines=[], organisation=scope_of(session).organisation, site=first.site,
    )  # fmt: skip
    names = [*_names(session, sensors), *_of("place", [first.site])]
    return Prepared(subject, Mask(given.mask, names, _addresses(alerts, registered)))


def tell_incident(session: Session, number: int, given: ShareInput, made: Mapping[str, Any], actor: Actor) -> None:
    """Tell in the timeline of an incident that a bundle of it was made."""
    timeline.write(session, number, actor, "shared", detail=_told(given, made))


def tell_story(session: Session, alert_id: str, given: ShareInput, made: Mapping[str, Any], actor: Actor) -> None:
    """Put on record that a bundle of a story was made."""
    audit.record(session, actor, "story.shared", alert_id, _told(given, made))


def _told(given: ShareInput, made: Mapping[str, Any]) -> dict[str, Any]:
    """What is on record of a bundle, with its hash over canonical JSON (RFC 8785)."""
    sha256 = hashlib.sha256(rfc8785.dumps(dict(made))).hexdigest()
    masked = ", ".join(sorted(given.mask)) or "–"
    return {"tlp": f"TLP:{given.tlp.upper()}", "masked": masked, "objects": len(made["objects"]), "sha256": sha256}


def _alerts(session: Session, ids: Sequence[str]) -> list[Alert]:
    """The alerts that rank highest, of those with these ids."""
    found = [
        alert
        for some in incidents.in_parts(ids)
        for alert in session.scalars(sa.select(Alert).where(Alert.id.in_(some)).order_by(Alert.rank.desc()).limit(MOST_ALERTS))
    ]
    return sorted(found, key=lambda alert: (-alert.rank, alert.id))[:MOST_ALERTS]


def _seen(alert: Alert, language: str) -> Seen:
    texts: Mapping[str, str] = alert.body["texts"][language]
    return Seen(
        id=alert.id, title=texts["title"], summary=texts["summary"], client=alert.client_ip, server=alert.server_ip,
        first_seen=alert.first_seen, last_seen=alert.last_seen, changed_at=alert.updated_at, count=alert.count,
        confidence=alert.confidence, techniques=[str(each) for each in alert.body["techniques"]],
    )  # fmt: skip


def _devices(registered: Iterable[Asset], alerts: Iterable[Alert]) -> dict[str, str]:
    """Names of registered devices that alerts are about, by address."""
    about = {address for alert in alerts for address in (alert.client_ip, alert.server_ip)}
    return {address: asset.name for asset in registered for address in map(str, asset.addresses) if address in about}


def _addresses(alerts: Iterable[Alert], registered: Iterable[Asset]) -> set[str]:
    of_alerts = {address for alert in alerts for address in (alert.client_ip, alert.server_ip) if address is not None}
    return of_alerts | {str(address) for asset in registered for address in asset.addresses}


def _names(session: Session, sensors: Iterable[str]) -> list[tuple[str, Kind]]:
    """Every name that is known of an organisation, and what it is of: one name may be of several."""
    found = _of("person", session.scalars(sa.select(User.name)))
    known = sa.select(Asset.name, Asset.serial, Asset.foreign_id, Asset.zone, Asset.location, Asset.owner, Asset.site)
    for name, serial, foreign, zone, location, owner, site in session.execute(known):
        found += [*_of("device", (name, serial, foreign)), *_of("place", (zone, location, site)), *_of("person", (owner,))]
    for site in session.scalars(sa.select(ZonePlan.site).distinct()).all():
        found += _of("place", [site, *(zone.name for zone in zones.plan(zones.in_force(session, site)).zones)])
    found += _of("device", [*session.scalars(sa.select(EnrolledSensor.name)), *sensors])
    return [*found, *_of("place", [scope_of(session).organisation])]


def _of(kind: Kind, names: Iterable[str | None]) -> list[tuple[str, Kind]]:
    return [(name, kind) for name in names if name]


def _people_of(session: Session, found: Incident) -> list[str | None]:
    """Whoever an incident names."""
    told = timeline.told_by(session, found.number)
    people = [found.lead, found.declared_by, found.reported_by, found.held_by]
    people += [name for task in playbooks.tasks(session, found.number) for name in (task.owner, task.done_by)]
    people += session.scalars(sa.select(IncidentGrade.by).where(IncidentGrade.incident.in_(told)))
    for action in session.scalars(sa.select(Action).where(Action.incident.in_(told))):
        people += [action.proposed_by, action.security_by, action.operations_by, action.executed_by]
    given = sa.select(CustodyEntry.giver, CustodyEntry.receiver).join(EvidenceItem, EvidenceItem.id == CustodyEntry.evidence)
    by_hand = CustodyEntry.kind.in_(("handed", "exported")) | ((CustodyEntry.kind == "taken") & (EvidenceItem.kind == "file"))
    for row in session.execute(given.where(EvidenceItem.incident.in_(told), by_hand).limit(MOST_HANDS)):
        # "Wang Fang, engineering": a text may name the person alone.
        people += [part.strip() for name in row for part in (name, re.split("[,，]", name)[0])]
    return people


def _category(found: Incident, language: str) -> str:
    """What it is, in words of the product."""
    return text(language, "stix.incident") if found.category is None else presentation.category_name(found.category, language)
