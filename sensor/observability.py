"""How a process is watched: its metrics and health at an address of its own, its log, its traces, as `[observability]` says."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final

from sensor import logs, tracing
from sensor.configuration import ConfigurationError, configured
from sensor.health import Health
from sensor.metrics import CONTENT_TYPE, Readings
from sensor.observability_settings import ObservabilitySettings
from sensor.tls import SUITES

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping

    from sensor.metrics import Source

REQUEST_SECONDS: Final = 5.0
"""How long a caller may take with its request and with reading the answer, all in all."""

REQUESTS: Final = 16
"""Most requests at a time; further ones are closed."""

_log: Final = logging.getLogger(__name__)


class Endpoint:
    """Answers `/metrics`, `/healthz` and `/readyz` in threads of its own.

    Args:
        settings: where.
        exposition: the metrics, in OpenMetrics.
        failures: what of the process does not work, and why; it is ready where there is nothing.

    Raises:
        ConfigurationError: the address or the certificate cannot be used.
    """

    def __init__(
        self, settings: ObservabilitySettings, exposition: Callable[[], bytes], failures: Callable[[], Mapping[str, str]]
    ) -> None:
        address = settings.address
        if address is None:
            raise ConfigurationError("observability.listen names no address")
        context = _tls(settings)
        try:
            self._server = _Server(address, exposition, failures, context)
        except OSError as error:
            raise ConfigurationError(
                f"observability.listen: cannot listen on {settings.listen} ({error.strerror or error}): processes of one machine "
                "need different ports; ICSIGHT_OBSERVABILITY_LISTEN gives this one its own"
            ) from error
        host, port = self._server.server_address[0], self._server.server_address[1]
        name = f"[{host}]" if ":" in str(host) else str(host)
        self.url: Final = f"http{'' if context is None else 's'}://{name}:{port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="observability", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def heard(process: str) -> Generator[ObservabilitySettings]:
    """Write the log of a process and send its traces, as settings say, for the time of the block.

    Args:
        process: what it does: sensor, uplink, collect, detect, serve, run.

    Raises:
        ConfigurationError: table `observability` cannot be used.
    """
    settings = configured(ObservabilitySettings)
    logs.set_up(process, settings.log_format, settings.log_level)
    tracing.start(process, settings)
    try:
        yield settings
    finally:
        tracing.stop()


@contextmanager
def observed(
    process: str,
    sources: Iterable[Source] = (),
    failures: Callable[[], Mapping[str, str]] = dict,
    checks: Mapping[str, Callable[[], object]] | None = None,
) -> Generator[Endpoint | None]:
    """Watch a process for the time of the block. Yields where it answers; None where it does not listen.

    Args:
        process: what it does: uplink, collect, detect, serve, run.
        sources: what its parts count.
        failures: what of it does not work, by part; asked at each `/readyz`.
        checks: what it needs, by name; each is asked every few seconds by a thread of its own while the process listens, and
            raises where it is not there.

    Raises:
        ConfigurationError: table `observability` cannot be used.
    """
    readings = Readings()
    for source in sources:
        readings.add(source)
    with ExitStack() as stack:
        settings = stack.enter_context(heard(process))
        endpoint = None
        if settings.address is not None:
            health = stack.enter_context(Health(checks or {}))
            endpoint = Endpoint(settings, readings.exposition, lambda: {**health.failures(), **failures()})
            stack.callback(endpoint.close)
            _log.info("metrics and health at %s", endpoint.url)
        yield endpoint


def _tls(settings: ObservabilitySettings) -> ssl.SSLContext | None:
    if settings.certificate_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(SUITES)
    try:
        context.load_cert_chain(settings.certificate_file, settings.key_file)
        if settings.client_ca_file is not None:
            context.load_verify_locations(settings.client_ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"observability.certificate_file {settings.certificate_file}: cannot be used ({error.strerror or error}): "
            "give PEM files of a certificate and its key"
        ) from error
    return context


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = REQUESTS

    def __init__(
        self, address: tuple[str, int], exposition: Callable[[], bytes], failures: Callable[[], Mapping[str, str]],
        context: ssl.SSLContext | None,
    ) -> None:  # fmt: skip
        self.exposition = exposition
        self.failures = failures
        self._context = context
        self._room = threading.BoundedSemaphore(REQUESTS)
        self._callers: Final[dict[int, tuple[float, socket.socket]]] = {}
        """When each caller came, and its connection."""
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without asking the name service for the name of this machine, as the base class does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def process_request(self, request: socket.socket, client_address: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]  a TCP server's request is a socket
        """Answer in a thread, where there is room for one more."""
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self._callers[id(request)] = time.monotonic(), request
        try:
            super().process_request(request, client_address)  # pyright: ignore[reportArgumentType]
        except BaseException:
            # There was no room for a thread on this machine: the base class lets go of the caller.
            self._leave(id(request))
            raise

    def process_request_thread(self, request: socket.socket, client_address: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Answer; TLS is agreed on here, so that a caller who says nothing holds up nobody."""
        caller = id(request)
        try:
            if self._context is not None:
                try:
                    request = self._context.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
                    self._callers[caller] = self._callers[caller][0], request
                    request.do_handshake()
                except (OSError, ssl.SSLError):
                    self.shutdown_request(request)
                    return
            super().process_request_thread(request, client_address)  # pyright: ignore[reportArgumentType]
        finally:
            self._leave(caller)

    def _leave(self, caller: int) -> None:
        """A caller is done with: there is room for one more."""
        del self._callers[caller]
        self._room.release()

    def service_actions(self) -> None:
        """Several times a second: end what callers take too long with, also where a byte comes now and then."""
        for since, connection in list(self._callers.values()):
            if time.monotonic() - since > REQUEST_SECONDS:
                with suppress(OSError):
                    # Not SSLSocket.shutdown, which takes away what the thread of the caller works with.
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """A caller that went away is no error."""
        del request, client_address
        _log.debug("a request for metrics or health was not answered", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]
    server_version = "icsight"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer one request."""
        match self.path.partition("?")[0]:
            case "/metrics":
                self._answer(200, CONTENT_TYPE, self.server.exposition())
            case "/healthz":
                self._answer(200, "application/json", b'{"status":"ok"}')
            case "/readyz":
                failures = dict(self.server.failures())
                told = json.dumps({"status": "failing" if failures else "ready", "failures": failures}, ensure_ascii=False)
                self._answer(503 if failures else 200, "application/json", told.encode())
            case _:
                self._answer(404, "text/plain; charset=utf-8", b"/metrics, /healthz and /readyz are here\n")

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it
        """Say nothing of each request."""
