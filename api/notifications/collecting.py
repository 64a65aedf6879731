"""Messages, made of what waits for a channel: one in a minute at most, and no more in an hour than the channel takes.

The first notice goes at once; what comes up in the minute after is told together at its end. A message that is not taken holds up
no other: while one is on its way the next is made all the same, and later the more there are, so that what a receiver missed
that is away comes in few.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from api.alerts.models import Alert
from api.incidents.models import Incident
from api.notifications import content, room, service, standing
from api.notifications.content import FOR_PROGRAMS, Fact, Form
from api.notifications.models import Notice, NotificationRule, Telling
from api.obligations import service as obligations
from api.times import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import Session

    from api.notifications.channels import Channel

HELD_SECONDS: Final = 150
"""What waited for longer than it takes to collect was held back."""

MOST: Final = 500
"""Most notices of one message."""


class Collecting:
    """Makes messages of what waits.

    Args:
        channels: the channels by name.
        origin: `https://NAME` by which browsers call this system; empty where it is not known.
    """

    def __init__(self, channels: Mapping[str, Channel], origin: str) -> None:
        self._channels: Final = channels
        self._origin: Final = origin

    def due(self, session: Session, moment: int) -> list[int]:
        """One of what waits, for each channel and site that a message may be made for: the most urgent first.

        Of what is as urgent, first that of the site that was told of least in this hour, then what has waited longest.
        """
        waiting = (
            sa.select(
                Telling.channel, Telling.site, sa.func.min(Telling.id), sa.func.max(Notice.urgency), sa.func.min(Telling.due_at)
            )
            .join(Notice, Notice.id == Telling.notice)
            .where(Telling.state == "waiting", Telling.due_at <= moment)
        )
        groups = session.execute(waiting.group_by(Telling.channel, Telling.site)).all()
        ranked: list[tuple[tuple[int, int, int], int]] = []
        for channel, site, first, urgency, since in groups:
            found = self._room(session, channel, site, moment)
            if found.has_place(urgency):
                ranked.append(((-int(urgency), found.own, int(since)), int(first)))
        return [first for _, first in sorted(ranked)]

    def collect(self, session: Session, first: int, moment: int) -> int:
        """Make a message of what waits where one does, the most urgent first; returns how many were made."""
        telling = session.scalar(sa.select(Telling).where(Telling.id == first, Telling.state == "waiting"))
        if telling is None:
            return 0
        name, site = telling.channel, telling.site
        mine = (
            sa.select(Telling)
            .join(Notice, Notice.id == Telling.notice)
            .where(Telling.state == "waiting", Telling.channel == name, Telling.site == site, Telling.due_at <= moment)
        )
        ordered = mine.order_by(Notice.urgency.desc(), Telling.due_at, Telling.id)
        tellings = session.scalars(ordered.limit(MOST)).all()
        facts, told = _facts(session, tellings, moment)
        # What was urgent may have been taken on since.
        if not facts or not self._room(session, name, site, moment).has_place(max(fact.urgency for fact in facts)):
            return 0
        held = sum(each.due_at + HELD_SECONDS * NANOSECONDS < moment for each in told)
        operator, _ = obligations.operator_of(session, site)
        form, most = self.form(name, operator.time_zone), self._most(name)
        made = service.add_message(session, name, site, content.message(form, site, facts, held, most), (len(facts), held))
        for each in told:
            each.state, each.message = "told", made.id
        return 1

    def form(self, channel: str, zone: str) -> Form:
        """How a channel wants messages; one that is not there any more, as one without settings."""
        known = self._channels.get(channel)
        if known is None:
            return Form("en", private=False, programs=False, origin=self._origin, zone=zone)
        settings = known.settings
        return Form(settings.language, settings.addresses, settings.kind in FOR_PROGRAMS, self._origin, zone)

    def _most(self, channel: str) -> int:
        known = self._channels.get(channel)
        return 1 if known is None else known.settings.most_per_hour

    def _room(self, session: Session, channel: str, site: str, moment: int) -> room.Room:
        known = self._channels.get(channel)
        gap = 0 if known is not None and known.settings.kind == "syslog" else room.GAP_SECONDS
        return room.of(session, channel, site, moment, (self._most(channel), gap))


def _facts(session: Session, tellings: Sequence[Telling], moment: int) -> tuple[list[Fact], list[Telling]]:
    """What is to be told, each thing once, and which tellings that is; what need not be told is dropped."""
    asked = sa.select(Notice).where(Notice.id.in_([each.notice for each in tellings]))
    notices = {notice.id: notice for notice in session.scalars(asked)}
    facts: dict[tuple[str, str, str], Fact] = {}
    told: list[Telling] = []
    for each in tellings:
        notice = notices[each.notice]
        state = _standing(session, each, notice)
        if state == "hidden":
            # It is told once it has come back.
            each.due_at = moment + standing.HIDDEN_SECONDS * NANOSECONDS
            continue
        fact = _fact(session, notice, each.why) if state == "open" else None
        if fact is None:
            each.state = "dropped"
            continue
        told.append(each)
        place = (notice.kind, notice.subject, notice.occasion)
        if place not in facts or each.why == "escalation":
            facts[place] = fact
    return list(facts.values()), told


def _standing(session: Session, telling: Telling, notice: Notice) -> standing.Standing:
    """Whether there is still a need to tell it."""
    if session.scalar(sa.select(NotificationRule.number).where(_of_rule(notice))) is None:
        return "over"
    state = standing.of(session, notice)
    if state == "looked_after":
        return "open" if telling.why == "first" else "over"
    # What came up is told, however quick somebody is; what waited, or is told again, need not be.
    at_once = telling.why == "first" and telling.due_at == telling.made_at
    return "open" if state == "over" and at_once and _is_told_alone(session, notice) else state


def _is_told_alone(session: Session, notice: Notice) -> bool:
    """Whether nothing else tells it, and nothing hides it."""
    none = (Alert.part_of.is_(None), Alert.merged_into.is_(None), Alert.exception.is_(None))
    alone = sa.select(Alert.id).where(Alert.id == notice.subject, *none)
    return notice.kind != "alert" or session.scalar(alone) is not None


def _of_rule(notice: Notice) -> sa.ColumnElement[bool]:
    return sa.and_(NotificationRule.number == notice.rule, NotificationRule.enabled.is_(True))


def _fact(session: Session, notice: Notice, why: str) -> Fact | None:
    """What is known of a notice; None where what it is about is no more."""
    named: dict[str, Any] = dict(notice.detail)
    texts: dict[str, dict[str, str]] = {}
    private: dict[str, str] = {}
    if notice.kind == "alert":
        alert = session.scalar(sa.select(Alert).where(Alert.id == notice.subject))
        if alert is None:
            return None
        named |= {"rule": alert.rule, "count": alert.count}
        texts["title"] = {language: str(written.get("title", "")) for language, written in alert.body["texts"].items()}
        hosts = (("client", alert.client_ip), ("server", alert.server_ip))
        private = {name: host for name, host in hosts if host is not None}
    else:
        number = int(notice.detail["incident"])
        incident = session.scalar(sa.select(Incident).where(Incident.number == number))
        if incident is None or incident.drill:
            return None
        named["grade"] = content.GRADES[int(named["grade"])] if "grade" in named else ""
        private = {"title": incident.title}
    about = (notice.kind, notice.subject, notice.occasion)
    return Fact(*about, why, notice.urgency, notice.at, named, texts, private)
