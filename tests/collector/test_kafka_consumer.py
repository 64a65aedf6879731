"""What a consumer of a topic makes of what its client and its group tell it, without Kafka."""

from __future__ import annotations

import itertools
import json
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from kafka.errors import KafkaTimeoutError
from kafka.structs import TopicPartition

from collector.store.elastic_ledger import Ledger
from collector.store.local import LocalRecordStore
from collector.stream import Gap, Position, StreamError
from collector.stream.kafka import BROKEN_SECONDS, SILENCE_SECONDS, KafkaStream, StreamConsumer, _unpacked  # pyright: ignore[reportPrivateUsage] - what is kept with the offsets
from collector.stream.standing import RUNS_BEFORE_FORGETTING, RUNS_PER_PARTITION
from sensor.kafka_message import encode
from sensor.kafka_reading import BrokenLog
from sensor.kafka_settings import KafkaSettings
from sensor.spool_format import BatchHeader

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from collector.store.elastic_server import Server

TOPIC = "icsight.records"


class Client:
    """A client of the library over partitions that are there, with messages for the first of them."""

    def __init__(self, partitions: int, offset: int = 0) -> None:
        self.known = set(range(partitions))
        self.assigned: list[TopicPartition] = []
        self.messages: list[Any] = []
        """What comes with the next look; what came before lies there and is had again where it is sought."""
        self.log: list[Any] = []
        self.at: dict[int, int] = {}
        self.gives: list[TopicPartition] = []
        self.takes: list[TopicPartition] = []
        """What the group takes away with the next look but one; it is among what is assigned until the group has given anew."""
        self.damage: BrokenLog | None = None
        """What is met behind the messages that are there, and the mark of a transaction that follows on them; once."""
        self.offset = offset
        self.ends: dict[int, int] = {}
        """Where partitions end that do not end where they begin."""
        self.is_away = False
        self.committed_to: dict[TopicPartition, Any] = {}
        self.listener: Any = None
        self.paused: set[TopicPartition] = set()

    def partitions_for_topic(self, topic: str) -> set[int]:
        assert topic == TOPIC
        return self.known

    def subscribe(self, topics: list[str], listener: Any) -> None:
        assert topics == [TOPIC]
        self.listener = listener

    def assign(self, places: list[TopicPartition]) -> None:
        self.assigned = list(places)

    def assignment(self) -> set[TopicPartition]:
        return set(self.assigned)

    def end_offsets(self, places: list[TopicPartition], timeout_ms: int | None = None) -> dict[TopicPartition, int]:
        if self.is_away and timeout_ms is not None:
            raise KafkaTimeoutError("away")
        return {place: max(self.offset, self.ends.get(place.partition, 0)) for place in places}

    def beginning_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, 0)

    def committed(self, place: TopicPartition, *, metadata: bool, timeout_ms: int) -> Any:
        del place, metadata, timeout_ms
        return SimpleNamespace(offset=self.offset, metadata="")

    def commit(self, offsets: dict[TopicPartition, Any], timeout_ms: int) -> None:
        del timeout_ms
        self.committed_to = offsets

    def seek(self, place: TopicPartition, offset: int) -> None:
        self.at[place.partition] = offset

    def pause(self, *places: TopicPartition) -> None:
        self.paused |= set(places)

    def resume(self, *places: TopicPartition) -> None:
        self.paused -= set(places)

    def position(self, place: TopicPartition, timeout_ms: int = 0) -> int:
        del timeout_ms
        return self.at.get(place.partition, self.offset)

    def poll(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Any]]:
        del max_records
        if self.takes and not timeout_ms:
            self.listener.on_partitions_revoked(self.takes)
            self.takes = []
            return {}
        if self.gives:
            self.assigned, self.gives = self.gives, []
            self.listener.on_partitions_assigned(self.assigned)
        if self.damage is not None and not self.messages:
            damage, self.damage = self.damage, None
            self.at[0] = damage.offset
            raise damage
        self.log += self.messages
        self.messages = []
        there = [message for message in self.log if message.offset >= self.at.get(message.partition, 0)]
        found = [message for message in there if TopicPartition(TOPIC, message.partition) not in self.paused]
        self.at |= {message.partition: message.offset + 1 for message in found}
        of: dict[TopicPartition, list[Any]] = {}
        for message in found:
            of.setdefault(TopicPartition(TOPIC, message.partition), []).append(message)
        return of


def message_of(sensor: str, sequence: int, offset: int, partition: int = 0) -> Any:
    message = encode(BatchHeader(sensor, "e", sequence, "modbus", 1, "plant"), b"batch")
    return SimpleNamespace(topic=TOPIC, partition=partition, offset=offset, value=message.value, headers=message.headers)


