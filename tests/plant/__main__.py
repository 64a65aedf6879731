"""`python -m tests.plant`: a day of the plant as a capture with its ground truth, or the plant live on standard output."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from tests.plant.attacks import ATTACKS, schedule
from tests.plant.frames import pcap_header, pcap_record
from tests.plant.plant import SECOND, Plant, truth_line
from tests.plant.scenarios import SCENARIOS

if TYPE_CHECKING:
    from types import FrameType

START: Final = 1_772_438_400 * SECOND
"""Monday 2026-03-02 08:00:00 UTC."""

DAY_PACE: Final = 4.0
"""Polling of a day's capture, so that it stays within 300,000 transactions."""

OPENING: Final = (
    "address_sweep",
    "set_point_write",
    "umas_stop",
    "listen_only",
    "arp_spoofing",
    "unit_sweep",
    "coil_toggling",
    "identification",
)
"""What goes on in the first minute of the live plant."""

FLUSH_SECONDS: Final = 0.1
"""How often live packets are written."""


def day(
    out: BinaryIO, truth: Path | None, *, seed: int, hours: float, scenarios: list[str], attacks: list[str]
) -> tuple[int, int]:
    """Write a capture of so many hours; returns packets and attacks."""
    plant = Plant(START, seed, DAY_PACE)
    span = int(hours * 3600 * SECOND)
    events = [*((SCENARIOS[name], None) for name in scenarios), *((None, name) for name in attacks)]
    for number, (scenario, attack) in enumerate(events, 1):
        moment = START + span * number // (len(events) + 1)
        if scenario is not None:
            scenario(plant, moment)
        elif attack is not None:
            schedule(plant, attack, moment)
    tagged: dict[str, list[int]] = {}
    count = 0
    out.write(pcap_header())
    for packet in plant.run(START + span):
        count += 1
        out.write(pcap_record(packet))
        if packet.tag:
            tagged.setdefault(packet.tag, []).append(count)
    if truth is not None:
        truth.write_text("".join(truth_line(each, tagged.get(each.name, [])) + "\n" for each in plant.truth), encoding="utf-8")
    return count, len(plant.truth)


class Stopped(Exception):  # noqa: N818 - not an error
    """Somebody asked the live plant to stop."""


def live(out: BinaryIO, *, seed: int, speed: float) -> None:
    """Write packets as they happen, attacks already under way, until stopped or the reader goes away."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Stopped

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    begin = time.time_ns()
    plant = Plant(begin, seed)
    for number, name in enumerate(OPENING):
        schedule(plant, name, begin + int((2 + number * 6) * SECOND))
    later = [name for name in ATTACKS if name not in OPENING]
    for number in range(10_000):
        schedule(plant, later[number % len(later)], begin + (90 + 150 * number) * SECOND)
    try:
        out.write(pcap_header())
        while True:
            now = begin + int((time.time_ns() - begin) * speed)
            out.writelines(pcap_record(packet) for packet in plant.run(now))
            out.flush()
            time.sleep(FLUSH_SECONDS)
    except (Stopped, BrokenPipeError):
        sys.stderr.close()  # nothing to say, and nobody to flush standard output to


def _chosen(names: str, known: list[str]) -> list[str]:
    """The names of a list on the command line: all, none, or some separated by commas."""
    chosen = {"all": known, "none": []}.get(names, names.split(","))
    unknown = sorted(set(chosen) - set(known))
    if unknown:
        raise SystemExit(f"error: {', '.join(unknown)} is not among {', '.join(known)}")
    return chosen


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(prog="python -m tests.plant", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    made = commands.add_parser("day", help="a capture and its ground truth")
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--truth", type=Path)
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--hours", type=float, default=24.0)
    made.add_argument("--scenarios", default="all", help=f"all, none, or of {', '.join(SCENARIOS)}")
    made.add_argument("--attacks", default="all", help=f"all, none, or of {', '.join(ATTACKS)}")
    now = commands.add_parser("live", help="packets as they happen, as a capture on standard output")
    now.add_argument("--out", default="-", choices=["-"])
    now.add_argument("--seed", type=int, default=1)
    now.add_argument("--speed", type=float, default=1.0)
    arguments = parser.parse_args()
    if arguments.command == "live":
        live(sys.stdout.buffer, seed=arguments.seed, speed=arguments.speed)
        return
    scenarios = _chosen(arguments.scenarios, list(SCENARIOS))
    attacks = _chosen(arguments.attacks, list(ATTACKS))
    with arguments.out.open("wb") as out:
        packets, done = day(
            out, arguments.truth, seed=arguments.seed, hours=arguments.hours, scenarios=scenarios, attacks=attacks
        )
    print(f"{packets:,} packets, {done} attacks")


if __name__ == "__main__":
    main()
