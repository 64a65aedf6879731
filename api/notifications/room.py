"""Whether a channel has room for a message of a site: how long ago the last was, how many this hour had, and whose they were.

What is urgent has its way: a part of the hour is kept for what is high or critical, and a part of that for what is critical.
Where there are several sites, none takes all: what is left is at least half of what it has had, so that one whose hour comes
later finds a place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from api.alerts.models import SEVERITIES
from api.notifications.models import Message
from api.site import service as sites
from api.times import NANOSECONDS

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

GAP_SECONDS: Final = 60
"""Least time between two messages of a site by a channel, but for collectors of events."""

LONGEST_GAP_SECONDS: Final = 1800
"""Most time between them, while none is taken."""

HOUR: Final = 3600 * NANOSECONDS

HIGH: Final = SEVERITIES.index("high")

CRITICAL: Final = SEVERITIES.index("critical")


@dataclass(frozen=True, slots=True)
class Room:
    """What a site has left of a channel at a time.

    Attributes:
        most: messages that the channel takes in an hour.
        had: those that it had in this one.
        own: of these, those of the site.
        several: whether there are other sites.
        rests: whether the last message of the site is long enough ago for whatever comes.
        rests_for_critical: whether it is for what is critical.
    """

    most: int
    had: int
    own: int
    several: bool
    rests: bool
    rests_for_critical: bool

    def has_place(self, urgency: int) -> bool:
        """Whether a message may be made of which the most urgent notice is so urgent, as a position in `SEVERITIES`."""
        if not (self.rests_for_critical if urgency >= CRITICAL else self.rests):
            return False
        left = places(self.most, urgency) - self.had
        return left > 0 and (not self.several or self.own < 2 * left)


def places(most: int, urgency: int) -> int:
    """How many messages of an hour's what is so urgent may come to be in: all, three quarters, or half of them."""
    if urgency >= CRITICAL:
        return most
    return most - most // 4 if urgency >= HIGH else most - most // 2


def of(session: Session, channel: str, site: str, moment: int, settings: tuple[int, int]) -> Room:
    """What a site has left of a channel.

    Args:
        session: the session.
        channel: the channel's name.
        site: the site.
        moment: when, nanoseconds since 1970.
        settings: messages that the channel takes in an hour; least seconds between two of a site.
    """
    most, gap = settings
    mine = sa.select(sa.func.count()).select_from(Message).where(Message.channel == channel, Message.test.is_(False))
    # What was made by a clock that was ahead holds up nothing.
    hour = mine.where(Message.made_at > moment - HOUR, Message.made_at <= moment)
    rests = critical_rests = True
    of_site = (Message.channel == channel, Message.site == site, Message.test.is_(False), Message.made_at <= moment)
    newest = sa.select(Message.state, Message.made_at).where(*of_site).order_by(Message.made_at.desc(), Message.id.desc())
    for state, made_at in session.execute(newest.limit(1)):
        waiting = sa.select(sa.func.count()).select_from(Message).where(*of_site, Message.state == "pending")
        untaken = (session.scalar(waiting) or 0) if state == "pending" else 0
        rests = made_at <= moment - gap_seconds(gap, untaken) * NANOSECONDS
        critical_rests = made_at <= moment - gap_seconds(gap, min(untaken, 1)) * NANOSECONDS
    return Room(
        most, session.scalar(hour) or 0, session.scalar(hour.where(Message.site == site)) or 0, len(sites.heard(session)) > 1,
        rests, critical_rests,
    )  # fmt: skip


def gap_seconds(gap: int, untaken: int) -> int:
    """How long after the last message of a site the next may be made, while so many of it are not taken, the last among them."""
    return gap if untaken == 0 else min(GAP_SECONDS * 2 ** min(untaken - 1, 10), LONGEST_GAP_SECONDS)
