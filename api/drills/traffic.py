"""The traffic of a drill: a plant's own polling, and what a stranger does meanwhile. Bytes alone: it is sent nowhere."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from api.drills.frames import Talk, capture

if TYPE_CHECKING:
    from api.drills.plant import Plant
    from api.drills.scenarios import Scenario

SECOND: Final = 1_000_000_000

LASTS_SECONDS: Final = 50
"""How long the traffic goes on. It is less than what a capture must last for its beginning to be learned as normal."""

COMES_SECONDS: Final = 5
"""When the stranger comes."""

PORTS: Final = {"station": 50_310, "stranger": 49_207}
"""Ports that they open their connections from."""

_READ: Final = 4
"""Registers of a poll."""


def made(scenario: Scenario, plant: Plant, end: int) -> bytes:
    """The traffic of a scenario as a capture file that ends at a time (nanoseconds since 1970)."""
    begin = end - LASTS_SECONDS * SECOND
    stranger = Talk(plant.stranger, plant.controller, (PORTS["stranger"], plant.port), plant.unit)
    at = begin + COMES_SECONDS * SECOND
    stranger.open(at)
    for act in scenario.acts(plant):
        at += act.wait_ms * 1_000_000
        stranger.ask(at, act.request, act.answer)
    if plant.station is None:
        return capture([stranger])
    station = Talk(plant.station, plant.controller, (PORTS["station"], plant.port), plant.unit)
    station.open(begin)
    first = plant.registers[0] if plant.registers else 0
    for turn in range(1, LASTS_SECONDS):
        poll = begin + turn * SECOND + SECOND // 2
        answers = not scenario.silences or poll < at
        station.ask(
            poll, struct.pack("!BHH", 3, first, _READ),
            struct.pack(f"!BB{_READ}H", 3, 2 * _READ, *range(_READ)) if answers else None,
        )  # fmt: skip
    return capture([station, stranger])
