"""The HTTP server: uvicorn in a thread of its own, started and stopped by whoever runs the system."""

from __future__ import annotations

import contextlib
import gc
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Final

import uvicorn

from sensor.tls import SUITES

if TYPE_CHECKING:
    from collections.abc import Generator

    from fastapi import FastAPI

    from api.services import Services

START_SECONDS: Final = 10
"""How long the server may take to start."""

STOP_SECONDS: Final = 1
"""How long requests that are being answered may take to end."""

HEADER_BYTES: Final = 32 * 1024
"""Largest request head."""

CONNECTIONS: Final = 512
"""Most connections at a time; more are told 503."""


class ServerError(Exception):
    """The server cannot listen. The text is one line that says what to do."""


class _Quiet(uvicorn.Server):
    """uvicorn without its signal handlers: signals belong to the command."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class Server:
    """Serves an application until it is stopped.

    Raises ServerError where the address cannot be used or the certificate cannot be read.
    """

    def __init__(self, app: FastAPI, services: Services) -> None:
        settings = services.settings
        self._hub = services.hub
        try:
            self._socket = _listen(settings.host, settings.port)
        except OSError as error:
            raise ServerError(
                f"cannot listen on {settings.host}:{settings.port} ({error.strerror or error}): "
                "is icsight running already? Choose another with --port"
            ) from error
        self.port: Final[int] = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=True,
            proxy_headers=False,
            http="h11",
            ws="none",
            lifespan="off",
            limit_concurrency=CONNECTIONS,
            h11_max_incomplete_event_size=HEADER_BYTES,
            timeout_graceful_shutdown=STOP_SECONDS,
            ssl_certfile=settings.tls_certificate,
            ssl_keyfile=settings.tls_key,
            ssl_ciphers=SUITES,
        )
        try:
            config.load()
            if config.ssl is not None:
                config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
        except OSError as error:
            self._socket.close()
            raise ServerError(
                f"{settings.tls_certificate}: not a certificate with its key ({error}): give both as PEM files"
            ) from error
        self._server = _Quiet(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, name="api", daemon=True)
        scheme = "https" if settings.encrypted else "http"
        name = "localhost" if settings.host in {"127.0.0.1", "::1", "localhost", "0.0.0.0", "::"} else settings.host  # noqa: S104  compared
        self.url: Final = f"{scheme}://{f'[{name}]' if ':' in name else name}:{self.port}"

    def start(self) -> None:
        """Begin to answer. Raises ServerError."""
        self._thread.start()
        waited = threading.Event()
        for _ in range(START_SECONDS * 100):
            if self._server.started:
                return
            if not self._thread.is_alive():
                break
            waited.wait(0.01)
        raise ServerError("the server did not start: see the lines above")

    @property
    def running(self) -> bool:
        """Whether it still answers."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End live streams, finish what is being answered, and stop."""
        self._hub.close()
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS + 1)
        self._socket.close()


def keep_loaded() -> None:
    """Keep all that is loaded by now from the garbage collector: nearly all of it stays as long as the process does.

    To look through it takes 0.3 to 0.4 s, in which nobody is answered, and each full collection would do so.
    """
    gc.collect()
    gc.freeze()


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket on a numeric address or a name of this machine. Raises OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener
