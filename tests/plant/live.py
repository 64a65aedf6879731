"""The plant as it happens: packets on a pipe in real time, attacks already under way."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING, BinaryIO, Final

from tests.plant import attacks, scenarios
from tests.plant.clients import SECOND
from tests.plant.frames import pcap_header, pcap_record
from tests.plant.plant import Plant

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
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

IPV4: Final = b"\x08\x00"

CONTROL_NETWORK: Final = "10.20.2."

BATCH_SECONDS: Final = 0.1
"""How often packets are written."""


TAPS: Final = {"10.20.2.11": 0, "10.20.2.12": 1, "10.20.2.13": 1, "10.20.2.40": 1}
"""Which of three taps hears the controllers: intake, treatment and distribution; the boiler house's are heard at the last."""


def tap_of(frame: bytes, taps: int) -> int:
    """The tap that hears a frame, of `taps`: both sides of a conversation are heard at the same, what is no IPv4 at the first."""
    if taps == 1 or frame[12:14] != IPV4:
        return 0
    ends = [".".join(map(str, frame[start : start + 4])) for start in (26, 30)]
    below = [end for end in ends if end.startswith(CONTROL_NETWORK)]
    return min(TAPS.get(min(below), taps - 1), taps - 1) if below else 0


def live(outs: Sequence[BinaryIO], *, seed: int, speed: float = 1.0) -> None:
    """Write packets as they happen until SIGINT or SIGTERM comes or a reader goes away; whole packets only.

    Args:
        outs: where the capture goes; several are taps at different places of the plant.
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
        for out in outs:
            out.write(pcap_header())
        while not stopped.is_set():
            # Not the wall clock: it may be set while the plant runs.
            now = begin + int((time.monotonic_ns() - begin_clock) * speed)
            for packet in plant.run(now):
                outs[tap_of(packet.frame, len(outs))].write(pcap_record(packet))
            for out in outs:
                out.flush()
            stopped.wait(BATCH_SECONDS)
    except BrokenPipeError:
        # Nobody reads any more; what is left in the buffers must not be written at exit.
        for out in outs:
            os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())


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
