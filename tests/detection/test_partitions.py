"""A worker and its partitions, where Quix says so: what comes of one that is lost, cannot be read on, or has too much."""

# What Quix is asked for has no types; and a flush is stopped half-way.
# pyright: reportUnknownLambdaType=false, reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

from __future__ import annotations

import json
import logging
import threading
import time
import zlib
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from confluent_kafka import KafkaError, TopicPartition
from quixstreams.checkpointing.checkpoint import BaseCheckpoint

from collector.stream import Position
from detection import parcels, part_loop, pipeline, scaleout, share_loop, shares, taken, teller_loop
from detection.alerts import decode_alerts
from detection.baseline.decisions import Decision
from detection.control import Control, Decided, Effective
from detection.parcels import share_of
from detection.scaleout import Detection
from detection.settings import DetectionSettings
from detection.share_loop import ShareLoop
from detection.shares import Shares
from detection.site import Site
from detection.teller_loop import TellerLoop
from sensor import kafka_message
from sensor.kafka_client import KafkaUnusable
from sensor.topics import Topics
from tests.detection.test_partition_clock import Memory
from tests.detection.test_site_loop import Told, message
from tests.detection.test_sitewide import last
from tests.detection.test_worker import outgoing
from tests.detection.traffic import START, cut, request, rule, write_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from detection.alerts import Alert
    from detection.published import Published
    from detection.site_loop import SiteLoop
    from sensor.spool_format import BatchHeader

TOPICS = Topics("t")


Stores = dict[int, dict[bytes, Memory]]
"""By partition and prefix."""


class Transaction(BaseCheckpoint):
    """A checkpoint of Quix over memory: what is put there is there."""

    def __init__(self, stores: dict[str, Stores]) -> None:
        super().__init__(1.0)
        self._stores = stores

    def get_store_transaction(self, stream: str, partition: int, name: str) -> Any:
        del name
        held = self._stores[stream].setdefault(partition, {})
        return SimpleNamespace(as_state=lambda prefix: held.setdefault(prefix, Memory()))

    def places(self, topic: str) -> dict[int, int]:
        """The messages of a topic up to which it would commit."""
        return {partition: offset for (name, partition), offset in self._tp_offsets.items() if name == topic}

    def close(self) -> None: ...

    def commit(self) -> None: ...


