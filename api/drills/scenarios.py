"""What can be drilled: what a stranger does to a controller, as Modbus requests with their answers. Bytes alone.

Each scenario is told by rules that need no list of the site, so that it is told at every site. Modbus Application Protocol
Specification V1.1b3; UMAS (function 90) after published descriptions, as the rules about it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from api.drills.plant import Plant

ScenarioKey = Literal["unauthorised_write", "reconnaissance", "program_change", "loss_of_view"]

SCENARIO_KEYS: Final[tuple[ScenarioKey, ...]] = get_args(ScenarioKey)

ILLEGAL_ADDRESS: Final = 2
"""Exception code."""

WRITTEN: Final = 40
"""Addresses that are written: more than rules take for the work of an operator."""

SWEPT: Final = 130
"""Addresses that are tried: more than any client polls."""

PROGRAM_BLOCKS: Final = 8

_UMAS_SESSION: Final = b"\x5a\x01"


@dataclass(frozen=True, slots=True)
class Act:
    """A request of the stranger, and what answers it (None: nothing does)."""

    wait_ms: int
    """After the request before it."""
    request: bytes
    answer: bytes | None


@dataclass(frozen=True, slots=True)
class Scenario:
    """Something that is drilled.

    Attributes:
        techniques: what it exercises of ATT&CK for ICS, release 19.
        playbook: key of the playbook that it exercises.
        rules: the rules that tell it wherever they are in use.
        acts: what the stranger does.
        silences: whether the controller answers nobody from then on.
    """

    techniques: tuple[str, ...]
    playbook: str
    rules: tuple[str, ...]
    acts: Callable[[Plant], Iterator[Act]]
    silences: bool = False


def _unauthorised_write(plant: Plant) -> Iterator[Act]:
    """Single registers are written one after another: those that are read first, then their neighbours."""
    for place, address in enumerate(_addresses(plant, WRITTEN)):
        request = struct.pack("!BHH", 6, address, 1_000 + place)
        yield Act(300, request, request)


def _reconnaissance(plant: Plant) -> Iterator[Act]:
    """The device is asked what it is, then every address is tried; those that nobody reads are refused."""
    product = b"\x00\x05Drill"
    yield Act(500, b"\x2b\x0e\x01\x00", b"\x2b\x0e\x01\x01\x00\x00\x01" + product)
    read = frozenset(plant.registers)
    for address in _addresses(plant, SWEPT):
        answer = struct.pack("!BBH", 3, 2, 0) if address in read else bytes((0x83, ILLEGAL_ADDRESS))
        yield Act(100, struct.pack("!BHH", 3, address, 1), answer)


def _program_change(plant: Plant) -> Iterator[Act]:
    """The controller is reserved, stopped, loaded and started again."""
    del plant
    yield _umas(500, 0x02, b"", bytes(8))
    yield _umas(500, 0x10, b"DR\x00\x00\x0eENGINEERING-99", b"\x01")
    yield _umas(2_000, 0x41, b"\xff\x00")
    yield _umas(2_000, 0x30, b"\x00\x01", b"\x01")
    for block in range(PROGRAM_BLOCKS):
        yield _umas(500, 0x31, struct.pack("!HH", 1, block) + bytes(64))
    yield _umas(500, 0x32, struct.pack("!HH", 1, PROGRAM_BLOCKS))
    yield _umas(2_000, 0x40, b"\xff\x00")


def _loss_of_view(plant: Plant) -> Iterator[Act]:
    """The controller's communication is restarted, then it is silenced: whoever polls it is not answered any more."""
    del plant
    restart = struct.pack("!BHH", 8, 1, 0)
    yield Act(500, restart, restart)
    yield Act(3_000, struct.pack("!BHH", 8, 4, 0), None)


SCENARIOS: Final[Mapping[ScenarioKey, Scenario]] = {
    "unauthorised_write": Scenario(("T0836", "T0806"), "unauthorised_write", ("many_points_written",), _unauthorised_write),
    "reconnaissance": Scenario(
        ("T0861", "T0888"), "network_scanned", ("address_sweep", "device_identification_read"), _reconnaissance
    ),
    "program_change": Scenario(("T0843", "T0858", "T0889"), "program_downloaded", ("umas_program_replaced",), _program_change),
    "loss_of_view": Scenario(
        ("T0814", "T0816"), "loss_of_view", ("force_listen_only_mode", "restart_communications"), _loss_of_view, silences=True
    ),
}
"""All scenarios. Their names and what happens in them are in the catalogue, under `drill.scenario.<key>`."""


def _addresses(plant: Plant, count: int) -> list[int]:
    """So many addresses: those that are read of the controller, then those behind the first of them."""
    first = plant.registers[0] if plant.registers else 0
    wanted = dict.fromkeys([*plant.registers, *((first + step) & 0xFFFF for step in range(count + len(plant.registers)))])
    return list(wanted)[:count]


def _umas(wait_ms: int, service: int, body: bytes = b"", answer: bytes = b"") -> Act:
    return Act(wait_ms, _UMAS_SESSION + bytes((service,)) + body, _UMAS_SESSION + b"\xfe" + answer)
