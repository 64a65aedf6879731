"""What a bundle is made of, and that it was made."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import rfc8785
import sqlalchemy as sa

from api.alerts.models import Alert
from api.assets import service as assets
from api.audit import service as audit
from api.database import row_of
from api.database.scope import scope_of
from api.enrolment.models import EnrolledSensor
from api.incidents import presentation, timeline
from api.incidents import service as incidents
from api.playbooks import service as playbooks
from api.problems import Problem
from api.sharing.bundle import Line, Seen, Subject, bundle
from api.sharing.masking import Mask
from api.texts import text
from api.users.models import User
from api.zones import service as zones

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy.orm import Session

    from api.assets.models import Asset
    from api.audit.service import Actor
    from api.incidents.models import Incident
    from api.sharing.masking import Kind
    from api.sharing.schemas import ShareInput

MOST_ALERTS: Final = 200
"""Most alerts of a bundle: those that rank highest."""

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


def incident(session: Session, number: int, given: ShareInput, language: str) -> Prepared:
    """What the bundle of an incident is about. Raises Problem `incident_unknown`, `drill_stays`."""
    found = incidents.get(session, number)
    if found.drill:
        raise Problem("drill_stays", number=number)
    alerts = _alerts(session, incidents.alert_ids(session, number))
    registered = assets.of_site(session, found.site)
    lines = timeline.by_hand(session, number, MOST_LINES)
    people = _people_of(session, found, registered)
    subject = Subject(
        kind="incident", id=str(number), title=found.title, by_hand=True, summary=found.summary,
        category=_category(found, language), begun_at=found.declared_at,
        changed_at=max([found.moved_at, *(each.written_at for each in lines)]),
        alerts=[_seen(each, language) for each in alerts], devices=_devices(registered, alerts),
        lines=[Line(str(each.id), each.written_at, each.actor, each.note or "") for each in lines],
        organisation=scope_of(session).organisation, site=found.site,
    )  # fmt: skip
    people += [each.actor for each in lines]
    return Prepared(
        subject, Mask(given.mask, _names(session, found.site, registered, people), _addresses(alerts, registered))
    )  # fmt: skip


def story(session: Session, alert_id: str, given: ShareInput, language: str) -> Prepared:
    """What the bundle of a story is about, which is called by its first alert. Raises Problem `story_unknown`."""
    first = row_of(session, Alert, alert_id)
    told: Mapping[str, Any] | None = None if first is None else first.body.get("story")
    if first is None or told is None:
        raise Problem("story_unknown", id=alert_id)
    alerts = _alerts(session, list(dict.fromkeys([alert_id, *told["alerts"]])))
    registered = assets.of_site(session, first.site)
    subject = Subject(
        kind="story", id=str(told["id"]), title=told["sentence"][language], by_hand=False, summary="",
        category=text(language, "stix.story"), begun_at=min(each.first_seen for each in alerts),
        changed_at=max(each.updated_at for each in alerts), alerts=[_seen(each, language) for each in alerts],
        devices=_devices(registered, alerts), lines=[], organisation=scope_of(session).organisation, site=first.site,
    )  # fmt: skip
    names = _names(session, first.site, registered, [asset.owner for asset in registered])
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


def _names(session: Session, site: str, registered: Iterable[Asset], people: Iterable[str | None]) -> dict[str, Kind]:
    """Every name that is known of an organisation's site, and what it is of."""
    found: dict[str, Kind] = {name: "person" for name in (*session.scalars(sa.select(User.name)), *people) if name}
    for asset in registered:
        named = (asset.name, asset.serial, asset.foreign_id)
        found |= {name: "device" for name in named if name}
        found |= {name: "place" for name in (asset.zone, asset.location) if name}
    found |= {zone.name: "place" for zone in zones.plan(zones.in_force(session, site)).zones}
    found |= dict.fromkeys(session.scalars(sa.select(EnrolledSensor.name).where(EnrolledSensor.site == site)), "device")
    found |= {name: "place" for name in (site, scope_of(session).organisation) if name}
    return found


def _people_of(session: Session, found: Incident, registered: Iterable[Asset]) -> list[str | None]:
    """Whoever an incident names."""
    doers = [name for task in playbooks.tasks(session, found.number) for name in (task.owner, task.done_by)]
    owners = [asset.owner for asset in registered]
    return [found.lead, found.declared_by, found.reported_by, found.held_by, *doers, *owners]


def _category(found: Incident, language: str) -> str:
    """What it is, in words of the product."""
    return text(language, "stix.incident") if found.category is None else presentation.category_name(found.category, language)
