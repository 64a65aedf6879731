"""Processes over Kafka are watched as one system: figures, readiness, logs and traces of a batch from the spool to its alert."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
from prometheus_client.openmetrics.parser import text_string_to_metric_families  # pyright: ignore[reportUnknownVariableType]  untyped

from collector.stream.kafka_sensors import needs
from collector.stream.kafka_topics import DECLARATION, apply, declared
from detection.published import publish_rules
from detection.ruleset import RuleFiles
from detection.timing import DETECTORS
from sensor import tracing
from sensor.spool import Spool
from tests.detection.on_kafka import System
from tests.detection.test_gaps import minutes
from tests.detection.test_grouping import rule, write_rules
from tests.sensor.test_observability import Receiver
from tests.services.process import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.services.kafka import Kafka

ICSIGHT: Final = Path(sys.executable).with_name("icsight")
COUNT: Final = 3
"""Batches, each with one request that a rule is about."""


def until(what: Callable[[], Any], seconds: float = 60.0) -> Any:
    """The first answer that is true; a server that is not there yet has none."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if found := what():
                return found
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.1)


class Processes:
    """Processes of one system, each at an address of its own."""

    def __init__(self, environment: dict[str, str], folder: Path, stack: ExitStack) -> None:
        self._environment = environment
        self._folder = folder
        self._stack = stack
        self._urls: dict[str, str] = {}

    def start(self, name: str, *arguments: str | Path) -> None:
        """Start one; its log goes to a file of its name."""
        listen = f"127.0.0.1:{free_port()}"
        self._urls[name] = f"http://{listen}"
        environment = {**os.environ, **self._environment, "ICSIGHT_OBSERVABILITY_LISTEN": listen}
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen([ICSIGHT, *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=log)
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)

    def ready(self, name: str) -> httpx.Response:
        return httpx.get(f"{self._urls[name]}/readyz")

    def failures(self, name: str) -> dict[str, str]:
        """What does not work, and why."""
        return self.ready(name).json().get("failures", {})

    def told(self, name: str) -> dict[str, float]:
        """Its samples: name, and labels where there are any."""
        told = httpx.get(f"{self._urls[name]}/metrics").text
        samples = [sample for family in text_string_to_metric_families(told) for sample in family.samples]
        return {" ".join((sample.name, *sample.labels.values())): sample.value for sample in samples}

    def log(self, name: str) -> list[dict[str, Any]]:
        """Its log; other lines than JSON are refused."""
        lines = (self._folder / f"{name}.log").read_text().splitlines()
        return [json.loads(line) for line in lines]


def test_a_batch_is_followed_through_all_processes_and_a_broker_that_is_gone_is_told(
    private_kafka: Kafka, tmp_path: Path
) -> None:
    system = System(private_kafka, tmp_path, 1)
    for wanted in (declared(DECLARATION, system.kafka.prefix, 1), needs(system.kafka.prefix, "north", 1)):
        apply(system.kafka, wanted)
    (tmp_path / "rules").mkdir()
    write_rules(tmp_path / "rules", rule("diagnostic", "medium", {"selection": {"modbus.function_code": 8}}))
    publish_rules(system.kafka, system.topics, RuleFiles([tmp_path / "rules"]).read())
    batches = minutes(range(COUNT))
    run = "/".join(batches[0].header.run)
    with Spool(tmp_path / "data" / "spool", sensor="north") as spool:
        for batch in batches:
            spool.append(batch.header, batch.data)
    receiver = Receiver()
    environment = {
        **system.environment(),
        "ICSIGHT_OBSERVABILITY_LOG_FORMAT": "json",
        "ICSIGHT_OBSERVABILITY_LOG_LEVEL": "debug",
        "ICSIGHT_OBSERVABILITY_OTLP_ENDPOINT": receiver.url,
    }
    with ExitStack() as stack:
        stack.callback(receiver.close)
        processes = Processes(environment, tmp_path, stack)
        processes.start("uplink", "sensor", "uplink", "--data", tmp_path / "data")
        processes.start("collect", "collect", "--data", tmp_path / "store")
        processes.start("detect", "detect", "--worker", "one")
        until(lambda: processes.told("uplink")["icsight_uplink_batches_total"] == COUNT)
        until(lambda: processes.told("collect")["icsight_store_batches_total"] == COUNT)
        until(lambda: processes.told("detect")["icsight_detection_records_total"] == COUNT)
        until(lambda: processes.told("detect")["icsight_detection_alert_upserts_total"] >= 1)
        for name in ("uplink", "collect", "detect"):
            until(lambda name=name: processes.ready(name).status_code == 200)
        until(lambda: processes.told("detect")["icsight_lag_batches detection"] == 0)

        stored, detected = processes.told("collect"), processes.told("detect")
        assert stored["icsight_store_records_total"] == COUNT
        assert (stored["icsight_lag_batches store"], stored["icsight_store_dead_letters_total"]) == (0, 0)
        assert stored["icsight_batch_age_seconds store"] > 0
        assert stored["icsight_store_seconds_total"] > 0
        assert detected["icsight_gaps_total detection"] == 0
        assert detected["icsight_detector_seconds_total rules"] > 0
        assert {key.split()[1] for key in detected if key.startswith("icsight_detector_seconds_total")} == set(DETECTORS)

        # One alert, which begins with the first of them.
        batch = f"{run}/0"
        alert = next(line for line in processes.log("detect") if "icsight.alert" in line and line["icsight.batch"] == batch)
        assert alert["message"] == "diagnostic"
        assert any(line.get("icsight.batch") == batch for line in processes.log("uplink"))
        assert any(line.get("icsight.batch") == batch for line in processes.log("collect"))
        ways = {
            ("icsight-uplink", "ship"), ("icsight-collect", "store"), ("icsight-detect", "detect"), ("icsight-detect", "alert")
        }  # fmt: skip
        trace = tracing.trace_id(batch).to_bytes(16)
        until(lambda: {(service, span.name) for service, span in receiver.spans if span.trace_id == trace} == ways)

        private_kafka.kill()
        gone = time.monotonic()
        for name in ("uplink", "collect", "detect"):
            # Who asks while it dies is told of a connection that was closed.
            until(lambda name=name: "no broker answers" in processes.failures(name).get("kafka", ""), 30.0)
            assert processes.ready(name).status_code == 503
        assert time.monotonic() - gone < 30
