"""Giving evidence out: looked at, written down, and put into a package with what the audit trail says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from api.audit import checkpoints, keys
from api.audit import service as audit
from api.audit.keys import AuditKeyError
from api.audit.models import AuditEntry
from api.custody import package, service
from api.custody.package import Contents, Part, Piece
from api.incidents import presentation as incidents_shown
from api.incidents import service as incidents
from api.incidents import timeline
from api.problems import Problem
from api.times import iso, now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from api.audit.service import Actor
    from api.custody.models import EvidenceItem
    from api.custody.service import Hands
    from api.services import Services

MOST_TRAIL: Final = 20_000
"""Most entries of the audit trail in a package, the newest; how many more there are is told in it."""

MOST_ENTRIES: Final = 100_000
"""Most custody entries in a package."""

TEXT_BYTES: Final = 128 * 1024 * 1024
"""Room of a package for what is not evidence."""

_OF_INCIDENT: Final = ("incident.evidence_taken", "incident.evidence_handed", "incident.evidence_exported")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is given out.

    Attributes:
        number: the incident.
        identities: the pieces; none: all.
        actor: who gives it out.
        hands: to whom, and why.
        language: of what the incident is called by in it.
    """

    number: int
    identities: Sequence[int]
    actor: Actor
    hands: Hands
    language: str


def give(provided: Services, wish: Wish) -> list[Part]:
    """Give pieces of an incident out: on record, as the files of a package.

    Raises Problem `incident_unknown`, `evidence_unknown`, `package_empty`, `package_large`, `custody_full`,
    `checkpoint_unwritten`, and as `api.custody.service.check` where one is not as it was taken: then none is given out.
    """
    number, actor, hands = wish.number, wish.actor, wish.hands
    database, settings = provided.database, provided.settings
    try:
        key = keys.read(settings.audit.key(settings.data))
    except AuditKeyError as error:
        raise Problem("checkpoint_unwritten", reason=error) from error
    with database.read() as session:
        items = _chosen(session, number, wish.identities)
    crcs = {item.id: service.check(database, settings.evidence_place, item, actor) for item in items}
    with database.write() as session:
        incident = incidents.get(session, number)
        service.give_out(session, number, items, actor, hands)
        entries = {item.id: list(service.entries(session, item.id)) for item in items}
        trail, left_out = _trail(session, number, items)
        end = checkpoints.sign(key, database.scope.organisation, *audit.newest(session), now())
        told = incidents_shown.output(session, incident, wish.language).model_dump(mode="json")
        given: dict[str, Any] = {
            "made_at": iso(now()), "made_by": actor.name, "organisation": database.scope.organisation, "reason": hands.reason,
            "receiver": hands.receiver, "site": incident.site,
        }  # fmt: skip

    def part(item: EvidenceItem) -> Part:
        return Part(
            package.name_of(item), crcs[item.id], service.hashes(item),
            lambda: service.content(database, settings.evidence_place, item, actor),
        )  # fmt: skip

    pieces = [Piece(item, entries[item.id], part(item)) for item in items]
    return package.parts(Contents(told, pieces, trail, left_out, end, given), key)


def _chosen(session: Session, number: int, identities: Sequence[int]) -> list[EvidenceItem]:
    if identities:
        items = [service.get(session, number, identity) for identity in sorted(set(identities))]
    else:
        items = list(service.find(session, number, 0, service.MOST_ITEMS + 1))
    if not items:
        raise Problem("package_empty", number=number)
    size, entries = sum(item.size for item in items), service.entry_count(session, [item.id for item in items])
    if len(items) > service.MOST_ITEMS or size > package.BYTES - TEXT_BYTES or entries > MOST_ENTRIES:
        limits: dict[str, Any] = {
            "pieces": service.MOST_ITEMS,
            "entries": MOST_ENTRIES,
            "gibibytes": round(package.BYTES / 2**30),
        }
        raise Problem("package_large", **limits)
    return items


def _trail(session: Session, number: int, items: Sequence[EvidenceItem]) -> tuple[list[AuditEntry], int]:
    """What the audit trail says of these pieces, oldest first, and how many older entries there are than are given out."""
    ids = {item.id for item in items}
    numbers = [str(each) for each in timeline.told_by(session, number)]
    found: list[AuditEntry] = []
    for subjects, actions in (
        (numbers, AuditEntry.action.in_(_OF_INCIDENT)),
        ([service.subject(item) for item in items], AuditEntry.action.like("evidence.%")),
        ([str(item.origin["alert"]) for item in items if "alert" in item.origin], AuditEntry.action == "evidence.take"),
    ):
        for some in incidents.in_parts(list(dict.fromkeys(subjects))):
            asked = sa.select(AuditEntry).where(AuditEntry.subject.in_(some), actions)
            found += session.scalars(asked.order_by(AuditEntry.number.desc()).limit(MOST_TRAIL + 1))
    about = [entry for entry in found if _ids_of(entry) is None or ids & (_ids_of(entry) or set())]
    about.sort(key=lambda entry: entry.number)
    return about[-MOST_TRAIL:], max(0, len(about) - MOST_TRAIL)


def _ids_of(entry: AuditEntry) -> set[int] | None:
    """The pieces that an entry names; None where it is about one by its subject."""
    detail = entry.detail
    return set(detail["items"]) if "items" in detail else {detail["item"]} if "item" in detail else None
