"""A worker and its partitions, where Quix says so: what comes of one that is lost, cannot be read on, or has too much."""

# What Quix is asked for has no types; and a flush is stopped half-way.
# pyright: reportUnknownLambdaType=false, reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

from __future__ import annotations

import logging
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from quixstreams.checkpointing.checkpoint import BaseCheckpoint

from detection import scaleout, taken
from detection.scaleout import Detection
from detection.settings import DetectionSettings
from sensor import kafka_message
from sensor.kafka_client import KafkaUnusable
from sensor.topics import Topics
from tests.detection.test_partition_clock import Memory
from tests.detection.test_site_loop import Told, message
from tests.detection.traffic import rule, write_rules

if TYPE_CHECKING:
    from pathlib import Path

    from detection.published import Published
    from detection.site_loop import SiteLoop
    from sensor.spool_format import BatchHeader

TOPICS = Topics("t")


class Transaction(BaseCheckpoint):
    """A checkpoint of Quix over memory: what is put there is there."""

    def __init__(self, stores: dict[int, dict[bytes, Memory]]) -> None:
        super().__init__(1.0)
        self._stores = stores

    def get_store_transaction(self, stream: str, partition: int, name: str) -> Any:
        del stream, name
        return SimpleNamespace(as_state=lambda prefix: self._stores.setdefault(partition, {}).setdefault(prefix, Memory()))

    @property
    def places(self) -> dict[int, int]:
        """The messages up to which it would commit."""
        return {partition: offset for (_, partition), offset in self._tp_offsets.items()}

    def close(self) -> None: ...

    def commit(self) -> None: ...


