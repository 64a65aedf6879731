"""What every `Stream` does, whichever way it is built."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from collector.stream import BatchHeader, Consumer, Gap, Outgoing, Position, Stream, StreamError
from collector.stream.kafka import KafkaStream
from collector.stream.local import LocalStream
from sensor.kafka_settings import KafkaSettings
from sensor.spool import Spool
from tests.services.topics import make_topic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.services.kafka import Kafka

Open = Callable[[], Stream]
"""Opens the same stream again, as another process or after a restart."""


@pytest.fixture(params=["local", "kafka"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Each implementation by name."""
    with ExitStack() as stack:
        if request.param == "local":
            yield _local(tmp_path / "spool", stack)
        else:
            yield _kafka(request.getfixturevalue("kafka"), stack)


def _local(folder: Path, stack: ExitStack) -> Open:
    def open_again() -> Stream:
        stack.close()
        return LocalStream(folder, stack.enter_context(Spool(folder)))

    return open_again


def _kafka(server: Kafka, stack: ExitStack) -> Open:
    topic = f"t{secrets.token_hex(8)}.records"
    make_topic(server, topic, partitions=3)
    settings = KafkaSettings(bootstrap=server.bootstrap, security="plaintext")

    def open_again() -> Stream:
        stack.close()
        stream = KafkaStream(settings, topic)
        stack.callback(stream.close)
        return stream

    return open_again


@pytest.fixture
def stream(reopen: Open) -> Stream:
    return reopen()


def outgoing(*sequences: int, epoch: str = "e1") -> list[Outgoing]:
    return [
        Outgoing(BatchHeader("north", epoch, sequence, "modbus", 3, "plant", sequence), f"{epoch} {sequence}".encode())
        for sequence in sequences
    ]


def drain(consumer: Consumer) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    while deliveries := consumer.poll(0):
        found += [(delivery.header.epoch, delivery.header.sequence) for delivery in deliveries]
    return found


def test_a_stream_and_its_consumers_are_what_the_port_says(stream: Stream) -> None:
    assert isinstance(stream, Stream)
    assert isinstance(stream.subscribe("a"), Consumer)


def test_what_is_published_is_delivered_in_order_with_its_header_and_bytes(stream: Stream) -> None:
    sent = outgoing(0, 1, 2)
    assert stream.publish(sent) == 3
    deliveries = stream.subscribe("a").poll(1)
    assert [(delivery.header, delivery.data) for delivery in deliveries] == [(batch.header, batch.data) for batch in sent]
    assert [delivery.gap for delivery in deliveries] == [None] * 3


def test_offsets_rise(stream: Stream) -> None:
    stream.publish([*outgoing(0, 1), *outgoing(0, epoch="e2")])
    offsets = [delivery.offset for delivery in stream.subscribe("a").poll(1)]
    assert offsets == sorted(offsets)
    assert len(set(offsets)) == 3


def test_publishing_again_adds_nothing(stream: Stream) -> None:
    stream.publish(outgoing(0, 1))
    assert stream.publish(outgoing(0, 1, 2)) == 1
    assert drain(stream.subscribe("a")) == [("e1", 0), ("e1", 1), ("e1", 2)]


def test_a_gap_in_what_is_published_is_refused(stream: Stream) -> None:
    stream.publish(outgoing(0))
    with pytest.raises(StreamError, match="does not follow"):
        stream.publish(outgoing(2))


def test_the_highest_sequence_of_a_run_is_known_after_opening_again(reopen: Open) -> None:
    stream = reopen()
    assert stream.highest("north", "e1") is None
    stream.publish([*outgoing(0, 1), *outgoing(0, epoch="e2")])
    stream = reopen()
    assert stream.highest("north", "e1") == 1
    assert stream.highest("north", "e2") == 0


def test_a_consumer_goes_on_where_it_committed(reopen: Open) -> None:
    stream = reopen()
    stream.publish(outgoing(0, 1, 2, 3))
    with stream.subscribe("a") as consumer:
        first = consumer.poll(1, max_batches=2)
        consumer.commit(first[0].position)
    with reopen().subscribe("a") as consumer:
        assert drain(consumer) == [("e1", 1), ("e1", 2), ("e1", 3)]


def test_consumers_stand_for_themselves(stream: Stream) -> None:
    stream.publish(outgoing(0, 1))
    with stream.subscribe("a") as consumer:
        consumer.commit(consumer.poll(1)[-1].position)
    assert drain(stream.subscribe("a")) == []
    assert drain(stream.subscribe("b")) == [("e1", 0), ("e1", 1)]


