"""Handover notes: begun, written, handed over, taken over."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import rfc8785
import sqlalchemy as sa

from api.audit import service as audit
from api.database.scope import scope_of
from api.handovers.models import Handover
from api.pages import read_cursor, write_cursor
from api.problems import Problem
from api.situation.schemas import SHIFT_HOURS
from api.times import NANOSECONDS, iso, now

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy.orm import Session

    from api.audit.service import Actor
    from api.handovers.schemas import HandoverQuery

LONGEST_DAYS: Final = 7
"""How long ago the last note may be for the shift to have begun with it."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What was open from when to when, by language."""

    since: int
    at: int
    content: Mapping[str, Any]


def get(session: Session, identity: int) -> Handover:
    """One note. Raises Problem `handover_unknown`."""
    found = session.scalar(sa.select(Handover).where(Handover.id == identity))
    if found is None:
        raise Problem("handover_unknown", id=identity)
    return found


def find(session: Session, query: HandoverQuery) -> tuple[Sequence[Handover], str | None]:
    """One page of notes, the latest first, and the cursor of the next one."""
    statement = sa.select(Handover)
    if query.state is not None:
        statement = statement.where(query.state.on(Handover.state))
    if query.site is not None:
        statement = statement.where(query.site.on(Handover.site))
    question = query.question()
    if query.cursor is not None:
        statement = statement.where(Handover.id < read_cursor(question, query.cursor, (int,))[0])
    rows = session.scalars(statement.order_by(Handover.id.desc()).limit(query.limit + 1)).all()
    if len(rows) <= query.limit:
        return rows, None
    return rows[: query.limit], write_cursor(question, rows[query.limit - 1].id)


def site_of(session: Session, asked: str | None) -> str:
    """The site that a note is about; empty for all. Raises Problem `site_missing`, `site_unknown`."""
    own = scope_of(session).sites
    if own is None:
        return asked or ""
    if asked is None and len(own) != 1:
        raise Problem("site_missing", sites=", ".join(sorted(own)) or "–")
    if asked is not None and asked not in own:
        raise Problem("site_unknown", site=asked)
    return next(iter(own)) if asked is None else asked


def began(session: Session, site: str, moment: int) -> int:
    """When the shift that leaves began, where nobody says: with the last note of the site, or eight hours ago."""
    done = sa.select(sa.func.max(Handover.handed_at)).where(Handover.site == site, Handover.state != "draft")
    last = session.scalar(done)
    if last is not None and moment - last <= LONGEST_DAYS * 86_400 * NANOSECONDS:
        # A clock that was ahead and was set right says that it was handed over later than now.
        return min(last, moment)
    return moment - SHIFT_HOURS * 3_600 * NANOSECONDS


def latest(session: Session, sites: Collection[str], moment: int) -> Handover | None:
    """The note that was handed over last, of a time, of any of these sites (empty: of all); None where that is long ago."""
    since = moment - LONGEST_DAYS * 86_400 * NANOSECONDS
    asked = sa.select(Handover).where(
        Handover.site.in_(sites), Handover.state != "draft", Handover.handed_at >= since, Handover.handed_at <= moment
    )
    return session.scalar(asked.order_by(Handover.handed_at.desc(), Handover.id.desc()).limit(1))


def check_since(since: int, moment: int) -> None:
    """Raises Problem `incident_times` where a shift began later than now."""
    if since > moment:
        raise Problem("incident_times")


def etag(found: Handover) -> str:
    """The entity tag of a note."""
    return f'"{found.version}"'


def begin(session: Session, site: str, actor: Actor, remarks: str, content: Collected) -> Handover:
    """Begin a note. Raises Problem `handover_begun` where one of the site is being written."""
    written = session.scalar(sa.select(Handover).where(Handover.site == site, Handover.state == "draft").limit(1))
    if written is not None:
        raise Problem("handover_begun", id=written.id, by=written.changed_by)
    made = Handover(site=site, version=0, state="draft")
    session.add(made)
    _write(made, actor, remarks, content)
    session.flush()
    audit.record(session, actor, "handover.begin", str(made.id), {"site": site, "since": content.since, "remarks": remarks})
    return made


def write(session: Session, found: Handover, actor: Actor, remarks: str, content: Collected) -> None:
    """Write something else in a note, and look again at what is open. Raises Problem `handover_state`."""
    _in(found, "write", "draft")
    before = found.remarks
    _write(found, actor, remarks, content)
    told = {"since": content.since, "before": before, "remarks": remarks}
    audit.record(session, actor, "handover.write", str(found.id), told)


def hand_over(session: Session, found: Handover, actor: Actor, content: Collected) -> None:
    """Hand a note over, with what is open now: nothing of it changes from then on. Raises Problem `handover_state`.

    The audit trail keeps the hash of what it says.
    """
    _in(found, "hand_over", "draft")
    _write(found, actor, found.remarks, content)
    found.state, found.handed_by, found.handed_at = "handed_over", actor.name, content.at
    audit.record(session, actor, "handover.hand_over", str(found.id), {"site": found.site, "sha256": digest(found)})


def take_over(session: Session, found: Handover, actor: Actor, note: str) -> None:
    """Take a note over, as another person than who handed it over. Raises Problem `handover_state`, `handover_own`."""
    _in(found, "take_over", "handed_over")
    if actor.name == found.handed_by:
        raise Problem("handover_own")
    found.state, found.taken_by, found.taken_at, found.taken_note = "taken_over", actor.name, now(), note
    found.version += 1
    audit.record(session, actor, "handover.take_over", str(found.id), {"note": note, "sha256": digest(found)})


def digest(found: Handover) -> str:
    """SHA-256 of what a note says, over canonical JSON (RFC 8785)."""
    said = {"site": found.site, "since": iso(found.since), "at": iso(found.content_at), "remarks": found.remarks}
    return hashlib.sha256(rfc8785.dumps({**said, "content": found.content})).hexdigest()


def _write(found: Handover, actor: Actor, remarks: str, content: Collected) -> None:
    found.remarks, found.since, found.changed_by = remarks, content.since, actor.name
    found.content, found.content_at = dict(content.content), content.at
    found.version += 1


def _in(found: Handover, action: str, state: str) -> None:
    if found.state != state:
        raise Problem("handover_state", id=found.id, state=found.state, action=action)
