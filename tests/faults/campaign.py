"""Runs by kind and seed over services that they share; what came of each is a line of JSON in a file, and none is run twice."""

from __future__ import annotations

import json
import random
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import psycopg
from kafka.errors import KafkaError

from collector.store import StoreError
from tests.faults import stream
from tests.faults.kinds import KINDS
from tests.faults.run import Outcome, Run
from tests.faults.system import ROOT, System
from tests.services.process import ServiceError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from pathlib import Path

    from tests.faults.ground import Ground

RUNS_OF_A_SYSTEM: Final = 25
"""After so many runs topics and processes are made anew: a worker that starts reads what it remembers of all sites before."""


def done(results: Path) -> list[dict[str, Any]]:
    """What came of the runs so far."""
    if not results.exists():
        return []
    return [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]


class Campaign:
    """Runs over services that are this process' own.

    Args:
        ground: the services, which faults may kill.
        capture: a pcap file that sensors record.
        folder: place of its own, removed by whoever made it.
        broken: what is broken in the product on purpose, by its name in `broken`.
    """

    def __init__(self, ground: Ground, capture: Path, folder: Path, broken: str = "") -> None:
        self._ground = ground
        self._folder = folder
        self._broken = broken
        folder.mkdir(parents=True, exist_ok=True)
        self._parts = stream.cut(capture, folder / "parts")
        self._ruleset = stream.rules(ROOT)
        self._systems = 0
        self._system: System | None = None
        self._runs = 0

    def run(self, kind: str, seed: int) -> Outcome:
        """One run. What goes wrong is in its outcome, and the next run has a system of its own."""
        if self._runs >= RUNS_OF_A_SYSTEM:
            self._end()
        outcome = Outcome(kind, seed)
        begun = time.monotonic()
        try:
            system = self._started()
            self._runs += 1
            run = Run(system, outcome, random.Random(f"{kind}/{seed}"), self._parts)
            with run.at_work():
                KINDS[kind].before(run)
                run.begin()
                KINDS[kind].do(run)
                run.settle()
        except (AssertionError, ServiceError, StoreError, KafkaError, psycopg.Error) as error:
            outcome.trouble = outcome.trouble or " ".join(str(error).split())[-1000:]
        outcome.seconds = round(time.monotonic() - begun, 1)
        if not outcome.held:
            self._end()
        return outcome

    def close(self) -> None:
        """End all processes but the services."""
        self._end()

    def _started(self) -> System:
        if self._system is None:
            self._systems += 1
            self._system = System(self._ground, self._folder / str(self._systems), self._ruleset, self._broken)
            self._system.start()
        return self._system

    def _end(self) -> None:
        system, self._system, self._runs = self._system, None, 0
        if system is not None:
            system.close()


@contextmanager
def campaign(ground: Ground, capture: Path, folder: Path, broken: str = "") -> Generator[Campaign]:
    """A campaign whose processes are ended with it."""
    made = Campaign(ground, capture, folder, broken)
    try:
        yield made
    finally:
        made.close()


def table(lines: Iterable[dict[str, Any]]) -> str:
    """What came of runs, by kind."""
    head = ("kind", "runs", "met work", "records lost", "doubled", "changed", "told", "alerts equal", "held")
    rows: list[tuple[str, ...]] = []
    lines = list(lines)
    for kind in KINDS:
        here = [line for line in lines if line["kind"] == kind]
        if here:
            sums = [sum(line[name] for line in here) for name in ("met_work", "lost", "doubled", "changed", "told")]
            equal, held = (sum(line[name] for line in here) for name in ("alerts_equal", "held"))
            rows.append((kind, str(len(here)), *map(str, sums), f"{equal} of {len(here)}", f"{held} of {len(here)}"))
    widths = [max(len(row[place]) for row in [head, *rows]) for place in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows])
