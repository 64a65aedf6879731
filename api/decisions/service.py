"""Decisions from the database to detection, each once and none lost.

A decision is written in the transaction of what it changes, and then left in the folder from which detection takes it. Where that
fails, or the process ends between the two, it is left with the next decision or at the next start; detection knows what it
has had.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

import sqlalchemy as sa

from api.decisions.models import Decision
from api.problems import Problem
from api.times import now
from detection.inbox import Inbox, InboxError, fits, parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from api.services import Services
    from detection.inbox import Entry

E = TypeVar("E", bound="Entry")

_log = logging.getLogger(__name__)


def leave(session: Session, decision: Entry, *, taken: bool = False) -> None:
    """Write a decision down, to be sent once the transaction has ended; one that detection has taken up is not sent.

    Raises Problem `decision_unfit` where detection would not read it as what it is: nobody is told that it was taken then.
    """
    if not taken and not fits(decision):
        raise Problem("decision_unfit")
    said = {"id": decision.id, "at": decision.at, "by": decision.by[:64], "choice": decision.choice}
    session.add(Decision(**said, content=decision.to_json(), sent_at=now() if taken else None))


def unknown(session: Session, taken: Sequence[E]) -> list[E]:
    """Of decisions that detection has taken up, those that were not taken here but by a command."""
    known = set(session.scalars(sa.select(Decision.id)))
    return [each for each in taken if each.id not in known]


def send(services: Services) -> None:
    """Leave for detection what has not been left yet, in order."""
    inbox = Inbox(services.settings.data)
    with services.database.write() as session:
        unsent = sa.select(Decision).where(Decision.sent_at.is_(None)).order_by(Decision.at, Decision.id)
        for stored in session.scalars(unsent).all():
            decision = parse(stored.content)
            if decision is None:
                _log.error("decision %s in the database cannot be read: it is not left for detection; decide anew", stored.id)
                continue
            try:
                inbox.put(decision)
            except InboxError as error:
                _log.warning("a decision waits in the database: %s", error)
                return
            stored.sent_at = now()


def retry(services: Services) -> None:
    """Leave for detection what could not be left before, where there is such and it can be read."""
    with services.database.read() as session:
        unsent = session.scalars(sa.select(Decision.content).where(Decision.sent_at.is_(None))).all()
    if any(parse(content) is not None for content in unsent):
        send(services)


def waiting(session: Session, services: Services) -> set[str]:
    """Identities of the decisions that detection has not taken up."""
    unsent = session.scalars(sa.select(Decision.id).where(Decision.sent_at.is_(None)))
    return {*unsent, *Inbox(services.settings.data).ids()}


def latest(session: Session, choices: Sequence[str], limit: int) -> Sequence[Decision]:
    """The latest decisions of these kinds, newest first."""
    found = sa.select(Decision).where(Decision.choice.in_(choices)).order_by(Decision.at.desc(), Decision.id).limit(limit)
    return session.scalars(found).all()
