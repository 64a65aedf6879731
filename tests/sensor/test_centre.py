"""What a server that is not the centre answers does a sensor no harm."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from sensor.centre import TOLD_CHARACTERS, CentreRefused, post
from sensor.enrolled import EnrolmentError
from sensor.remote_settings import SettingsRefused, Version, checked
from sensor.self_report import SelfReport

if TYPE_CHECKING:
    from collections.abc import Generator

NESTED = b"[" * 30_000


@contextmanager
def answering(body: bytes, asked: list[bytes] | None = None) -> Generator[str]:
    """A server that refuses everything so, and notes what it was asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            question = self.rfile.read(int(self.headers["Content-Length"]))
            if asked is not None:
                asked.append(question)
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name that the base class gives it
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_json_that_is_nested_without_end_is_no_answer_no_report_and_no_settings() -> None:
    with answering(NESTED) as url, pytest.raises(EnrolmentError, match="not the centre"):
        post(url, "/", {})
    with pytest.raises(ValueError, match="not a report"):
        SelfReport.from_message(b"north", NESTED)
    with pytest.raises(SettingsRefused):
        Version.from_json(NESTED)


def test_of_what_a_stranger_says_only_so_much_is_shown_and_nothing_that_steers_a_terminal() -> None:
    told = json.dumps({"detail": "\x1b[2Jgone\nline\u202e" + "x" * 10_000, "title": [1]}).encode()
    with answering(told) as url, pytest.raises(CentreRefused) as raised:
        post(url, "/", {})
    shown = str(raised.value).removeprefix(f"{url}: ")
    assert shown.startswith("[2Jgone line x")
    assert shown.isprintable()
    assert len(shown) <= TOLD_CHARACTERS


def test_what_is_pinned_to_a_certificate_is_told_to_nobody_who_shows_none() -> None:
    asked: list[bytes] = []
    with answering(b"{}", asked) as url, pytest.raises(EnrolmentError, match="write https://"):
        post(url, "/", {"secret": "of the token"}, pin=bytes(32))
    assert asked == []


@pytest.mark.parametrize("value", [1e-9, 0.5, -1.0, float("nan"), 3_651])
def test_records_cannot_be_made_so_old_from_afar_that_all_go(value: float) -> None:
    with pytest.raises(SettingsRefused):
        checked("spool_age_days", value)
    assert checked("spool_age_days", 0) == 0
    assert checked("spool_age_days", 1) == 1
