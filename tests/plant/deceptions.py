"""Attacks after which values lie: a man in the middle alters them, or a controller that was tampered with makes them up.

Nothing about single messages is wrong here. What gives these attacks away are frames that pass twice, and values that repeat or
whose low bits are no noise.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

from tests.plant.clients import SECOND
from tests.plant.controllers import Distortion
from tests.plant.frames import Middle
from tests.plant.plant import DISTRIBUTION, HMI, INTRUDER, Plant
from tests.plant.probes import claim

if TYPE_CHECKING:
    from collections.abc import Iterator

MIDDLE_SECONDS: Final = 60
"""How long the man in the middle stays."""

CLAIM_SECONDS: Final = 5
"""How often he claims the addresses anew, before the hosts ask for them again."""

PRESSURE_AT: Final = 9 + 2 * 3
"""Where an answer with the distribution's values holds the pressure."""

SHOWN_MBAR: Final = 4_200
"""The pressure that operators are shown."""

RECORDED_SECONDS, REPLAYED_SECONDS = 60, 300

MESSAGE: Final = b"\x7eSTAGE2\x7e"
"""What the covert channel carries."""


def altered_answers(plant: Plant, now: int) -> Iterator[int]:
    """All frames between HMI and distribution go through the intruder, who shows operators a pressure that never falls."""
    session = plant.hmi["distribution"]
    talk, now = session.opened(now)
    talk.middle = Middle(INTRUDER, plant.wire.tag, _with_steady_pressure)
    for _ in range(0, int(plant.vary(MIDDLE_SECONDS, 20, 600)), CLAIM_SECONDS):
        now = claim(plant, now, DISTRIBUTION, INTRUDER.mac, HMI)
        now = claim(plant, now, HMI, INTRUDER.mac, DISTRIBUTION) + CLAIM_SECONDS * SECOND
        yield now
    talk.middle = None
    now = claim(plant, now, DISTRIBUTION, DISTRIBUTION.mac, HMI)
    claim(plant, now, HMI, HMI.mac, DISTRIBUTION)


def _with_steady_pressure(from_client: bool, payload: bytes) -> bytes:
    """An answer with the distribution's values shows the wanted pressure; all else passes as it is."""
    if from_client or payload[7:9] != bytes((3, 20)):
        return payload
    return payload[:PRESSURE_AT] + SHOWN_MBAR.to_bytes(2, "big") + payload[PRESSURE_AT + 2 :]


def replayed_values(plant: Plant, now: int) -> Iterator[int]:
    """The boiler's controller was tampered with: it records what it tells for a minute and then tells the same for five."""
    controller, tag = plant.controllers["boiler"], plant.wire.tag
    recorded: list[list[int]] = []

    def record(values: list[int]) -> list[int]:
        recorded.append(values)
        return values

    # What is recorded is still true, and so no part of the attack.
    controller.distortion = Distortion("", record)
    yield now + RECORDED_SECONDS * SECOND
    again = itertools.cycle(recorded)

    def replay(values: list[int]) -> list[int]:
        return next(again, values)

    controller.distortion = Distortion(tag, replay)
    yield now + int((RECORDED_SECONDS + plant.vary(REPLAYED_SECONDS, 120, 1_800)) * SECOND)
    controller.distortion = None


def covert_channel(plant: Plant, now: int) -> Iterator[int]:
    """The intake's controller was tampered with: the lowest bit of the turbidity that it tells carries a message, bit by bit."""
    controller = plant.controllers["intake"]
    bits = [byte >> place & 1 for byte in MESSAGE for place in range(7, -1, -1)]

    def hide(values: list[int]) -> list[int]:
        level, flow, turbidity, *rest = values
        return [level, flow, turbidity & ~1 | bits.pop(0), *rest] if bits else values

    controller.distortion = Distortion(plant.wire.tag, hide)
    while bits:
        now += SECOND
        yield now
    controller.distortion = None
