"""Rules of who is told what, and the messages that came of them."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from pydantic import ValidationError

from api.audit import service as audit
from api.database import Counter, advance, row_of
from api.incidents.models import IncidentEntry
from api.notifications.models import Message, NotificationRule, Telling
from api.notifications.schemas import RuleContent
from api.pages import read_cursor, write_cursor
from api.problems import Problem
from api.times import now
from api.zones import service as zones
from api.zones.models import ZonePlan

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy.orm import Session

    from api.audit.service import Actor
    from api.notifications.content import Content
    from api.notifications.schemas import MessageQuery

COUNTER: Final = "notification_rule"
"""Counter that numbers rules."""

ALERTS: Final = "notified_change"
"""Counter of the latest change of an alert that rules have looked at."""

ENTRIES: Final = "notified_entry"
"""Counter of the latest line of incidents that rules have looked at."""

MOST: Final = 100
"""Most rules of an organisation."""

_log = logging.getLogger(__name__)


def get(session: Session, number: int) -> NotificationRule:
    """One rule. Raises Problem `notification_rule_unknown`."""
    found = session.scalar(sa.select(NotificationRule).where(NotificationRule.number == number))
    if found is None:
        raise Problem("notification_rule_unknown", number=number)
    return found


def rules(session: Session) -> Sequence[NotificationRule]:
    """All rules, in the order in which they were made."""
    return session.scalars(sa.select(NotificationRule).order_by(NotificationRule.number)).all()


def content_of(rule: NotificationRule) -> RuleContent:
    """What a rule says."""
    return RuleContent.model_validate({**rule.said, "name": rule.name, "enabled": rule.enabled})


def etag(rule: NotificationRule) -> str:
    """The entity tag of a rule: its version."""
    return f'"{rule.version}"'


def check_precondition(rule: NotificationRule, if_match: str | None) -> None:
    """Whether a change was made on what it is now. Raises Problem `precondition_required` or `precondition_failed`."""
    if if_match is None:
        raise Problem("precondition_required")
    if etag(rule) not in [tag.strip() for tag in if_match.split(",")] and if_match.strip() != "*":
        raise Problem("precondition_failed", by=rule.changed_by)


def check(session: Session, given: RuleContent, site: str, channels: Collection[str]) -> None:
    """Whether there are the channels and zones that a rule names. Raises Problem `notification_unfit`."""
    unknown = [name for name in given.named if name not in channels]
    wanted = [] if given.alerts is None else given.alerts.zones
    if wanted and not unknown:
        of = [site] if site else session.scalars(sa.select(ZonePlan.site).distinct()).all()
        there = {zone.name for name in of for zone in zones.plan(zones.in_force(session, name)).zones}
        unknown = [name for name in wanted if name not in there]
    if unknown:
        raise Problem("notification_unfit", name=unknown[0])


def make(session: Session, actor: Actor, given: RuleContent, site: str) -> NotificationRule:
    """Make a rule; what came up before it is not told. Raises Problem `notification_rules_full`."""
    standing = session.scalar(sa.select(sa.func.count()).select_from(NotificationRule)) or 0
    if standing >= MOST:
        raise Problem("notification_rules_full", most=MOST)
    rule = NotificationRule(number=advance(session, COUNTER), site=site, version=0)
    _write(session, rule, given, actor)
    session.add(rule)
    session.flush()
    audit.record(session, actor, "notification_rule.make", str(rule.number), _told(rule))
    return rule


def change(session: Session, rule: NotificationRule, given: RuleContent, actor: Actor) -> None:
    """Let a rule say something else."""
    before = _told(rule)
    _write(session, rule, given, actor)
    audit.record(session, actor, "notification_rule.change", str(rule.number), {**_told(rule), "before": before})


def withdraw(session: Session, rule: NotificationRule, actor: Actor) -> None:
    """Take a rule out; what waits because of it is told no more."""
    audit.record(session, actor, "notification_rule.withdraw", str(rule.number), _told(rule))
    session.delete(rule)
    session.flush()


def position(session: Session, name: str) -> int:
    """How far rules have looked."""
    found = row_of(session, Counter, name)
    return 0 if found is None else found.value


def stand(session: Session, name: str, at: int) -> None:
    """Write down how far rules have looked, in the transaction of what came of it."""
    advance(session, name, at - position(session, name))


def newest_entry(session: Session) -> int:
    """The id of the latest line of any incident."""
    return session.scalar(sa.select(sa.func.max(IncidentEntry.id))) or 0


def enabled(session: Session) -> list[tuple[NotificationRule, RuleContent]]:
    """The rules that tell something, with what each says. One that cannot be read must not keep the others from telling."""
    asked = sa.select(NotificationRule).where(NotificationRule.enabled.is_(True)).order_by(NotificationRule.number)
    found: list[tuple[NotificationRule, RuleContent]] = []
    for rule in session.scalars(asked):
        try:
            found.append((rule, content_of(rule)))
        except ValidationError:
            _log.error("notification rule %d cannot be read: it tells nothing", rule.number)
    return found


def find(session: Session, query: MessageQuery) -> tuple[Sequence[Message], str | None]:
    """One page of messages, newest first, and the cursor of the next one. Raises Problem `cursor_invalid`."""
    statement = sa.select(Message).order_by(Message.id.desc()).limit(query.limit + 1)
    for asked, column in ((query.state, Message.state), (query.channel, Message.channel), (query.site, Message.site)):
        if asked is not None:
            statement = statement.where(asked.on(column))
    if query.since is not None:
        statement = statement.where(Message.made_at >= query.since)
    if query.cursor is not None:
        (place,) = read_cursor(query.question(), query.cursor, (int,))
        statement = statement.where(Message.id < place)
    found = session.scalars(statement).all()
    if len(found) <= query.limit:
        return found, None
    return found[: query.limit], write_cursor(query.question(), found[query.limit - 1].id)


def message(session: Session, number: int) -> Message:
    """One message. Raises Problem `notification_unknown`."""
    found = session.scalar(sa.select(Message).where(Message.id == number))
    if found is None:
        raise Problem("notification_unknown", number=number)
    return found


def add_message(session: Session, channel: str, site: str, content: Content, counts: tuple[int, int] | None = None) -> Message:
    """Put a message into the outbox.

    Args:
        session: the session.
        channel: the channel.
        site: the site that it is about.
        content: what it says.
        counts: notices that it tells, and those of them that were held back; None: it only tries the channel.
    """
    moment = now()
    count, held_back = counts or (0, 0)
    made = Message(
        key=secrets.token_hex(16), site=site, channel=channel, test=counts is None, state="pending", made_at=moment,
        due_at=moment, attempts=0, count=count, held_back=held_back, content=dict(content),
    )  # fmt: skip
    session.add(made)
    session.flush()
    return made


def test_channel(session: Session, actor: Actor, channel: str, site: str, content: Content) -> Message:
    """Put a message that only tries a channel into the outbox."""
    made = add_message(session, channel, site, content)
    audit.record(session, actor, "notification.test", str(made.id), {"channel": channel})
    return made


def again(session: Session, found: Message, actor: Actor) -> None:
    """Try a message anew that was given up. Raises Problem `notification_state`."""
    if found.state != "failed":
        raise Problem("notification_state", number=found.id, state=found.state)
    moment = now()
    found.state, found.attempts, found.due_at, found.ended_at = "pending", 0, moment, None
    audit.record(session, actor, "notification.again", str(found.id), {"channel": found.channel})
    session.flush()


def waiting(session: Session) -> dict[str, int]:
    """How many messages are not sent, and how many notices wait for one."""

    def count(table: type[Message | Telling], state: str) -> int:
        return session.scalar(sa.select(sa.func.count()).select_from(table).where(table.state == state)) or 0

    return {"pending": count(Message, "pending"), "failed": count(Message, "failed"), "notices": count(Telling, "waiting")}


def _write(session: Session, rule: NotificationRule, given: RuleContent, actor: Actor) -> None:
    rule.name, rule.enabled, rule.said = given.name, given.enabled, given.stored()
    rule.version, rule.changed_by, rule.changed_at = rule.version + 1, actor.name, now()
    session.flush()


def _told(rule: NotificationRule) -> dict[str, Any]:
    return {**rule.said, "name": rule.name, "enabled": rule.enabled, "site": rule.site or None}
