"""`python -m tests.benchmarks.scaleout`: what detection on Kafka costs beside detection on one machine, on the same batches.

CPU seconds of this process alone count, so that the broker, which has its own, is left out; of the worker on Kafka they hold
consuming, the changelog and the transactions. Both look with the rules of the product, and learn what is normal.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from collector.stream.local import LocalStream
from detection.control import Control
from detection.pipeline import Pipeline
from detection.ruleset import RuleFiles
from detection.settings import DetectionSettings
from detection.site import Site
from detection.worker import Worker
from sensor.spool import Spool
from tests.benchmarks.captures import generated
from tests.detection.on_kafka import System
from tests.services.kafka import Kafka
from tests.system.test_equivalence import recorded

if TYPE_CHECKING:
    from collections.abc import Callable

    from collector.stream import Outgoing

PACKETS: Final = 1_000_000
"""Packets of the capture."""

SITE: Final = "works"
IDLE_SECONDS: Final = 3.0


def seconds(work: Callable[[], int]) -> tuple[float, int]:
    """CPU seconds of this process for some work, and the records that it was about."""
    begin = time.process_time()
    records = work()
    return time.process_time() - begin, records


def embedded(folder: Path, batches: list[Outgoing]) -> Callable[[], int]:
    """Detection on one machine, over a spool that is there."""
    with Spool(folder / "spool", sensor="test") as spool:
        LocalStream(folder / "spool", spool).publish(batches)

    def work() -> int:
        with Spool(folder / "alerts", sensor="detection") as alerts, Spool(folder / "control", sensor="control") as held:
            pipeline, _ = Pipeline.proved(RuleFiles().read(), Site(site=SITE))
            worker = Worker(
                LocalStream(folder / "spool"), LocalStream(folder / "alerts", alerts), pipeline, folder / "detection.zip",
                Control(LocalStream(folder / "control", held)), settings=DetectionSettings(),
            )  # fmt: skip
            worker.drain()
            return worker.counters.records

    return work


def main(packets: int) -> None:
    """Measure, and print the ratio."""
    batches = recorded(generated(packets), SITE, "sensor")
    with tempfile.TemporaryDirectory(prefix="icsight-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "one").mkdir()
        one, records = seconds(embedded(folder / "one", batches))
        kafka = Kafka(folder / "kafka").start()
        try:
            system = System(kafka, folder, 1)
            system.send(batches)
            other, there = seconds(lambda: system.work(idle_seconds=IDLE_SECONDS).records)
        finally:
            kafka.stop()
    assert records == there
    print(f"{len(batches)} batches, {records:,} records: one machine {one:.2f} s CPU, {records / one:,.0f} records/s")
    print(f"  on Kafka {other:.2f} s CPU, {records / other:,.0f} records/s: {one / other:.2f} of the rate of one machine")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else PACKETS)
