"""How clients of Kafka are made, and what is wrong when they cannot: one clear line instead of silent retries."""

from __future__ import annotations

import contextlib
import logging
import secrets
import socket
import ssl
import struct
import threading
import time
from typing import TYPE_CHECKING, Any, Final, cast

from kafka import errors
from kafka.admin import KafkaAdminClient

from sensor.configuration import ConfigurationError
from sensor.tls import TlsUnusable, client_context, refusal, why

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sensor.kafka_settings import KafkaSettings

MECHANISM: Final = "SCRAM-SHA-512"
"""How a password is shown to brokers: they never get to see it."""

ASK_SECONDS: Final = 6.0
"""How long a broker that has answered may take to let us in: the library tries a wrong password again for all of it."""

AGAIN_SECONDS: Final = 2.0
"""How long a broker that seems to refuse us may take to show that it is there at all."""

_PROTOCOL: Final = {"plaintext": "PLAINTEXT", "tls": "SSL", "sasl_tls": "SASL_SSL"}

_API_VERSIONS: Final = struct.pack(">ihhih", 10, 18, 0, 1, -1)
"""ApiVersions request, version 0 (Kafka protocol guide): the first that any broker answers, before it asks for a password."""

_LIBRARY: Final = logging.getLogger("kafka")

_error_of: Final = cast("Callable[[int], type[BaseException]]", errors.for_code)  # pyright: ignore[reportUnknownMemberType]  it has no types


class KafkaUnusable(Exception):  # noqa: N818 - named for what it reports
    """Kafka cannot be used as the settings say. The text is one line: what is wrong, with what, and what to do.

    Attributes:
        is_lasting: whether it stays so until a person changes something; a broker that is away comes back by itself.
    """

    def __init__(self, text: str, *, is_lasting: bool = True) -> None:
        super().__init__(text)
        self.is_lasting = is_lasting


class NoSuchTopic(KafkaUnusable):
    """A topic is not there. It stays so until `icsight kafka` makes it."""


def brokers(settings: KafkaSettings) -> list[tuple[str, int]]:
    """Host and port of each broker to begin with. Raises KafkaUnusable."""
    found: list[tuple[str, int]] = []
    for part in filter(None, (part.strip() for part in settings.bootstrap.split(","))):
        host, _, port = part.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
            raise KafkaUnusable(f"kafka.bootstrap: {part!r} is no host:port")
        found.append((host.strip("[]"), int(port)))
    if not found:
        raise KafkaUnusable("kafka.bootstrap: no broker is named: give host:port in the settings or ICSIGHT_KAFKA_BOOTSTRAP")
    return found


def tls_context(settings: KafkaSettings) -> ssl.SSLContext | None:
    """What is checked of brokers and shown to them; None for plain text. Raises KafkaUnusable where a file cannot be used."""
    if settings.security == "plaintext":
        return None
    try:
        return client_context(settings)
    except TlsUnusable as error:
        raise KafkaUnusable(str(error)) from error


def shown(settings: KafkaSettings) -> tuple[int, int] | None:
    """Which certificate file is there now; None without one. Another answer than before says that it was replaced."""
    try:
        found = settings.certificate_file.stat() if settings.certificate_file else None
    except OSError:
        return None
    return found and (found.st_ino, found.st_mtime_ns)


def arguments(settings: KafkaSettings) -> dict[str, Any]:
    """The arguments that every client of kafka-python takes. Raises KafkaUnusable."""
    found: dict[str, Any] = {
        "bootstrap_servers": [_address(host, port) for host, port in brokers(settings)],
        "security_protocol": _PROTOCOL[settings.security],
        "bootstrap_timeout_ms": settings.connect_seconds * 1000,
        "reconnect_backoff_ms": 100,
        "reconnect_backoff_max_ms": 5_000,
    }
    context = tls_context(settings)
    if context is not None:
        found["ssl_context"] = context
    if settings.security == "sasl_tls":
        found |= {
            "sasl_mechanism": MECHANISM,
            "sasl_plain_username": settings.username,
            "sasl_plain_password": _password(settings),
        }
    return found


def librdkafka_arguments(settings: KafkaSettings) -> dict[str, Any]:
    """The same for clients that rest on librdkafka. Raises KafkaUnusable."""
    tls_context(settings)
    found: dict[str, Any] = {
        "bootstrap.servers": ",".join(cast("list[str]", arguments(settings)["bootstrap_servers"])),
        "security.protocol": _PROTOCOL[settings.security],
    }
    files = {
        "ssl.ca.location": settings.ca_file,
        "ssl.certificate.location": settings.certificate_file,
        "ssl.key.location": settings.key_file,
    }
    if settings.security != "plaintext":
        found |= {name: str(path) for name, path in files.items() if path is not None}
        if (password := settings.secret_key_password()) is not None:
            found["ssl.key.password"] = password
    if settings.security == "sasl_tls":
        found |= {"sasl.mechanism": MECHANISM, "sasl.username": settings.username, "sasl.password": _password(settings)}
    return found


