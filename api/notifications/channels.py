"""Channels: the ways out that the configuration names, each by its kind.

Each speaks TLS, follows no redirect, waits for no longer than it is told, and reads no more of an answer than it needs. That a
receiver has taken a message is what it answers, not that it answered. What goes wrong is told without the receiver's words where
these could hold a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from api.notification_settings import MailSettings, RobotSettings, SyslogSettings, WebhookSettings
from api.notifications.mail import Mail
from api.notifications.robot import Robot
from api.notifications.syslog import Syslog
from api.notifications.webhook import Webhook

if TYPE_CHECKING:
    from api.notification_settings import ChannelSettings, NotificationSettings
    from api.notifications.delivery import Outgoing


class Channel(Protocol):
    """A way out."""

    @property
    def settings(self) -> ChannelSettings:
        """What the configuration says of it."""
        ...

    def send(self, message: Outgoing) -> str | None:
        """Hand a message over; returns what was odd about it. Raises DeliveryError where it was not taken."""
        ...

    def reach(self) -> None:
        """See that the receiver is there, as far as that can be seen without a message. Raises DeliveryError."""
        ...


def channels_of(settings: NotificationSettings) -> dict[str, Channel]:
    """The channels that settings name. Raises ConfigurationError where a file that one names cannot be used."""
    return {name: channel_of(name, channel) for name, channel in settings.channels.items()}


def channel_of(name: str, settings: ChannelSettings) -> Channel:
    """One channel. Raises ConfigurationError where a file that it names cannot be used."""
    match settings:
        case MailSettings():
            return Mail(name, settings)
        case RobotSettings():
            return Robot(name, settings)
        case WebhookSettings():
            return Webhook(name, settings)
        case SyslogSettings():
            return Syslog(name, settings)
