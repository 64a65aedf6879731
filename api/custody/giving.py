"""Giving evidence out: looked at, written down, and put into a package with what the audit trail says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from api.audit import checkpoints, keeping, keys
from api.audit import service as audit
from api.audit.keys import AuditKeyError
from api.audit.models import AuditEntry
from api.custody import package, service, trail
from api.custody.earlier import TAKEN
from api.custody.package import Contents, Custody, Part, Piece
from api.incidents import presentation as incidents_shown
from api.incidents import service as incidents
from api.incidents import timeline
from api.problems import Problem
from api.times import iso, now

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy.orm import Session

    from api.audit.service import Actor
    from api.custody.models import EvidenceItem
    from api.custody.service import Hands
    from api.services import Services

MOST_TRAIL: Final = 20_000
"""Most entries of the audit trail in a package that are not about custody, the newest; how many more there are is told in it."""

MOST_ENTRIES: Final = 100_000
"""Most custody entries in a package."""

TEXT_BYTES: Final = 128 * 1024 * 1024
"""Room of a package for what is not evidence."""

LINES_BYTES: Final = TEXT_BYTES * 3 // 4
"""Room of it for custody and for what the audit trail says."""

_CHUNK: Final = 1_000

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
    with database.read(unlimited=True) as session:
        items = _chosen(session, number, wish.identities)
        lines = Lines(number, items)
        lines.read_on(session)
    crcs = {item.id: service.check(database, settings.evidence_place, item, actor) for item in items}
    with database.write() as session:
        incident = incidents.get(session, number)
        made = service.give_out(session, number, items, actor, hands)
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

    with database.read(unlimited=True) as session:
        # What was written is never changed: nobody waits until all of it was read, and what came after it is left out.
        lines.read_on(session, Until(end.number, {each.evidence: each.number for each in made}))
        since = lines.find_older(session)
    pieces = [Piece(item, lines.custody[item.id], part(item)) for item in items]
    told_of, left_out = lines.trail()
    return package.parts(Contents(told, pieces, told_of, left_out, end, since, given), key)


def _chosen(session: Session, number: int, identities: Sequence[int]) -> list[EvidenceItem]:
    if identities:
        items = [service.get(session, number, identity) for identity in sorted(set(identities))]
    else:
        items = list(service.find(session, number, 0, service.MOST_ITEMS + 1))
    if not items:
        raise Problem("package_empty", number=number)
    size, entries = sum(item.size for item in items), service.entry_count(session, [item.id for item in items])
    if len(items) > service.MOST_ITEMS or size > package.BYTES - TEXT_BYTES or entries > MOST_ENTRIES:
        raise _large()
    return items


def _large() -> Problem:
    return Problem("package_large", pieces=service.MOST_ITEMS, entries=MOST_ENTRIES, gibibytes=round(package.BYTES / 2**30))


@dataclass(frozen=True, slots=True)
class Until:
    """How far custody and trail are read.

    Attributes:
        trail: number of the last entry of the trail.
        custody: number of the last custody entry of each piece, by its id.
    """

    trail: int
    custody: Mapping[int, int]


class Lines:
    """Custody of pieces, and what the audit trail says of them, as lines: read once, and read on to what came since.

    Args:
        number: the incident.
        items: the pieces.

    Attributes:
        custody: of each piece, by its id.
    """

    def __init__(self, number: int, items: Sequence[EvidenceItem]) -> None:
        self._number = number
        self._items = items
        self._after = 0
        self._size = 0
        self._strict = True
        self._of_custody: dict[int, bytes] = {}
        self._others: dict[int, bytes] = {}
        self._counted: set[int] = set()
        self._in_trail = {item.id: 0 for item in items}
        self.custody: Final = {item.id: Custody() for item in items}

    def read_on(self, session: Session, until: Until | None = None) -> None:
        """Read what came since, all of it or until it was given out.

        Raises Problem `package_large` where the custody has no room: not where it was given out, for what that adds, as others
        may have meanwhile, there is room besides.
        """
        self._strict = until is None
        newest = audit.newest(session)[0] if until is None else until.trail
        for item in self._items:
            custody = self.custody[item.id]
            for entry in service.all_entries(session, item.id, custody.entries):
                if until is not None and entry.number > until.custody[item.id]:
                    break
                self._take(custody.add(entry))
            for entry in service.trail_of(session, item.id, self._after):
                if entry.number > newest:
                    break
                self._always(entry)
                self._in_trail[item.id] += 1
        for told in self._others_since(session, newest):
            size, kept = 0, 0
            for entry in told:
                if entry.action == TAKEN:
                    self._always(entry)
                    continue
                self._counted.add(entry.number)
                # The newest come first: of what has no room anyhow only how much it is.
                if kept < MOST_TRAIL and size < LINES_BYTES:
                    self._others[entry.number] = line = keeping.line(entry).encode()
                    size, kept = size + len(line), kept + 1
        self._after = newest

    def find_older(self, session: Session) -> int | None:
        """Find the pieces with custody from before it was in the trail; returns where it begins there, None without any."""
        following, any_older = trail.Following(session), False
        for item in self._items:
            if self.custody[item.id].entries == self._in_trail[item.id]:
                continue
            found = following.follow(item)
            if found.trail == "older" and found.untold is not None:
                self.custody[item.id].untold, any_older = found.untold, True
        return following.earlier.since if any_older else None

    def trail(self) -> tuple[bytes, int]:
        """What the trail says, oldest first: all about custody and taking, of the rest what has room; how many are left out."""
        told, room = dict(self._of_custody), LINES_BYTES - self._size
        for number in sorted(self._others, reverse=True)[:MOST_TRAIL]:
            room -= len(self._others[number])
            if room < 0:
                break
            told[number] = self._others[number]
        left_out = len(self._of_custody) + len(self._counted) - len(told)
        return b"".join(told[number] for number in sorted(told)), left_out

    def _always(self, entry: AuditEntry) -> None:
        """Take an entry of the trail that must not be left out."""
        self._of_custody[entry.number] = line = keeping.line(entry).encode()
        self._take(len(line))

    def _take(self, size: int) -> None:
        self._size += size
        if self._strict and self._size > LINES_BYTES:
            raise _large()

    def _others_since(self, session: Session, newest: int) -> Iterator[Iterator[AuditEntry]]:
        """What else the trail says of these pieces, the newest of each kind first."""
        numbers = [str(each) for each in timeline.told_by(session, self._number)]
        for subjects, actions in (
            (numbers, AuditEntry.action.in_(_OF_INCIDENT)),
            (
                [service.subject(item) for item in self._items],
                AuditEntry.action.like("evidence.%") & (AuditEntry.action != service.CUSTODY),
            ),
            ([str(item.origin["alert"]) for item in self._items if "alert" in item.origin], AuditEntry.action == "evidence.take"),
        ):
            for some in incidents.in_parts(list(dict.fromkeys(subjects))):
                since = (AuditEntry.number > self._after) & (AuditEntry.number <= newest)
                asked = sa.select(AuditEntry).where(AuditEntry.subject.in_(some), actions, since)
                asked = asked.order_by(AuditEntry.number.desc()).execution_options(yield_per=_CHUNK)
                yield (entry for entry in session.scalars(asked) if self._is_about(entry))

    def _is_about(self, entry: AuditEntry) -> bool:
        named = _ids_of(entry)
        return named is None or not named.isdisjoint(self.custody)


def _ids_of(entry: AuditEntry) -> set[int] | None:
    """The pieces that an entry names; None where it is about one by its subject."""
    detail = entry.detail
    return set(detail["items"]) if "items" in detail else {detail["item"]} if "item" in detail else None
