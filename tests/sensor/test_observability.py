"""A process tells how it is, in OpenMetrics, by status, in its log and by traces, to those who may ask, and no secret ever."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.openmetrics.parser import text_string_to_metric_families  # pyright: ignore[reportUnknownVariableType]  untyped
from pydantic import SecretStr, ValidationError

from sensor import logs, tracing
from sensor.configuration import ConfigurationError, secret
from sensor.metrics import GAPS, LAG_BATCHES, Measure, Reading
from sensor.observability import REQUESTS, observed
from sensor.observability_settings import ObservabilitySettings
from sensor.spool_format import BatchHeader
from sensor.terminal import CommandError, warn
from sensor.uplink import UplinkCounters
from sensor.uplink_metrics import failures, readings
from tests.sensor.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOOPBACK = "127.0.0.1:0"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """The log is the process's: leave it as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logs.set_up("test", "text", "warning")
    for name in logs.OWN:
        logging.getLogger(name).setLevel(logging.NOTSET)
    root.handlers[:], root.level = handlers, level


def configure(monkeypatch: pytest.MonkeyPatch, **settings: str) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"ICSIGHT_OBSERVABILITY_{name.upper()}", value)


def test_parts_that_count_the_same_make_one_family_of_openmetrics(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, listen=LOOPBACK)
    seconds = Measure("icsight_test_seconds", "counter", "Time.", unit="seconds")
    sources = [
        lambda: [Reading(GAPS, 2, ("store",)), Reading(LAG_BATCHES, 7, ("store",))],
        lambda: [Reading(GAPS, 3, ("detection",)), Reading(seconds, 1.5)],
    ]
    with observed("collect", sources) as endpoint:
        assert endpoint is not None
        answer = httpx.get(f"{endpoint.url}/metrics")
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert {sample.labels["consumer"]: sample.value for sample in families["icsight_gaps"].samples} == {
        "store": 2,
        "detection": 3,
    }
    assert families["icsight_lag_batches"].type == "gauge"
    assert (families["icsight_test_seconds"].unit, families["icsight_test_seconds"].samples[0].value) == ("seconds", 1.5)


def test_an_uplink_is_ready_once_it_has_brokers_and_tells_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, listen=LOOPBACK)
    counters = UplinkCounters(batches=5, lag_batches=3, refused=1, trouble="refuses the password")
    with observed("uplink", [lambda: readings(counters)], lambda: failures(counters)) as endpoint:
        assert endpoint is not None
        assert httpx.get(f"{endpoint.url}/readyz").json()["failures"] == {"kafka": "refuses the password"}
        counters.connected = True
        assert httpx.get(f"{endpoint.url}/readyz").status_code == 200
        told = httpx.get(f"{endpoint.url}/metrics").text
    families = {family.name for family in text_string_to_metric_families(told)}
    assert len(families) == 10
    lines = told.splitlines()
    assert "icsight_uplink_batches_total 5.0" in lines
    assert 'icsight_lag_batches{consumer="uplink"} 3.0' in lines
    assert 'icsight_uplink_unshipped_batches_total{reason="refused"} 1.0' in lines


def test_a_process_is_ready_while_nothing_of_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, listen=LOOPBACK)
    failed: dict[str, str] = {}
    with observed("collect", failures=lambda: failed) as endpoint:
        assert endpoint is not None
        assert httpx.get(f"{endpoint.url}/readyz").json() == {"status": "ready", "failures": {}}
        failed["store"] = "does not answer"
        answer = httpx.get(f"{endpoint.url}/readyz")
        assert (answer.status_code, answer.json()["failures"]) == (503, {"store": "does not answer"})
        assert httpx.get(f"{endpoint.url}/healthz").status_code == 200
        assert httpx.get(f"{endpoint.url}/other").status_code == 404
        assert httpx.post(f"{endpoint.url}/healthz").status_code == 501
        url = endpoint.url
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/healthz")


def test_a_process_listens_only_where_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ICSIGHT_OBSERVABILITY_LISTEN", raising=False)
    with observed("uplink") as endpoint:
        assert endpoint is None


