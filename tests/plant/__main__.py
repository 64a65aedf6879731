"""`python -m tests.plant`: a day of the plant as a capture with its ground truth, or the plant live on standard output."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.plant.attacks import ATTACKS
from tests.plant.day import day
from tests.plant.live import live
from tests.plant.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Iterable


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(prog="python -m tests.plant", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    made = commands.add_parser("day", help="a capture and its ground truth")
    made.add_argument("--out", type=Path, required=True, help="the capture")
    made.add_argument("--truth", type=Path, help="the ground truth, one JSON object a line")
    made.add_argument("--seed", type=int, default=1, help="the same seed gives the same bytes")
    made.add_argument("--hours", type=float, default=24.0)
    made.add_argument("--scenario", default="all", help=f"all, none, or of {', '.join(SCENARIOS)}")
    made.add_argument("--attacks", default="all", help=f"all, none, or of {', '.join(ATTACKS)}")
    now = commands.add_parser("live", help="packets as they happen, as a capture on standard output")
    now.add_argument("--out", default="-", choices=["-"])
    now.add_argument("--seed", type=int, default=1)
    now.add_argument("--speed", type=float, default=1.0, help="factor of the plant's clock against the real one")
    arguments = parser.parse_args()
    if arguments.command == "live":
        live(sys.stdout.buffer, seed=arguments.seed, speed=arguments.speed)
        return
    names = {"scenario_names": _chosen(arguments.scenario, SCENARIOS), "attack_names": _chosen(arguments.attacks, ATTACKS)}
    with arguments.out.open("wb") as out:
        packets, truth = day(out, seed=arguments.seed, hours=arguments.hours, **names)
    if arguments.truth is not None:
        arguments.truth.write_text("".join(attack.line() + "\n" for attack in truth), encoding="utf-8")
    print(f"{packets:,} packets, {len(truth)} attacks")


def _chosen(names: str, known: Iterable[str]) -> list[str]:
    """The names of a list on the command line: all, none, or some separated by commas."""
    known = list(known)
    chosen = {"all": known, "none": []}.get(names, names.split(","))
    unknown = sorted(set(chosen) - set(known))
    if unknown:
        raise SystemExit(f"error: {', '.join(unknown)} is not among {', '.join(known)}")
    return chosen


if __name__ == "__main__":
    main()
