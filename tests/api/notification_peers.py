"""Receivers of notices that run in the test, each over TLS: a mail server, a server of HTTPS, a collector of events."""

from __future__ import annotations

import json
import select
import socket
import ssl
import struct
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Literal, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

if TYPE_CHECKING:
    from collections.abc import Generator
    from email.message import Message
    from pathlib import Path

    from tests.services.certificates import Authority

LOCAL = "127.0.0.1"
USER, PASSWORD = "icsight", "mail password of the test"


def served_as(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


def until(holds: Any, seconds: float = 60.0) -> Any:
    """What something comes to, once it holds."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, "did not come"
        time.sleep(0.02)
    return found


@dataclass
class Asked:
    """A request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Answers:
    """What a server of HTTPS was asked, and what it answers."""

    port: int = 0
    asked: list[Asked] = field(default_factory=list[Asked])
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: bytes = b'{"errcode": 0, "errmsg": "ok"}'
    hold: threading.Event | None = None
    """Answers only once this is set."""
    upset: str = ""
    """Answers with status 503 to what has this in it."""

    def url(self, path: str = "/hook") -> str:
        return f"https://{LOCAL}:{self.port}{path}"


@contextmanager
def https(authority: Authority) -> Generator[Answers]:
    answers = Answers()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answers.asked.append(Asked(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            if answers.hold is not None:
                answers.hold.wait(60)
            is_upset = bool(answers.upset) and answers.upset.encode() in body
            self.send_response(503 if is_upset else answers.status)
            for name, value in answers.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answers.body)))
            self.end_headers()
            self.wfile.write(answers.body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  as its base has it
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Callers that go away are part of the test."""

    server = Server((LOCAL, 0), Handler)
    server.socket = served_as(authority.issue("https")).wrap_socket(server.socket, server_side=True)
    answers.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield answers
    finally:
        if answers.hold is not None:
            answers.hold.set()
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Mails:
    """What a mail server took, and what it answers."""

    port: int = 0
    taken: list[Message] = field(default_factory=list["Message"])
    refuses: tuple[str, ...] = ()
    """Receivers that it does not take."""
    answer: str = "250 OK"


@contextmanager
def smtp(authority: Authority) -> Generator[Mails]:
    """A mail server that asks for STARTTLS and a password."""
    mails = Mails()

    class Handler:
        async def handle_RCPT(self, *given: Any) -> str:  # noqa: N802
            _, _, envelope, address, _ = given
            if address in mails.refuses:
                return "550 no such receiver"
            envelope.rcpt_tos.append(address)
            return "250 OK"

        async def handle_DATA(self, *given: Any) -> str:  # noqa: N802
            if mails.answer.startswith("250"):
                mails.taken.append(message_from_bytes(given[2].content))
            return mails.answer

    def lets_in(server: Any, session: Any, envelope: Any, mechanism: str, given: object) -> AuthResult:
        known = isinstance(given, LoginPassword) and (given.login, given.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=known, handled=False)

    with socket.create_server((LOCAL, 0)) as free:
        mails.port = free.getsockname()[1]
    controller = Controller(
        Handler(), hostname=LOCAL, port=mails.port, tls_context=served_as(authority.issue("smtp")), require_starttls=True,
        authenticator=cast("Any", lets_in), auth_required=True,
    )  # fmt: skip
    controller.start()
    try:
        yield mails
    finally:
        controller.stop()


@dataclass
class Events:
    """What a collector of events was sent."""

    port: int = 0
    frames: list[str] = field(default_factory=list[str])
    closed: int = 0
    """Conversations that ended as they should."""


Ends = Literal["answers", "goes", "keeps", "reset"]


def _shake_hands(stream: ssl.SSLSocket, dwells: float) -> None:
    """The handshake of a server that takes a while between what it says and what it makes of the answer."""
    stream.settimeout(0)
    while True:
        try:
            stream.do_handshake()
            break
        except ssl.SSLWantReadError:
            select.select([stream], [], [], 60)
            time.sleep(dwells)
    stream.settimeout(60)


@contextmanager
def collector(
    authority: Authority, clients: Authority | None = None, *, ends: Ends = "answers", tickets: int = 2, dwells: float = 0.0
) -> Generator[Events]:
    """A collector that reads frames as RFC 5425 has them.

    Args:
        authority: what its certificate is from.
        clients: it asks for a certificate of these.
        ends: how it ends: as it should, without a word of TLS, not at all, or at once and by a reset.
        tickets: how many tickets it gives to whom it lets in.
        dwells: how long it takes to look at a certificate, in seconds.
    """
    events, stop = Events(), threading.Event()
    context = served_as(authority.issue("collector"))
    context.num_tickets = tickets
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients.file)

    def take(plain: socket.socket) -> None:
        try:
            with context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False) as stream:
                _shake_hands(stream, dwells)
                if ends == "reset":
                    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                data = b""
                while part := stream.recv(65_536):
                    data += part
                while data:
                    size, _, rest = data.partition(b" ")
                    events.frames.append(rest[: int(size)].decode())
                    data = rest[int(size) :]
                events.closed += 1
                if ends == "answers":
                    stream.unwrap()
                elif ends == "keeps":
                    stop.wait(60)
        except OSError:
            pass

    def serve(listener: socket.socket) -> None:
        listener.settimeout(0.1)
        while not stop.is_set():
            try:
                plain, _ = listener.accept()
            except TimeoutError:
                continue
            threading.Thread(target=take, args=(plain,), daemon=True).start()

    with socket.create_server((LOCAL, 0)) as listener:
        events.port = listener.getsockname()[1]
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        try:
            yield events
        finally:
            stop.set()
            thread.join()
