"""A day (or less) of the plant as a capture, with the ground truth of its attacks."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from tests.plant import attacks, scenarios
from tests.plant.clients import SECOND
from tests.plant.frames import pcap_header, pcap_record
from tests.plant.plant import Plant

if TYPE_CHECKING:
    from collections.abc import Sequence

START: Final = 1_772_409_600 * SECOND
"""Monday 2026-03-02 00:00:00 UTC: 08:00 in Shanghai."""

PACE: Final = 3.0
"""Polling of a day's capture, so that it stays within 300,000 transactions."""

WORK_SHARE: Final = 0.4
"""Scenarios happen in this first part of the capture: in a whole day, in the hours in which people work."""


@dataclass(slots=True)
class Truth:
    """An attack as it is in the capture: times of its first and last packet, and its packets by number from 1."""

    name: str
    start: int
    end: int
    packets: list[int] = field(default_factory=list[int])

    def line(self) -> str:
        """As a line of JSON."""
        attack = attacks.ATTACKS[self.name]
        content: dict[str, Any] = {
            "name": self.name,
            "technique": attack.technique,
            "start": self.start,
            "end": self.end,
            "hosts": [host.ip for host in attack.hosts],
            "packets": self.packets,
        }
        return json.dumps(content)


def day(
    out: BinaryIO, *, seed: int, hours: float, scenario_names: Sequence[str], attack_names: Sequence[str]
) -> tuple[int, list[Truth]]:
    """Write a capture of so many hours; returns how many packets it has, and the attacks in the order in which they began."""
    plant = Plant(START, seed, PACE)
    span = int(hours * 3_600 * SECOND)
    for number, name in enumerate(scenario_names, 1):
        scenarios.schedule(plant, name, START + int(span * WORK_SHARE) * number // (len(scenario_names) + 1))
    for number, name in enumerate(attack_names, 1):
        attacks.schedule(plant, name, START + span * number // (len(attack_names) + 1))
    return record(plant, out, START + span)


def record(plant: Plant, out: BinaryIO, until: int) -> tuple[int, list[Truth]]:
    """Write what happens in a plant from now to then; returns how many packets, and the attacks in order of their beginning."""
    truth: dict[str, Truth] = {}
    count = 0
    out.write(pcap_header())
    for packet in plant.run(until):
        count += 1
        out.write(pcap_record(packet))
        if packet.tag:
            attack = truth.setdefault(packet.tag, Truth(packet.tag, packet.ts, packet.ts))
            attack.end = packet.ts
            attack.packets.append(count)
    return count, list(truth.values())
