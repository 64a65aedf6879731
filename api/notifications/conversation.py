"""A conversation over TLS in which nothing is read unless that is asked for.

With TLS 1.3 a client is done with the handshake before the other side has looked at its certificate. That it refuses comes later,
as an alert, and OpenSSL takes an alert that it reads while it ends a conversation for the other side's end. So what is said and
what is heard are apart here: the bytes go through memory.
"""

from __future__ import annotations

import ssl
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from api.notifications.delivery import DeliveryError

if TYPE_CHECKING:
    import socket

LET_IN_SECONDS: Final = 0.5
"""How long is waited for the other side's word, once TLS 1.3 has begun, before it is written to."""

PART_BYTES: Final = 65_536


class Conversation:
    """A conversation that has begun. Raises OSError where it could not, within the connection's time.

    Args:
        connection: the connection, with its time.
        context: what is checked and shown.
        server: the other side's name, as its certificate has it.
    """

    def __init__(self, connection: socket.socket, context: ssl.SSLContext, server: str) -> None:
        self._connection: Final = connection
        self._seconds: Final = connection.gettimeout()
        self._heard: Final = ssl.MemoryBIO()
        self._said: Final = ssl.MemoryBIO()
        self._tls: Final = context.wrap_bio(self._heard, self._said, server_hostname=server)
        try:
            while not self._shakes_hands():
                self._receive(self._seconds)
        finally:
            # An alert too, where that is what there is to say.
            with suppress(OSError):
                self._flush()

    def let_in(self, seconds: float = LET_IN_SECONDS) -> bool:
        """Whether it is known that the other side lets us in: our certificate, or that there is none.

        Before TLS 1.3 it has looked at that when the handshake is done. With it, it sends a ticket only then (RFC 8446, 4.6.1),
        or an alert; one without tickets says nothing. Raises OSError where it refuses, DeliveryError where it goes
        without a word.
        """
        if self._tls.version() != "TLSv1.3":
            return True
        deadline = time.monotonic() + seconds
        while not self._has_ticket() and (left := deadline - time.monotonic()) > 0:
            try:
                self._receive(left)
            except TimeoutError:
                break
            if self._is_over():
                raise DeliveryError("ends the conversation before anything is said: it may want another certificate, or one")
        return self._has_ticket()

    def sendall(self, data: bytes) -> None:
        """Say something. Raises OSError."""
        place = 0
        while place < len(data):
            place += self._tls.write(data[place : place + PART_BYTES])
            self._flush()

    def end(self, seconds: float) -> bool:
        """Say that nothing more comes, and hear what is said to that; whether the other side has ended in time, too.

        Raises OSError where it refuses us, or breaks off.
        """
        with suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        self._flush()
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                self._receive(left)
            except TimeoutError:
                break
            if self._is_over():
                return True
        return False

    def _shakes_hands(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        return True

    def _has_ticket(self) -> bool:
        return self._tls.session is not None and self._tls.session.has_ticket

    def _is_over(self) -> bool:
        """Whether the other side has ended, by what was heard. Raises OSError where that is a refusal."""
        try:
            while self._tls.read(PART_BYTES):
                pass
        except ssl.SSLWantReadError:
            return False
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return True
        return True

    def _receive(self, seconds: float | None) -> None:
        self._connection.settimeout(seconds)
        data = self._connection.recv(PART_BYTES)
        if data:
            self._heard.write(data)
        else:
            self._heard.write_eof()

    def _flush(self) -> None:
        self._connection.settimeout(self._seconds)
        if data := self._said.read():
            self._connection.sendall(data)
