"""How a worker on Kafka ends when its place is taken, or it is told to while brokers do not answer: soon, and with one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.detection.on_kafka import System
from tests.detection.test_scaleout import interleaving

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.services.kafka import Kafka

ROOT: Final = Path(__file__).parents[2]

ENDS_SECONDS: Final = 60.0
"""Within which a worker must have ended."""

BEGINS_SECONDS: Final = 240.0
"""Within which a worker must have begun, and have done with a few batches, on a busy machine."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A worker as a process of its own, and the file of what it says."""

    process: subprocess.Popen[str]
    said: Path

    @property
    def lines(self) -> list[str]:
        """What it has said since it began to look at records, but for what a busy machine makes Kafka's client say."""
        said = self.said.read_text().split("worker:", 1)[1].splitlines()[1:]
        return [line for line in said if "kafka.net.selector.Task" not in line]


@contextmanager
def begun(system: System, name: str, folder: Path) -> Generator[Begun]:
    """A worker, from when it looks at records."""
    command = [sys.executable, "-c", "from api.cli import main; main()", "detect", "--worker", name]
    said = folder / f"{len(list(folder.glob('*.said')))}.said"
    environment = {**os.environ, **system.environment(), "ICSIGHT_DETECTION_STATE_FOLDER": str(said.with_suffix(".state"))}
    with said.open("w") as file:
        made = subprocess.Popen(command, env=environment, stderr=file, stdout=file, text=True, cwd=ROOT)
    until = time.monotonic() + BEGINS_SECONDS
    while "worker:" not in said.read_text():
        assert made.poll() is None, said.read_text()
        assert time.monotonic() < until, said.read_text()
        time.sleep(0.2)
    try:
        yield Begun(made, said)
    finally:
        made.kill()
        made.wait()


def wait_for(system: System, batches: int) -> None:
    """Wait until workers have done with so many."""
    until = time.monotonic() + BEGINS_SECONDS
    while system.committed() < batches:
        assert time.monotonic() < until
        time.sleep(0.3)


@pytest.mark.parametrize("is_busy", [False, True])
def test_a_worker_whose_name_another_takes_ends_and_says_so_in_one_line(kafka: Kafka, tmp_path: Path, *, is_busy: bool) -> None:
    system = System(kafka, tmp_path, 1)
    sent = interleaving(1)
    half = len(sent) // 2
    with begun(system, "one", tmp_path) as first:
        system.send(sent[:half])
        wait_for(system, half)
        done = threading.Event()

        def keep_busy() -> None:
            # What comes again is looked at and dropped: each commit is a transaction all the same.
            while not done.wait(0.1):
                system.send(sent[:1])

        sender = threading.Thread(target=keep_busy)
        if is_busy:
            sender.start()
        try:
            with begun(system, "one", tmp_path) as second:
                assert first.process.wait(ENDS_SECONDS) == 2
                *others, line = first.lines
                # Shut out in the middle of a transaction, Kafka's client says before what it could not do.
                assert is_busy or not others
                assert all(any(word in each for word in ("rdkafka#", "transaction", "is stopping")) for each in others), others
                assert "another worker named 'one' was started" in line
                assert "--worker" in line
                done.set()
                before = system.committed()
                system.send(sent[half:])
                wait_for(system, before + len(sent) - half)
                assert second.process.poll() is None, second.lines
                second.process.send_signal(signal.SIGTERM)
                assert second.process.wait(ENDS_SECONDS) == 0
                assert second.lines == []
        finally:
            done.set()
            if is_busy:
                sender.join()


def test_a_worker_that_is_told_to_stop_while_brokers_say_nothing_ends_soon(private_kafka: Kafka, tmp_path: Path) -> None:
    system = System(private_kafka, tmp_path, 1)
    sent = interleaving(1)
    with begun(system, "one", tmp_path) as worker:
        system.send(sent[:6])
        wait_for(system, 6)
        assert private_kafka.process is not None
        private_kafka.process.send(signal.SIGSTOP)
        time.sleep(1)
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(ENDS_SECONDS) == 0
        # Kafka's client says that its brokers are away.
        assert [line for line in worker.lines if "rdkafka#" not in line] == []
