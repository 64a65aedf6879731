"""Programs that take notices as JSON, signed as Standard Webhooks 1.0 says."""

from __future__ import annotations

import base64
import binascii
import json
import time
from typing import TYPE_CHECKING, Any, Final, cast

from api.notification_settings import WebhookSettings, secret_of
from api.notifications.posting import Posting, signature
from api.times import NANOSECONDS, iso
from sensor.configuration import ConfigurationError

if TYPE_CHECKING:
    from api.notifications.delivery import Outgoing

SECRET_BYTES: Final = 24
"""Least length of the secret that webhooks are signed with (Standard Webhooks)."""


class Webhook(Posting):
    """A program."""

    def __init__(self, name: str, settings: WebhookSettings) -> None:
        super().__init__(name, settings)
        self.settings: Final = settings
        self._key: Final = _signing_key(f"{self.table}.secret", secret_of(name, settings, "secret") or "")

    def send(self, message: Outgoing) -> str | None:
        """As `Channel.send`."""
        content = message.content
        items = [{**item.pop("told"), **item} for item in cast("list[dict[str, Any]]", [dict(each) for each in content["items"]])]
        said = {
            "type": "notices" if items else "test", "key": message.key, "site": message.site, "made_at": iso(message.made_at),
            "title": content["title"], "lines": content["lines"], "held_back": message.held_back, "items": items,
        }  # fmt: skip
        body = json.dumps(said, ensure_ascii=False).encode()
        stamp = str(time.time_ns() // NANOSECONDS)
        headers = {
            "Content-Type": "application/json", "webhook-id": message.key, "webhook-timestamp": stamp,
            "webhook-signature": f"v1,{signature(self._key, f'{message.key}.{stamp}.'.encode() + body)}",
        }  # fmt: skip
        self.post(self.settings.address, body, headers, {})
        return None

    def reach(self) -> None:
        """As `Channel.reach`."""
        self.knock(self.settings.address)


def _signing_key(setting: str, secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True) if secret.startswith("whsec_") else secret.encode()
    except (binascii.Error, ValueError):
        raise ConfigurationError(f"{setting}: what stands behind whsec_ is no Base64") from None
    if len(key) < SECRET_BYTES:
        raise ConfigurationError(f"{setting}: is shorter than {SECRET_BYTES} bytes: draw a longer one")
    return key
