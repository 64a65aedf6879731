"""Collectors of events, by RFC 5425. They answer nothing: what they were handed, and did not refuse, counts as taken."""

from __future__ import annotations

import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from api.notifications import cef
from api.notifications.conversation import Conversation
from api.notifications.delivery import Way, ended

if TYPE_CHECKING:
    from collections.abc import Generator

    from api.notification_settings import SyslogSettings
    from api.notifications.delivery import Outgoing

SETTLE_SECONDS: Final = 2.0
"""How long a collector is listened to behind the end that has shown that it lets us in, or is known to say nothing."""


class Syslog(Way):
    """A collector."""

    def __init__(self, name: str, settings: SyslogSettings) -> None:
        super().__init__(name, settings)
        self.settings: Final = settings
        self._is_silent = False

    def send(self, message: Outgoing) -> str | None:
        """As `Channel.send`."""
        frames = cef.frames(message.content, message.key, message.site, socket.gethostname(), message.made_at)
        with self._opened() as collector:
            for frame in frames:
                collector.sendall(frame)
        return None

    def reach(self) -> None:
        """As `Channel.reach`."""
        with self._opened():
            pass

    @contextmanager
    def _opened(self) -> Generator[Conversation | socket.socket]:
        settings, settle = self.settings, min(SETTLE_SECONDS, self.seconds)
        try:
            with (
                socket.create_connection((settings.server, settings.port), self.seconds) as connection,
                ended(lambda: connection),
            ):
                if settings.encryption == "none":
                    yield connection
                    _leave(connection, settle)
                    return
                conversation = Conversation(connection, self.context, settings.server)
                is_in = conversation.let_in()
                yield conversation
                # Nothing more comes (RFC 5425, 4.4). It need not answer that; what refuses has done so by the time it has.
                answers = conversation.end(settle if is_in or self._is_silent else self.seconds)
                self._is_silent = not answers
        except OSError as error:
            raise self.failed(error) from error


def _leave(connection: socket.socket, seconds: float) -> None:
    """Say that nothing more comes, and hear whether that was all taken. Raises OSError where the connection was reset."""
    connection.shutdown(socket.SHUT_WR)
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            if not connection.recv(4096):
                return
        except TimeoutError:
            return
