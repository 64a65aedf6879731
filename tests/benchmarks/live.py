"""`python -m tests.benchmarks.live`: live capture at rising rates and where loss starts. A part of `make bench`; needs root.

In a network name space, `tests/benchmarks/sender.py` on one core replays generated traffic of thousands of conversations
into one end of a cable; `icsight sensor run`, pinned to the other core, records at the other end into its spool, as on a
gateway. Packets are counted by the interface, by the sensor and by the kernel's ring. What the kernel does for a packet
until it lies in the ring happens on the sender's core, as it happens where an adapter's interrupts are served; with "kernel
too" it is moved to the sensor's core, which then does everything.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.benchmarks.captures import generated
from tests.benchmarks.replay import wire
from tests.sensor.recording import recording

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.benchmarks.replay import Sender, Wire

RATES: Final = (50_000, 100_000, 200_000, 300_000, 400_000, 600_000, 800_000, 0)
"""Packets a second that are asked for; 0 is all that the sender can do."""
LIMIT_RATE: Final = 200_000
"""At this rate nothing may be lost with at most one core."""
SECONDS: Final = 5.0
SETTLE_SECONDS: Final = 1.5
"""Until a ring that was full has been worked through."""
CONVERSATIONS: Final = 2_500
"""Of each protocol."""
PACKETS: Final = 1_000_000
"""Of each capture that is merged."""


@dataclass(frozen=True, slots=True)
class Course:
    """What is replayed, and how the sensor runs."""

    name: str
    protocols: tuple[str, ...]
    options: tuple[str, ...] = ("--packets-quota", "0")
    is_kernel_too: bool = False
    """Whether the kernel's work for a packet is on the sensor's core as well."""


COURSES: Final = (
    Course("Modbus", ("modbus", "modbus")),
    Course("Modbus and OPC UA", ("modbus", "opcua")),
    Course("Modbus and OPC UA, packets kept", ("modbus", "opcua"), ("--packets-quota", "2048")),
    Course("Modbus and OPC UA, kernel too", ("modbus", "opcua"), is_kernel_too=True),
)


@dataclass(frozen=True, slots=True)
class Step:
    """What became of one rate."""

    asked: int
    sent: int
    seconds: float
    received: int
    taken: int
    lost: dict[str, int]
    """By cause: the kernel's ring (`capture_dropped`), the packet ring (`packets_not_kept`), the interface (`interface`)."""
    cores: float
    """CPU seconds of the sensor for each second of traffic."""
    resident_mib: float

    @property
    def rate(self) -> float:
        """Packets a second that were reached."""
        return self.sent / self.seconds

    @property
    def missing(self) -> int:
        """Packets that were sent and not recorded."""
        return self.sent - self.taken

    def line(self) -> str:
        """As a row of the table."""
        asked = f"{self.asked:,}" if self.asked else "all"
        causes = ", ".join(f"{cause} {count:,}" for cause, count in self.lost.items() if count) or "-"
        return (
            f"{asked:>9}{self.rate:>11,.0f}{self.received:>12,}{self.taken:>12,}{self.missing:>10,}{self.cores:>8.2f}"
            f"{self.resident_mib:>7.0f}  {causes}"
        )


HEAD: Final = (
    f"{'asked/s':>9}{'reached/s':>11}{'received':>12}{'taken in':>12}{'missing':>10}{'cores':>8}{'MiB':>7}  counted as lost"
)


def run(on: Wire, courses: Iterable[Course] = COURSES, rates: Iterable[int] = RATES) -> None:
    """Measure each course at each rate and print it."""
    for course in courses:
        captures = [
            generated(PACKETS, protocol, connections=CONVERSATIONS, seed=seed)
            for seed, protocol in enumerate(course.protocols, 1)
        ]
        mask = 1 << on.sensor_core if course.is_kernel_too else 0
        on.network.shell(f"echo {mask:x} > /sys/class/net/mon0/queues/rx-0/rps_cpus")
        print(f"\nlive: {course.name}, {len(course.protocols) * CONVERSATIONS:,} conversations\n{HEAD}", flush=True)
        steps: list[Step] = []
        with on.sender(captures) as sender:
            for rate in rates:
                steps.append(_step(on, sender, course, rate))
                print(steps[-1].line(), flush=True)
        print(verdict(steps))


def _step(on: Wire, sender: Sender, course: Course, rate: int) -> Step:
    network = on.network
    with (
        tempfile.TemporaryDirectory(prefix="icsight-live-") as folder,
        recording(network, Path(folder) / "data", *course.options, prefix=on.sensor_prefix) as sensor,
    ):
        before = {name: network.counted("mon0", name) for name in ("rx_packets", "rx_dropped")}
        cpu = sensor.cpu_seconds()
        sent, took = sender.send(rate, SECONDS)
        cpu = sensor.cpu_seconds() - cpu
        time.sleep(SETTLE_SECONDS)
        resident = sensor.memory("VmHWM") / 1024
        taken, _, said = sensor.stop()
        if said:
            print(said, end="")
        counted = {cause.partition(":")[0]: count for cause, count in sensor.drops().items()}
        received, dropped = (network.counted("mon0", name) - count for name, count in before.items())
    lost = {cause: counted.get(cause, 0) for cause in ("capture_dropped", "packets_not_kept")} | {"interface": dropped}
    return Step(rate, sent, took, received, taken, lost, cpu / took, resident)


def verdict(steps: list[Step]) -> str:
    """What the steps say: loss at the rate that must be borne, and where loss starts."""
    at_limit = [step for step in steps if step.asked == LIMIT_RATE]
    said = [
        f"at {step.rate:,.0f} packets/s {step.missing:,} of {step.sent:,} lost, with {step.cores:.2f} of a core (limit 0 with 1)"
        for step in at_limit
    ]
    losing = [step.rate for step in steps if step.missing]
    most = max(step.rate for step in steps)
    if losing:
        clean = max((step.rate for step in steps if step.rate < min(losing)), default=0)
        said.append(f"loss starts between {clean:,.0f} and {min(losing):,.0f} packets/s")
    else:
        said.append(f"no loss up to {most:,.0f} packets/s, the most that the sender reached")
    return "; ".join(said)


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--course", action="append", choices=[course.name for course in COURSES], help="may be repeated")
    parser.add_argument("--rate", action="append", type=int, help="may be repeated; 0 is all that the sender can do")
    arguments = parser.parse_args()
    chosen = [course for course in COURSES if not arguments.course or course.name in arguments.course]
    with wire() as on:
        run(on, chosen, arguments.rate or RATES)


if __name__ == "__main__":
    main()
