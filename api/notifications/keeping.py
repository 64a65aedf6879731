"""Messages that were sent or given up, and what they told of, are kept for a time; the audit trail keeps that they left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from api.alerts.models import Alert
from api.audit import service as audit
from api.notifications.models import Message, Notice, Telling
from api.times import NANOSECONDS, iso

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

AT_A_TIME: Final = 500
"""Messages, and notices, that are removed in one transaction."""

AGAIN_SECONDS: Final = 3600
"""After how long is looked again, where there was nothing to remove: notices are looked at one by one for it."""

DAY: Final = 86_400 * NANOSECONDS

ENDED: Final = ("sent", "failed")

SYSTEM: Final = audit.Actor(audit.SYSTEM)


class Keeping:
    """Removes what is to be kept no longer.

    Args:
        days: how long messages are kept.
    """

    def __init__(self, days: int) -> None:
        self._days: Final = days
        self._looked: int | None = None

    def due(self, session: Session, moment: int) -> Sequence[int]:
        """A number where there is something to remove; looked for once an hour."""
        if self._looked is not None and abs(moment - self._looked) < AGAIN_SECONDS * NANOSECONDS:
            return ()
        if session.scalar(self._messages(moment).limit(1)) is None and session.scalar(self._notices(moment).limit(1)) is None:
            self._looked = moment
            return ()
        return (0,)

    def remove(self, session: Session, part: int, moment: int) -> int:
        """Remove some messages and notices; returns how many there were."""
        del part
        messages = session.scalars(self._messages(moment).order_by(Message.id).limit(AT_A_TIME)).all()
        notices = session.scalars(self._notices(moment).order_by(Notice.id).limit(AT_A_TIME)).all()
        session.execute(sa.delete(Message).where(Message.id.in_(messages)))
        session.execute(sa.delete(Telling).where(Telling.notice.in_(notices)))
        session.execute(sa.delete(Notice).where(Notice.id.in_(notices)))
        if messages:
            told = {"count": len(messages), "ended_before": iso(moment - self._days * DAY)}
            audit.record(session, SYSTEM, "notification.remove", f"{messages[0]}-{messages[-1]}", told)
        return len(messages) + len(notices)

    def _messages(self, moment: int) -> sa.Select[int]:
        old = moment - self._days * DAY
        # Whatever was tried was due at the time: the index has that.
        return sa.select(Message.id).where(Message.state.in_(ENDED), Message.due_at <= old, Message.ended_at <= old)

    def _notices(self, moment: int) -> sa.Select[int]:
        """Those that are told no more, and of which no rule must know any more that it has told of them."""
        waits = sa.select(Telling.id).where(Telling.notice == Notice.id, Telling.state == "waiting").exists()
        is_open = sa.select(Alert.id).where(Alert.id == Notice.subject, Alert.triage_state != "closed").exists()
        return sa.select(Notice.id).where(
            Notice.told_at <= moment - self._days * DAY, Notice.look_at.is_(None), ~waits,
            sa.or_(Notice.kind != "alert", ~is_open),
        )  # fmt: skip