def invented(life: int, count: int) -> list[Any]:
    """Messages of a sensor that calls each of them another run."""
    return [message_of(f"invented-{life}-{number}", 0, offset=life * count + number) for number in range(count)]


def raised(error: Exception) -> Callable[..., Any]:
    def fails(*_: object, **__: object) -> None:
        raise error

    return fails


def consumer_of(
    client: Client, monkeypatch: pytest.MonkeyPatch, member: str | None = None, start: Position | None = None
) -> StreamConsumer:
    stream = KafkaStream(KafkaSettings(bootstrap="localhost:1", security="plaintext"), TOPIC, member=member)
    monkeypatch.setattr(stream, "client", lambda **_: client)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    return StreamConsumer(stream, "store", start)


def test_a_reader_of_all_partitions_hears_of_those_that_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(2)
    consumer = consumer_of(client, monkeypatch)
    assert consumer.poll(0.01) == []
    client.known = {0, 1, 2}
    with pytest.raises(StreamError, match="has 1 partitions more than before: reading all anew"):
        consumer.poll(0.01)
    assert consumer_of(client, monkeypatch).poll(0.01) == []
    assert client.assignment() == {TopicPartition(TOPIC, number) for number in range(3)}


@pytest.mark.parametrize("member", [None, "one"])
def test_a_client_that_reads_no_further_though_there_is_more_gives_way_to_another(
    monkeypatch: pytest.MonkeyPatch, member: str | None
) -> None:
    clock = itertools.count(time.monotonic(), 0.001)
    ahead = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: next(clock) + ahead[0])
    client = Client(2)
    consumer = consumer_of(client, monkeypatch, member, Position({"0": 0, "1": 0}))
    client.gives = [TopicPartition(TOPIC, number) for number in range(2)] if member else []

    def look() -> list[int]:
        ahead[0] += SILENCE_SECONDS
        return [delivery.header.sequence for delivery in consumer.poll(0.001)]

    assert look() == []
    # What is read at one look is not unread at the next; nor is what has ended, or what brokers that are away may have.
    client.messages, client.ends = [message_of("north", 0, offset=0)], {0: 1}
    assert look() == [0]
    client.messages, client.ends = [message_of("north", 1, offset=1)], {0: 2}
    assert look() == [1]
    assert look() == []
    client.is_away, client.ends = True, {0: 5}
    assert [look() for _ in range(3)] == [[], [], []]
    client.is_away = False
    assert look() == []
    with pytest.raises(StreamError, match="nothing came of partitions 0 for 60 s, and there is more: reading anew"):
        look()


def test_a_member_takes_no_run_for_gapped_that_another_has_read_since_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(2, offset=90)
    consumer = consumer_of(client, monkeypatch, "one", Position({"0": 3}, {("north", "e"): 2}))
    client.gives = [TopicPartition(TOPIC, 0)]
    client.messages = [message_of("north", 90, offset=90)]
    (delivery,) = consumer.poll(0.01)
    assert (delivery.header.sequence, delivery.gap) == (90, None)