@pytest.mark.parametrize("listen", ["0.0.0.0:9464", "[::]:9464", "9464", "plant.example:9464", "127.0.0.1:x"])
def test_an_address_that_others_reach_needs_a_certificate(listen: str) -> None:
    with pytest.raises(ValidationError, match=r"certificate_file|ADDRESS:PORT"):
        ObservabilitySettings(listen=listen)


def test_a_port_that_another_process_has_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, listen=LOOPBACK)
    with observed("collect") as endpoint:
        assert endpoint is not None
        configure(monkeypatch, listen=endpoint.url.removeprefix("http://"))
        with pytest.raises(ConfigurationError, match="different ports"), observed("detect"):
            pass


def test_silent_callers_keep_out_nobody_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, listen=LOOPBACK)
    monkeypatch.setattr("sensor.observability.REQUEST_SECONDS", 0.2)
    with observed("collect") as endpoint:
        assert endpoint is not None
        host, port = endpoint.url.removeprefix("http://").split(":")
        silent = [socket.create_connection((host, int(port))) for _ in range(2 * REQUESTS)]
        for connection in silent:
            connection.settimeout(20)
            assert connection.recv(1) == b""
            connection.close()
        assert httpx.get(f"{endpoint.url}/healthz").status_code == 200


def test_callers_for_whom_there_was_no_thread_take_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, listen=LOOPBACK)

    def none(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with observed("collect") as endpoint:
        assert endpoint is not None
        with monkeypatch.context() as full:
            full.setattr(ThreadingMixIn, "process_request", none)
            for _ in range(REQUESTS):
                with pytest.raises(httpx.TransportError):
                    httpx.get(f"{endpoint.url}/healthz")
        assert httpx.get(f"{endpoint.url}/healthz").status_code == 200


def test_a_caller_that_says_a_letter_now_and_then_is_not_heard_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, listen=LOOPBACK)
    monkeypatch.setattr("sensor.observability.REQUEST_SECONDS", 0.5)
    with observed("collect") as endpoint:
        assert endpoint is not None
        host, port = endpoint.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as slow:
            slow.settimeout(0.1)
            until = time.monotonic() + 20
            is_over = False
            while not is_over:
                assert time.monotonic() < until
                try:
                    slow.send(b"G")
                    is_over = not slow.recv(1)
                except TimeoutError:
                    continue
                except ConnectionError:
                    is_over = True


def test_other_machines_ask_over_tls_and_show_who_they_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server, client = authority.issue("127.0.0.1"), authority.issue("prometheus")
    configure(
        monkeypatch,
        listen="0.0.0.0:0",
        certificate_file=str(server[0]),
        key_file=str(server[1]),
        client_ca_file=str(authority.file),
    )
    with observed("collect") as endpoint:
        assert endpoint is not None
        url = endpoint.url.replace("0.0.0.0", "127.0.0.1")
        context = ssl.create_default_context(cafile=str(authority.file))
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{url}/metrics", verify=context)
        with pytest.raises(httpx.TransportError):
            httpx.get(url.replace("https", "http"))
        context.load_cert_chain(*client)
        assert httpx.get(f"{url}/metrics", verify=context).status_code == 200
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ECDHE+AES:!AESGCM:!AESCCM")
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{url}/metrics", verify=context)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_log_in_json_is_one_object_a_line_with_the_batch_that_it_is_about(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("collect", "json", "info")
    log = logging.getLogger("collector.writer")
    log.info("stored\n%s", "twice", extra={"batch": logs.identity(BatchHeader("s", "e", 7, "modbus", 1)), "alert": "a1"})
    log.debug("not told")
    logging.getLogger("kafka").info("not told either")
    warn("said by a command")
    log.error("failed", exc_info=OSError("disk"))
    first, said, failed = lines(capsys)
    assert (first["message"], first["icsight.batch"], first["icsight.alert"]) == ("stored\ntwice", "s/e/7", "a1")
    assert (first["log.level"], first["service.name"]) == ("info", "icsight-collect")
    assert first["@timestamp"].endswith("Z")
    assert (said["message"], said["log.level"]) == ("said by a command", "warning")
    assert failed["error.type"] == "OSError"
    assert failed["error.stack_trace"] == "OSError: disk"


