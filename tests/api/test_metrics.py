"""The metrics: OpenMetrics to the letter, and each counts what its name says."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families  # pyright: ignore[reportUnknownVariableType]  untyped
from scapy.utils import RawPcapReader

from api import system
from api.alerts import service
from api.embedded import embedded
from api.main import create_app
from api.metrics import Metrics
from api.server import Server
from api.settings import Settings
from detection.captures import detect
from detection.pipeline import Pipeline
from detection.site import Site
from sensor._core import Reader
from sensor.metrics import Measure, Reading
from sensor.progress import Progress
from tests.api.alerts import part_of, upsert
from tests.api.test_live import listening

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client.metrics_core import Metric

    from tests.api.conftest import Running

CAPTURE = Path(__file__).parents[2] / "rules" / "modbus" / "restart_communications.fires.pcap"

UNITS = ("seconds", "bytes", "ratio")


def told(url: str) -> dict[str, Metric]:
    """The families by name, as a strict reader takes them. It refuses what breaks the format."""
    answer = httpx.get(f"{url}/metrics", timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert answer.text.endswith("\n# EOF\n")
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


def value(families: Mapping[str, Metric], name: str, **labels: str) -> float:
    """The sum of the samples of that name that have these labels."""
    family = families[name if name in families else name.removesuffix("_total").removesuffix("_count")]
    found = [sample for sample in family.samples if sample.name == name and labels.items() <= sample.labels.items()]
    return sum(sample.value for sample in found)


def by(families: Mapping[str, Metric], name: str, label: str) -> dict[str, float]:
    """The samples of a counter by one label."""
    return {sample.labels[label]: sample.value for sample in families[name].samples if sample.name == f"{name}_total"}


def run(data: Path, capture: Path) -> tuple[dict[str, Metric], dict[str, int]]:
    """Run the whole system over a capture to its end; what it tells then, and the rows in its store."""
    with (
        system.opened(Settings(data=data, port=0)) as services,
        embedded(services, str(capture), (Site(), None), ()) as parts,
    ):
        server = Server(create_app(services), services)
        server.start()
        parts.start()
        while not parts.done():
            parts.wait(0.05)
        parts.wait(0)
        assert parts.stop() == []
        found = told(server.url)
        server.stop()
        with services.database.read() as session:
            assert value(found, "icsight_alerts") == sum(service.counts(session).values())
        return found, {table.table: table.rows for table in services.records.tables() if table.rows}


def test_metrics_keep_the_rules_of_openmetrics(system_running: Running) -> None:
    """OpenMetrics 1.0.0: 4.2 naming, 4.4 units, 5.1 counters; every family says what it is for."""
    system_running.alerts(upsert(1))
    system_running.services.status.tell("detection", state="failed")
    part = Measure("icsight_test_seconds", "counter", "Time of a part.", ("part",), "seconds")
    system_running.services.metrics.readings.add(lambda: [Reading(part, 1.0, ("store",))])
    families = told(system_running.url)
    assert len(families) == len([name for name in vars(Metrics()) if name not in {"registry", "readings"}]) + 1
    for name, family in families.items():
        assert name.startswith("icsight_")
        assert family.documentation.endswith("."), name
        assert family.type in {"counter", "gauge", "histogram"}, name
        if name.endswith(UNITS):
            assert family.unit == name.rsplit("_", 1)[1], name
        allowed = {"counter": {"_total", "_created"}, "gauge": {""}, "histogram": {"_bucket", "_count", "_sum", "_created"}}
        assert {sample.name.removeprefix(name) for sample in family.samples} <= allowed[family.type], name


def test_a_run_over_a_capture_counts_what_each_name_says(tmp_path: Path) -> None:
    with RawPcapReader(str(CAPTURE)) as packets:
        packet_count = sum(1 for _ in packets)
    tables = [batch.table for batch in Reader(str(CAPTURE), sensor="local")]
    alerts, _ = detect(str(CAPTURE), Pipeline(Site(), ()), lambda _: None)
    found, stored = run(tmp_path / "data", CAPTURE)

    assert value(found, "icsight_packets_total") == packet_count
    assert by(found, "icsight_records", "table") == stored
    assert by(found, "icsight_batches", "table") == {table: tables.count(table) for table in set(tables)}
    assert value(found, "icsight_detection_batches_total") == len(tables)
    assert value(found, "icsight_detection_records_total") == sum(stored.values())
    (alert,) = alerts
    related = sum(finding["count"] for finding in alert.body["related"])
    assert value(found, "icsight_detection_findings_total") == alert.count + related > 0
    assert value(found, "icsight_alert_upserts_total") >= len(alerts)
    assert value(found, "icsight_detection_seconds_total") > 0
    assert value(found, "icsight_gaps_total") == 0
    assert {sample.labels["consumer"]: sample.value for sample in found["icsight_lag_batches"].samples} == {
        "alerts": 0, "detection": 0, "store": 0,
    }  # fmt: skip
    assert {sample.labels["part"] for sample in found["icsight_part_failed"].samples} == {
        "alerts", "capture", "detection", "store",
    }  # fmt: skip
    assert value(found, "icsight_part_failed") == 0

    again, _ = run(tmp_path / "data", CAPTURE)
    assert value(again, "icsight_packets_total") == packet_count
    assert sum(by(again, "icsight_records", "table").values()) == 0


def test_losses_and_bounds_of_detection_are_told_each_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {
        "damaged_batches_total": "damaged", "late_cuts_total": "late", "hurried_cuts_total": "hurried",
        "set_back_records_total": "set_back", "refused_decisions_total": "refused", "silent_waits_total": "silent",
        "forgotten_runs_total": "forgotten",
    }  # fmt: skip
    with (
        system.opened(Settings(data=tmp_path / "data", port=0)) as services,
        embedded(services, str(CAPTURE), (Site(), None), ()) as parts,
    ):
        server = Server(create_app(services), services)
        server.start()
        counted = parts.counters
        counted.limited = 2
        parts.wait(0)
        found = told(server.url)
        assert [value(found, f"icsight_detection_{name}") for name in names] == [0] * len(names)
        assert value(found, "icsight_detection_limited") == 2
        for number, name in enumerate(names.values(), 1):
            setattr(counted, name, getattr(counted, name) + number)
        counted.gaps, counted.limited = 7, 1
        for _ in range(2):
            parts.wait(0)
        found = told(server.url)
        server.stop()
    assert [value(found, f"icsight_detection_{name}") for name in names] == [1, 2, 3, 4, 5, 6, 7]
    assert value(found, "icsight_gaps_total", consumer="detection") == 7
    assert value(found, "icsight_detection_limited") == 1, "what was forgotten with its run counts no more"


def test_a_run_is_done_only_when_its_alerts_are_stored(tmp_path: Path) -> None:
    with (
        system.opened(Settings(data=tmp_path / "data", port=0)) as services,
        embedded(services, str(CAPTURE), (Site(), None), ()) as parts,
    ):
        parts.start()
        while not parts.done():
            time.sleep(0.001)
        with services.database.read() as session:
            assert sum(service.counts(session).values()) == 1
        assert parts.stop() == []


@pytest.mark.parametrize(
    ("host", "path", "route", "status"),
    [
        ("localhost", "/healthz", "/healthz", "200"),
        ("localhost", f"/api/alerts/{1:032x}", "/api/alerts/{alert_id}", "401"),
        ("localhost", "/nothing", "none", "404"),
        ("plant.example", "/healthz", "none", "421"),
    ],
)
def test_every_answer_is_counted_by_route_and_status(
    system_running: Running, host: str, path: str, route: str, status: str
) -> None:
    for _ in range(3):
        assert system_running.client().get(path, headers={"Host": host}).status_code == int(status)
    families = told(system_running.url)
    assert value(families, "icsight_http_requests_total", method="GET", route=route, status=status) == 3
    assert value(families, "icsight_http_request_seconds_count", route=route) == 3


def test_a_fault_of_the_server_is_counted(system_running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    client = system_running.signed_in()

    def fail(*given: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr("api.alerts.service.counts", fail)
        assert client.get("/api/alerts/counts").status_code == 500
    assert value(told(system_running.url), "icsight_http_requests_total", route="/api/alerts/counts", status="500") == 1


def test_alerts_streams_and_parts_are_told_as_they_are_now(system_running: Running) -> None:
    system_running.alerts(upsert(1), upsert(2, severity="critical"), upsert(3), part_of(3, stronger=2))
    system_running.services.status.tell("detection", state="failed")
    progress = Progress("detection")
    progress.stand({"0": 9}, {"0": 2})
    system_running.services.metrics.readings.add(progress.readings)
    with listening(system_running.signed_in()) as stream:
        next(stream)
        families = told(system_running.url)
    assert value(families, "icsight_alerts", severity="critical", state="new") == 1
    assert value(families, "icsight_alerts") == 2
    assert value(families, "icsight_live_streams") == 1
    assert value(families, "icsight_part_failed", part="detection") == 1
    assert value(families, "icsight_lag_batches", consumer="detection") == 7
