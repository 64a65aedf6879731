"""Taking evidence, handing it on, and reading it: compared with its hashes each time."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from api.audit import service as audit
from api.audit.chain import plain
from api.audit.models import AuditEntry
from api.custody import chain, files, verify
from api.custody.files import DamagedError, EvidenceFileError, Hashes, NoRoomError, TooLargeError
from api.custody.models import CustodyEntry, EvidenceItem
from api.database.scope import scope_of
from api.incidents import service as incidents
from api.incidents import timeline
from api.problems import Problem
from api.times import now

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

    from sqlalchemy.orm import Session

    from api.audit.service import Actor
    from api.custody.files import Draft
    from api.custody.models import CustodyKind, EvidenceKind
    from api.database import Database
    from api.incidents.models import Incident

MOST_ITEMS: Final = 1_000
"""Most pieces of evidence that are taken for an incident."""

MOST_ENTRIES: Final = 10_000
"""Most custody entries of a piece that people ask for; a merge is never held up by them."""

CUSTODY: Final = verify.IN_TRAIL
"""Action of the entry of the audit trail that has the hash of a custody entry."""

_CHUNK: Final = 1_000

OCTETS: Final = "application/octet-stream"
"""Media type of what nobody says more of."""

_MEDIA_TYPE: Final = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,63}/[A-Za-z0-9!#$&^_.+-]{1,63}")


@dataclass(frozen=True, slots=True)
class About:
    """What is said of a piece of evidence when it is taken.

    Attributes:
        giver: from whom or what it was taken.
    """

    kind: EvidenceKind
    name: str
    description: str
    giver: str
    media_type: str = OCTETS
    origin: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Hands:
    """From whom to whom, and why."""

    giver: str
    receiver: str
    reason: str


@contextmanager
def refusals() -> Generator[None]:
    """Tells why a file of evidence cannot be written as a Problem: `evidence_no_room`, `body_too_large`, `evidence_unwritten`."""
    try:
        yield
    except NoRoomError as error:
        raise Problem("evidence_no_room") from error
    except TooLargeError as error:
        raise Problem("body_too_large") from error
    except EvidenceFileError as error:
        raise Problem("evidence_unwritten", reason=error) from error


def media_type(given: str) -> str:
    """A media type as it is written down: what is none says nothing."""
    named = given.partition(";")[0].strip()
    return named if _MEDIA_TYPE.fullmatch(named) else OCTETS


def open_to_evidence(session: Session, number: int) -> Incident:
    """An incident that takes evidence: a closed one does, one that another tells does not.

    Raises Problem `incident_unknown`, `incident_merged`, `evidence_full`.
    """
    incident = incidents.get(session, number)
    if incident.merged_into is not None:
        raise Problem("incident_merged", number=number, into=incident.merged_into)
    held = session.scalar(sa.select(sa.func.count(EvidenceItem.id)).where(EvidenceItem.incident == number)) or 0
    if held >= MOST_ITEMS:
        raise Problem("evidence_full", number=number, most=MOST_ITEMS)
    return incident


def keep(database: Database, draft: Draft, number: int, about: About, actor: Actor) -> EvidenceItem:
    """Make a draft a piece of evidence: it is whole on the disk before anything tells of it.

    Raises Problem as `open_to_evidence` and `refusals`.
    """
    with refusals():
        # Before the transaction: a disk may take its time, and nobody else can write meanwhile.
        found = draft.end()
    try:
        with refusals(), database.write() as session:
            open_to_evidence(session, number)
            item = EvidenceItem(
                organisation=scope_of(session).organisation, incident=number, kind=about.kind, name=about.name,
                media_type=about.media_type, description=about.description, size=found.size, sha256=found.sha256, sm3=found.sm3,
                taken_at=now(), taken_by=actor.name, origin=plain(about.origin), file=draft.name,
            )  # fmt: skip
            session.add(item)
            session.flush()
            _enter(session, [item], "taken", actor, Hands(about.giver, actor.name, about.description))
            detail = {
                "item": item.id, "name": item.name, "size": item.size, "sha256": item.sha256, "sm3": item.sm3,
                "from": about.giver,
            }  # fmt: skip
            timeline.write(session, number, actor, "evidence_taken", note=about.description, detail=detail)
            session.flush()
            draft.keep()
    except BaseException:
        if not _is_known(database, draft.name):
            draft.forget()
        raise
    return item


def _is_known(database: Database, file: str) -> bool:
    """Whether a file counts. Where that cannot be asked it is left: a file that counts as nothing does no harm."""
    try:
        with database.read() as session:
            return session.scalar(sa.select(EvidenceItem.id).where(EvidenceItem.file == file)) is not None
    except SQLAlchemyError:
        return True


def find(session: Session, number: int, after: int, limit: int) -> Sequence[EvidenceItem]:
    """Evidence of an incident and of those merged into it, in the order in which it was taken, behind an id."""
    incidents.get(session, number)
    mine = sa.select(EvidenceItem).where(EvidenceItem.incident.in_(timeline.told_by(session, number)), EvidenceItem.id > after)
    return session.scalars(mine.order_by(EvidenceItem.id).limit(limit)).all()


def get(session: Session, number: int, identity: int) -> EvidenceItem:
    """One piece. Raises Problem `incident_unknown`, `evidence_unknown`."""
    incidents.get(session, number)
    item = session.scalar(sa.select(EvidenceItem).where(EvidenceItem.id == identity))
    if item is None or item.incident not in timeline.told_by(session, number):
        raise Problem("evidence_unknown", id=identity, number=number)
    return item


def entries(session: Session, identity: int, after: int, limit: int) -> Sequence[CustodyEntry]:
    """Custody entries of a piece, the first first, behind a number."""
    mine = sa.select(CustodyEntry).where(CustodyEntry.evidence == identity, CustodyEntry.number > after)
    return session.scalars(mine.order_by(CustodyEntry.number).limit(limit)).all()


def all_entries(session: Session, identity: int, after: int = 0) -> Iterator[CustodyEntry]:
    """All custody entries of a piece behind a number, the first first; some are held at a time."""
    while found := entries(session, identity, after, _CHUNK):
        yield from found
        after = found[-1].number


def trail_of(session: Session, identity: int, after: int = 0) -> Iterator[AuditEntry]:
    """What the audit trail says of the custody of a piece behind one of its entries, oldest first; some are held at a time."""
    mine = sa.select(AuditEntry).where(AuditEntry.subject == subject_of(identity), AuditEntry.action == CUSTODY)
    while found := session.scalars(mine.where(AuditEntry.number > after).order_by(AuditEntry.number).limit(_CHUNK)).all():
        yield from found
        after = found[-1].number


def entry_count(session: Session, identities: Sequence[int]) -> int:
    """How many custody entries pieces have together."""
    counted = sa.select(sa.func.count(CustodyEntry.id)).where(CustodyEntry.evidence.in_(identities))
    return session.scalar(counted) or 0


def hand_on(session: Session, number: int, item: EvidenceItem, actor: Actor, hands: Hands) -> CustodyEntry:
    """Write down that a piece went from somebody to somebody. Raises Problem `custody_full`."""
    (entry,) = _enter(session, [item], "handed", actor, hands)
    detail = {"item": item.id, "name": item.name, "from": hands.giver, "to": hands.receiver}
    timeline.write(session, number, actor, "evidence_handed", note=hands.reason, detail=detail)
    session.flush()
    return entry


def move(session: Session, before: int, after: int, actor: Actor, reason: str) -> None:
    """Write down that the evidence of an incident, and of those it tells, is another's from now on."""
    mine = sa.select(EvidenceItem).where(EvidenceItem.incident.in_(timeline.told_by(session, before)))
    items = session.scalars(mine.order_by(EvidenceItem.id)).all()
    _enter(session, items, "moved", actor, Hands(f"incident {before}", f"incident {after}", reason))