class Quix:
    """What a detection asks of Quix, with partitions that a test gives and takes."""

    def __init__(self, folder: Path) -> None:
        self.stores: Stores = {}
        self.share_stores: Stores = {}
        self.owners: dict[int, object] = {0: object(), 1: object()}
        self.share_owners: dict[int, object] = {0: object(), 1: object()}
        self.alerts: list[BatchHeader] = []
        self.told: list[Alert] = []
        self.paused: list[int] = []
        self.shares_paused: list[int] = []
        self.resumed: list[int] = []
        self.offsets = dict.fromkeys(range(2), 0)
        self.shared: list[list[tuple[bytes, bytes, list[tuple[str, bytes]]]]] = [[], []]
        """Messages of topic `shares`, those of transactions that were not committed too."""
        self.looked_at = dict.fromkeys(range(2), 0)
        self.published = told = Told()
        told.rules(write_rules(folder, rule("diagnostic", "high", {"selection": {"modbus.function_code": 8}})))
        published = cast(
            "Published", SimpleNamespace(newest=told.newest, decisions=told.decisions, check=lambda: None, refused=0)
        )
        self.context = SimpleNamespace(
            checkpoint=self._begun(),
            commit_interval=1.0,
            state_manager=SimpleNamespace(get_store=self._store, recovery_required=False),
            producer=SimpleNamespace(produce=self._produce),
            consumer=SimpleNamespace(
                assignment=lambda: [TopicPartition(TOPICS.records, 0), TopicPartition(TOPICS.records, 1)],
                pause=self._pause,
                resume=lambda places: self.resumed.extend(each.partition for each in places),
                get_watermark_offsets=lambda *_, **__: (0, 0),
                position=lambda places: places,
                committed=lambda places, **_: [TopicPartition(each.topic, each.partition, 0) for each in places],
            ),
            dataframe_registry=SimpleNamespace(register_periodic_task=lambda _: None),
        )
        self.shares = Shares(TOPICS, 2)
        self.detection = Detection(DetectionSettings(lateness_seconds=5.0, commit_seconds=1.0), TOPICS, published, self.shares)
        for sink, stream in ((self.detection, "records"), (self.shares, "shares")):
            frame = SimpleNamespace(register_store=lambda: None, sink=lambda _: None, stream_id=stream)
            frame.processing_context = self.context
            sink.attach(frame)

    def _begun(self) -> Transaction:
        return Transaction({"records": self.stores, "shares": self.share_stores})

    def _store(self, stream: str, name: str) -> Any:
        del name
        return SimpleNamespace(partitions=self.owners if stream == "records" else self.share_owners)

    def _pause(self, places: list[Any]) -> None:
        for each in places:
            (self.paused if each.topic == TOPICS.records else self.shares_paused).append(each.partition)

    def _produce(self, topic: str, key: bytes, value: bytes, headers: list[tuple[str, bytes]], partition: int = 0) -> None:
        if topic == TOPICS.shares:
            self.shared[partition].append((key, value, headers))
            return
        assert topic == TOPICS.alerts
        header = kafka_message.decode(headers)
        self.alerts.append(header)
        self.told += decode_alerts(value) if header.table == "alert" else []

    def give(self, header: BatchHeader, data: bytes, partition: int = 0, *, key: bytes | None = None, version: int = 1) -> None:
        """A message comes, and its place is noted behind it, as Quix does."""
        made, offset = kafka_message.encode(header, data), self.offsets[partition]
        headers = [(name, told.replace(b'"version":1', b'"version":%d' % version)) for name, told in made.headers]
        self.offsets[partition] += 1
        self.detection.add(
            made.value, made.key if key is None else key, 1_000 + offset, headers, TOPICS.records, partition, offset
        )
        self.context.checkpoint.store_offset(TOPICS.records, partition, offset)

    def give_shares(self, changed: Callable[[int, bytes], bytes] | None = None) -> None:
        """The messages of shares come that have not yet; what is said of each may be changed by its partition."""
        for partition, messages in enumerate(self.shared):
            for key, value, headers in messages[self.looked_at[partition] :]:
                told = [(name, content if changed is None else changed(partition, content)) for name, content in headers]
                self.shares.add(value, key, 1_000, told, TOPICS.shares, partition, self.looked_at[partition])
                self.context.checkpoint.store_offset(TOPICS.shares, partition, self.looked_at[partition])
                self.looked_at[partition] += 1

    def commit(self, topic: str = TOPICS.records) -> dict[int, int]:
        """Commit, as Quix does; the places of a topic that are committed."""
        self.detection.tick()
        self.detection.flush()
        self.shares.flush()
        committed = self.context.checkpoint.places(topic)
        self.context.checkpoint = self._begun()
        return committed

    def work_off(self) -> None:
        """Whatever there is in shares is worked off."""
        while any(len(sent) > self.looked_at[partition] for partition, sent in enumerate(self.shared)):
            self.give_shares()
            self.commit()


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is looked at once in a while is looked at always."""
    monkeypatch.setattr(scaleout, "WAIT_SECONDS", 0.0)


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


@pytest.mark.parametrize("of_a_newer", [Site.to_text, Decision.to_json])
def test_a_site_at_which_something_of_a_newer_version_took_effect_halts_its_partition_and_no_other(
    quix: Quix, monkeypatch: pytest.MonkeyPatch, of_a_newer: Callable[[Any], str]
) -> None:
    quix.give(*message("north", 0))
    quix.give(*message("south", 0), 1)
    quix.commit()

    def newer(each: Any) -> str:
        return json.dumps({**json.loads(of_a_newer(each)), "choice": "colour"})

    north = next(site for site in quix.detection.loops if site.site == "north")
    decided = Decided(Decision("accept", "ann"), Position({"0": 1}))
    with monkeypatch.context() as patched:
        patched.setattr(Site if of_a_newer is Site.to_text else Decision, of_a_newer.__name__, newer)
        control = Control(north._control)
        control.publish(Effective(Site(site="north"), Position({"0": 1})))
        control.decide(decided)
    north.write(quix.detection._checkpoints(0, "north"))
    quix.owners[0] = object()
    quix.give(*message("north", 1))
    quix.give(*message("south", 1), 1)
    assert quix.commit() == {1: 1}
    told = quix.detection.failures()["messages"]
    assert "t.records/0/1: site 'north': what took effect is not of this version" in told
    assert "colour" in told
    assert sites(quix.alerts) == ["north", "south", "south"]


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
    looked, abandoned = quix.detection._detect, quix._begun()

    def slow() -> None:
        looked()
        quix.context.checkpoint = abandoned

    monkeypatch.setattr(quix.detection, "_detect", slow)
    with pytest.raises(KafkaUnusable, match="could not be kept in time"):
        quix.detection.flush()
    assert quix.alerts == []
    assert all(site.changed for site in quix.detection.loops)


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


def test_records_and_shares_have_one_time_together_where_partitions_go_to_others(
    quix: Quix, monkeypatch: pytest.MonkeyPatch
) -> None:
    split_site(quix, range(2))
    quix.give_shares()
    for sensor in SENSORS * 2:
        quix.give(*message("north", quix.offsets[1] // len(SENSORS), sensor=sensor), 1)
    now = [0.0]
    monkeypatch.setattr(taken, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def slow(looked: Callable[[], None]) -> Callable[[], None]:
        def look() -> None:
            looked()
            now[0] += 0.6 * taken.REVOKE_SECONDS

        return look

    for sink in (quix.detection, quix.shares):
        monkeypatch.setattr(sink, "_detect", slow(sink._detect))
    raised: list[BaseException] = []

    def flush() -> None:
        try:
            quix.detection.flush()
            quix.shares.flush()
        except KafkaUnusable as error:
            raised.append(error)

    before = [len(each) for each in quix.shared]
    thread = threading.Thread(target=flush)
    thread.start()
    thread.join()
    assert len(raised) == 1
    assert sum(map(len, quix.shared)) > sum(before), "the records were looked at in time"


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
    waiting = [site.site for site in quix.detection.loops if site.waits]
    assert sorted(waiting) == ["a", "b", "c"]
    quix.owners[0] = object()
    counts: list[int] = []
    for _ in range(4):
        quix.commit()
        counts.append(len(list(quix.detection.loops)))
    assert counts == [1, 2, 3, 3]
    assert all(site.waits for site in quix.detection.loops)


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


SENSORS = ("one", "two", "three", "four", "five")
"""Sensors of both shares."""


def split_site(quix: Quix, numbers: range, *, split: bool = True, sensors: Sequence[str] = SENSORS) -> None:
    """Facts of a site, which say whether it is split; messages of its sensors come in turns, and are committed.

    Its teller is in the second partition of shares.
    """
    quix.published.put("north", "site", 1 + split, json.dumps({"site": "north", "split": split}))
    for number in numbers:
        for sensor in sensors:
            quix.give(*message("north", number, sensor=sensor), 1)
    quix.commit()


def newer(partition: int, said: bytes) -> bytes:
    """What a newer version says in the first partition."""
    return said if partition else said.replace(b'"version": 1', b'"version": 9')


def whole(folder: Path, numbers: range) -> list[str]:
    """The alerts of a site that is not split, as they are in the end."""
    quix = Quix(folder)
    split_site(quix, numbers, split=False)
    assert quix.shared == [[], []]
    return last(quix.told)


def test_a_share_that_cannot_be_read_halts_its_partition_and_holds_up_what_is_told_of_the_site(
    quix: Quix, tmp_path: Path
) -> None:
    assert {share_of(sensor, 2) for sensor in SENSORS} == {0, 1}
    split_site(quix, range(2))
    quix.work_off()
    before = list(quix.told)
    assert before
    split_site(quix, range(2, 4))
    at = quix.looked_at[0]
    quix.give_shares(newer)
    committed = quix.commit(TOPICS.shares)
    assert committed == {1: quix.looked_at[1] - 1}
    assert quix.shares_paused == [0]
    assert quix.paused == []
    assert f"t.shares/0/{at}: a message of version 9" in quix.detection.failures()["messages"]
    # The other share looks at its sensors; what it finds waits for that of the first sensor.
    assert len(quix.told) == len(before)
    # What can read it has it from the message on.
    quix.share_owners[0] = object()
    quix.looked_at[0] = at
    quix.work_off()
    assert quix.detection.failures() == {}
    assert last(quix.told) == whole(tmp_path, range(4))


def test_a_share_whose_memory_cannot_be_read_halts_its_partition(quix: Quix) -> None:
    split_site(quix, range(2))
    quix.work_off()
    memory = quix.share_stores[0][b"share/north"]
    for key in memory.keys:
        memory.set_bytes(key, memory.held[key].replace(b'{"format":1,', b'{"format":9,'))
    at = quix.looked_at[0]
    quix.share_owners[0] = object()
    split_site(quix, range(2, 4))
    quix.give_shares()
    assert set(quix.commit(TOPICS.shares)) == {1}
    assert f"t.shares/0/{at}" in quix.detection.failures()["messages"]
    assert "newer version" in quix.detection.failures()["messages"]


def test_what_no_worker_sends_to_a_share_halts_its_partition_and_changes_nothing(quix: Quix, tmp_path: Path) -> None:
    split_site(quix, range(2))
    quix.work_off()
    split_site(quix, range(2, 4))
    places = dict(quix.looked_at)
    quix.give_shares(lambda _, said: said.replace(b'"place"', b'"plaice"').replace(b'"left"', b'"leaves"'))
    quix.commit()
    assert quix.shares_paused == [0, 1]
    assert "no message that this program reads: KeyError" in quix.detection.failures()["messages"]
    quix.looked_at = {partition: quix.shares._taken._halts[partition].offset for partition in (0, 1)}
    assert all(quix.looked_at[partition] >= places[partition] for partition in (0, 1))
    quix.share_owners |= {0: object(), 1: object()}
    quix.work_off()
    assert last(quix.told) == whole(tmp_path, range(4))


@pytest.mark.parametrize("key", [b"share/north", b"tell/north"])
def test_a_site_of_which_a_message_to_a_share_or_the_teller_is_gone_is_told_of_no_more_and_others_are(
    quix: Quix, caplog: pytest.LogCaptureFixture, key: bytes
) -> None:
    quix.published.put("south", "site", 1, json.dumps({"site": "south", "split": True}))
    split_site(quix, range(2))
    # One of the two messages of what took effect was older than the topic keeps.
    gone = next(place for place, (to, _, said) in enumerate(quix.shared[1]) if to == key and b'"control"' in said[0][1])
    quix.shared[1][gone] = quix.shared[0][0]
    before = len(quix.told)
    quix.work_off()
    assert len(quix.told) == before
    assert f"t.shares/1, {key.decode()}: what took effect before is missing" in caplog.text
    at = len(quix.alerts)
    for number in range(2):
        for sensor in SENSORS:
            quix.give(*message("south", number, sensor=sensor))
    quix.commit()
    split_site(quix, range(2, 4))
    quix.work_off()
    assert {*sites(quix.alerts[at:])} == {"south"}
    assert quix.shares_paused == []
    # Whoever takes over says so too, and looks at nothing of it.
    quix.share_owners |= {0: object(), 1: object()}
    assert quix.detection.failures() == {}
    split_site(quix, range(4, 6))
    quix.work_off()
    assert "t.shares/1, tell/north" in quix.detection.failures()["messages"]
    assert "--forget" in quix.detection.failures()["messages"]
    # It begins anew where it is forgotten.
    quix.owners[1], quix.share_owners = object(), {0: object(), 1: object()}
    quix.stores[1].clear()
    for stores in quix.share_stores.values():
        for prefix in [each for each in stores if each.endswith(b"/north")]:
            del stores[prefix]
    split_site(quix, range(6, 8))
    quix.work_off()
    assert quix.detection.failures() == {}
    assert {*sites(quix.alerts[at:])} == {"north", "south"}


def test_a_share_that_does_not_know_a_rule_of_the_site_halts_and_goes_on_where_it_is_known(quix: Quix, tmp_path: Path) -> None:
    split_site(quix, range(4))
    quix.give_shares(lambda partition, said: said if partition else said.replace(b'["diagnostic"]', b'["diagnostic", "newer"]'))
    quix.commit()
    assert quix.shares_paused == [0]
    assert "rules that this version cannot use: newer" in quix.detection.failures()["messages"]
    quix.looked_at[0] = quix.shares._taken._halts[0].offset
    quix.share_owners[0] = object()
    quix.work_off()
    assert last(quix.told) == whole(tmp_path, range(4))


@pytest.mark.parametrize(
    ("of_this", "of_another"), [(b'"rule": "diagnostic"', b'"rule": "newer"'), (b'"touched": ', b'"newer": 1, "touched": ')]
)
def test_a_teller_that_cannot_read_what_a_newer_share_found_halts_and_goes_on_where_it_can(
    quix: Quix, tmp_path: Path, of_this: bytes, of_another: bytes
) -> None:
    split_site(quix, range(1), sensors=["one"])
    quix.work_off()
    # Alerts of the other sensors begin in shares.
    split_site(quix, range(1, 3))
    quix.give_shares()
    quix.commit()
    said = list(quix.shared[1])
    for place in range(quix.looked_at[1], len(said)):
        key, value, headers = said[place]
        quix.shared[1][place] = key, zlib.compress(zlib.decompress(value).replace(of_this, of_another)), headers
    quix.give_shares()
    quix.commit()
    assert quix.shares_paused == [1]
    assert "t.shares/1" in quix.detection.failures()["messages"]
    quix.shared[1] = said
    quix.looked_at[1] = quix.shares._taken._halts[1].offset
    quix.share_owners[1] = object()
    quix.work_off()
    assert quix.detection.failures() == {}
    one = Quix(tmp_path)
    split_site(one, range(1), split=False, sensors=["one"])
    split_site(one, range(1, 3), split=False)
    assert last(quix.told) == last(one.told)


def test_a_teller_that_waits_and_a_share_without_a_beginning_are_said_to_stand_still(
    quix: Quix, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]
    for module in (part_loop, teller_loop):
        monkeypatch.setattr(
            module, "time", SimpleNamespace(monotonic=lambda: now[0], time_ns=time.time_ns, perf_counter=time.time)
        )
    split_site(quix, range(1))
    # What the first share begins with was older than the topic keeps.
    del quix.shared[0][0]
    quix.work_off()
    split_site(quix, range(1, 3))
    quix.work_off()
    assert quix.detection.failures() == {}
    waiting = quix.shares.untold[1, "tell/north"]
    assert waiting > 0
    assert quix.detection.counted().passed_over > 0
    now[0] += parcels.STUCK_SECONDS + 1
    said = quix.detection.failures()["shares"]
    assert f"t.shares/1, tell/north: {waiting} cuts wait for what shares find, and for 301 s nothing was told" in said
    assert "t.shares/0, share/north: its beginning did not come" in said
    assert {each.measure.name: each.value for each in quix.shares.readings()} == {
        "icsight_detection_untold_cuts": waiting,
        "icsight_detection_untold_seconds": parcels.STUCK_SECONDS + 1,
    }


def test_records_of_a_partition_wait_while_more_than_it_may_hold_waits_at_its_teller(
    quix: Quix, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaleout, "CUTS", 5)
    split_site(quix, range(1))
    quix.work_off()
    split_site(quix, range(1, 4))
    at = quix.looked_at[0]
    quix.give_shares(newer)
    quix.commit()
    assert quix.shares.untold[1, "tell/north"] > 5
    quix.commit()
    assert set(quix.paused) == {1}
    quix.share_owners[0] = object()
    quix.looked_at[0] = at
    quix.work_off()
    quix.commit()
    assert quix.resumed == [1]


def let_wait(quix: Quix, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Records of a site that is split wait, as long as what is returned holds."""
    behind = [True]
    monkeypatch.setattr(Shares, "is_behind", property(lambda _: behind[0]))
    split_site(quix, range(2))
    quix.commit()
    assert set(quix.paused) == {1}
    return behind


