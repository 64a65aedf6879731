"""Channels: how a message is handed to a mail server, a group's robot, a program or a collector of events.

Each speaks TLS, follows no redirect, waits for no longer than it is told, and reads no more of an answer than it needs. That a
receiver has taken a message is what it answers, not that it answered: robots refuse with status 200. What goes wrong is told
without the receiver's words where these could hold a secret.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import smtplib
import socket
import ssl
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, cast
from urllib.parse import urlsplit

import requests
from requests.exceptions import RequestException

from api.https import Adapter, closed_in
from api.notification_settings import (
    ChannelSettings,
    MailSettings,
    NotificationSettings,
    RobotSettings,
    SyslogSettings,
    WebhookSettings,
    secret_of,
)
from api.notifications import cef
from api.notifications.content import fitting
from api.texts import text
from api.times import NANOSECONDS, iso
from sensor.configuration import ConfigurationError
from sensor.tls import TlsUnusable, client_context, refusal, why

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

    from api.notifications.content import Content

ANSWER_BYTES: Final = 16 * 1024
"""Most bytes of an answer that are read."""

TEXT_BYTES: Final = {"wecom": 2048, "dingtalk": 16_000, "feishu": 16_000}
"""Most bytes of text that a robot takes: of WeCom in all, of the others with room for what is around it."""

BUSY: Final = frozenset({-1, 45009, 130101, 130103, 410100, 660026, 9499, 11232, 11233, 1000207})
"""Codes by which robots say that it was too much, or that they are at fault themselves."""

LASTING_STATUS: Final = 400
"""From this status on an answer of HTTP refuses; those in `PASSING` may be otherwise next time."""

PASSING: Final = frozenset({408, 425, 429})

SECRET_BYTES: Final = 24
"""Least length of the secret that webhooks are signed with (Standard Webhooks)."""


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
    """

    key: str
    site: str
    made_at: int
    content: Content
    held_back: int


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


@dataclass(frozen=True, slots=True)
class _Tls:
    """The part of a channel that says what is checked and shown, as `sensor.tls` reads it."""

    table: str
    ca_file: Path | None
    certificate_file: Path | None
    key_file: Path | None

    def secret_key_password(self) -> str | None:
        return None


class _Way:
    """What all channels have. Raises ConfigurationError where a file that the channel names cannot be used."""

    def __init__(self, name: str, settings: ChannelSettings) -> None:
        self.name: Final = name
        self._tls: Final = _Tls(
            f"notifications.channels.{name}", settings.ca_file, settings.certificate_file, settings.key_file
        )  # fmt: skip
        self._seconds: Final = settings.timeout_seconds
        try:
            self._context: Final = client_context(self._tls)
        except TlsUnusable as error:
            raise ConfigurationError(str(error)) from error

    def _failed(self, error: BaseException) -> DeliveryError:
        """What went wrong on the way there."""
        if (refused := _of(error, ssl.SSLError)) is not None:
            return DeliveryError(refusal(refused, self._tls, "the receiver", f"{self._tls.table}", f"{self._tls.table}"))
        if _of(error, TimeoutError) is not None or isinstance(error, requests.Timeout):
            return DeliveryError(f"no answer within {self._seconds:g} s")
        if (found := _of(error, OSError)) is not None and found.strerror:
            return DeliveryError(f"cannot be reached ({why(found)})")
        return DeliveryError(f"cannot be reached ({type(error).__name__})")

    def _connect(self, server: str, port: int) -> None:
        """Begin and end a conversation over TLS. Raises DeliveryError."""
        try:
            with (
                socket.create_connection((server, port), self._seconds) as plain,
                self._context.wrap_socket(plain, server_hostname=server),
            ):
                pass
        except OSError as error:
            raise self._failed(error) from error

    def _post(self, address: str, body: bytes, headers: Mapping[str, str], parameters: Mapping[str, str]) -> tuple[int, bytes]:
        """Status and beginning of what is answered. Raises DeliveryError."""
        deadline = time.monotonic() + 2 * self._seconds
        with requests.Session() as session:
            closed_in(session, Adapter(self._context))
            try:
                with session.post(
                    address, data=body, params=dict(parameters), headers=dict(headers), timeout=self._seconds,
                    allow_redirects=False, stream=True,
                ) as answer:  # fmt: skip
                    found = b""
                    while len(found) < ANSWER_BYTES and time.monotonic() < deadline:
                        part: bytes = answer.raw.read1(ANSWER_BYTES - len(found), decode_content=True)
                        if not part:
                            break
                        found += part
                    return answer.status_code, found
            except (RequestException, OSError) as error:
                raise self._failed(error) from None  # the error's text holds the address, and that a robot's token
            except Exception as error:  # noqa: BLE001  urllib3's own, which need no common base with the others
                raise self._failed(error) from None

    def _taken(self, status: int) -> None:
        """Raises DeliveryError where a status of HTTP says that the message was not taken."""
        if not 200 <= status < 300:
            raise DeliveryError(f"answers with status {status}", lasting=300 <= status < 500 and status not in PASSING)


