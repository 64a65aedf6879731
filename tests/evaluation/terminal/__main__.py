"""`python -m tests.evaluation.terminal --out DIR`: the terminal's captures as data sets for `icsight evaluate`.

`attacks`, `held_out` and `ordinary` are folders with a data set each; `--learned` compares with an hour that was learned before,
without it each capture with its own beginning.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from tests.evaluation.terminal import deceptions, modbus_attacks, network_attacks, opcua_attacks, ordinary
from tests.evaluation.terminal.cases import ATTACKS, ORDINARY, Attack, Ordinary
from tests.evaluation.terminal.net import SECOND
from tests.evaluation.terminal.plant import START, Terminal
from tests.plant.frames import pcap_header, pcap_record

if TYPE_CHECKING:
    from collections.abc import Iterable

MODULES: Final = (modbus_attacks, deceptions, network_attacks, opcua_attacks, ordinary)
"""They register their cases."""

HOUR: Final = 3_600 * SECOND
LEARNED: Final = "learned.pcap"
BEGINS: Final = 500 * SECOND
"""When in its capture something happens."""

MINUTES: Final = 15.0


def write(path: Path, net: Terminal, until: int, name: str = "") -> tuple[int, int]:
    """A capture; returns when the frames of `name` begin and end."""
    first = last = 0
    with path.open("wb") as out:
        out.write(pcap_header())
        for packet in net.run(until):
            out.write(pcap_record(packet))
            if name and packet.tag == name:
                first, last = first or packet.ts, packet.ts
    return first, last


def learned(path: Path) -> None:
    """The hour that is learned."""
    write(path, Terminal(START, 999), START + HOUR)


def make(folder: Path, cases: Iterable[Attack | Ordinary], *, compared: bool) -> None:
    """A data set of these cases."""
    folder.mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, Any]] = []
    for number, case in enumerate(cases):
        minutes = MINUTES if isinstance(case, Attack) else case.minutes
        begin = START + (24 + number * 3) * HOUR
        net = Terminal(begin, 1_000 + number)
        net.happen(begin + BEGINS, case.steps(net, begin + BEGINS), case.name)
        capture = folder / f"{case.name}.pcap"
        first, last = write(capture, net, begin + int(minutes * 60) * SECOND, case.name)
        entry: dict[str, Any] = {"capture": capture.name}
        if isinstance(case, Attack):
            # What is altered on its way carries no tag of its own.
            truth: dict[str, Any] = {
                "name": case.name,
                "technique": case.techniques[0],
                "start": first or begin + BEGINS,
                "end": begin + BEGINS + LASTING[case.name] * SECOND if case.name in LASTING else max(last, first),
                "hosts": case.hosts,
                "packets": [],
            }
            capture.with_suffix(".jsonl").write_text(json.dumps(truth) + "\n", encoding="utf-8")
            judged = {"techniques": list(case.techniques), "shown": case.shown, "why": case.why}
            entry |= {"labels": {"reader": "plant", "file": "{stem}.jsonl"}, "judgements": {case.name: judged}}
        if compared:
            entry["learn"] = [f"../{LEARNED}"]
        entries.append(entry)
    content = {"name": f"terminal_{folder.name}", "captures": entries}
    (folder / "dataset.yml").write_text(yaml.safe_dump(content, sort_keys=False, width=130), encoding="utf-8")


LASTING: Final = {"replayed_recording": 270, "smooth_measurements": 240, "naive_measurements": 60, "listen_only": 90}
"""Seconds of attacks that show in others' frames."""


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(prog="python -m tests.evaluation.terminal", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", default=["attacks", "ordinary"], choices=["attacks", "held_out", "ordinary"])
    parser.add_argument("--learned", action="store_true", help="compare with an hour that was learned before")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.learned and not (arguments.out / LEARNED).is_file():
        learned(arguments.out / LEARNED)
    for chosen in arguments.only:
        cases: dict[str, list[Attack | Ordinary]] = {
            "attacks": [each for each in ATTACKS.values() if not each.held_out],
            "held_out": [each for each in ATTACKS.values() if each.held_out],
            "ordinary": [*ORDINARY.values()],
        }
        make(arguments.out / chosen, cases[chosen], compared=arguments.learned)


if __name__ == "__main__":
    main()