def _password(settings: KafkaSettings) -> str | None:
    """What is shown to brokers. Raises KafkaUnusable where its file cannot be read: as with a certificate, it may come back."""
    try:
        return settings.secret()
    except ConfigurationError as error:
        raise KafkaUnusable(str(error)) from error


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def probe(settings: KafkaSettings, topics: Iterable[str] = ()) -> dict[str, int]:
    """Look whether Kafka can be used: connect, show who we are, ask for topics. Done or failed within `connect_seconds`.

    Args:
        settings: how it is reached.
        topics: names of topics that must be there, and must be ours to see.

    Returns:
        Number of partitions of each of the topics.

    Raises:
        KafkaUnusable: it cannot be used, and why.
    """
    until = time.monotonic() + settings.connect_seconds
    # Only that one is asked: the library would draw one of all, and might wait for one that is silent.
    return _ask(settings, knock(settings), list(topics), until)


def knock(settings: KafkaSettings) -> str:
    """Look whether a broker answers at all, without telling who we are: the address of the first that does.

    Done or failed within `connect_seconds`. Raises KafkaUnusable.
    """
    until = time.monotonic() + settings.connect_seconds
    named = brokers(settings)
    context = tls_context(settings)
    failures: list[KafkaUnusable] = []
    for at, (host, port) in enumerate(named):
        # A broker that is silent must leave time for the others, and for the questions after this.
        patience = max(0.2, (until - time.monotonic()) / (len(named) - at + 1))
        try:
            _knock(host, port, context, patience, settings)
        except KafkaUnusable as error:
            failures.append(error)
        else:
            return _address(host, port)
    raise next((failure for failure in failures if failure.is_lasting), failures[0])


def _knock(host: str, port: int, context: ssl.SSLContext | None, patience: float, settings: KafkaSettings) -> None:
    """Speak the first words with one broker, which the library would try again and again without a word. Raises KafkaUnusable."""
    where = f"{host}:{port}"
    until = time.monotonic() + patience
    try:
        plain = socket.create_connection((host, port), timeout=patience)
    except socket.gaierror as error:
        raise KafkaUnusable(f"{where}: no such host ({error.strerror}): check kafka.bootstrap", is_lasting=False) from error
    except OSError as error:
        raise KafkaUnusable(
            f"{where}: no broker answers ({why(error)}): check kafka.bootstrap and the broker", is_lasting=False
        ) from error
    try:
        with contextlib.closing(context.wrap_socket(plain, server_hostname=host) if context else plain) as connection:
            connection.settimeout(max(0.2, until - time.monotonic()))
            connection.sendall(_API_VERSIONS)
            answer = connection.recv(4)
    except ssl.SSLError as error:
        told = refusal(error, settings, "the broker", "kafka.bootstrap", "kafka.security")
        raise KafkaUnusable(f"{where}: {told}") from error
    except TimeoutError as error:
        asked = "" if context else ", or it asks for TLS: check kafka.security"
        raise KafkaUnusable(f"{where}: takes connections but does not answer{asked}", is_lasting=False) from error
    except OSError as error:
        # A broker that refuses a certificate may close before its reason has been read.
        raise KafkaUnusable(f"{where}: closed the connection ({why(error)})", is_lasting=False) from error
    finally:
        plain.close()
    if not answer:
        # What stands before brokers does so while none of them is there.
        raise KafkaUnusable(
            f"{where}: closed the connection without an answer: check the broker, kafka.bootstrap and kafka.security",
            is_lasting=False,
        )
    if len(answer) < 4 or answer[0]:
        raise KafkaUnusable(f"{where}: does not speak as a Kafka broker does: check kafka.bootstrap and kafka.security")


class _Overhear(logging.Handler):
    """Keeps the exceptions that the library only logs while one client of it tries again: they say why.

    Args:
        client: name of the client; the library's thread for it is named after it. Other clients of this process say other things.
    """

    def __init__(self, client: str) -> None:
        super().__init__(logging.DEBUG)
        self.heard: list[BaseException] = []
        self._threads: Final = {f"kafka-io-{client}", threading.current_thread().name}

    def emit(self, record: logging.LogRecord) -> None:
        if record.threadName not in self._threads:
            return
        arguments = record.args if isinstance(record.args, tuple) else ()
        self.heard += [argument for argument in arguments if isinstance(argument, BaseException)]


