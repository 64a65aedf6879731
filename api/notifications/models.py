"""Rules of who is told what, what they brought up, and the messages that it leaves in."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from api.database import Base, Number
from api.database.scope import KeyedByOrganisation, OfOrganisation, OfSite

MessageState = Literal["pending", "sent", "failed"]
STATES: Final[tuple[MessageState, ...]] = get_args(MessageState)
"""States of a message: pending until the receiver has taken it, or was tried for too long."""

Subject = Literal["alert", "incident", "obligation"]
"""What is told of."""

Why = Literal["first", "repeat", "escalation"]
"""Why it is told now."""

NAME_CHARACTERS: Final = 128

CHANNEL_CHARACTERS: Final = 32


class NotificationRule(KeyedByOrganisation, OfSite, Base):
    """Of what is told by which channels. Without a site: of all sites of the organisation."""

    __tablename__ = "notification_rule"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """From 1 in each organisation."""
    version: Mapped[int]
    """Rises with each change: its entity tag."""
    name: Mapped[str] = mapped_column(sa.String(NAME_CHARACTERS))
    enabled: Mapped[bool]
    said: Mapped[dict[str, Any]] = mapped_column("content", sa.JSON())
    """What it says, as `api.notifications.schemas.RuleContent` reads it."""
    changed_by: Mapped[str] = mapped_column(sa.String(64))
    changed_at: Mapped[int]


class Notice(OfOrganisation, OfSite, Base):
    """Something that a rule brought up, once."""

    __tablename__ = "notice"

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    rule: Mapped[int]
    kind: Mapped[str] = mapped_column(sa.String(16))
    subject: Mapped[str] = mapped_column(sa.String(64))
    """Id of the alert or of the report, number of the incident."""
    occasion: Mapped[str] = mapped_column(sa.String(64))
    """What happened to it: `raised`, `recurred-7`, `joined-8`, `worse-4-raised`, `declared`, `graded-9`, `80-12`."""
    at: Mapped[int]
    """When it was brought up."""
    urgency: Mapped[int] = mapped_column(sa.SmallInteger())
    """Position in the alerts' severities."""
    detail: Mapped[dict[str, Any]]
    """What of the occasion is told: share, grade, number of the incident."""
    began_at: Mapped[int]
    """From when escalation counts: after quiet hours where it came in these."""
    told_at: Mapped[int]
    """When it was told last."""
    repeats: Mapped[int]
    """Repeats so far."""
    escalated: Mapped[bool]
    look_at: Mapped[int | None]
    """When it is looked at next, whether it is repeated or escalated."""

    __table_args__ = (
        sa.UniqueConstraint("organisation", "rule", "kind", "subject", "occasion"),
        sa.Index("ix_notice_organisation_look_at", "organisation", "look_at"),
    )


class Telling(OfOrganisation, OfSite, Base):
    """That a notice is to be told by a channel, and the message that told it."""

    __tablename__ = "telling"

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    notice: Mapped[int] = mapped_column(index=True)
    channel: Mapped[str] = mapped_column(sa.String(CHANNEL_CHARACTERS))
    why: Mapped[str] = mapped_column(sa.String(16))
    state: Mapped[str] = mapped_column(sa.String(16))
    """waiting; told: `message` told it; dropped: there was no need any more."""
    made_at: Mapped[int]
    due_at: Mapped[int]
    """When it may be told: after quiet hours where it came in these."""
    message: Mapped[int | None]

    __table_args__ = (
        sa.Index("ix_telling_organisation_state_channel_site_due_at", "organisation", "state", "channel", "site", "due_at"),
    )


class Message(OfOrganisation, OfSite, Base):
    """What leaves by a channel: all that waited for it, of one site, as it is written. It stays as it is, however often tried."""

    __tablename__ = "notification"

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(32))
    """Drawn for it, and the same at each try, so that a receiver can tell one that comes twice."""
    channel: Mapped[str] = mapped_column(sa.String(CHANNEL_CHARACTERS))
    test: Mapped[bool]
    """Whether it only tries the channel."""
    state: Mapped[str] = mapped_column(sa.String(16))
    made_at: Mapped[int]
    due_at: Mapped[int]
    """When it is tried next."""
    attempts: Mapped[int]
    ended_at: Mapped[int | None]
    """When it was sent, or given up."""
    reason: Mapped[str | None] = mapped_column(sa.Text())
    """Why the last try failed, or what was odd about it."""
    count: Mapped[int]
    """Notices that it tells."""
    held_back: Mapped[int]
    """Those of them that had to wait, as the channel had had all that it takes, or did not answer."""
    content: Mapped[dict[str, Any]]
    """What is sent, as `api.notifications.content.Content` has it."""

    __table_args__ = (
        sa.Index("ix_notification_organisation_state_due_at", "organisation", "state", "due_at"),
        sa.Index("ix_notification_organisation_channel_made_at", "organisation", "channel", "made_at"),
    )