def test_records_of_a_partition_wait_while_shares_are_behind_and_go_on_when_they_are_not(
    quix: Quix, monkeypatch: pytest.MonkeyPatch
) -> None:
    behind = let_wait(quix, monkeypatch)
    assert quix.resumed == []
    behind[0] = False
    quix.commit()
    quix.commit()
    assert quix.resumed == [1]


def test_whether_records_are_to_wait_is_not_looked_at_with_each_message(quix: Quix, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    monkeypatch.setattr(Shares, "is_behind", property(lambda _: bool(looks.append(1))))
    monkeypatch.setattr(scaleout, "WAIT_SECONDS", 3_600.0)
    monkeypatch.setattr(quix.detection, "_waited", -3_600.0)
    split_site(quix, range(2))
    quix.detection._waited = -3_600.0
    for _ in range(20):
        quix.detection.tick()
    assert looks == [1]
    assert quix.paused == []


@pytest.mark.parametrize("was_behind", [False, True])
def test_brokers_that_do_not_say_how_many_shares_wait_change_nothing(
    quix: Quix, monkeypatch: pytest.MonkeyPatch, *, was_behind: bool
) -> None:
    monkeypatch.setattr(shares, "ASKED_SECONDS", 0.0)
    ends: list[tuple[int, int] | None] = [(0, shares.AHEAD + 9 if was_behind else 1)]
    quix.context.consumer.get_watermark_offsets = lambda *_, **__: ends[0]
    assert quix.shares.is_behind == was_behind
    ends[0] = None
    assert quix.shares.is_behind == was_behind
    ends[0] = 0, 1 if was_behind else shares.AHEAD + 9
    place = SimpleNamespace(topic=TOPICS.shares, partition=0, offset=-1001, error=KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
    quix.context.consumer.committed = lambda *_, **__: [place]
    assert quix.shares.is_behind == was_behind
    place.error = None
    assert quix.shares.is_behind != was_behind


def test_a_partition_of_shares_that_stands_still_keeps_no_records_waiting_and_one_that_moves_does(
    quix: Quix, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, done, ends = [1_000.0], [0, 0], [shares.AHEAD + 9, 1]
    monkeypatch.setattr(shares, "time", SimpleNamespace(monotonic=lambda: now[0]))
    quix.context.consumer.committed = lambda *_, **__: [TopicPartition(TOPICS.shares, each, done[each]) for each in (0, 1)]
    quix.context.consumer.get_watermark_offsets = lambda place, **_: (0, ends[place.partition])
    said: list[bool] = []
    for _ in range(30):
        now[0] += shares.ASKED_SECONDS
        done[1] = ends[1] = ends[1] + 1_000
        said.append(quix.shares.is_behind)
    # Another partition moves all the time.
    still = round(shares.STILL_SECONDS / shares.ASKED_SECONDS) + 1
    assert said == [True] * still + [False] * (30 - still)
    done[0] = 1
    now[0] += shares.ASKED_SECONDS
    assert quix.shares.is_behind


def test_a_teller_remembers_all_runs_that_shares_do(quix: Quix, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "RUNS", 3)
    monkeypatch.setattr(share_loop, "RUNS", 3)
    split_site(quix, range(1), sensors=["one"])
    split_site(quix, range(1, 3))
    quix.work_off()
    held = {name: loop for (_, name), loop in quix.shares._mine() if isinstance(loop, TellerLoop)}
    of_shares = {run for loop in quix.shares.loops if isinstance(loop, ShareLoop) for run in loop.state.runs}
    assert len(of_shares) > 3
    assert of_shares <= {*held["tell/north"]._loop.state.runs}
    # Whoever takes over knows how many shares there are.
    quix.share_owners[1] = object()
    split_site(quix, range(3, 4))
    quix.work_off()
    held = {name: loop for (_, name), loop in quix.shares._mine() if isinstance(loop, TellerLoop)}
    assert held["tell/north"]._loop.state.shares == 2


def test_what_is_found_at_a_site_that_is_split_is_counted_once(quix: Quix, tmp_path: Path) -> None:
    one = Quix(tmp_path)
    split_site(one, range(4), split=False)
    # What was found before is counted then.
    split_site(quix, range(1), split=False)
    split_site(quix, range(1, 2))
    split_site(quix, range(2, 3))
    quix.work_off()
    assert list(quix.shares.loops)
    # Whoever takes over goes on from what is remembered.
    quix.owners[1], quix.share_owners = object(), {0: object(), 1: object()}
    split_site(quix, range(3, 4))
    quix.work_off()
    for name in ("batches", "records", "findings"):
        assert getattr(quix.detection.counted(), name) == getattr(one.detection.counted(), name) > 0


def test_bounds_that_have_bitten_before_a_site_is_split_are_counted_once(quix: Quix, monkeypatch: pytest.MonkeyPatch) -> None:
    def remember(runs: int) -> None:
        for module in (pipeline, share_loop):
            monkeypatch.setattr(module, "RUNS", runs)

    remember(3)
    split_site(quix, range(3), split=False)
    before = quix.detection.counted().limited
    assert before > 0
    remember(100)
    split_site(quix, range(3, 4))
    split_site(quix, range(4, 5))
    quix.work_off()
    assert list(quix.shares.loops)
    assert (quix.detection.counted().limited, quix.shares.counted().limited) == (before, 0)
    # What bites in shares is counted, too.
    remember(1)
    split_site(quix, range(5, 7))
    quix.work_off()
    assert quix.detection.counted().limited > before


def test_records_that_unfold_are_looked_at_by_what_they_unfold_to(quix: Quix, monkeypatch: pytest.MonkeyPatch) -> None:
    # One alone waits for no other.
    split_site(quix, range(1), sensors=["one"])
    quix.work_off()
    (batch,) = cut([request(1, function=8, data=bytes(300_000))], 1, START)
    made = outgoing(replace(batch, header=replace(batch.header, site="north", sensor="one")))
    assert len(made.data) < 100_000
    quix.give(made.header, bytes(made.data), 1)
    quix.commit()
    looks: list[int] = []
    looked = quix.shares._detect
    monkeypatch.setattr(quix.shares, "_detect", lambda: (looks.append(1), looked())[1])
    monkeypatch.setattr(shares, "GATHERED_BYTES", 300_000)
    quix.give_shares()
    assert looks == [1]


def test_what_waits_is_held_to_its_bound_without_a_look_at_all_sites_for_each_message(
    quix: Quix, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quix.detection, "_waiting_bytes", 20_000)
    looks: list[int] = []
    hold = quix.detection._hold_to_bound
    monkeypatch.setattr(quix.detection, "_hold_to_bound", lambda: (looks.append(1), hold())[1])
    for number in range(60):
        quix.give(*message(f"site-{number % 3}", 0, sensor=f"sensor-{number}", cut_last=False))
        # Whenever a worker ends, what has gone on follows from the messages alone.
        assert sum(site.loop.waiting_bytes for site in quix.detection.loops) <= 20_000
    assert 0 < len(looks) < 60
    assert quix.detection.counted().crowded > 0


def test_a_message_of_shares_that_says_nothing_is_damaged(quix: Quix) -> None:
    quix.shares.add(b"", b"share/north", 0, [], TOPICS.shares, 0, 0)
    assert quix.detection.counted().damaged == 1
    assert quix.detection.failures() == {}


def test_a_partition_of_shares_that_was_lost_with_what_was_not_committed_ends_the_worker(quix: Quix) -> None:
    split_site(quix, range(2))
    before = list(quix.told)
    quix.give_shares()
    quix.share_owners[0] = object()
    with pytest.raises(KafkaUnusable, match=r"partitions 0 of t\.shares went to other workers"):
        quix.detection.tick()
    with pytest.raises(KafkaUnusable, match=r"partitions 0 of t\.shares went to other workers"):
        quix.shares.flush()
    assert quix.told == before


def test_a_flush_of_shares_that_quix_waits_for_no_more_puts_nothing_into_the_next_transaction(
    quix: Quix, monkeypatch: pytest.MonkeyPatch
) -> None:
    split_site(quix, range(2))
    quix.give_shares()
    looked, sent = quix.shares._detect, [len(each) for each in quix.shared]

    def slow() -> None:
        looked()
        quix.context.checkpoint = quix._begun()

    monkeypatch.setattr(quix.shares, "_detect", slow)
    with pytest.raises(KafkaUnusable, match="could not be kept in time"):
        quix.shares.flush()
    assert [len(each) for each in quix.shared] == sent


def test_a_partition_that_is_halted_is_not_read_on_when_shares_have_worked_off_what_waited(
    quix: Quix, monkeypatch: pytest.MonkeyPatch
) -> None:
    behind = let_wait(quix, monkeypatch)
    quix.give(*message("north", 2), 1, version=2)
    behind[0] = False
    quix.commit()
    assert quix.resumed == []


def test_without_a_site_that_is_split_nothing_is_sent_to_shares(quix: Quix) -> None:
    split_site(quix, range(3), split=False)
    assert quix.shared == [[], []]
    assert quix.share_stores == {}
    assert quix.told
