"""`python -m tests.benchmarks.open_flows`: a sensor's memory with ten thousand conversations open. A part of `make bench`.

Half of them are Modbus, half OPC UA sessions with a subscription; each has a client and a server of its own, and asks once
a second. `icsight sensor run` records them from a wire as on a gateway, packets kept, and the kernel says what its process
held.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.benchmarks.captures import generated
from tests.benchmarks.replay import AHEAD, wire
from tests.sensor.recording import recording

if TYPE_CHECKING:
    from tests.benchmarks.replay import Wire

CONVERSATIONS: Final = 10_000
PACKETS: Final = {"modbus": 600_000, "opcua": 650_000}
"""Of each capture; an OPC UA session takes longer to begin."""
RATE: Final = 30_000
"""Packets a second: a request, its response and its acknowledgment of each conversation."""
LIMIT_MIB: Final = 150


@dataclass(frozen=True, slots=True)
class Memory:
    """What the process held, in MiB."""

    conversations: int
    """Most that were open at once, as the sensor counted them."""
    packets: int
    lost: int
    begun_mib: float
    """Resident before the first packet."""
    resident_mib: float
    """Resident at the last packet."""
    most_mib: float
    """The most that was ever resident."""

    def line(self) -> str:
        """As a sentence."""
        return (
            f"memory of a sensor with {self.conversations:,} open conversations: {self.resident_mib:.0f} MiB resident, at most "
            f"{self.most_mib:.0f} (limit {LIMIT_MIB}); {self.begun_mib:.0f} before the first packet; {self.packets:,} packets, "
            f"{self.lost:,} lost"
        )


def measure(on: Wire, protocols: tuple[str, ...] = tuple(PACKETS)) -> Memory:
    """Keep the conversations open until the captures end."""
    captures = [generated(PACKETS[protocol], protocol, connections=CONVERSATIONS // 2) for protocol in protocols]
    with (
        tempfile.TemporaryDirectory(prefix="icsight-live-") as folder,
        on.sender(captures) as sender,
        recording(on.network, Path(folder) / "data", prefix=AHEAD) as sensor,
    ):
        begun = sensor.memory("VmRSS")
        sender.send(RATE, 1 + sum(PACKETS.values()) / RATE)
        resident, most = sensor.memory("VmRSS"), sensor.memory("VmHWM")
        packets, lost, _ = sensor.stop()
        open_at_once = int(sensor.rows("sensor")["sensor.flows"].max())  # pyright: ignore[reportArgumentType]  a number
    return Memory(open_at_once, packets, lost, begun / 1024, resident / 1024, most / 1024)


def main() -> None:
    """Measure and print it."""
    with wire() as on:
        print(measure(on).line())


if __name__ == "__main__":
    main()
