"""The uplink against a bare loop of kafka-python that sends the same bytes, paired and alternated.

The bare loop has the bytes in memory and does nothing but send: no spool, no checksums, no headers, no position, no bound on what
is under way, five requests at a time. Both wait for all brokers (`acks=all`, idempotent) and put up to 1 MiB into a request.
"""

# kafka-python ships no types for its clients.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import statistics
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kafka import KafkaProducer

from sensor.kafka_message import key_of
from sensor.kafka_producer import GROUP_BYTES
from sensor.uplink import Uplink
from sensor.uplink_settings import UplinkSettings
from tests.benchmarks.distributed import sample

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from collector.stream import Outgoing
    from tests.benchmarks.distributed.system import System

FAST: Final = UplinkSettings(catch_up_mib_per_second=10_000)
"""The spool is there from the beginning: no pace, else as it is."""

SENSOR: Final = "uplink"
SITE: Final = "works"


@dataclass(frozen=True, slots=True)
class Turn:
    """What one way of sending took, in seconds."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Turns of both ways over the same batches."""

    batches: int
    rows: int
    bytes: int
    bare: list[Turn]
    own: list[Turn]

    def ratio(self, of: str) -> float:
        """Rate of the uplink by that of the bare loop, by `wall` or `cpu`: the median of the pairs."""
        return statistics.median(getattr(bare, of) / getattr(own, of) for bare, own in zip(self.bare, self.own, strict=True))

    def fastest(self, of: str) -> float:
        """Least seconds that the uplink took."""
        return min(getattr(turn, of) for turn in self.own)


def compare(system: System, batches: list[Outgoing], rounds: int) -> Comparison:
    """Send the same batches both ways, in turns."""
    folder = system.folder / f"uplink-{len(batches)}"
    folder.mkdir()
    sample.spooled(folder / "spool", batches, SENSOR, SITE)
    bare: list[Turn] = []
    own: list[Turn] = []
    for number in range(-1, rounds):
        pair = [(bare, lambda: _bare(system, batches)), (own, lambda: _uplink(system, folder / "spool", len(batches)))]
        for turns, send in pair if number % 2 else reversed(pair):
            taken = _timed(send)
            # The first of each pays for what is made once.
            if number >= 0:
                turns.append(taken)
    return Comparison(
        len(batches), sum(batch.header.rows for batch in batches), sum(len(batch.data) for batch in batches), bare, own
    )


def _timed(send: Callable[[], Callable[[], None]]) -> Turn:
    wall, cpu = time.perf_counter(), time.process_time()
    end = send()
    taken = Turn(time.perf_counter() - wall, time.process_time() - cpu)
    end()
    return taken


def _bare(system: System, batches: list[Outgoing]) -> Callable[[], None]:
    """Send all and wait until it is acknowledged; returns what lets go."""
    producer: Any = KafkaProducer(
        bootstrap_servers=system.settings.bootstrap, acks="all", enable_idempotence=True, batch_size=GROUP_BYTES,
        max_request_size=system.settings.largest_message_bytes, metrics_enabled=False,
    )  # fmt: skip
    topic = system.topics.records
    for batch in batches:
        producer.send(topic, batch.data, key=key_of(batch.header))
    producer.flush()
    return producer.close


def _uplink(system: System, spool: Path, batches: int) -> Callable[[], None]:
    """Ship a spool until all is acknowledged; returns what stops it and has it forget how far it came."""
    uplink = Uplink(spool, system.settings, FAST)
    stop = threading.Event()
    thread = threading.Thread(target=uplink.run, args=(stop,))
    thread.start()
    while uplink.position < batches and thread.is_alive():
        time.sleep(0.005)

    def end() -> None:
        stop.set()
        thread.join()
        assert uplink.counters.batches == batches
        (spool / "positions" / "uplink.json").unlink()

    return end
