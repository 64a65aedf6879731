"""A collector goes on whatever lies in its topic: what no client can read, what is newer, what a broker has damaged."""

# kafka-python leaves its results untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import logging
import secrets
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Producer
from kafka import KafkaProducer

from collector.dead_letters import LetterFolder
from collector.metrics import failures, readings
from collector.store.local import LocalRecordStore
from collector.stream import StreamError, kafka
from collector.stream.kafka import LOOK_RECORDS, KafkaStream, StreamConsumer
from collector.writer import CONSUMER, Writer
from sensor import kafka_message, kafka_reading
from sensor.kafka_message import encode
from sensor.kafka_settings import KafkaSettings
from sensor.spool_format import BatchHeader
from tests import batches as record_batches
from tests.services.topics import Unreadable, elsewhere, make_topic

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from sensor.kafka_message import Message
    from tests.services.kafka import Kafka

PATIENCE_SECONDS = 60
HEADER = Unreadable("strange"), b"x"


def batch(number: int, sensor: str = "north") -> Message:
    header = BatchHeader(sensor, record_batches.EPOCH, number, "modbus", 5, "plant", number)
    return encode(header, record_batches.encode(header, record_batches.sample("modbus", 5, seed=number)))


class Plant:
    """A topic of two partitions, and a collector of it into files."""

    def __init__(self, server: Kafka, folder: Path, **more: int) -> None:
        self.server = server
        self.topic = f"t{secrets.token_hex(8)}.records"
        make_topic(server, self.topic, partitions=2)
        settings = KafkaSettings(bootstrap=server.bootstrap, security="plaintext", **more)  # pyright: ignore[reportArgumentType]
        self.stream = KafkaStream(settings, self.topic)
        self.store = LocalRecordStore(folder / "records", writer=True)
        self.letters = LetterFolder(folder / "letters")
        self.said: list[str] = []
        self.writer = self.collector()

    def collector(self) -> Writer:
        """As after a start."""
        return Writer(self.stream, self.store, self.letters, on_failure=self.said.append)

    def send(self, messages: Sequence[tuple[int, Message, list[tuple[str, bytes]]]], **options: Any) -> None:
        """Put messages with further headers into partitions, those of each in one request."""
        producer = KafkaProducer(
            bootstrap_servers=self.server.bootstrap, linger_ms=500, batch_size=2**20, max_request_size=2**23, **options
        )
        for partition, message, headers in messages:
            producer.send(
                self.topic, message.value, message.key, headers=[*headers, *message.headers], partition=partition, timestamp_ms=1
            )
        producer.flush()
        producer.close()

    def stored(self) -> list[tuple[str, int]]:
        return self.store.sql("SELECT DISTINCT sensor, sequence FROM modbus ORDER BY ALL").rows()

    def reading(self, name: str) -> float:
        return sum(each.value for each in readings(self.writer) if each.measure.name == name)


@pytest.fixture
def plant(kafka: Kafka, tmp_path: Path) -> Generator[Plant]:
    made = Plant(kafka, tmp_path)
    yield made
    made.store.close()


@pytest.mark.parametrize("packed", [None, "gzip"])
def test_a_message_whose_header_no_client_can_read_is_a_dead_letter_and_keeps_no_other_out(
    plant: Plant, packed: str | None
) -> None:
    plant.send(
        [
            (0, batch(0), []), (0, batch(1), [HEADER]), (0, batch(2), []), (0, batch(3), [HEADER]),
            (1, batch(0, "south"), []),
        ],
        compression_type=packed,
    )  # fmt: skip
    plant.send([(0, batch(0, "east"), [])])
    plant.writer.drain()
    assert plant.stored() == [("east", 0), ("north", 0), ("north", 2), ("south", 0)]
    letters = sorted(plant.letters.letters(), key=lambda letter: letter.reason)
    assert [letter.reason for letter in letters] == [
        f"{plant.topic}/0/{offset}: the message cannot be read: the name of a header is no UTF-8" for offset in (1, 3)
    ]
    assert [letter.data for letter in letters] == [batch(1).value, batch(3).value]
    assert plant.reading("icsight_store_dead_letters") == 2
    position = plant.store.position(CONSUMER)
    assert position is not None
    assert position.offsets == {"0": 5, "1": 1}
    assert (plant.collector().drain().offsets, plant.said) == (position.offsets, [])


def test_what_is_packed_as_nobody_unpacks_it_is_one_dead_letter_with_its_bytes(plant: Plant) -> None:
    producer = Producer({"bootstrap.servers": plant.server.bootstrap, "compression.type": "lz4"})
    message = batch(0, "strange")
    value = 3 * (message.value or b"")
    producer.produce(plant.topic, value, message.key, partition=0, headers=message.headers)
    assert producer.flush(PATIENCE_SECONDS) == 0
    plant.send([(0, batch(0), [])])
    plant.writer.drain()
    assert plant.stored() == [("north", 0)]
    (letter,) = plant.letters.letters()
    assert letter.reason.endswith(
        "/0/0: what was sent together as messages 0 to 0 cannot be unpacked: it is packed otherwise than by gzip"
    )
    assert b"strange" in letter.data


@pytest.mark.parametrize("delta", [-1_000_000, 500])
def test_a_message_that_says_another_place_than_its_own_moves_no_collector(plant: Plant, delta: int) -> None:
    # Where brokers do not pack what they take, as the topic of records is declared.
    with elsewhere(1, delta):
        plant.send([(0, batch(number), []) for number in range(2)])
    plant.writer.drain()
    assert plant.stored() == [("north", 0)]
    (letter,) = plant.letters.letters()
    assert "/0/1: the message says that it is number" in letter.reason
    plant.send([(0, batch(2), [])])
    # What is kept of the place is right for who starts anew, too.
    assert plant.collector().drain().offsets["0"] == 3
    assert plant.stored() == [("north", 0), ("north", 2)]


