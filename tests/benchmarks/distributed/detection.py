"""What detection on Kafka costs beside detection on one machine, on the same batches.

CPU seconds of this process alone count, so that the broker, which has its own, is left out; of the worker on Kafka they hold
consuming, the changelog and the transactions. Both look with the rules of the product, and learn what is normal.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from collector.stream.local import LocalStream
from detection.control import Control
from detection.pipeline import Pipeline
from detection.ruleset import RuleFiles
from detection.settings import DetectionSettings
from detection.site import Site
from detection.worker import Worker
from sensor.spool import Spool
from tests.detection.on_kafka import System

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from collector.stream import Outgoing
    from tests.services.kafka import Kafka

SITE: Final = "works"
IDLE_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """CPU seconds of both ways over the same records."""

    records: int
    embedded: float
    on_kafka: float

    @property
    def ratio(self) -> float:
        """Rate of a worker on Kafka by that of one machine."""
        return self.embedded / self.on_kafka


def compare(folder: Path, kafka: Kafka, batches: list[Outgoing]) -> Comparison:
    """Look at the same batches both ways."""
    (folder / "one").mkdir()
    one, records = _seconds(_embedded(folder / "one", batches))
    system = System(kafka, folder, 1)
    system.send(batches)
    other, there = _seconds(lambda: system.work(idle_seconds=IDLE_SECONDS).records)
    assert records == there
    return Comparison(records, one, other)


def _seconds(work: Callable[[], int]) -> tuple[float, int]:
    """CPU seconds of this process for some work, and the records that it was about."""
    begin = time.process_time()
    records = work()
    return time.process_time() - begin, records


def _embedded(folder: Path, batches: list[Outgoing]) -> Callable[[], int]:
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
