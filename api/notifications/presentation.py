"""Rules, channels and messages as the API shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.notifications.schemas import ChannelOutput, MessageOutput, RuleOutput
from api.times import iso

if TYPE_CHECKING:
    from api.notifications.channels import Channel
    from api.notifications.models import Message, NotificationRule


def rule(found: NotificationRule) -> RuleOutput:
    """One rule."""
    return RuleOutput.model_validate(
        {
            "alerts": None, **found.said, "name": found.name, "enabled": found.enabled, "number": found.number,
            "version": found.version, "site": found.site or None, "changed_by": found.changed_by,
            "changed_at": iso(found.changed_at),
        }
    )  # fmt: skip


def channel(name: str, found: Channel) -> ChannelOutput:
    """One channel, without what is secret."""
    settings = found.settings
    return ChannelOutput(
        name=name, kind=settings.kind, place=settings.place, language=settings.language, addresses=settings.addresses,
        most_per_hour=settings.most_per_hour,
    )  # fmt: skip


def message(found: Message) -> MessageOutput:
    """One message."""
    names = ("key", "channel", "site", "test", "state", "attempts", "reason", "count", "held_back")
    return MessageOutput.model_validate(
        {
            **{name: getattr(found, name) for name in names},
            "number": found.id,
            "made_at": iso(found.made_at),
            "due_at": iso(found.due_at) if found.state == "pending" else None,
            "ended_at": None if found.ended_at is None else iso(found.ended_at),
            "title": found.content["title"],
            "items": found.content["items"],
        }
    )
