"""After an hour's outage: a spool that holds an hour of records is shipped, stored and looked at, while the sensor records on.

The live batches come in real time behind the backlog. What has been caught up by when is told in multiples of the live rate: the
hour's records, and those that came meanwhile, by the time until nothing waited any more. The uplink keeps its own pace.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sensor.spool import Spool
from tests.benchmarks.distributed.sample import repeated
from tests.benchmarks.distributed.system import PATIENCE_SECONDS, Standing

if TYPE_CHECKING:
    from collector.stream import Outgoing
    from tests.benchmarks.distributed.system import System

SENSOR: Final = "outage"
SITE: Final = "works"
LIMIT: Final = 10.0
"""Times the live rate at which it is to be caught up, at least."""
LOOK_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Recovery:
    """How an outage was caught up.

    Attributes:
        minutes: length of the outage.
        batches: batches that waited.
        rows: records in them.
        live: batches that came while it was caught up.
        seconds: by stage, from the first connection until nothing waited.
        cpu: CPU seconds by stage.
    """

    minutes: float
    batches: int
    rows: int
    live: int
    seconds: dict[str, float]
    cpu: dict[str, float]

    def times(self, stage: str) -> float:
        """By how many times the live rate a stage went."""
        return (60 * self.minutes + self.seconds[stage]) / self.seconds[stage]

    def lines(self) -> list[str]:
        """A table."""
        lines = [
            f"outage of {self.minutes:g} minutes ({self.batches:,} batches, {self.rows:,} records; {self.live:,} batches came "
            f"meanwhile): caught up after, at times the live rate (limit {LIMIT:g})"
        ]
        lines += [
            f"  {stage:<12} {seconds:>7.1f} s {self.times(stage):>7.1f} x   CPU {self.cpu[stage]:.1f} s"
            for stage, seconds in self.seconds.items()
        ]
        lines.append(f"  limits: {max(self.seconds, key=lambda stage: self.seconds[stage])}")
        return lines


def measure(system: System, batches: list[Outgoing], live_seconds: float, minutes: float) -> Recovery:
    """Fill a spool with so many minutes of these batches, which are `live_seconds` of a sensor, and catch up."""
    data = system.folder / "outage"
    data.mkdir()
    turns = round(60 * minutes / live_seconds)
    running = [system.collector(), system.worker("one")]
    standing = Standing(system, system.collectors(), system.workers)
    stop = threading.Event()
    count = len(batches) * turns
    with Spool(data / "spool", sensor=SENSOR, site=SITE) as spool:
        source = repeated(batches, SENSOR, SITE, 2 * turns, live_seconds)
        rows = 0
        for _ in range(count):
            batch = next(source)
            rows += batch.header.rows
            spool.append(batch.header, batch.data)
        spool.sync()
        came = 0

        def record() -> None:
            nonlocal came
            start = time.monotonic()
            for batch in source:
                if stop.wait(max(0.0, start + came * live_seconds / len(batches) - time.monotonic())):
                    return
                spool.append(batch.header, batch.data)
                spool.sync()
                came += 1

        thread = threading.Thread(target=record)
        thread.start()
        try:
            before = {"collector": running[0].cpu(), "detection": running[1].cpu()}
            start = time.monotonic()
            uplink = system.uplink(data, paced=True)
            running.append(uplink)
            looks = {
                "uplink": standing.sent,
                "collector": lambda: standing.done(system.collectors()),
                "detection": lambda: standing.done(system.workers),
            }
            seconds: dict[str, float] = {}
            # A live batch is on its way for a second or two: what came in the last three may be.
            slack = round(3 * len(batches) / live_seconds)
            while len(seconds) < len(looks):
                for stage, look in looks.items():
                    if stage not in seconds and look() >= count + came - slack:
                        seconds[stage] = time.monotonic() - start
                if time.monotonic() > start + PATIENCE_SECONDS:
                    raise RuntimeError(f"not caught up in {PATIENCE_SECONDS:.0f} s: {sorted(looks.keys() - seconds.keys())}")
                time.sleep(LOOK_SECONDS)
            cpu = {
                "uplink": uplink.cpu(),
                "collector": running[0].cpu() - before["collector"],
                "detection": running[1].cpu() - before["detection"],
            }
        finally:
            stop.set()
            thread.join()
            standing.close()
            for process in running:
                process.stop()
    return Recovery(minutes, count, rows, came, seconds, cpu)