class Quix:
    """What a detection asks of Quix, with partitions that a test gives and takes."""

    def __init__(self, folder: Path) -> None:
        self.stores: dict[int, dict[bytes, Memory]] = {}
        self.owners: dict[int, object] = {0: object(), 1: object()}
        self.alerts: list[BatchHeader] = []
        self.paused: list[int] = []
        self.offsets = dict.fromkeys(range(2), 0)
        told = Told()
        told.rules(write_rules(folder, rule("diagnostic", "high", {"selection": {"modbus.function_code": 8}})))
        published = cast("Published", SimpleNamespace(newest=told.newest, decisions=told.decisions, check=lambda: None))
        self.context = SimpleNamespace(
            checkpoint=Transaction(self.stores),
            commit_interval=1.0,
            state_manager=SimpleNamespace(get_store=lambda *_: SimpleNamespace(partitions=self.owners), recovery_required=False),
            producer=SimpleNamespace(produce=self._produce),
            consumer=SimpleNamespace(assignment=list, pause=lambda places: self.paused.extend(each.partition for each in places)),
            dataframe_registry=SimpleNamespace(register_periodic_task=lambda _: None),
        )
        self.detection = Detection(DetectionSettings(lateness_seconds=5.0, commit_seconds=1.0), TOPICS, published)
        self.detection.attach(
            SimpleNamespace(
                register_store=lambda: None, sink=lambda _: None, stream_id="records", processing_context=self.context
            )
        )

    def _produce(self, topic: str, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        del key, value
        assert topic == TOPICS.alerts
        self.alerts.append(kafka_message.decode(headers))

    def give(self, header: BatchHeader, data: bytes, partition: int = 0, *, key: bytes | None = None, version: int = 1) -> None:
        """A message comes, and its place is noted behind it, as Quix does."""
        made, offset = kafka_message.encode(header, data), self.offsets[partition]
        headers = [(name, told.replace(b'"version":1', b'"version":%d' % version)) for name, told in made.headers]
        self.offsets[partition] += 1
        self.detection.add(
            made.value, made.key if key is None else key, 1_000 + offset, headers, TOPICS.records, partition, offset
        )
        self.context.checkpoint.store_offset(TOPICS.records, partition, offset)

    def commit(self) -> dict[int, int]:
        """Commit, as Quix does; the places that are committed."""
        self.detection.tick()
        self.detection.flush()
        committed = self.context.checkpoint.places
        self.context.checkpoint = Transaction(self.stores)
        return committed


@pytest.fixture
def quix(tmp_path: Path) -> Quix:
    """A worker with two partitions, and a rule for all sites."""
    return Quix(tmp_path)


def sites(headers: list[BatchHeader]) -> list[str]:
    """The sites of batches of alerts."""
    return [header.site for header in headers if header.table == "alert"]


def test_a_message_of_a_newer_version_halts_its_partition_and_no_other(quix: Quix, caplog: pytest.LogCaptureFixture) -> None:
    quix.give(*message("north", 0))
    with caplog.at_level(logging.ERROR):
        quix.give(*message("north", 1), version=2)
    quix.give(*message("south", 0), 1)
    assert quix.commit() == {0: 0, 1: 0}
    assert quix.paused == [0]
    assert sites(quix.alerts) == ["north", "south"]
    assert "t.records/0/1: the message is of version 2" in caplog.text
    assert "t.records/0/1" in quix.detection.failures()["messages"]
    # What had been fetched of it before comes yet: it is looked at by whoever can read all of it.
    quix.give(*message("north", 2))
    quix.give(*message("south", 1), 1)
    assert quix.commit() == {1: 1}
    # It is here anew: the message comes again, and this worker can read it by now.
    quix.owners[0] = object()
    quix.offsets[0] = 1
    quix.give(*message("north", 1))
    assert quix.commit() == {0: 1}
    assert quix.detection.failures() == {}


def test_a_site_whose_memory_cannot_be_read_halts_its_partition_and_no_other(quix: Quix) -> None:
    quix.give(*message("north", 0))
    quix.give(*message("south", 0), 1)
    quix.commit()
    written = {prefix: dict(memory.held) for prefix, memory in quix.stores[0].items()}
    memory = quix.stores[0][b"site/north"]
    for key in memory.keys:
        memory.set_bytes(key, memory.held[key].replace(b'{"format":1,', b'{"format":9,'))
    quix.owners[0] = object()
    quix.give(*message("east", 0))
    quix.give(*message("north", 1))
    quix.give(*message("south", 1), 1)
    assert quix.commit() == {0: 1, 1: 1}
    assert "t.records/0/2" in quix.detection.failures()["messages"]
    assert "newer version" in quix.detection.failures()["messages"]
    assert sorted(sites(quix.alerts)) == ["east", "north", "south", "south"]
    # A worker that can read it goes on.
    memory.held.update(written[b"site/north"])
    quix.owners[0] = object()
    quix.offsets[0] = 2
    quix.give(*message("north", 1))
    assert quix.commit() == {0: 2}
    assert quix.detection.failures() == {}


def test_a_partition_that_was_lost_with_what_was_not_committed_ends_the_worker(quix: Quix) -> None:
    quix.give(*message("north"))
    # The session was lost: Quix takes the state away, and keeps the places.
    quix.owners[0] = object()
    with pytest.raises(KafkaUnusable, match=r"partitions 0 of t\.records went to other workers"):
        quix.detection.flush()
    assert quix.alerts == []


def test_a_partition_that_was_lost_when_all_was_committed_ends_nothing(quix: Quix) -> None:
    quix.give(*message("north", 0))
    quix.commit()
    quix.owners[0] = object()
    quix.give(*message("north", 1))
    assert quix.commit() == {0: 1}
    assert sites(quix.alerts) == ["north", "north"]


def test_a_flush_that_quix_waits_for_no_more_puts_nothing_into_the_next_transaction(
    quix: Quix, monkeypatch: pytest.MonkeyPatch
) -> None:
    quix.give(*message("north"))
    quix.give(*message("south"), 1)
    looked, abandoned = quix.detection._detect, Transaction(quix.stores)

    def slow() -> None:
        looked()
        quix.context.checkpoint = abandoned

    monkeypatch.setattr(quix.detection, "_detect", slow)
    with pytest.raises(KafkaUnusable, match="could not be kept in time"):
        quix.detection.flush()
    assert quix.alerts == []
    assert all(site.changed for site in quix.detection.sites)


def test_a_flush_in_a_thread_of_its_own_ends_before_quix_goes_on_without_it(quix: Quix, monkeypatch: pytest.MonkeyPatch) -> None:
    quix.give(*message("north"))
    monkeypatch.setattr(taken, "REVOKE_SECONDS", 0.0)
    raised: list[BaseException] = []

    def flush() -> None:
        try:
            quix.detection.flush()
        except KafkaUnusable as error:
            raised.append(error)

    thread = threading.Thread(target=flush)
    thread.start()
    thread.join()
    assert len(raised) == 1
    assert quix.alerts == []
    # In the thread that commits there is no such bound.
    assert quix.commit() == {0: 0}
    assert sites(quix.alerts) == ["north"]


def test_a_message_under_the_key_of_another_site_is_none_of_that_site(quix: Quix) -> None:
    quix.give(*message("south"), key=b"north")
    quix.give(*message("north"))
    quix.commit()
    assert sites(quix.alerts) == ["north"]
    assert quix.detection.counters.damaged == 1


def test_a_site_that_is_named_like_the_state_of_another_has_a_state_of_its_own(quix: Quix) -> None:
    quix.give(*message("north"))
    quix.commit()
    quix.give(*message("site/north"))
    quix.commit()
    first, second = (header for header in quix.alerts if header.table == "alert")
    assert first.epoch != second.epoch


def test_a_partition_takes_no_more_sites_than_it_has_room_for(quix: Quix, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaleout, "SITES", 2)
    for number, name in enumerate(["a", "b", "c", "d", "a"]):
        quix.give(*message(name, number))
    quix.commit()
    # Who takes over knows how many there were.
    quix.owners[0] = object()
    for number, name in enumerate(["e", "b"]):
        quix.give(*message(name, 10 + number))
    quix.give(*message("f"), 1)
    quix.commit()
    assert set(sites(quix.alerts)) == {"a", "b", "f"}
    assert quix.detection.counted().turned_away == 3


def test_sites_at_which_something_waits_are_taken_up_one_after_another(quix: Quix) -> None:
    for name in ("a", "b", "c"):
        for batch in (message(name, 0), message(name, 0, sensor="other"), message(name, 1)):
            quix.give(*batch)
    quix.commit()
    waiting = [site.site for site in quix.detection.sites if site.waits]
    assert sorted(waiting) == ["a", "b", "c"]
    quix.owners[0] = object()
    counts: list[int] = []
    for _ in range(4):
        quix.commit()
        counts.append(len(list(quix.detection.sites)))
    assert counts == [1, 2, 3, 3]
    assert all(site.waits for site in quix.detection.sites)


def test_commits_that_take_long_come_less_often(quix: Quix, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(scaleout.time, "monotonic", lambda: now[0])
    keep = quix.detection._keep

    def slow(partition: int, name: str, site: SiteLoop) -> None:
        keep(partition, name, site)
        now[0] += 0.7

    monkeypatch.setattr(quix.detection, "_keep", slow)
    quix.give(*message("north", 0))
    quix.commit()
    assert quix.context.commit_interval == pytest.approx(7.0)
    monkeypatch.setattr(quix.detection, "_keep", keep)
    quix.give(*message("north", 1))
    quix.commit()
    assert quix.context.commit_interval == 1.0
