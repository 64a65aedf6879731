"""A thousand simulated sensors that send a batch a second each, and one collector: whether it keeps up, and what a batch costs.

Five sensors to a site. Each message is a request's own, packed as an uplink packs it, so that nothing is shared that a thousand
uplinks would not share. The batches are those of the small simulated plant, a handful of rows; they are made before the clock
runs.
"""

# kafka-python ships no types for its clients.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kafka import KafkaProducer

from sensor import kafka_packing
from sensor.kafka_message import encode
from tests.benchmarks.distributed.sample import Original, renamed
from tests.benchmarks.distributed.system import Standing

if TYPE_CHECKING:
    from collector.stream import Outgoing
    from sensor.kafka_message import Message
    from tests.benchmarks.distributed.system import System

SENSORS: Final = 1_000
SENSORS_OF_SITE: Final = 5
SECONDS: Final = 30
ALONE_BYTES: Final = 1_000
"""A producer that groups no more than this sends each message by itself."""
LOOK_SECONDS: Final = 0.5
PATIENCE_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of so many seconds of all sensors.

    Attributes:
        place: what the collector stored into.
        batches: batches sent.
        rows: records in them.
        seconds: time that sending took.
        behind: most batches that were sent and not stored at a look.
        left: seconds from the last batch sent until all were stored; None where they were not in ten minutes.
        collector: CPU seconds of the collector.
        broker: CPU seconds of the broker.
        node: CPU seconds of the node.
    """

    place: str
    batches: int
    rows: int
    seconds: float
    behind: int
    left: float | None
    collector: float
    broker: float
    node: float

    def line(self) -> str:
        """As a row of the table."""
        left = "not stored" if self.left is None else f"{self.left:.1f} s"
        return (
            f"{self.place:<14} {self.batches:>8,} {self.batches / self.seconds:>9,.0f} {self.behind:>9,} {left:>10} "
            f"{self.collector / self.batches * 1000:>9.2f} {self.batches / self.collector:>9,.0f} "
            f"{self.broker / self.batches * 1000:>9.2f} {self.node / self.batches * 1000:>9.2f}"
        )


HEAD: Final = (
    f"{'into':<14} {'batches':>8} {'sent/s':>9} {'most left':>9} {'all stored':>10} {'CPU ms':>9} {'a CPU s':>9} "
    f"{'broker ms':>9} {'node ms':>9}"
)


def measure(system: System, batches: list[Outgoing], *, into_files: bool, seconds: int = SECONDS) -> Kept:
    """Let all sensors send for so many seconds, and wait until what they sent is stored."""
    messages, rows = _messages(batches, seconds)
    kafka_packing.use()
    producer: Any = KafkaProducer(
        bootstrap_servers=system.settings.bootstrap, acks="all", enable_idempotence=True, batch_size=ALONE_BYTES,
        max_request_size=system.settings.largest_message_bytes, metrics_enabled=False,
        compression_type=kafka_packing.KIND,
    )  # fmt: skip
    collector = system.collector(into_files=into_files)
    group = system.collectors(into_files=into_files)
    standing = Standing(system, group)
    try:
        before = collector.cpu(), system.broker_cpu(), system.node_cpu()
        behind = look = 0
        start = time.monotonic()
        for number, message in enumerate(messages):
            if (ahead := start + number / SENSORS - time.monotonic()) > 0:
                time.sleep(ahead)
            producer.send(system.topics.records, message.value, key=message.key, headers=message.headers)
            if time.monotonic() > look:
                behind = max(behind, number + 1 - standing.done(group))
                look = time.monotonic() + LOOK_SECONDS
        producer.flush()
        sent = time.monotonic()
        left = None
        while left is None and time.monotonic() < sent + PATIENCE_SECONDS:
            if standing.done(group) >= len(messages):
                left = time.monotonic() - sent
            time.sleep(LOOK_SECONDS / 5)
        after = collector.cpu(), system.broker_cpu(), system.node_cpu()
    finally:
        standing.close()
        producer.close()
        said = collector.stop()
    assert "missing in 0 gaps" in said, said[-2000:]
    place = "files" if into_files else "Elasticsearch"
    return Kept(place, len(messages), rows, sent - start, behind, left, *(b - a for a, b in zip(before, after, strict=True)))


def _messages(batches: list[Outgoing], seconds: int) -> tuple[list[Message], int]:
    """What all sensors send in so many seconds, in the order in which they do, and the records in it."""
    originals = [Original.of(batch) for batch in batches]
    messages: list[Message] = []
    rows = 0
    for second in range(seconds):
        # Of each batch one is made for the second; that of a sensor has its name in the place of another of the same length.
        made = [
            original.again(_sensor(0), second, site=_site(0), seconds=second, cut=second)
            for original in originals
        ]  # fmt: skip
        for number in range(SENSORS):
            batch = made[(number + second) % len(made)]
            own = renamed(batch, sensor=_sensor(number), site=_site(number // SENSORS_OF_SITE))
            messages.append(encode(own.header, own.data))
            rows += own.header.rows
    return messages, rows


def _sensor(number: int) -> str:
    return f"simulated-{number:06d}"


def _site(number: int) -> str:
    return f"plant-of-{number:06d}"