def give_out(session: Session, number: int, items: Sequence[EvidenceItem], actor: Actor, hands: Hands) -> list[CustodyEntry]:
    """Write down that pieces were given out in a package; returns the entry of each. Raises Problem `custody_full`."""
    made = _enter(session, items, "exported", actor, hands)
    detail = {"items": [item.id for item in items], "count": len(items), "to": hands.receiver}
    timeline.write(session, number, actor, "evidence_exported", note=hands.reason, detail=detail)
    session.flush()
    return made


def _enter(session: Session, items: Sequence[EvidenceItem], kind: CustodyKind, actor: Actor, hands: Hands) -> list[CustodyEntry]:
    """Write an entry for each piece, of many together: nobody else can write meanwhile. Raises Problem `custody_full`."""
    last = _last(session, [item.id for item in items])
    made: list[CustodyEntry] = []
    for item in items:
        before = last.get(item.id)
        if kind != "moved" and before is not None and before.number >= MOST_ENTRIES:
            raise Problem("custody_full", id=item.id, most=MOST_ENTRIES)
        entry = CustodyEntry(
            organisation=item.organisation, evidence=item.id, number=1 if before is None else before.number + 1, kind=kind,
            at=now(), actor=actor.name, giver=hands.giver, receiver=hands.receiver, reason=hands.reason,
            previous_hash=chain.digest(chain.of_item(item)) if before is None else before.hash,
        )  # fmt: skip
        entry.hash = chain.digest(chain.of_entry(entry))
        made.append(entry)
    session.add_all(made)
    session.flush()
    _tell(session, actor, made)
    return made


