"""What a site of several live sensors costs the busiest worker: whole, and split over one, two and three workers.

CPU seconds of each worker's process between its start and the last commit count, so that neither the broker nor how busy the
machine is has a say. Sensors are named so that their shares are spread evenly, as many sensors are by themselves.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from detection.parcels import share_of
from detection.published import publish_rules, publish_site
from detection.ruleset import RuleFiles
from detection.site import Site
from tests.benchmarks.distributed import sample
from tests.benchmarks.distributed.system import PATIENCE_SECONDS, used
from tests.detection.on_kafka import System

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from collector.stream import Outgoing
    from tests.services.kafka import Kafka

SITE: Final = "works"
SENSORS: Final = 12
WORKERS: Final = (0, 1, 2, 3)
"""So many workers share the site; 0: one has it whole."""

READY_SECONDS: Final = 16.0
"""So long workers take to be there, and to have their partitions."""

QUIET_SECONDS: Final = 12.0
"""So long nothing more is done where all is worked off: a worker that has much to do commits seldom."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one way cost.

    Attributes:
        workers: as of WORKERS.
        records: records that were looked at.
        seconds: CPU seconds of each worker.
        alerts: alerts that came of it.
    """

    workers: int
    records: int
    seconds: tuple[float, ...]
    alerts: int

    @property
    def line(self) -> str:
        """It in words."""
        way = f"split over {self.workers}" if self.workers else "whole"
        each = ", ".join(f"{seconds:.1f}" for seconds in sorted(self.seconds, reverse=True))
        busiest = max(self.seconds)
        return (
            f"site of {SENSORS} live sensors, {way}: busiest worker {busiest / self.records * 1e6:.0f} µs of CPU a record "
            f"({each} s for {self.records:,} records, {self.alerts} alerts)"
        )


def batches(live: Sequence[Outgoing]) -> list[Outgoing]:
    """A live sensor's batches as those of several sensors of one site, in turns."""
    names: list[str] = []
    for number in itertools.count():
        if len(names) == SENSORS:
            break
        if share_of(f"sensor-{number}", SENSORS) == len(names):
            names.append(f"sensor-{number}")
    own = [list(sample.repeated(live, name, SITE, 1, 0)) for name in names]
    return [batch for turn in zip(*own, strict=True) for batch in turn]


def measure(folder: Path, kafka: Kafka, sent: Sequence[Outgoing], workers: int) -> Found:
    """Look at the batches one way."""
    folder.mkdir()
    system = System(kafka, folder, SENSORS)
    system.settings = system.settings.model_copy(update={"commit_seconds": 1.0})
    publish_rules(system.kafka, system.topics, RuleFiles().read())
    publish_site(system.kafka, system.topics, Site(site=SITE, split=workers > 0))
    # Topics of records and of shares have the same worker by partition: the sensors are spread over those that there are.
    with ExitStack() as stack:
        running = [stack.enter_context(_worker(system, f"w{number}")) for number in range(max(1, workers))]
        # Who comes late takes partitions over: nothing is sent before all are there.
        time.sleep(READY_SECONDS)
        before = [used(each.pid) for each in running]
        system.send(sent)
        system.send_long_after(sent[-1])
        _wait(system, len(sent) + 1)
        seconds = tuple(used(each.pid) - begin for each, begin in zip(running, before, strict=True))
    alerts = len({alert.id for alert in system.alerts()})
    return Found(workers, sum(batch.header.rows for batch in sent), seconds, alerts)


def _wait(system: System, messages: int) -> None:
    """Wait until all is worked off, and nothing more comes of it."""
    end, idle = time.monotonic() + PATIENCE_SECONDS, time.monotonic()
    stood: tuple[int, int] | None = None
    while time.monotonic() < end:
        # How much of the shares is left to read cannot be told: marks of transactions lie behind the last message of a partition.
        stands = system.committed(), system.shared()
        if stands != stood or stands[0] < messages:
            stood, idle = stands, time.monotonic()
        elif time.monotonic() - idle > QUIET_SECONDS:
            return
        time.sleep(0.5)
    raise TimeoutError(f"workers have not done with {messages} messages")


@contextmanager
def _worker(system: System, name: str) -> Generator[subprocess.Popen[bytes]]:
    """A worker that runs, in a group of processes of its own."""
    command = [sys.executable, "-c", "from api.cli import main; main()", "detect", "--worker", name]
    environment = {**os.environ, **system.environment(), "POLARS_MAX_THREADS": "1"}
    made = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, cwd=sample.ROOT, start_new_session=True)
    try:
        yield made
    finally:
        made.terminate()
        made.wait(60)
