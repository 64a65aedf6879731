"""What all channels have: a message on its way, why it was not taken, TLS as the configuration says, and an end to each try."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from sensor.configuration import ConfigurationError
from sensor.tls import TlsUnusable, client_context, refusal, why

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from api.notification_settings import ChannelSettings
    from api.notifications.content import Content

TRY_SECONDS: Final = 150.0
"""Longest conversation with a receiver: one that says a little now and then is never silent, and never at an end."""


class DeliveryError(Exception):
    """A message was not taken. The text is one line without any secret.

    Args:
        reason: why.
        lasting: whether it will be refused again as it is.
    """

    def __init__(self, reason: str, *, lasting: bool = False) -> None:
        super().__init__(reason)
        self.lasting = lasting


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message on its way.

    Attributes:
        key: drawn for it, the same at each try.
        site: the site that it is about.
        made_at: when it was made, nanoseconds since 1970.
        content: what it says.
        held_back: notices in it that had to wait.
    """

    key: str
    site: str
    made_at: int
    content: Content
    held_back: int


@dataclass(frozen=True, slots=True)
class _Tls:
    """The part of a channel that says what is checked and shown, as `sensor.tls` reads it."""

    table: str
    ca_file: Path | None
    certificate_file: Path | None
    key_file: Path | None

    def secret_key_password(self) -> str | None:
        return None


class Way:
    """A way out over TLS. Raises ConfigurationError where a file that the channel names cannot be used.

    Args:
        name: what the configuration calls the channel.
        settings: what it says of it.
    """

    def __init__(self, name: str, settings: ChannelSettings) -> None:
        self.table: Final = f"notifications.channels.{name}"
        self.seconds: Final = settings.timeout_seconds
        self._tls: Final = _Tls(self.table, settings.ca_file, settings.certificate_file, settings.key_file)
        try:
            self.context: Final = client_context(self._tls)
        except TlsUnusable as error:
            raise ConfigurationError(str(error)) from error

    def failed(self, error: BaseException) -> DeliveryError:
        """What went wrong on the way there."""
        if isinstance(error, DeliveryError):
            return error
        if (refused := _of(error, ssl.SSLError)) is not None:
            return DeliveryError(refusal(refused, self._tls, "the receiver", self.table, self.table))
        if _of(error, TimeoutError) is not None:
            return DeliveryError(f"no answer within {self.seconds:g} s")
        if (found := _of(error, OSError)) is not None and found.strerror:
            return DeliveryError(f"cannot be reached ({why(found)})")
        return DeliveryError(f"cannot be reached ({type(error).__name__})")


@contextmanager
def ended(connection: Callable[[], socket.socket | None], seconds: float = TRY_SECONDS) -> Generator[None]:
    """Have a conversation end in time, whatever the receiver does. Raises DeliveryError where it had to be ended.

    Args:
        connection: the connection that it has by then.
        seconds: how long it may last.
    """
    cut = threading.Event()

    def end() -> None:
        cut.set()
        if (found := connection()) is not None:
            with suppress(OSError):
                # What TLS makes of its end is no answer: only the connection beneath is cut, under whoever waits for it.
                socket.socket.shutdown(found, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception:
        if not cut.is_set():
            raise
    finally:
        timer.cancel()
    if cut.is_set():
        raise DeliveryError(f"did not come to an end within {seconds:g} s")


E = TypeVar("E", bound=BaseException)


def _of(error: BaseException, kind: type[E]) -> E | None:
    """The error of a kind that an error has come from; None where it has from none."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        each = waiting.pop(0)
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        if isinstance(each, kind):
            return each
        seen.add(id(each))
        waiting += [*each.args, getattr(each, "reason", None), each.__cause__, each.__context__]
    return None