def _last(session: Session, identities: Sequence[int]) -> dict[int, CustodyEntry]:
    """The last custody entry of each piece that has any."""
    found: dict[int, CustodyEntry] = {}
    for some in incidents.in_parts(identities):
        newest = sa.select(CustodyEntry.evidence, sa.func.max(CustodyEntry.number).label("number"))
        newest = newest.where(CustodyEntry.evidence.in_(some)).group_by(CustodyEntry.evidence).subquery()
        mine = (CustodyEntry.evidence == newest.c.evidence) & (CustodyEntry.number == newest.c.number)
        found |= {each.evidence: each for each in session.scalars(sa.select(CustodyEntry).join(newest, mine))}
    return found


def _tell(session: Session, actor: Actor, made: Sequence[CustodyEntry]) -> None:
    """Whoever owns the database can make a chain anew; the trail, of which checkpoints lie elsewhere, still tells what it was."""
    if made:
        told = [(subject_of(each.evidence), {"kind": each.kind, "number": each.number, "hash": each.hash}) for each in made]
        audit.record_all(session, actor, CUSTODY, told)


def subject(item: EvidenceItem) -> str:
    """What entries of the audit trail about reads of a piece are about."""
    return subject_of(item.id)


def subject_of(identity: int | str) -> str:
    """The same, of an id."""
    return f"{verify.SUBJECT}{identity}"


def hashes(item: EvidenceItem) -> Hashes:
    """What the file of a piece must be."""
    return Hashes(item.size, item.sha256, item.sm3)


def check(database: Database, folder: Path, item: EvidenceItem, actor: Actor) -> int:
    """Look at every byte of a piece; returns its CRC-32. What is wrong goes into the audit trail.

    Raises Problem `evidence_missing`, `evidence_changed`, `evidence_unreadable`.
    """
    with damage(database, item, actor):
        return files.check(folder / item.file, hashes(item))


def content(database: Database, folder: Path, item: EvidenceItem, actor: Actor) -> Iterator[bytes]:
    """A piece that was just looked at, piece by piece. It is compared again: what differs by now ends early. Raises Problem."""
    with damage(database, item, actor):
        yield from files.content(folder / item.file, hashes(item))


@contextmanager
def damage(database: Database, item: EvidenceItem, actor: Actor) -> Generator[None]:
    """Tells that a piece is not as it was taken, to the audit trail and to the caller."""
    try:
        yield
    except DamagedError as error:
        detail = {"how": error.how, "name": item.name, "sha256": item.sha256}
        audit.record_read(database, actor, "evidence.damaged", subject(item), detail)
        raise Problem(f"evidence_{error.how}", id=item.id) from error
    except OSError as error:
        raise Problem("evidence_unreadable", reason=error.strerror or type(error).__name__) from error