def test_a_log_for_people_reads_as_the_commands_do(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("collect", "text", "warning")
    logging.getLogger("collector.writer").warning("a gap", extra={"batch": "s/e/7"})
    warn("said by a command")
    assert capsys.readouterr().err == "warning: a gap (batch s/e/7)\nwarning: said by a command\n"


def test_what_others_have_written_begins_no_line_of_a_log_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("serve", "text", "warning")
    logging.getLogger("api.problems").warning("refused: %s", "/x\nwarning: all is well\x1b[2J 水厂")
    assert capsys.readouterr().err == "warning: refused: /x\\nwarning: all is well\\x1b[2J 水厂\n"


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_secret_is_in_no_line_that_a_command_says(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = "geheim  with  blanks"
    secret(SecretStr(given), None, "password")
    logs.set_up("uplink", form, "warning")
    warn(f"the broker refuses {given}")
    CommandError(f"cannot use {given}").show()
    told = capsys.readouterr().err
    assert "heim" not in told
    assert told.count("********") == 2


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_secret_is_in_no_line_even_even_of_others_errors(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given, filed = 'ge"heim-1', "geheim-2"
    (tmp_path / "secret").write_text(filed)
    secret(SecretStr(given), None, "password")
    secret(None, tmp_path / "secret", "password")
    logs.set_up("collect", form, "warning")
    refused = ValueError(f"refused: {given}, {filed}")
    logging.getLogger("kafka.conn").error("login with %s and %s", given, filed, exc_info=refused)
    told = capsys.readouterr().err
    assert "heim" not in told
    assert told.count("********") == 4


class Receiver:
    """An OTLP/HTTP receiver: keeps the spans that it is sent."""

    def __init__(self) -> None:
        receiver = self
        self.spans: list[tuple[str, Any]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
                for group in request.resource_spans:
                    service = next(each.value.string_value for each in group.resource.attributes if each.key == "service.name")
                    receiver.spans += [(service, span) for scope in group.scope_spans for span in scope.spans]
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1/traces"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    yield running
    running.close()


def test_spans_of_a_batch_from_two_processes_are_in_one_trace(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, otlp_endpoint=receiver.url)
    batch = BatchHeader("s", "e", 7, "modbus", 11, site="north")
    for process, stage in (("uplink", "ship"), ("collect", "store")):
        with observed(process):
            tracing.record(stage, [batch], 1_000, **{"icsight.partition": "3"})
    with observed("detect"):
        tracing.record_of("alert", "s/e/8", 1_000)
    assert not tracing.is_on()
    (first, shipped), (second, stored), (_, other) = receiver.spans
    assert (first, second) == ("icsight-uplink", "icsight-collect")
    assert shipped.trace_id == stored.trace_id == tracing.trace_id("s/e/7").to_bytes(16)
    assert other.trace_id != stored.trace_id
    assert shipped.span_id != stored.span_id
    about = {each.key: each.value.string_value or each.value.int_value for each in stored.attributes}
    assert about == {
        "icsight.batch": "s/e/7", "icsight.table": "modbus", "icsight.rows": 11, "icsight.site": "north", "icsight.partition": "3"
    }  # fmt: skip
    assert stored.start_time_unix_nano == 1_000 < stored.end_time_unix_nano


def test_all_processes_choose_the_same_share_of_batches(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, otlp_endpoint=receiver.url, trace_share="0.25")
    batches = [BatchHeader("s", "e", sequence, "modbus", 1) for sequence in range(400)]
    for process in ("uplink", "collect"):
        with observed(process):
            tracing.record("done", batches, 1_000)
    chosen = [
        {span.trace_id for service, span in receiver.spans if service == f"icsight-{name}"} for name in ("uplink", "collect")
    ]
    assert chosen[0] == chosen[1]
    assert 50 < len(chosen[0]) < 150


def test_without_an_endpoint_nothing_of_opentelemetry_is_loaded() -> None:
    code = (
        "import sys; from sensor import tracing; from sensor.observability import observed\n"
        "with observed('uplink'): tracing.record_of('alert', 's/e/1', 1)\n"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
