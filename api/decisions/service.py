"""Decisions from the database to detection, each once and none lost.

A decision is written in the transaction of what it changes, and then left where detection takes it from. Where that fails, or the
process ends between the two, it is left with the next decision or at the next start; detection knows what it has had.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, TypeVar

import sqlalchemy as sa

from api.decisions.models import Decision
from api.pages import read_cursor, write_cursor
from api.problems import Problem
from api.times import now
from detection.inbox import InboxError, fits, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy.orm import Session

    from api.services import Services
    from detection.inbox import Entry

E = TypeVar("E", bound="Entry")

AT_ONCE: Final = 1_000
"""Most decisions that are marked as sent in one transaction."""

_log = logging.getLogger(__name__)


def leave(session: Session, decision: Entry, site: str, *, taken: bool = False) -> None:
    """Write a decision about a site down, to be sent once the transaction has ended; one that detection has taken up is not sent.

    Raises Problem `decision_unfit` where detection would not read it as what it is: nobody is told that it was taken then.
    """
    if not taken and not fits(decision):
        raise Problem("decision_unfit")
    moment = now() if taken else None
    said = {"id": decision.id, "at": decision.at, "by": decision.by[:64], "choice": decision.choice, "site": site}
    session.add(Decision(**said, content=decision.to_json(), sent_at=moment, taken_at=moment))


def take_up(session: Session, taken: Iterable[E]) -> list[E]:
    """Write down that detection has taken these up; those that were not taken here but by a command are returned."""
    moment = now()
    given = {each.id: each for each in taken}
    for stored in session.scalars(sa.select(Decision).where(Decision.taken_at.is_(None))):
        if stored.id in given:
            # It is there, whoever left it: after a backup was restored it may not be known that it was.
            stored.sent_at, stored.taken_at = stored.sent_at or moment, moment
    session.flush()
    known = set(session.scalars(sa.select(Decision.id)))
    return [each for each in given.values() if each.id not in known]


def send(services: Services) -> None:
    """Leave for detection what has not been left yet, or wake who does that."""
    if services.decided is None:
        send_unsent(services)
    else:
        services.decided.set()


def send_unsent(services: Services) -> bool:
    """Leave for detection what has not been left yet, in order; whether all could be that can be read."""
    with services.database.read() as session:
        unsent = sa.select(Decision.id, Decision.site, Decision.content).where(Decision.sent_at.is_(None))
        waiting = session.execute(unsent.order_by(Decision.at, Decision.id)).all()
    sent: list[str] = []
    failure: InboxError | None = None
    for identity, site, content in waiting:
        decision = parse(content)
        if decision is None:
            _log.error("decision %s in the database cannot be read: it is not left for detection; decide anew", identity)
            continue
        try:
            services.leave(decision, site)
        except InboxError as error:
            failure = error
            _log.warning("a decision waits in the database: %s", error)
            break
        sent.append(identity)
    for start in range(0, len(sent), AT_ONCE):
        some = sent[start : start + AT_ONCE]
        with services.database.write() as session:
            session.execute(sa.update(Decision).where(Decision.id.in_(some), Decision.sent_at.is_(None)).values(sent_at=now()))
    return failure is None


def waiting(session: Session) -> set[str]:
    """Identities of the decisions that detection has not taken up, as far as is known."""
    return set(session.scalars(sa.select(Decision.id).where(Decision.taken_at.is_(None))))


def latest(session: Session, choices: Sequence[str], cursor: str | None, limit: int) -> tuple[Sequence[Decision], str | None]:
    """One page of the decisions of these kinds, newest first, and the cursor of the next one. Raises Problem `cursor_invalid`."""
    question = f"decisions {choices}"
    asked = sa.select(Decision).where(Decision.choice.in_(choices))
    if cursor is not None:
        asked = asked.where(sa.tuple_(Decision.at, Decision.id) < sa.tuple_(*read_cursor(question, cursor, (int, str))))
    found = session.scalars(asked.order_by(Decision.at.desc(), Decision.id.desc()).limit(limit + 1)).all()
    last = found[limit - 1] if len(found) > limit else None
    return found[:limit], None if last is None else write_cursor(question, last.at, last.id)