class Mail(_Way):
    """Mail through a server that takes it."""

    def __init__(self, name: str, settings: MailSettings) -> None:
        super().__init__(name, settings)
        self.settings: Final = settings
        self._password: Final = secret_of(name, settings, "password")

    def send(self, message: Outgoing) -> str | None:
        """As `Channel.send`."""
        settings = self.settings
        mail = EmailMessage()
        mail["From"], mail["To"] = settings.sender, ", ".join(settings.to)
        mail["Subject"] = message.content["title"]
        mail["Date"] = format_datetime(datetime.fromtimestamp(message.made_at // NANOSECONDS, UTC))
        mail["Message-ID"] = f"<{message.key}@icsight>"
        # No machine answers it (RFC 3834).
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content("\n\n".join(message.content["lines"]) + "\n")
        with self._server() as server:
            refused = server.send_message(mail)
        return f"refused for {len(refused)} of {len(settings.to)} receivers" if refused else None

    def reach(self) -> None:
        """As `Channel.reach`: signs in."""
        with self._server() as server:
            server.noop()

    @contextmanager
    def _server(self) -> Generator[smtplib.SMTP]:
        settings = self.settings
        port = int(settings.place.rpartition(":")[2])
        try:
            if settings.encryption == "tls":
                server: smtplib.SMTP = smtplib.SMTP_SSL(settings.server, port, timeout=self._seconds, context=self._context)
            else:
                server = smtplib.SMTP(settings.server, port, timeout=self._seconds)
            try:
                if settings.encryption == "starttls":
                    server.starttls(context=self._context)
                if settings.user:
                    server.login(settings.user, self._password or "")
                yield server
            finally:
                # Whatever it answers to that, it has taken the mail or has not.
                with suppress(OSError, smtplib.SMTPException):
                    server.quit()
        except smtplib.SMTPAuthenticationError as error:
            raise DeliveryError(f"the server lets {settings.user} not in (code {error.smtp_code})", lasting=True) from None
        except smtplib.SMTPRecipientsRefused as error:
            codes = sorted({code for code, _ in error.recipients.values()})
            told = ", ".join(map(str, codes))
            raise DeliveryError(f"refused for all receivers (code {told})", lasting=min(codes) >= 500) from None
        except smtplib.SMTPResponseException as error:
            raise DeliveryError(f"the server answers with code {error.smtp_code}", lasting=error.smtp_code >= 500) from None
        except smtplib.SMTPNotSupportedError:
            raise DeliveryError("the server speaks no TLS, or lets nobody sign in", lasting=True) from None
        except smtplib.SMTPServerDisconnected as error:
            raise self._failed(error.__context__ or error) from None
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise self._failed(error) from None


class Robot(_Way):
    """A robot in a group, which takes texts."""

    def __init__(self, name: str, settings: RobotSettings) -> None:
        super().__init__(name, settings)
        self.settings: Final = settings
        self._token: Final = secret_of(name, settings, "token") or ""
        self._secret: Final = secret_of(name, settings, "signing_secret")

    def send(self, message: Outgoing) -> str | None:
        """As `Channel.send`."""
        kind, content = self.settings.kind, message.content
        rest = text(self.settings.language, "notice.rest")
        told = fitting([content["title"], *content["lines"]], TEXT_BYTES[kind], rest)
        address, parameters = self.settings.url, dict[str, str]()
        body: dict[str, Any] = {"msgtype": "text", "text": {"content": told}}
        match kind:
            case "wecom":
                parameters["key"] = self._token
            case "dingtalk":
                parameters["access_token"] = self._token
                if self._secret is not None:
                    stamp = str(time.time_ns() // 1_000_000)
                    signature = _hmac(self._secret.encode(), f"{stamp}\n{self._secret}".encode())
                    parameters |= {"timestamp": stamp, "sign": signature}
            case "feishu":
                address = f"{address.rstrip('/')}/{self._token}"
                body = {"msg_type": "text", "content": {"text": told}}
                if self._secret is not None:
                    stamp = str(time.time_ns() // NANOSECONDS)
                    # Its robots take what others sign as the key, and sign nothing.
                    body |= {"timestamp": stamp, "sign": _hmac(f"{stamp}\n{self._secret}".encode(), b"")}
        sent = json.dumps(body, ensure_ascii=False).encode()
        status, answer = self._post(address, sent, {"Content-Type": "application/json; charset=utf-8"}, parameters)
        self._taken(status)
        self._accepted(answer)
        return None

    def reach(self) -> None:
        """As `Channel.reach`."""
        parts = urlsplit(self.settings.url)
        self._connect(parts.hostname or "", parts.port or 443)

    def _accepted(self, answer: bytes) -> None:
        """Raises DeliveryError unless the answer says that the robot has taken the message."""
        try:
            said: object = json.loads(answer)
        except ValueError:
            said = None
        if isinstance(said, dict):
            content = cast("dict[str, object]", said)
            code = next((content[name] for name in ("errcode", "code", "StatusCode") if name in content), None)
            if type(code) is int and code == 0:
                return
            if type(code) is int:
                raise DeliveryError(f"the robot refuses with code {code}", lasting=code not in BUSY)
        raise DeliveryError("what answers is no robot of this kind", lasting=True)


class Webhook(_Way):
    """A program that takes JSON, signed as Standard Webhooks 1.0 says."""

    def __init__(self, name: str, settings: WebhookSettings) -> None:
        super().__init__(name, settings)
        self.settings: Final = settings
        self._key: Final = _signing_key(f"{self._tls.table}.secret", secret_of(name, settings, "secret") or "")

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
        signature = _hmac(self._key, f"{message.key}.{stamp}.".encode() + body)
        headers = {
            "Content-Type": "application/json", "webhook-id": message.key, "webhook-timestamp": stamp,
            "webhook-signature": f"v1,{signature}",
        }  # fmt: skip
        status, _ = self._post(self.settings.address, body, headers, {})
        self._taken(status)
        return None

    def reach(self) -> None:
        """As `Channel.reach`."""
        parts = urlsplit(self.settings.address)
        self._connect(parts.hostname or "", parts.port or 443)


class Syslog(_Way):
    """A collector of events. It answers nothing: what it was handed counts as taken."""

    def __init__(self, name: str, settings: SyslogSettings) -> None:
        super().__init__(name, settings)
        self.settings: Final = settings

    def send(self, message: Outgoing) -> str | None:
        """As `Channel.send`."""
        frames = cef.frames(message.content, message.key, message.site, socket.gethostname(), message.made_at)
        with self._opened() as stream:
            for frame in frames:
                stream.sendall(frame)
        return None

    def reach(self) -> None:
        """As `Channel.reach`."""
        with self._opened():
            pass

    @contextmanager
    def _opened(self) -> Generator[socket.socket]:
        settings = self.settings
        try:
            with socket.create_connection((settings.server, settings.port), self._seconds) as plain:
                if settings.encryption == "none":
                    yield plain
                    plain.shutdown(socket.SHUT_WR)
                    return
                with self._context.wrap_socket(plain, server_hostname=settings.server) as stream:
                    yield stream
                    _close(stream)
        except OSError as error:
            raise self._failed(error) from error


def _close(stream: ssl.SSLSocket) -> None:
    """Say that nothing more comes (RFC 5425, 4.4); an answer to that need not come."""
    try:
        stream.unwrap()
    except (ssl.SSLError, TimeoutError):
        return


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


def _signing_key(setting: str, secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True) if secret.startswith("whsec_") else secret.encode()
    except (binascii.Error, ValueError):
        raise ConfigurationError(f"{setting}: what stands behind whsec_ is no Base64") from None
    if len(key) < SECRET_BYTES:
        raise ConfigurationError(f"{setting}: is shorter than {SECRET_BYTES} bytes: draw a longer one")
    return key


def _hmac(key: bytes, message: bytes) -> str:
    return base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()


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
