"""Sends what is in the outbox, by a thread for each channel that has something to send, outside of any transaction.

What was never tried goes first, so that a message that is not taken holds up none that comes after it. Before a message is sent
it is written down that it is tried, and until when nobody else tries it; afterwards what came of it. A process that ends between
the two has it sent again, by whoever comes next: at least once, and twice only where the end, or an answer that was lost, came
between. A receiver knows it by its key.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Final, cast

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from api.audit import service as audit
from api.notifications.delivery import DeliveryError, Outgoing
from api.notifications.models import Message
from api.times import NANOSECONDS, now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from api.notifications.content import Content
    from api.services import Services

PART: Final = "notifications"
"""Name of this part of the system."""

LOOK_SECONDS: Final = 2.0
"""How often is looked for messages that another server made, or that are to be tried again."""

LEASE_SECONDS: Final = 300
"""How long a message is left to whoever tries it: longer than any try lasts."""

FIRST_SECONDS: Final = 30
"""Wait after the first try that failed; it doubles with each further one."""

LONGEST_SECONDS: Final = 1800
"""Longest wait."""

TRIES: Final = 53
"""Tries of a message whose receiver cannot be reached: with the waits between them a day, in which this system is at work."""

REFUSALS: Final = 10
"""Tries of a message that the receiver refuses as it is: with the waits between them two hours, in which a person can put the
receiver right."""

STOP_SECONDS: Final = 5.0

SYSTEM: Final = audit.Actor(audit.SYSTEM)

_log = logging.getLogger(__name__)


class Sender:
    """Sends messages until it is stopped.

    Args:
        services: the system.
    """

    def __init__(self, services: Services) -> None:
        self._services: Final = services
        self._threads: dict[str, threading.Thread] = {}
        self._stop = threading.Event()
        self._refused: dict[str, str] = {}
        self._lock = threading.Lock()

    def run(self, stop: threading.Event) -> None:
        """Send what there is until the event is set."""
        self._stop = stop
        while not stop.is_set():
            self._services.outbox.wait(LOOK_SECONDS)
            self._services.outbox.clear()
            try:
                self.work()
            except Exception:  # noqa: BLE001  whatever it is, the next look may do what this one could not
                _log.exception("messages wait: they cannot be looked for, or sent")
                stop.wait(LOOK_SECONDS)
        deadline = time.monotonic() + STOP_SECONDS
        for thread in self._threads.values():
            thread.join(max(0.0, deadline - time.monotonic()))

    def work(self) -> None:
        """Begin to send what is due by each channel that is not at it."""
        self._threads = {name: thread for name, thread in self._threads.items() if thread.is_alive()}
        with self._services.database.read() as session:
            waiting = due(session, now())
        for channel in waiting:
            if channel not in self._threads:
                # One that hangs must keep neither the other channels up nor the process from ending.
                thread = threading.Thread(target=self._send_all, args=(channel,), daemon=True, name=f"channel {channel}")
                self._threads[channel] = thread
                thread.start()

    def _send_all(self, channel: str) -> None:
        while not self._stop.is_set():
            try:
                # Asked anew each time: what was made meanwhile goes before what was not taken.
                with self._services.database.read() as session:
                    number = next_of(session, channel, now())
                if number is None:
                    return
                self.send(number)
            except SQLAlchemyError:
                _log.exception("what came of a message by channel %s cannot be written down: it is sent again", channel)
                return

    def send(self, number: int) -> None:
        """Send one message that is due. Raises SQLAlchemyError where it cannot be written down."""
        with self._services.database.write() as session:
            message = taken(session, number, now())
        if message is None:
            return
        failure: DeliveryError | None = None
        oddity: str | None = None
        try:
            oddity = self._hand_over(message)
        except DeliveryError as error:
            failure = error
        except Exception as error:  # noqa: BLE001  whatever one message is like, the others go on
            _log.exception("message %s cannot be sent", number)
            failure = DeliveryError(f"a fault of this system ({type(error).__name__})", lasting=True)
        with self._services.database.write() as session:
            outcome = settle(session, number, now(), failure, oddity)
        self._services.metrics.notifications.labels(message.channel, outcome).inc()
        if failure is not None:
            _log.warning("message %s was not taken by channel %s: %s", number, message.channel, failure)
        self._tell(message.channel, failure)

    def _tell(self, channel: str, failure: DeliveryError | None) -> None:
        """Let the status say which channels did not take their latest message, and why."""
        with self._lock:
            before = dict(self._refused)
            if failure is None:
                self._refused.pop(channel, None)
            else:
                self._refused[channel] = str(failure)
            if self._refused != before:
                refused = sorted(self._refused.items())
                told = "; ".join(f"channel {name} did not take its latest message: {reason}" for name, reason in refused)
                self._services.status.tell(PART, detail=told)

    def _hand_over(self, message: Message) -> str | None:
        channel = self._services.channels.get(message.channel)
        if channel is None:
            raise DeliveryError("the configuration has no channel of that name")
        content = cast("Content", message.content)
        return channel.send(Outgoing(message.key, message.site, message.made_at, content, message.held_back))


def due(session: Session, moment: int) -> Sequence[str]:
    """The channels by which a message is to be tried."""
    return session.scalars(sa.select(Message.channel).where(_is_due(moment)).distinct().order_by(Message.channel)).all()


def next_of(session: Session, channel: str, moment: int) -> int | None:
    """The message that is to be tried next by a channel: the one that was tried least, and of these the oldest."""
    mine = sa.select(Message.id).where(_is_due(moment), Message.channel == channel)
    return session.scalar(mine.order_by(Message.attempts, Message.id).limit(1))


def _is_due(moment: int) -> sa.ColumnElement[bool]:
    # A clock that was ahead has nothing wait for longer than the longest wait.
    late = moment + (LEASE_SECONDS + LONGEST_SECONDS) * NANOSECONDS
    return sa.and_(Message.state == "pending", sa.or_(Message.due_at <= moment, Message.due_at > late))


def taken(session: Session, number: int, moment: int) -> Message | None:
    """A message, which from now on nobody else tries for a while; None where there is nothing to try."""
    message = session.scalar(sa.select(Message).where(Message.id == number, Message.state == "pending"))
    late = moment + (LEASE_SECONDS + LONGEST_SECONDS) * NANOSECONDS
    if message is None or moment < message.due_at <= late:
        return None
    message.attempts += 1
    message.due_at = moment + LEASE_SECONDS * NANOSECONDS
    return message


def settle(session: Session, number: int, moment: int, failure: DeliveryError | None, oddity: str | None) -> str:
    """Write down what came of a try: `sent`, `retried` or `failed`."""
    message = session.scalar(sa.select(Message).where(Message.id == number))
    if message is None or message.state != "pending":
        return "sent"
    message.reason = oddity if failure is None else str(failure)
    told: dict[str, Any] = {"channel": message.channel, "count": message.count, "attempts": message.attempts}
    if failure is None:
        message.state, message.ended_at = "sent", moment
        audit.record(session, SYSTEM, "notification.send", str(number), told)
        return "sent"
    if message.attempts >= (REFUSALS if failure.lasting else TRIES):
        message.state, message.ended_at = "failed", moment
        audit.record(session, SYSTEM, "notification.fail", str(number), {**told, "reason": message.reason})
        return "failed"
    message.due_at = moment + wait_seconds(message.attempts) * NANOSECONDS
    return "retried"


def wait_seconds(attempts: int) -> int:
    """How long is waited after so many tries that failed."""
    return min(FIRST_SECONDS * 2 ** min(attempts - 1, 10), LONGEST_SECONDS)
