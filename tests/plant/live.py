"""The plant as it happens: packets on a pipe in real time, attacks already under way."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, BinaryIO, Final

from tests.plant import attacks, scenarios
from tests.plant.clients import SECOND
from tests.plant.frames import pcap_header, pcap_record
from tests.plant.plant import Plant

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

OPENING: Final = (
    "address_sweep",
    "set_point_write",
    "opcua_new_session_write",
    "umas_stop",
    "opcua_sign_in_guessing",
    "listen_only",
    "arp_spoofing",
    "unit_sweep",
    "forged_command",
    "identification",
    "coil_toggling",
)
"""What goes on in the first minute."""

OPENING_SECONDS: Final = 6
"""Between two attacks of the first minute."""

QUIET_SECONDS: Final = 150
"""Between two events after it."""

HARMLESS: Final = ("reboot", "failing_cable", "shift_change")
"""Scenarios between the attacks: those in which nobody writes, for they may fall outside the permitted hours."""

BATCH_SECONDS: Final = 0.1
"""How often packets are written."""


def live(out: BinaryIO, *, seed: int, speed: float = 1.0) -> None:
    """Write packets as they happen until SIGINT or SIGTERM comes or the reader goes away; whole packets only.

    Args:
        out: where the capture goes.
        seed: the same seed gives the same course of events.
        speed: factor of the plant's clock against the real one.
    """
    stopped = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    begin, begin_clock = time.time_ns(), time.monotonic_ns()
    plant = Plant(begin, seed)
    plant.happen(begin + 2 * SECOND, lambda now: _events(plant, now))
    try:
        out.write(pcap_header())
        while not stopped.is_set():
            # Not the wall clock: it may be set while the plant runs.
            now = begin + int((time.monotonic_ns() - begin_clock) * speed)
            out.writelines(pcap_record(packet) for packet in plant.run(now))
            out.flush()
            stopped.wait(BATCH_SECONDS)
    except BrokenPipeError:
        # Nobody reads any more; what is left in the buffer must not be written at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _events(plant: Plant, now: int) -> Iterator[int]:
    """Let the attacks of the opening happen, then one thing after the other, for ever."""
    for name in OPENING:
        attacks.schedule(plant, name, now)
        now += OPENING_SECONDS * SECOND
        yield now
    later = [name for name in attacks.ATTACKS if name not in OPENING]
    course = [*later, *OPENING]
    turn = 0
    while True:
        now += QUIET_SECONDS * SECOND
        yield now
        if turn % 3 == 2:
            scenarios.schedule(plant, HARMLESS[turn // 3 % len(HARMLESS)], now)
        else:
            attacks.schedule(plant, course[(turn - turn // 3) % len(course)], now)
        turn += 1
