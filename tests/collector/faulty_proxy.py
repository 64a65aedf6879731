"""A proxy before Elasticsearch that refuses requests as a node, a load balancer or a busy cluster does."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator

Answer = tuple[int, dict[str, Any]]
Fault = Callable[[str, bytes], Answer | None]
"""Given path and body of a request: what to answer instead of passing it on, None to pass it on."""

Change = Callable[[str, dict[str, Any]], None]
"""Changes the answer to a request on its way back."""


class Proxy:
    """What the proxy does, and what it has seen.

    Attributes:
        url: its address.
        fault: asked for each bulk request.
        change: applied to each answer to a bulk request.
        hangs_up: given the path of a request that was done: whether its answer is kept back and the connection ended.
        bulks: bytes of the bulk requests that were passed on.
    """

    def __init__(self) -> None:
        self.url = ""
        self.fault: Fault = lambda _path, _body: None
        self.change: Change = lambda _path, _answer: None
        self.hangs_up: Callable[[str], bool] = lambda _path: False
        self.bulks: list[int] = []


@contextmanager
def proxy(target: str) -> Generator[Proxy]:
    """A proxy before `target`."""
    told = Proxy()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            bulk = "/_bulk" in self.path and ".ledger" not in self.path
            fault = told.fault(self.path, body) if bulk else None
            if fault is not None:
                self._reply(fault[0], json.dumps(fault[1]).encode())
                return
            headers = {name: self.headers[name] for name in ("content-type", "accept") if name in self.headers}
            request = urllib.request.Request(target + self.path, body or None, headers, method=self.command)
            try:
                with urllib.request.urlopen(request) as answer:
                    status, content = answer.status, answer.read()
            except urllib.error.HTTPError as error:
                status, content = error.code, error.read()
            if told.hangs_up(self.path):
                self.close_connection = True
                return
            if bulk:
                told.bulks.append(len(body))
                changed = json.loads(content)
                told.change(self.path, changed)
                content = json.dumps(changed).encode()
            self._reply(status, content)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_any  # noqa: N815 - names that http.server looks for

        def _reply(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("x-elastic-product", "Elasticsearch")
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server gives it
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