@pytest.mark.parametrize("asked", ["committed", "beginning_offsets"])
def test_what_came_with_partitions_is_kept_where_the_group_cannot_be_asked_about_them(
    monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    client = Client(2, offset=2)
    consumer = consumer_of(client, monkeypatch, "one")
    client.gives = [TopicPartition(TOPIC, 0)]
    client.messages = [message_of("north", sequence, offset=sequence) for sequence in (2, 3)]
    with monkeypatch.context() as away:
        away.setattr(client, asked, raised(KafkaTimeoutError("a leader is away")))
        for _ in range(2):
            with pytest.raises(StreamError, match="a leader is away"):
                consumer.poll(0.01)
            assert consumer.position == Position()
    client.messages = [message_of("north", 4, offset=4)]
    found = [*consumer.poll(0.01), *consumer.poll(0.01)]
    assert [(delivery.header.sequence, delivery.gap) for delivery in found] == [(2, None), (3, None), (4, None)]
    assert consumer.position.offsets == {"0": 5}


def test_what_waits_is_read_again_where_the_group_gives_the_same_partitions_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(1)
    consumer = consumer_of(client, monkeypatch, "one")
    client.gives = [TopicPartition(TOPIC, 0)]
    client.messages = [message_of("north", sequence, offset=sequence) for sequence in range(4)]
    assert [delivery.header.sequence for delivery in consumer.poll(0.01, max_batches=1)] == [0]
    # The library keeps its place in a partition that stays with its member.
    client.listener.on_partitions_revoked(client.assigned)
    client.gives = client.assigned
    client.messages = [message_of("north", 4, offset=4)]
    found = [*consumer.poll(0.01), *consumer.poll(0.01)]
    # Nothing was stored and committed before, so the first comes again.
    assert [(delivery.header.sequence, delivery.gap) for delivery in found] == [(sequence, None) for sequence in range(5)]
    assert consumer.position.offsets == {"0": 5}


def test_a_member_stands_nowhere_in_a_partition_that_its_group_has_just_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(1)
    consumer = consumer_of(client, monkeypatch, "one")
    client.gives = [TopicPartition(TOPIC, 0)]
    assert consumer.poll(0.01) == []
    client.messages = [message_of("north", sequence, offset=sequence) for sequence in range(3)]
    client.takes = client.assigned
    assert consumer.poll(0.01) == []
    # The library names the partition, and a place behind what was taken away, until it has joined.
    assert client.position(client.assigned[0]) == 3
    assert consumer.position.offsets == {}


def test_a_damaged_partition_is_read_again_where_a_mark_of_a_transaction_lies_before_the_damage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Client(1)
    consumer = consumer_of(client, monkeypatch, start=Position({"0": 0}))
    client.messages = [message_of("north", sequence, offset=sequence) for sequence in range(2)]
    client.damage = BrokenLog(TopicPartition(TOPIC, 0), 3, "its checksum is wrong")
    assert [delivery.header.sequence for delivery in consumer.poll(0.01)] == [0, 1]
    # It stands behind the mark, which takes nothing off the damage.
    assert consumer.poll(0.01) == []
    assert consumer.position.offsets == {"0": 3}
    assert [*consumer.halted] == ["0"]
    client.messages = [message_of("north", 2, offset=3)]
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 2 * BROKEN_SECONDS)
    assert [delivery.header.sequence for delivery in consumer.poll(0.0)] == [2]
    assert consumer.halted == {}


@pytest.mark.parametrize("member", [None, "one"])
def test_what_waits_in_a_partition_is_no_repeat_because_its_site_has_gone_on_in_another(
    monkeypatch: pytest.MonkeyPatch, member: str | None
) -> None:
    client = Client(2)
    consumer = consumer_of(client, monkeypatch, member)
    client.gives = [TopicPartition(TOPIC, number) for number in range(2)] if member else []
    for message in (message_of("north", 101, offset=0, partition=1), message_of("north", 51, offset=0)):
        client.messages = [message]
        assert [delivery.header.sequence for delivery in consumer.poll(0.01)] == [{0: 51, 1: 101}[message.partition]]
    kept = Position.from_json(consumer.position.to_json())
    assert kept.seen == {("north", "e"): 101}
    consumer.commit(consumer.position)
    assert {place.partition: _unpacked(told.metadata) for place, told in client.committed_to.items()} == {0: {}, 1: {}}
    client.offset = 1
    # Again in this process, and in one that goes on where this one stood.
    for number in range(2):
        again = consumer if number == 0 else consumer_of(client, monkeypatch, member, kept)
        client.gives = [TopicPartition(TOPIC, number) for number in range(2)] if member and again is not consumer else []
        client.messages = [message_of("north", sequence, offset=sequence) for sequence in (52, 53, 52)]
        found = again.poll(0.01)
        assert [(delivery.header.sequence, delivery.gap) for delivery in found] == [(52, None), (53, None)]
        assert again.position.seen == {("north", "e"): 101}
        assert again.poll(0.01) == []


def test_a_sensor_that_calls_each_message_another_run_takes_no_room_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(1)
    consumer = consumer_of(client, monkeypatch)
    client.messages = [message_of("north", 0, offset=0)]
    assert len(consumer.poll(0.01)) == 1
    for start in range(0, 2 * RUNS_BEFORE_FORGETTING, 2_048):
        client.messages = [message_of(f"invented-{number}", 0, offset=number + 1) for number in range(start, start + 2_048)]
        assert len(consumer.poll(0.01, max_batches=4_096)) == 2_048
    assert len(consumer.position.seen) < RUNS_BEFORE_FORGETTING + 4_096
    assert len(consumer._had[0]) == len(consumer.position.seen)  # pyright: ignore[reportPrivateUsage]
    # Of what was forgotten nobody knows what came before.
    client.messages = [message_of("north", 5, offset=50_000), message_of("north", 7, offset=50_001)]
    assert [delivery.gap for delivery in consumer.poll(0.01)] == [None, Gap(("north", "e"), 6, 7)]