def _ask(settings: KafkaSettings, address: str, topics: list[str], until: float) -> dict[str, int]:
    """Show one broker who we are and ask it for topics. Raises KafkaUnusable."""
    left = max(1.0, min(ASK_SECONDS, until - time.monotonic() - 0.5))
    client = f"icsight-probe-{secrets.token_hex(4)}"
    overhear = _Overhear(client)
    _LIBRARY.addHandler(overhear)
    options: dict[str, Any] = {
        **arguments(settings), "bootstrap_servers": [address], "client_id": client,
        "bootstrap_timeout_ms": left * 1000, "request_timeout_ms": left * 1000,
    }  # fmt: skip
    described: list[dict[str, Any]] = []
    try:
        admin: Any = KafkaAdminClient(**options)
        with admin:
            described = admin.describe_topics(topics) if topics else []
    except errors.KafkaError as error:
        refused = sign_in_refusal(settings, [*overhear.heard, error])
        if refused.is_lasting:
            # What stands before brokers may take connections for one that has just gone: then it is not the password.
            knock(settings.model_copy(update={"bootstrap": address, "connect_seconds": AGAIN_SECONDS}))
        raise refused from error
    finally:
        _LIBRARY.removeHandler(overhear)
    found: dict[str, int] = {}
    for topic in described:
        name = str(topic["name"])
        kind = _error_of(topic["error_code"])
        if kind is errors.NoError:
            found[name] = len(topic["partitions"])
        elif issubclass(kind, errors.AuthorizationError):
            raise KafkaUnusable(f"topic {name}: {_who(settings)} has no right to it: `icsight kafka` gives it")
        elif kind is errors.UnknownTopicOrPartitionError:
            raise NoSuchTopic(f"topic {name}: there is none on {settings.bootstrap}: `icsight kafka apply` makes it")
        else:
            raise KafkaUnusable(f"topic {name}: {kind.__name__}", is_lasting=False)
    return found


def sign_in_refusal(settings: KafkaSettings, heard: list[BaseException]) -> KafkaUnusable:
    """What the errors mean of a broker that had taken the connection a moment before.

    A broker that refuses a password says so and closes; over TLS the library may see no more than that it closed, each time that
    it tries. A broker that goes away would refuse connections.
    """
    found = meaning(settings, heard)
    ended = [error for error in heard if isinstance(error, errors.KafkaConnectionError)]
    closes = len(ended) > 1 and all("disconnected" in str(error) for error in ended)
    if found.is_lasting or settings.security != "sasl_tls" or not closes:
        return found
    return KafkaUnusable(
        f"{settings.bootstrap}: refuses {_who(settings)}: the name or the password is wrong (it closes the connection at sign-in)"
    )


def meaning(settings: KafkaSettings, heard: list[BaseException]) -> KafkaUnusable:
    """What the library's errors mean, the last of them the one that was raised."""
    for error in heard:
        if isinstance(error, errors.UnknownTopicOrPartitionError):
            return KafkaUnusable(f"{settings.bootstrap}: a topic is missing: `icsight kafka apply` makes it")
        if isinstance(error, errors.MessageSizeTooLargeError | errors.RecordListTooLargeError):
            return KafkaUnusable(f"{settings.bootstrap}: takes no message so large: raise max.message.bytes of the topic")
        if isinstance(error, errors.SaslAuthenticationFailedError):
            return KafkaUnusable(f"{settings.bootstrap}: refuses {_who(settings)}: the name or the password is wrong")
        if isinstance(error, errors.UnsupportedSaslMechanismError | errors.IllegalSaslStateError):
            return KafkaUnusable(f"{settings.bootstrap}: takes no passwords by {MECHANISM}: check kafka.security and the port")
        if isinstance(error, errors.AuthorizationError):
            return KafkaUnusable(f"{settings.bootstrap}: {_who(settings)} may not do this ({type(error).__name__})")
    last = next((error for error in heard if not isinstance(error, errors.KafkaTimeoutError)), heard[-1])
    return KafkaUnusable(f"{settings.bootstrap}: cannot be used ({why(last)})", is_lasting=False)


def _who(settings: KafkaSettings) -> str:
    return {
        "plaintext": "this process",
        "tls": f"the certificate in {settings.certificate_file}",
        "sasl_tls": f"user {settings.username!r}",
    }[settings.security]
