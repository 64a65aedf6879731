"""An uplink whose spool goes on as another ships all that this holds, whatever was under way and whatever the numbers are."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from sensor.kafka_message import decode
from sensor.kafka_settings import KafkaSettings
from sensor.spool import Spool
from sensor.spool_format import segment_path
from sensor.spool_positions import released
from sensor.uplink import Uplink
from tests.sensor.test_uplink import FAST, fill, running, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from sensor.kafka_message import Message

PATIENCE_SECONDS = 30


class Brokers:
    """Brokers that acknowledge what was sent when the test lets them, at the latest when a producer is waited for."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, int]] = []
        """Epoch and sequence of each batch that came, in order."""
        self.held_from = 1_000_000
        """Of a producer's messages, those from this one on are acknowledged only when they are waited for."""

    def of(self, epoch: str) -> list[int]:
        """Sequences of the batches of an epoch, in the order in which they came."""
        return [sequence for each, sequence in self.taken if each == epoch]

    def probe(self, *_: Any) -> dict[str, int]:
        return {}

    def producer(self, *_: Any) -> Producer:
        return Producer(self)


class Producer:
    in_flight_bytes = 0

    def __init__(self, brokers: Brokers) -> None:
        self._brokers = brokers
        self._sent = 0
        self._is_waited_for = False

    @property
    def acknowledged(self) -> int:
        return self._sent if self._is_waited_for else min(self._sent, self._brokers.held_from)

    def send(self, topic: str, message: Message, timeout_seconds: float) -> bool:
        del topic, timeout_seconds
        header = decode(message.headers)
        self._sent += 1
        self._brokers.taken.append((header.epoch, header.sequence))
        return True

    def wait(self, timeout_seconds: float) -> bool:
        del timeout_seconds
        self._is_waited_for = True
        return True

    def check(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def brokers(monkeypatch: pytest.MonkeyPatch) -> Brokers:
    found = Brokers()
    monkeypatch.setattr("sensor.uplink.OrderedProducer", found.producer)
    monkeypatch.setattr("sensor.uplink.probe", found.probe)
    return found


def uplink_of(folder: Path) -> Uplink:
    return Uplink(folder, KafkaSettings(bootstrap="broker:9092", security="plaintext"), FAST)


def wait_for(brokers: Brokers, epoch: str, sequences: list[int]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while brokers.of(epoch)[-len(sequences) :] != sequences:
        assert time.monotonic() < until, brokers.taken
        time.sleep(0.02)


def placed(folder: Path, count: int) -> Spool:
    """A spool with so many batches, as another disk that is put in the place of what was there before: at once and whole."""
    disk = folder.with_name(f"disk-{time.monotonic_ns()}")
    with Spool(disk, sensor="s1") as spool:
        fill(spool, count)
    link = folder.with_name("link")
    link.symlink_to(disk)
    link.replace(folder)
    return Spool(folder)


def test_what_was_under_way_does_not_move_the_position_in_a_spool_that_is_numbered_anew(tmp_path: Path, brokers: Brokers) -> None:
    folder = tmp_path / "spool"
    placed(folder, 30).close()
    brokers.held_from = 10
    uplink = uplink_of(folder)
    with running(uplink):
        wait_until(uplink, 10)
        wait_for(brokers, uplink.epoch, list(range(30)))
        with placed(folder, 8) as spool:
            wait_for(brokers, spool.identity.epoch, list(range(8)))
    assert (uplink.position, uplink.epoch) == (8, spool.identity.epoch)


def test_a_spool_that_is_numbered_anew_and_has_come_further_is_shipped_from_its_beginning(
    tmp_path: Path, brokers: Brokers
) -> None:
    folder = tmp_path / "spool"
    placed(folder, 10).close()
    uplink = uplink_of(folder)
    with running(uplink):
        wait_until(uplink, 10)
        with placed(folder, 25) as spool:
            wait_for(brokers, spool.identity.epoch, list(range(25)))
            # Not one of them before those that are before it: consumers would take the rest for repeats.
            assert brokers.of(spool.identity.epoch) == list(range(25))


def test_a_spool_that_has_lost_batches_and_numbers_on_keeps_its_position_under_its_new_epoch(
    tmp_path: Path, brokers: Brokers
) -> None:
    folder = tmp_path / "spool"
    with Spool(folder, sensor="s1") as spool:
        fill(spool, 10)
        before = spool.identity.epoch
    uplink = uplink_of(folder)
    with running(uplink):
        wait_until(uplink, 10)
        with segment_path(folder, 0).open("r+b") as segment:
            segment.truncate(segment.seek(0, 2) - 1)
        with Spool(folder) as spool:
            assert (spool.identity.epoch == before, spool.next_number) == (False, 10)
            fill(spool, 3)
            wait_for(brokers, spool.identity.epoch, [0, 1, 2])
            wait_until(uplink, 13)
            until = time.monotonic() + PATIENCE_SECONDS
            while released(folder, spool.identity.epoch) < 13:
                assert time.monotonic() < until, "the recorder is never told what has been shipped"
                time.sleep(0.02)
    shipped = len(brokers.taken)
    again = uplink_of(folder)
    with running(again):
        wait_until(again, 13)
    assert len(brokers.taken) == shipped
