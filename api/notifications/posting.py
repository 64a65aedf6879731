"""Messages that are handed over by HTTPS: no redirect is followed, no proxy asked, and of an answer only the beginning read."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import socket
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode, urlsplit

from api.notifications.conversation import Conversation
from api.notifications.delivery import DeliveryError, Way, ended

if TYPE_CHECKING:
    from collections.abc import Mapping

ANSWER_BYTES: Final = 16 * 1024
"""Most bytes of an answer that are read."""

PASSING: Final = frozenset({408, 425, 429})
"""Statuses of HTTP from 400 on by which an answer does not refuse a message as it is."""


class Posting(Way):
    """A way out by HTTPS."""

    def post(self, address: str, body: bytes, headers: Mapping[str, str], query: Mapping[str, str]) -> bytes:
        """The beginning of what is answered. Raises DeliveryError where the status says that the message was not taken."""
        parts = urlsplit(address)
        path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~") + (f"?{urlencode(query)}" if query else "")
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port or 443, timeout=self.seconds, context=self.context
        )
        deadline = time.monotonic() + 2 * self.seconds
        try:
            with ended(lambda: connection.sock):
                connection.request("POST", path, body, {"User-Agent": "icsight", "Accept-Encoding": "identity", **headers})
                answer = connection.getresponse()
                found = b""
                while len(found) < ANSWER_BYTES and time.monotonic() < deadline:
                    part = answer.read1(ANSWER_BYTES - len(found))
                    if not part:
                        break
                    found += part
                status = answer.status
        except Exception as error:  # noqa: BLE001  whatever it is, its text may hold the path, and that a robot's token
            raise self.failed(error) from None
        finally:
            connection.close()
        if not 200 <= status < 300:
            raise DeliveryError(f"answers with status {status}", lasting=300 <= status < 500 and status not in PASSING)
        return found

    def knock(self, address: str) -> None:
        """See that who has an address is there, and lets us in. Raises DeliveryError."""
        parts = urlsplit(address)
        server = parts.hostname or ""
        try:
            with socket.create_connection((server, parts.port or 443), self.seconds) as connection, ended(lambda: connection):
                Conversation(connection, self.context, server).let_in()
        except OSError as error:
            raise self.failed(error) from error


def signature(key: bytes, message: bytes) -> str:
    """HMAC-SHA256 of a message, in Base64."""
    return base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()
