"""`python -m tests.plant`: a day of the plant as a capture with its truth, days as a data set, or the plant live as a capture."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from tests.plant.attacks import ATTACKS
from tests.plant.day import day
from tests.plant.days import SETS, folder_of, make
from tests.plant.live import live
from tests.plant.scenarios import DAY_SCENARIOS, SCENARIOS

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
    many = commands.add_parser("days", help="whole days with and without attacks, as a data set for icsight evaluate")
    many.add_argument("--set", dest="chosen", default="development", choices=list(SETS))
    many.add_argument("--out", type=Path, help="the folder; without it the one that ICSIGHT_PLANT_DAYS names")
    many.add_argument("--only", nargs="+", metavar="DAY", help="only these days")
    many.add_argument("--jobs", type=int, default=1, help="days that are made at the same time")
    now = commands.add_parser("live", help="packets as they happen, as a capture on standard output")
    now.add_argument("--out", nargs="+", default=["-"], help="one file or pipe for each tap; - is standard output")
    now.add_argument("--seed", type=int, default=1)
    now.add_argument("--speed", type=float, default=1.0, help="factor of the plant's clock against the real one")
    arguments = parser.parse_args()
    if arguments.command == "live":
        with ExitStack() as stack:
            outs = [sys.stdout.buffer if name == "-" else stack.enter_context(Path(name).open("wb")) for name in arguments.out]
            live(outs, seed=arguments.seed, speed=arguments.speed)
        return
    if arguments.command == "days":
        make(arguments.chosen, arguments.out or folder_of(arguments.chosen), arguments.only, arguments.jobs)
        return
    names = {
        "scenario_names": _chosen(arguments.scenario, SCENARIOS, DAY_SCENARIOS),
        "attack_names": _chosen(arguments.attacks, ATTACKS),
    }
    with arguments.out.open("wb") as out:
        packets, truth = day(out, seed=arguments.seed, hours=arguments.hours, **names)
    if arguments.truth is not None:
        arguments.truth.write_text("".join(attack.line() + "\n" for attack in truth), encoding="utf-8")
    print(f"{packets:,} packets, {len(truth)} attacks")


def _chosen(names: str, known: Iterable[str], besides: Iterable[str] = ()) -> list[str]:
    """The names of a list on the command line: all, none, or some separated by commas; all does not mean those besides."""
    known = list(known)
    chosen = {"all": known, "none": []}.get(names, names.split(","))
    unknown = sorted(set(chosen) - {*known, *besides})
    if unknown:
        raise SystemExit(f"error: {', '.join(unknown)} is not among {', '.join((*known, *besides))}")
    return chosen


if __name__ == "__main__":
    main()