def test_lives_without_end_of_a_consumer_into_files_keep_no_more_runs_than_one_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Their position does not tell where a run lies.
    store = LocalRecordStore(tmp_path, writer=True)
    client = Client(1)
    kept: list[int] = []
    for life in range(8):
        consumer = consumer_of(client, monkeypatch, start=store.position("store"))
        client.messages = invented(life, 6_000)
        while consumer.poll(0.01, max_batches=10_000):
            pass
        client.offset = consumer.position.offsets["0"]
        store.append([], consumer="store", position=consumer.position)
        seen = consumer.position.seen
        kept.append(len(seen))
        # What was met in this life is not forgotten for what was told of others.
        assert all((f"invented-{life}-{number}", "e") in seen for number in range(6_000))
    assert client.offset == 8 * 6_000
    assert kept[0] == 6_000, "they are known to the next"
    assert max(kept) <= 2 * RUNS_BEFORE_FORGETTING
    store.close()


def test_of_what_is_forgotten_without_a_place_nobody_knows_what_came_before(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {("north", "e"): 4} | {("old", str(number)): 0 for number in range(RUNS_BEFORE_FORGETTING + 1)}
    client = Client(1)
    consumer = consumer_of(client, monkeypatch, start=Position({"0": 0}, before))
    client.messages = [message_of("north", 9, offset=0)]
    (delivery,) = consumer.poll(0.01)
    assert delivery.gap is None


def test_a_consumer_takes_over_where_runs_lie_and_forgets_of_each_partition_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(2)
    old = [("old", str(number)) for number in range(RUNS_BEFORE_FORGETTING)]
    homes = dict.fromkeys(old, "0") | {("south", "e"): "1"}
    consumer = consumer_of(client, monkeypatch, start=Position({"0": 0, "1": 0}, dict.fromkeys(homes, 3), homes))
    client.messages = [message_of("north", 0, offset=0)]
    assert len(consumer.poll(0.01)) == 1
    assert consumer.poll(0.01) == []
    assert set(consumer.position.seen) == {("south", "e"), ("north", "e"), *old[-(RUNS_PER_PARTITION - 1) :]}
    consumer.commit(consumer.position)
    told = {place.partition: _unpacked(kept.metadata) for place, kept in client.committed_to.items()}
    assert told == {0: {("north", "e"): 0}, 1: {}}


def test_a_member_that_is_given_a_halted_partition_anew_reads_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(2)
    consumer = consumer_of(client, monkeypatch, "one")
    client.assigned = [TopicPartition(TOPIC, 0)]
    client.listener.on_partitions_assigned(client.assigned)
    message = encode(BatchHeader("north", "e", 0, "modbus", 1, "plant"), b"batch")
    ((name, told),) = message.headers
    headers = [(name, told.replace(b'"version":1', b'"version":2'))]
    client.messages = [SimpleNamespace(topic=TOPIC, partition=0, offset=0, value=message.value, headers=headers)]
    assert consumer.poll(0.01) == []
    assert list(consumer.halted) == ["0"]
    assert client.paused == set(client.assigned)
    client.listener.on_partitions_revoked(client.assigned)
    assert consumer.halted == {}
    client.listener.on_partitions_assigned(client.assigned)
    # As if this were the newer program.
    client.log = [message_of("north", 0, offset=0)]
    assert len(consumer.poll(0.01)) == 1
    assert client.paused == set()


def test_a_member_does_not_set_back_how_far_another_has_come_with_its_runs() -> None:
    written: list[Any] = []

    class Cluster:
        def ask(self, method: str, path: str, *_: object, **__: object) -> Any:
            del method, path
            position = Position({"0": 9, "1": 5}, {("north", "e"): 8, ("south", "e"): 4})
            return {"found": True, "_source": {"position": position.to_json()}, "_seq_no": 1, "_primary_term": 1}

        def bytes(self, method: str, path: str, body: bytes, **_: object) -> bytes:
            del method, path
            written.append(body.decode())
            return b'{"items": [{"index": {"status": 200, "_seq_no": 2, "_primary_term": 1}}]}'

    ledger = Ledger(cast("Server", Cluster()), "icsight.ledger")
    ledger.stand("store", Position({"1": 6}, {("north", "e"): 2, ("south", "e"): 5}))
    told = [Position.from_json(json.loads(body.splitlines()[1])["position"]) for body in written]
    assert {("north", "e"): 8, ("south", "e"): 5} in [position.seen for position in told]
    assert {"1": 6} in [position.offsets for position in told]
    assert all(position.seen.get(("north", "e"), 8) == 8 for position in told)