def test_a_consumer_starts_where_it_is_told_whatever_it_has_committed(stream: Stream) -> None:
    stream.publish(outgoing(0, 1, 2))
    with stream.subscribe("a") as consumer:
        deliveries = consumer.poll(1)
        consumer.commit(consumer.position)
    kept = Position.from_json(deliveries[0].position.to_json())
    assert drain(stream.subscribe("a", kept)) == [("e1", 1), ("e1", 2)]
    assert drain(stream.subscribe("a", Position())) == [("e1", 0), ("e1", 1), ("e1", 2)]


def test_a_consumer_that_starts_at_the_end_gets_only_what_comes_later(stream: Stream) -> None:
    stream.publish(outgoing(0, 1))
    consumer = stream.subscribe("a", stream.end())
    stream.publish(outgoing(2))
    deliveries = consumer.poll(1)
    assert [(delivery.header.sequence, delivery.gap) for delivery in deliveries] == [(2, None)]


def test_a_batch_that_the_position_has_seen_is_dropped(stream: Stream) -> None:
    stream.publish(outgoing(0, 1, 2))
    assert drain(stream.subscribe("a", Position({}, {("north", "e1"): 1}))) == [("e1", 2)]


def test_missing_batches_are_reported_with_the_batch_behind_them(stream: Stream) -> None:
    stream.publish(outgoing(0, 1, 2, 3))
    offset = stream.subscribe("a").poll(1)[2].offset
    consumer = stream.subscribe("a", Position({offset[0]: offset[1]}, {("north", "e1"): 0}))
    gaps = [delivery.gap for delivery in consumer.poll(1)]
    assert gaps == [Gap(("north", "e1"), 1, 2), None]


def test_polling_is_bounded_by_batches_and_bytes(stream: Stream) -> None:
    stream.publish(outgoing(*range(10)))
    consumer = stream.subscribe("a")
    assert len(consumer.poll(1, max_batches=3)) == 3
    assert len(consumer.poll(1, max_bytes=8)) == 2
    assert len(consumer.poll(1)) == 5


def test_the_ends_say_how_much_a_consumer_has_before_it_and_follow_what_comes(stream: Stream) -> None:
    stream.publish(outgoing(0, 1, 2))
    consumer = stream.subscribe("a")
    ((partition, offset),) = [delivery.offset for delivery in consumer.poll(1, max_batches=1)]
    position = consumer.position.offsets
    assert set(consumer.ends) == set(position)
    assert consumer.ends[partition] - position[partition] == 2
    assert all(consumer.ends[other] == position[other] for other in position if other != partition)
    assert len(consumer.poll(1)) == 2
    assert consumer.ends == consumer.position.offsets
    assert consumer.ends[partition] > offset + 1
    stream.publish(outgoing(3, 4))
    assert len(consumer.poll(5, max_batches=1)) == 1
    assert consumer.ends[partition] - consumer.position.offsets[partition] == 1
    assert drain(consumer) == [("e1", 4)]
    assert consumer.ends == consumer.position.offsets == stream.end().offsets


def test_polling_an_empty_stream_returns_nothing_when_the_time_is_up(stream: Stream) -> None:
    assert list(stream.subscribe("a").poll(0.01)) == []
    assert stream.end() == Position(stream.end().offsets, {})


def test_the_position_of_a_delivery_belongs_to_that_delivery(stream: Stream) -> None:
    stream.publish(outgoing(0, 1, 2))
    deliveries = stream.subscribe("a").poll(1)
    assert [delivery.position.seen[("north", "e1")] for delivery in deliveries] == [0, 1, 2]


def test_equal_positions_are_equal_text_and_other_text_is_refused() -> None:
    position = Position({"0": 3, "1": 5}, {("north", "e2"): 4, ("north", "e1"): 1})
    again = Position({"1": 5, "0": 3}, {("north", "e1"): 1, ("north", "e2"): 4})
    assert position.to_json() == again.to_json()
    assert Position.from_json(position.to_json()) == position
    for text in ("", "{}", "[]", '{"offsets": 3, "seen": []}', '{"offsets": {}, "seen": [[1]]}'):
        with pytest.raises(ValueError, match=r"."):
            Position.from_json(text)


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", "x" * 65])
def test_a_consumer_needs_a_plain_name(stream: Stream, name: str) -> None:
    with pytest.raises(StreamError, match="no name for a consumer"):
        stream.subscribe(name)


def test_a_position_behind_the_end_is_of_another_stream_and_refused(stream: Stream) -> None:
    stream.publish(outgoing(0))
    offsets = {partition: offset + 5 for partition, offset in stream.end().offsets.items()}
    with pytest.raises(StreamError, match="not the one"):
        stream.subscribe("a", Position(offsets, {}))
