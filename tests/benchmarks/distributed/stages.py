"""Records a second end to end, by stage: from a spool over Kafka into Elasticsearch, with detection beside it.

All processes work at once and share the machine. By the clock a stage is as fast as what the others leave it; records by CPU
second of its own say what it could do with a core to itself, and the lowest names the stage that limits.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.benchmarks.distributed import sample
from tests.benchmarks.distributed.system import PATIENCE_SECONDS, Standing

if TYPE_CHECKING:
    from collections.abc import Callable

    from collector.stream import Outgoing
    from tests.benchmarks.distributed.system import System

SENSOR: Final = "stages"
SITE: Final = "works"
LOOK_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Stage:
    """What a stage took: seconds until it was done with all, None where it only serves others, and its CPU seconds."""

    name: str
    wall: float | None
    cpu: float


@dataclass(frozen=True, slots=True)
class Run:
    """One run over all stages."""

    batches: int
    rows: int
    stages: list[Stage]

    @property
    def limiting(self) -> Stage:
        """The stage that does least for a CPU second."""
        return max(self.stages, key=lambda stage: stage.cpu)

    @property
    def last(self) -> Stage:
        """The stage that was done last."""
        return max(self.stages, key=lambda stage: stage.wall or 0.0)

    def lines(self, name: str) -> list[str]:
        """A table."""
        lines = [f"stages, {name} ({self.batches:,} batches, {self.rows:,} records): records a second by the clock, a CPU second"]
        for stage in self.stages:
            clock = "" if stage.wall is None else f"{self.rows / stage.wall:,.0f}"
            rate = f"{self.rows / stage.cpu:,.0f}" if stage.cpu else "-"
            lines.append(f"  {stage.name:<18} {clock:>10} {rate:>12} {stage.cpu / self.batches * 1000:>8.2f} ms a batch")
        lines.append(f"  limits: {self.limiting.name} (least for a CPU second); done last: {self.last.name}")
        return lines


def measure(system: System, name: str, batches: list[Outgoing]) -> Run:
    """Spool the batches, then let everything work on them until all are stored and looked at."""
    data = system.folder / f"stages-{name}"
    data.mkdir()
    begin = time.process_time()
    sample.spooled(data / "spool", batches, SENSOR, SITE)
    spooled = time.process_time() - begin
    running = [system.collector(), system.worker("one")]
    standing = Standing(system, system.collectors(), system.workers)
    try:
        collector, worker = running
        before = [collector.cpu(), worker.cpu(), system.broker_cpu(), system.node_cpu()]
        start = time.monotonic()
        uplink = system.uplink(data)
        running.append(uplink)
        total = len(batches)
        done = _times(
            start,
            {
                "uplink": lambda: standing.sent() >= total,
                "collector": lambda: standing.done(system.collectors()) >= total,
                "detection": lambda: standing.done(system.workers) >= total,
            },
        )
        after = [collector.cpu(), worker.cpu(), system.broker_cpu(), system.node_cpu()]
        of_collector, of_worker, of_broker, of_node = (b - a for a, b in zip(before, after, strict=True))
        stages = [
            Stage("spool", None, spooled),
            Stage("uplink", done["uplink"], uplink.cpu()),
            Stage("Kafka", None, of_broker),
            Stage("collector", done["collector"], of_collector),
            Stage("Elasticsearch", None, of_node),
            Stage("detection", done["detection"], of_worker),
        ]
        return Run(total, sum(batch.header.rows for batch in batches), stages)
    finally:
        standing.close()
        for process in running:
            process.stop()


def _times(start: float, conditions: dict[str, Callable[[], bool]]) -> dict[str, float]:
    """Seconds from the start until each holds. Raises RuntimeError where one takes too long."""
    taken: dict[str, float] = {}
    while len(taken) < len(conditions):
        if time.monotonic() > start + PATIENCE_SECONDS:
            raise RuntimeError(f"not done in {PATIENCE_SECONDS:.0f} s: {', '.join(sorted(conditions.keys() - taken.keys()))}")
        for name, holds in conditions.items():
            if name not in taken and holds():
                taken[name] = time.monotonic() - start
        time.sleep(LOOK_SECONDS)
    return taken
