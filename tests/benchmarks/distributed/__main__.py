"""`make bench-distributed`: speed of the distributed way, in one run, as ratios to a peer or a limit where there is one.

Kafka, Elasticsearch and all processes of the product share the machine, so that records a second are those of all together on its
cores; CPU seconds by process say what each needs. Parts: stages (which names the one that limits), bytes, sensors, outage,
uplink, store, detection, split, latency.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.benchmarks.captures import folder, generated
from tests.benchmarks.distributed import detection, latency, outage, sample, sensors, sizes, split, stages, store, uplink
from tests.benchmarks.distributed.system import services
from tests.benchmarks.latency import watched

if TYPE_CHECKING:
    from collector.stream import Outgoing
    from tests.benchmarks.distributed.system import System

PACKETS: Final = 400_000
"""Packets of the capture whose batches are large."""

LARGE_BATCHES: Final = 7
"""Of these, as many as are taken through all stages: a hundred thousand records."""

LIVE_SECONDS: Final = 20.0
LIVE_TURNS: Final = 10
"""Times that these are taken through all stages."""

SPEED: Final = 10.0
"""Of the simulated plant's clock: its five controllers say as much as fifty."""

SENSOR: Final = "sensor"
SITE: Final = "works"

UPLINK_LIMIT: Final = 0.9
STORE_LIMIT: Final = 0.8


@dataclass(slots=True)
class Report:
    """What was measured: lines for people, values for programs."""

    values: dict[str, Any] = field(default_factory=dict[str, Any])

    def tell(self, name: str, line: str, value: Any) -> None:
        """Print a line at once, and keep the value."""
        print(line, flush=True)
        self.values[name] = value