def test_what_unfolds_to_too_much_is_a_dead_letter(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_reading, "UNPACKED_BYTES", 100_000)
    huge = kafka_message.Message(b"plant", bytes(1_000_000), batch(0).headers)
    plant.send([(0, huge, [])], compression_type="gzip")
    plant.send([(0, batch(0), [])])
    plant.writer.drain()
    assert plant.stored() == [("north", 0)]
    (letter,) = plant.letters.letters()
    assert letter.reason.endswith(
        "/0/0: what was sent together as messages 0 to 0 cannot be unpacked: it is more than 100,000 bytes"
    )
    assert len(letter.data) < 10_000


def newer(message: Message) -> Message:
    ((name, told),) = message.headers
    return kafka_message.Message(message.key, message.value, [(name, told.replace(b'"version":1', b'"version":2'))])


def test_what_a_newer_version_wrote_halts_its_partition_alone_until_a_collector_can_read_it(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=plant.writer.run, args=(stop,))
    plant.send([(0, batch(0), []), (0, newer(batch(1)), []), (0, batch(2), []), (1, batch(0, "south"), [])])
    told = f"{plant.topic}/0/1: the message is of version 2, this program reads up to 1: update it"
    with caplog.at_level(logging.ERROR):
        thread.start()
        try:
            until(lambda: plant.writer.halted == {"0": told})
            # What comes then of others is stored.
            plant.send([(1, batch(1, "south"), []), (0, batch(3), [])])
            until(lambda: ("south", 1) in plant.stored())
            assert failures(plant.writer) == {"messages": told}
            assert plant.reading("icsight_store_halted_partitions") == 1
        finally:
            stop.set()
            thread.join(PATIENCE_SECONDS)
    assert plant.said == [f"{told}; nothing more of this partition is stored, the others go on"]
    assert [line for line in caplog.messages if told in line] == [], "it is told once"
    assert plant.stored() == [("north", 0), ("south", 0), ("south", 1)]
    with pytest.raises(StreamError, match="update it"):
        plant.collector().drain()
    position = plant.store.position(CONSUMER)
    assert position is not None
    assert position.offsets == {"0": 1, "1": 2}
    monkeypatch.setattr(kafka_message, "VERSION", 2)
    plant.collector().drain()
    assert plant.stored() == [*(("north", number) for number in range(4)), ("south", 0), ("south", 1)]
    assert list(plant.letters.letters()) == []


def test_a_damaged_log_is_no_dead_letter_and_is_read_once_it_is_whole(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "BROKEN_SECONDS", 0.5)
    plant.send([(0, batch(0), [])])
    plant.send([(0, batch(1), []), (1, batch(0, "south"), [])])
    plant.send([(0, batch(2), [])])
    (log,) = (plant.server.folder / "data" / f"{plant.topic}-0").glob("*.log")
    at = log.read_bytes().index(batch(1).headers[0][1]) - 50
    flip(log, at)
    stop = threading.Event()
    thread = threading.Thread(target=plant.writer.run, args=(stop,))
    thread.start()
    try:
        until(lambda: len(plant.stored()) == 2)
        until(lambda: "its checksum is wrong" in failures(plant.writer).get("messages", ""))
        plant.send([(1, batch(1, "south"), [])])
        until(lambda: ("south", 1) in plant.stored())
        time.sleep(2)
        assert ("north", 1) not in plant.stored()
        told = f"{plant.topic}/0/1: its checksum is wrong: look at the brokers' disks and network"
        assert plant.said == [f"{told}; nothing more of this partition is stored, the others go on"]
        flip(log, at)
        until(lambda: not plant.writer.halted)
        until(lambda: len(plant.stored()) == 5)
    finally:
        stop.set()
        thread.join(PATIENCE_SECONDS)
    assert failures(plant.writer) == {}
    assert list(plant.letters.letters()) == []
    assert plant.writer.counters.gaps == 0


def test_what_waits_in_a_consumer_keeps_to_its_bound_and_all_of_it_comes(kafka: Kafka, tmp_path: Path) -> None:
    bound = 2**20
    plant = Plant(kafka, tmp_path, waiting_bytes=bound)
    size = 150_000
    headers = [BatchHeader(f"of {number % 2}", "e", number // 2, "modbus", 1, "plant") for number in range(121)]
    messages = [encode(header, bytes(size)) for header in headers[:120]]
    plant.send([(number % 2, message, []) for number, message in enumerate(messages)], compression_type="gzip")
    # One that is larger than all that may wait.
    largest = encode(headers[120], bytes(3 * bound))
    plant.send([(0, largest, [])])
    consumer = plant.stream.subscribe("store")
    assert isinstance(consumer, StreamConsumer)
    found = most = 0
    end = time.monotonic() + PATIENCE_SECONDS
    while found < 121 and time.monotonic() < end:
        found += len(consumer.poll(1, max_batches=1))
        most = max(most, sum(len(record.value) for record in consumer._waiting))  # pyright: ignore[reportPrivateUsage] - it is bounded
    consumer.close()
    plant.store.close()
    assert found == 121
    assert bound / 2 < most < bound + LOOK_RECORDS * size


def flip(path: Path, at: int) -> None:
    """Turn a bit of a file round."""
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def until(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