class Bench:
    """One run over services that are there.

    Args:
        system: the services.
        report: what was measured.
        rounds: turns of each way where two are compared.
        minutes: length of the outage.
    """

    def __init__(self, system: System, report: Report, rounds: int, minutes: float) -> None:
        self.system: Final = system
        self.report: Final = report
        self.rounds: Final = rounds
        self.minutes: Final = minutes
        self._live: list[Outgoing] = []
        self._small: list[Outgoing] = []
        self._large: list[Outgoing] = []

    @property
    def live(self) -> list[Outgoing]:
        """Batches of a live sensor of a large plant."""
        if not self._live:
            self._live = sample.live(LIVE_SECONDS, SPEED)
            self._describe("live", self._live)
        return self._live

    @property
    def small(self) -> list[Outgoing]:
        """Batches of a live sensor of a small plant."""
        if not self._small:
            self._small = sample.live(LIVE_SECONDS, 1.0)
            self._describe("live, small plant", self._small)
        return self._small

    @property
    def large(self) -> list[Outgoing]:
        """Batches of a capture that is read at once, as one run of a sensor."""
        if not self._large:
            read = sample.capture(generated(PACKETS), SENSOR, SITE)
            self._large = list(sample.repeated(read, SENSOR, SITE, 1, 0))
            self._describe("capture", self._large)
        return self._large

    def stages(self) -> None:
        """Records a second by stage."""
        several = list(sample.repeated(self.live, stages.SENSOR, stages.SITE, LIVE_TURNS, LIVE_SECONDS))
        large = list(sample.repeated(self.large[:LARGE_BATCHES], stages.SENSOR, stages.SITE, 1, 0))
        for name, batches in (("large", large), ("live", several)):
            found = stages.measure(self.system.another(), name, batches)
            self.report.tell(f"stages, {name}", "\n".join(found.lines(name)), {**asdict(found), "limits": found.limiting.name})

    def bytes(self) -> None:
        """Bytes a record in each place."""
        several = list(sample.repeated(self.live, sizes.SENSOR, sizes.SITE, LIVE_TURNS, LIVE_SECONDS))
        large = list(sample.repeated(self.large[:LARGE_BATCHES], sizes.SENSOR, sizes.SITE, 1, 0))
        for name, batches in (("large", large), ("live", several)):
            found = sizes.measure(self.system.another(), name, batches)
            self.report.tell(f"bytes, {name}", "\n".join(found.lines(name)), asdict(found))

    def sensors(self) -> None:
        """A thousand sensors and one collector."""
        small = self.small
        print(f"{sensors.SENSORS:,} sensors, a batch a second each, for {sensors.SECONDS} s, and one collector:\n{sensors.HEAD}")
        for into_files in (True, False):
            found = sensors.measure(self.system.another(), small, into_files=into_files)
            self.report.tell(f"sensors, {found.place}", found.line(), asdict(found))

    def outage(self) -> None:
        """An outage is caught up."""
        found = outage.measure(self.system.another(), self.small, LIVE_SECONDS, self.minutes)
        self.report.tell("outage", "\n".join(found.lines()), asdict(found))

    def uplink(self) -> None:
        """The uplink against a bare loop."""
        small = list(sample.repeated(self.live, uplink.SENSOR, uplink.SITE, 10, LIVE_SECONDS))
        large = list(sample.repeated(self.large, uplink.SENSOR, uplink.SITE, 4, 1000))
        for name, batches in (("large batches", large), ("live batches", small)):
            found = uplink.compare(self.system.another(), batches, self.rounds)
            rate = found.bytes / 1e6
            self.report.tell(
                f"uplink, {name}",
                f"uplink, {name} ({found.batches:,} of {found.bytes / found.batches / 1000:.1f} kB, {found.rows:,} records): "
                f"{found.ratio('wall'):.2f} of a bare loop by the clock, {found.ratio('cpu'):.2f} by CPU (limit {UPLINK_LIMIT}); "
                f"{rate / found.fastest('wall'):.0f} MB/s, {found.rows / found.fastest('wall'):,.0f} records/s, "
                f"{found.batches / found.fastest('cpu'):,.0f} batches a CPU second",
                {**asdict(found), "ratio": found.ratio("wall"), "ratio_cpu": found.ratio("cpu")},
            )

    def store(self) -> None:
        """The store against a bare loop, with one request at a time and with two."""
        for requests in (1, 2):
            found = store.compare(self.system.another(), requests, 20_000, self.rounds)
            own = min(turn.own for turn in found.store)
            self.report.tell(
                f"store, {requests} at a time",
                f"store, {requests} request{'s' * (requests > 1)} at a time: {found.ratio():.2f} of a bare loop by the clock "
                f"(limit {STORE_LIMIT}), {found.cpu_ratio():.2f} by CPU of both processes; "
                f"{found.rows / min(turn.wall for turn in found.store):,.0f} records/s; own CPU {own:.2f} s for {found.rows:,} "
                f"records, of which {found.lines:.2f} s make the lines; the node {min(turn.node for turn in found.store):.2f} s",
                {**asdict(found), "ratio": found.ratio(), "ratio_cpu": found.cpu_ratio()},
            )

    def detection(self) -> None:
        """Detection on Kafka against detection on one machine."""
        place = self.system.folder / "detection"
        place.mkdir()
        found = detection.compare(place, self.system.kafka, self.large)
        self.report.tell(
            "detection",
            f"detection on Kafka: {found.ratio:.2f} of one machine by CPU over {found.records:,} records "
            f"({found.records / found.embedded:,.0f} and {found.records / found.on_kafka:,.0f} records a CPU second)",
            {**asdict(found), "ratio": found.ratio},
        )

    def split(self) -> None:
        """A site whole and split over workers."""
        sent = split.batches(self.live)
        for workers in split.WORKERS:
            found = split.measure(self.system.folder / f"split-{workers}", self.system.kafka, sent, workers)
            self.report.tell(f"split, {workers} workers", found.line, asdict(found))

    def latency(self) -> None:
        """From packet to alert."""
        if os.geteuid() != 0:
            print("live capture needs root: packet to alert is not measured")
            return
        with watched() as network:
            found = latency.measure(self.system.another(), network)
        self.report.tell("latency", found.line("over Kafka"), asdict(found))

    def _describe(self, name: str, batches: list[Outgoing]) -> None:
        rows = sum(batch.header.rows for batch in batches)
        size = sum(len(batch.data) for batch in batches)
        cuts = len({batch.header.cut for batch in batches})
        self.report.tell(
            f"batches, {name}",
            f"batches, {name}: {len(batches):,} in {cuts} cuts, {rows:,} records, {size / len(batches) / 1000:.1f} kB each",
            {"batches": len(batches), "cuts": cuts, "rows": rows, "bytes": size},
        )


PARTS: Final = ("stages", "bytes", "sensors", "outage", "uplink", "store", "detection", "split", "latency")


def main() -> None:
    """Read the command line, measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.distributed", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all without any")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each way where two are compared")
    parser.add_argument("--minutes", type=float, default=60.0, help="length of the outage that is caught up")
    parser.add_argument("--json", type=Path, default=folder() / "distributed.json", metavar="FILE", help="values, for programs")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"{min(unknown)}: no such part; there are {', '.join(PARTS)}")
    report = Report({"cores": os.cpu_count(), "machine": platform.processor() or platform.machine(), "load": os.getloadavg()})
    begin = time.monotonic()
    failed: list[str] = []
    with services() as system:
        bench = Bench(system, report, arguments.rounds, arguments.minutes)
        for part in arguments.parts or PARTS:
            try:
                getattr(bench, part)()
            except Exception:  # noqa: BLE001 - told, and the other parts have taken long
                failed.append(part)
                traceback.print_exc()
            arguments.json.write_text(json.dumps(report.values, indent=1))
    busy = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    report.tell("seconds", f"{time.monotonic() - begin:.0f} s; load of the machine at the end {busy}", time.monotonic() - begin)
    arguments.json.write_text(json.dumps(report.values, indent=1))
    print(f"written: {arguments.json}")
    if failed:
        sys.exit(f"not measured, see above: {', '.join(failed)}")


if __name__ == "__main__":
    main()
