"""The store on Elasticsearch: what only it can get wrong. What every store does is in tests/contract."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from collector.dead_letters import LetterFolder
from collector.records import decode
from collector.settings import ElasticsearchSettings
from collector.store import Filter, Identity, Query, QueryError, RecordBatch, StoreError
from collector.store.elastic_server import Refused, Server
from collector.store.elastic_setup import apply, plan, probe, snapshot
from collector.store.elastic_templates import ledger_index, pattern
from collector.store.elasticsearch import ElasticsearchRecordStore
from collector.stream import Position
from collector.stream.standing import RUNS_BEFORE_FORGETTING, RUNS_PER_PARTITION
from sensor.spool_format import BatchHeader
from tests.batches import EPOCH, START, encode, sample
from tests.collector.cluster import empty, settings
from tests.collector.faulty_proxy import proxy
from tests.collector.test_kafka_consumer import Client, consumer_of, invented
from tests.services.process import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.services.elasticsearch import Elasticsearch

ROOT = Path(__file__).parents[2]
HOUR = 3600 * 10**9
MIDNIGHT = START + 8 * HOUR
"""2025-11-25T00:00:00Z."""


@pytest.fixture
def store(elastic: ElasticsearchSettings) -> Iterator[ElasticsearchRecordStore]:
    store = ElasticsearchRecordStore(elastic, writer=True)
    yield store
    store.close()


def batch(
    sequence: int,
    columns: Mapping[str, Sequence[Any]] | None = None,
    *,
    rows: int = 10,
    start: int = START,
    sensor: str = "north",
    table: str = "modbus",
) -> RecordBatch:
    columns = columns or sample(table, rows, seed=sequence, start=start)
    header = BatchHeader(sensor, EPOCH, sequence, table, len(columns["ts"]), "plant")
    return decode(header, encode(header, columns))


def over_midnight(sequence: int) -> RecordBatch:
    """Ten rows, the fifth at midnight."""
    return batch(sequence, start=MIDNIGHT - 4_000_000)


def names(server: Server) -> list[str]:
    listed = server.ask("GET", f"/_cat/indices/{pattern(server.settings.prefix)}", format="json", h="index")
    return sorted(line["index"].removeprefix(server.settings.prefix) for line in listed)


def count(store: ElasticsearchRecordStore) -> int:
    return sum(stored.rows for stored in store.tables())


def written(server: Server, name: str) -> Position:
    """The position in a document of the ledger."""
    document = server.ask("GET", f"/{ledger_index(server.settings.prefix)}/_doc/{name.replace('/', '%2F')}")
    return Position.from_json(document["_source"]["position"])


def held(server: Server) -> dict[str, list[tuple[int, int]]]:
    """The batches that documents of the ledger tell of."""
    server.ask("POST", f"/{ledger_index(server.settings.prefix)}/_refresh")
    hits = server.ask("GET", f"/{ledger_index(server.settings.prefix)}/_search", {"size": 100})["hits"]["hits"]
    return {hit["_id"]: [(first, last) for first, last in hit["_source"]["held"]] for hit in hits}


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of all requests from now on."""
    paths: list[str] = []
    ask = Server.bytes

    def noted(server: Server, method: str, path: str, *arguments: Any, **options: Any) -> bytes:
        paths.append(path)
        return ask(server, method, path, *arguments, **options)

    monkeypatch.setattr(Server, "bytes", noted)
    return paths


KILLED = """
import os, signal, sys
from collector.store import elasticsearch
from collector.store.elastic_bulk import BulkWriter
from collector.store.elastic_ledger import Ledger
from collector.stream import Position
from tests.collector.cluster import settings
from tests.collector.test_elasticsearch_store import over_midnight

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

url, prefix, moment = sys.argv[1:]
store = elasticsearch.ElasticsearchRecordStore(settings(url, prefix=prefix, bulk_bytes=65536, bulk_requests=1), writer=True)
if moment == "between two indices":
    send = BulkWriter._send
    def second(self, part, seen=[]):
        if seen:
            die()
        seen.append(part)
        return send(self, part)
    BulkWriter._send = second
elif moment == "before the ledger":
    Ledger.hold = die
elif moment == "before the position":
    Ledger.stand = die
store.append([over_midnight(0), over_midnight(1)], consumer="store", position=Position({"0": 2}, {}))
"""


@pytest.mark.parametrize("moment", ["between two indices", "before the ledger", "before the position"])
def test_a_process_killed_between_bulk_and_commit_leaves_nothing_doubled_and_nothing_lost(
    moment: str, elastic: ElasticsearchSettings, server: Server
) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, elastic.hosts, elastic.prefix, moment], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    server.ask("POST", f"/{pattern(elastic.prefix)}/_refresh", ignore_unavailable=True)
    assert names(server)[0] == "-modbus-2025.11.24"
    store = ElasticsearchRecordStore(elastic, writer=True)
    assert store.position("store") is None
    done = store.append([over_midnight(0), over_midnight(1)], consumer="store", position=Position({"0": 2}, {}))
    assert done.repeated == (2 if moment == "before the position" else 0)
    assert names(server) == ["-modbus-2025.11.24", "-modbus-2025.11.25"]
    assert count(store) == 20
    assert store.sql("SELECT sequence, row FROM modbus").is_unique().all()
    assert store.position("store") == Position({"0": 2}, {})
    assert store.append([over_midnight(0)]).repeated == 1
    store.close()


def test_a_batch_that_comes_again_after_its_ledger_is_lost_lands_in_the_same_indices(
    store: ElasticsearchRecordStore, server: Server
) -> None:
    store.append([over_midnight(0)])
    store.append([batch(1, start=MIDNIGHT + 24 * HOUR)])
    server.ask("DELETE", f"/{ledger_index(server.settings.prefix)}")
    apply(server)
    again = ElasticsearchRecordStore(server.settings, writer=True)
    done = again.append([over_midnight(0)])
    assert (done.batches, done.rows, done.repeated) == (1, 0, 0)
    assert count(again) == 20
    again.close()


def test_an_index_of_records_cannot_be_rolled_over(store: ElasticsearchRecordStore, server: Server) -> None:
    store.append([batch(0)])
    with pytest.raises(Refused, match="rollover"):
        server.ask("POST", f"/{server.settings.prefix}-modbus-2025.11.24/_rollover")


def test_requests_that_are_too_large_are_split_until_they_fit(elastic: ElasticsearchSettings) -> None:
    with proxy(elastic.hosts) as before:
        before.fault = lambda _path, body: (413, {"error": "too large"}) if len(body) > 20_000 else None
        store = ElasticsearchRecordStore(elastic.model_copy(update={"hosts": before.url}), writer=True)
        assert store.append([batch(0, rows=300)]).rows == 300
        assert max(before.bulks) <= 20_000
        assert len(before.bulks) > 4
        assert count(store) == 300
        store.close()


def test_a_record_that_is_too_large_by_itself_makes_its_batch_a_dead_letter(
    elastic: ElasticsearchSettings, tmp_path: Path
) -> None:
    letters = LetterFolder(tmp_path)
    columns = sample("modbus", 3)
    columns["modbus.data"] = [None, b"x" * 20_000, None]
    with proxy(elastic.hosts) as before:
        before.fault = lambda _path, body: (413, {"error": "too large"}) if len(body) > 20_000 else None
        store = ElasticsearchRecordStore(elastic.model_copy(update={"hosts": before.url}), writer=True, letters=letters)
        assert store.append([batch(0, columns), batch(1)]).batches == 1
        assert "1 of 3 rows" in next(letters.letters()).reason
        assert count(store) == 12
        store.close()


def test_a_busy_cluster_is_asked_again_more_slowly_with_less(elastic: ElasticsearchSettings) -> None:
    busy = [429, 503, 429, 429]
    refusal = {"error": {"type": "es_rejected_execution_exception", "reason": "full"}}

    def late(_path: str, answer: dict[str, Any]) -> None:
        # The first time a part of the documents was not taken: the answer says so for two of them.
        if not told:
            for item in answer["items"][:2]:
                item["create"] = {"status": 429, "error": {"type": "es_rejected_execution_exception", "reason": "full"}}
            told.append(True)

    told: list[bool] = []
    with proxy(elastic.hosts) as before:
        before.fault = lambda _path, _body: (busy.pop(), refusal) if busy else None
        before.change = late
        store = ElasticsearchRecordStore(elastic.model_copy(update={"hosts": before.url}), writer=True)
        store.append([batch(0, rows=100)])
        assert not busy
        assert told
        assert len(before.bulks) > 2
        assert count(store) == 100
        store.close()


def test_a_cluster_that_stays_busy_fails_the_append_and_moves_no_position(elastic: ElasticsearchSettings) -> None:
    refusal = (429, {"error": {"type": "es_rejected_execution_exception", "reason": "full"}})
    with proxy(elastic.hosts) as before:
        before.fault = lambda _path, _body: refusal
        store = ElasticsearchRecordStore(elastic.model_copy(update={"hosts": before.url, "patience_seconds": 0.5}), writer=True)
        with pytest.raises(StoreError, match=r"too busy for 0\.5 s"):
            store.append([batch(0)], consumer="store", position=Position({"0": 1}, {}))
        assert store.position("store") is None
        before.fault = lambda _path, _body: None
        assert store.append([batch(0)], consumer="store", position=Position({"0": 1}, {})).rows == 10
        assert store.position("store") == Position({"0": 1}, {})
        store.close()


def test_rows_that_a_mapping_refuses_make_a_dead_letter_that_can_be_replayed(
    elastic: ElasticsearchSettings, server: Server, tmp_path: Path
) -> None:
    name = f"/{elastic.prefix}-modbus-2025.11.24"
    server.ask("PUT", name, {"mappings": {"properties": {"modbus.address": {"type": "ip"}}}})
    letters = LetterFolder(tmp_path)
    columns = sample("modbus", 4)
    columns["modbus.address"] = [None, 5, None, 6]
    store = ElasticsearchRecordStore(elastic, writer=True, letters=letters)
    bad, good = batch(0, columns), batch(1, start=MIDNIGHT)
    assert store.append([bad, good], consumer="store", position=Position({"0": 2}, {})).batches == 1
    assert store.position("store") == Position({"0": 2}, {})
    assert count(store) == 12
    (letter,) = letters.letters()
    assert letter.reason.startswith("2 of 4 rows are not stored: document_parsing_exception")
    # The index is made anew as it should be; what is in the letter comes back.
    server.ask("DELETE", name)
    assert letter.header is not None
    assert store.append([decode(letter.header, letter.data)]).batches == 1
    assert count(store) == 14
    assert store.append([decode(letter.header, letter.data)]).repeated == 1
    store.close()


def test_without_a_place_for_dead_letters_refused_rows_fail_the_append(elastic: ElasticsearchSettings, server: Server) -> None:
    server.ask("PUT", f"/{elastic.prefix}-modbus-2025.11.24", {"mappings": {"properties": {"modbus.address": {"type": "ip"}}}})
    store = ElasticsearchRecordStore(elastic, writer=True)
    with pytest.raises(StoreError, match="document_parsing_exception"):
        store.append([batch(0)], consumer="store", position=Position({"0": 1}, {}))
    assert store.position("store") is None
    store.close()


def test_wild_clocks_do_not_make_an_index_a_row(store: ElasticsearchRecordStore, server: Server) -> None:
    store.append([batch(0, {"ts": [START + day * 24 * HOUR for day in range(40)]})])
    assert names(server) == ["-modbus-2026.01.02"]
    assert store.query(Query("modbus")).rows.height == 40


def test_only_new_indices_of_far_days_cost_questions_of_how_full_the_cluster_is(
    elastic: ElasticsearchSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ElasticsearchRecordStore(elastic, writer=True)
    paths = counted(monkeypatch)
    for sequence in range(3):
        store.append([batch(sequence, start=time.time_ns())])
    assert not [path for path in paths if path.startswith("/_cluster") or path.endswith("/_alias")]
    for sequence in range(3, 6):
        store.append([over_midnight(sequence)])
    assert sum(path == "/_cluster/health" for path in paths) == 2
    store.close()


def test_names_longer_than_an_identifier_may_be_are_stored_and_found(store: ElasticsearchRecordStore) -> None:
    header = BatchHeader("s" * 255, "e" * 255, 0, "modbus", 2, "plant")
    store.append([decode(header, encode(header, sample("modbus", 2)))])
    rows = store.query(Query("modbus")).rows
    assert rows["sensor"].to_list() == ["s" * 255] * 2
    assert len(store.records([Identity("s" * 255, "e" * 255, 0, row) for row in range(3)])) == 2


def test_two_processes_that_store_the_same_run_find_out_and_double_nothing(elastic: ElasticsearchSettings) -> None:
    one, other = (ElasticsearchRecordStore(elastic, writer=True) for _ in range(2))
    one.append([batch(0)])
    other.append([batch(1)])
    with pytest.raises(StoreError, match="another process stores the same records"):
        one.append([batch(1), batch(2)])
    done = one.append([batch(1), batch(2)])
    assert (done.batches, done.repeated) == (1, 1)
    assert count(one) == 30
    one.close()
    other.close()


def test_consumers_of_one_name_keep_each_others_partitions(elastic: ElasticsearchSettings) -> None:
    one, other = (ElasticsearchRecordStore(elastic, writer=True) for _ in range(2))
    one.append([batch(0)], consumer="store", position=Position({"0": 1}, {("north", EPOCH): 0}))
    other.append([batch(0, sensor="south")], consumer="store", position=Position({"1": 1}, {("south", EPOCH): 0}))
    one.append([batch(1)], consumer="store", position=Position({"0": 2}, {("north", EPOCH): 1}))
    one.append([batch(2)], consumer="store", position=Position({"0": 3}, {("north", EPOCH): 2}))
    assert other.position("store") == Position({"0": 3, "1": 1}, {("north", EPOCH): 2, ("south", EPOCH): 0})
    one.close()
    other.close()


def test_each_partition_has_a_document_that_only_its_own_news_change(elastic: ElasticsearchSettings, server: Server) -> None:
    north, south = ("north", EPOCH), ("south", EPOCH)
    homes = {north: "0", south: "1"}
    store = ElasticsearchRecordStore(elastic, writer=True)
    store.append([], consumer="store", position=Position({"0": 1, "1": 1}, {north: 0, south: 0}, homes))

    def document(partition: str) -> Mapping[str, Any]:
        name = f"/{ledger_index(elastic.prefix)}/_doc/consumer%2Fstore%2F{partition}"
        return server.ask("GET", name)

    before = document("1")
    assert Position.from_json(before["_source"]["position"]) == Position({"1": 1}, {south: 0})
    for sequence in (1, 2):
        store.append([], consumer="store", position=Position({"0": 1 + sequence, "1": 1}, {north: sequence, south: 0}, homes))
    assert document("1") == before
    assert Position.from_json(document("0")["_source"]["position"]) == Position({"0": 3}, {north: 2})
    store.close()
    again = ElasticsearchRecordStore(elastic)
    found = again.position("store")
    assert found == Position({"0": 3, "1": 1}, {north: 2, south: 0})
    assert found is not None
    assert found.homes == homes
    again.close()


def test_a_partition_of_runs_without_end_has_a_document_of_some(elastic: ElasticsearchSettings, server: Server) -> None:
    runs = [("hostile", str(number)) for number in range(3 * RUNS_PER_PARTITION)]
    store = ElasticsearchRecordStore(elastic, writer=True)
    for some in range(2 * RUNS_PER_PARTITION, 3 * RUNS_PER_PARTITION, 4_096):
        met = runs[: some + 4_096]
        position = Position({"0": len(met)}, dict.fromkeys(met, 0), dict.fromkeys(met, "0"))
        store.append([], consumer="store", position=position)
    document = server.ask("GET", f"/{ledger_index(elastic.prefix)}/_doc/consumer%2Fstore%2F0")
    kept = Position.from_json(document["_source"]["position"])
    assert kept == Position({"0": len(runs)}, dict.fromkeys(runs[-RUNS_PER_PARTITION:], 0))
    assert len(store._ledger._stands["store"].seen) == RUNS_PER_PARTITION  # pyright: ignore[reportPrivateUsage]
    store.close()


def test_short_lives_of_a_consumer_without_end_make_no_document_longer(
    elastic: ElasticsearchSettings, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(1)
    for life in range(4):
        store = ElasticsearchRecordStore(elastic, writer=True)
        consumer = consumer_of(client, monkeypatch, start=store.position("store"))
        client.messages = invented(life, 6_000)
        for most in (5_999, 1):
            assert len(consumer.poll(0.01, max_batches=most)) == most
            store.append([], consumer="store", position=consumer.position)
        assert consumer.poll(0.01) == []
        client.offset = consumer.position.offsets["0"]
        store.close()
        assert len(consumer.position.seen) <= RUNS_BEFORE_FORGETTING
    assert written(server, "consumer/store") == Position()
    part = written(server, "consumer/store/0")
    assert part.offsets == {"0": 4 * 6_000}
    assert len(part.seen) <= RUNS_BEFORE_FORGETTING
    assert {("invented-3-0", "e"), ("invented-3-5999", "e")} <= part.seen.keys()


def test_runs_that_lie_nowhere_take_as_much_room_as_those_of_a_partition_and_those_elsewhere_none(
    elastic: ElasticsearchSettings, server: Server
) -> None:
    store = ElasticsearchRecordStore(elastic, writer=True)
    runs = [("hostile", str(number)) for number in range(3 * RUNS_PER_PARTITION)]
    for some in range(RUNS_PER_PARTITION, 4 * RUNS_PER_PARTITION, RUNS_PER_PARTITION):
        position = Position({"0": some}, dict.fromkeys(runs[:some], 0) | {("north", "e"): some}, {("north", "e"): "1"})
        store.append([], consumer="store", position=position)
    rest = written(server, "consumer/store")
    assert rest.seen == dict.fromkeys(runs[-RUNS_PER_PARTITION:], 0)
    # Whoever reads the other partition tells of it.
    assert written(server, "consumer/store/0") == Position({"0": 3 * RUNS_PER_PARTITION})
    assert store.position("store") == Position({"0": 3 * RUNS_PER_PARTITION}, rest.seen)
    store.close()


def test_numbers_that_are_missing_without_end_keep_no_batch_out_and_a_ledger_from_before_is_read(
    elastic: ElasticsearchSettings, server: Server
) -> None:
    before = [(number, number) for number in range(0, 2 * 8_192, 2)]
    name = f"/{ledger_index(elastic.prefix)}/_doc/run%2Fnorth%2F{EPOCH}"
    server.ask("PUT", name, {"run": ("north", EPOCH), "held": before})
    store = ElasticsearchRecordStore(elastic, writer=True)
    done = store.append([batch(number) for number in (2, 16_382, 16_386, 16_388, 40_000)])
    assert (done.batches, done.repeated) == (3, 2)
    # What comes late is stored as well, and is part of the document that has its numbers.
    done = store.append([batch(number) for number in (1, 0, 16_388)])
    assert (done.batches, done.repeated) == (1, 2)
    assert count(store) == 4 * 10
    again = ElasticsearchRecordStore(elastic, writer=True)
    numbers = [*range(6), *range(16_380, 16_390), 40_000]
    stored = [number for number in numbers if again.holds(("north", EPOCH), number)]
    assert stored == [0, 1, 2, 4, 16_380, 16_382, 16_386, 16_388, 40_000]
    assert again.append([batch(number) for number in stored]).repeated == len(stored)
    assert held(server) == {
        f"run/north/{EPOCH}": before,
        f"batches/0/north/{EPOCH}": [(0, 2), *before[2:]],
        f"batches/1/north/{EPOCH}": [(16_386, 16_386), (16_388, 16_388)],
        f"batches/2/north/{EPOCH}": [(40_000, 40_000)],
    }
    store.close()
    again.close()


def test_a_ledger_that_cannot_be_read_now_does_not_say_that_nothing_is_stored(
    elastic: ElasticsearchSettings, server: Server
) -> None:
    store = ElasticsearchRecordStore(elastic, writer=True)
    store.append([batch(0)])
    reader = ElasticsearchRecordStore(elastic)
    server.ask("POST", f"/{ledger_index(elastic.prefix)}/_close")
    with pytest.raises(StoreError, match="cannot be read"):
        reader.holds(("north", EPOCH), 0)
    server.ask("POST", f"/{ledger_index(elastic.prefix)}/_open", wait_for_active_shards="1")
    assert reader.holds(("north", EPOCH), 0)
    reader.close()
    store.close()


def test_documents_of_a_ledger_that_are_too_much_for_one_request_are_written_in_several(
    elastic: ElasticsearchSettings, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensors = ["north", "south", "west"]
    before = [(number, number) for number in range(0, 2 * 8_192, 2)]
    for sensor in sensors:
        server.ask(
            "PUT", f"/{ledger_index(elastic.prefix)}/_doc/run%2F{sensor}%2F{EPOCH}", {"run": (sensor, EPOCH), "held": before}
        )
    store = ElasticsearchRecordStore(elastic.model_copy(update={"bulk_bytes": 64 * 1024}), writer=True)
    bodies: list[int] = []
    ask = Server.bytes

    def asked(self: Server, method: str, path: str, body: Any = None, **named: Any) -> bytes:
        if path == f"/{ledger_index(elastic.prefix)}/_bulk":
            bodies.append(len(body))
        return ask(self, method, path, body, **named)

    monkeypatch.setattr(Server, "bytes", asked)
    numbers = (1, 16_385)
    assert store.append([batch(number, sensor=sensor) for sensor in sensors for number in numbers]).batches == 6
    # One document is larger than a request may be; the small ones go together.
    assert [size > 64 * 1024 for size in sorted(bodies)] == [False] * (len(bodies) - 3) + [True] * 3
    assert len(bodies) < 7
    again = ElasticsearchRecordStore(elastic, writer=True)
    assert all(again.holds((sensor, EPOCH), number) for sensor in sensors for number in (0, *numbers, 2))
    store.close()
    again.close()


def test_dead_letters_between_good_batches_are_stored_when_they_are_replayed(
    elastic: ElasticsearchSettings, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.store.elastic_ledger.BATCHES_PER_DOCUMENT", 4)
    name = f"/{elastic.prefix}-modbus-2025.11.24"
    server.ask("PUT", name, {"mappings": {"properties": {"modbus.address": {"type": "ip"}}}})
    letters = LetterFolder(tmp_path)
    store = ElasticsearchRecordStore(elastic, writer=True, letters=letters)
    good = [batch(number, start=MIDNIGHT) for number in range(0, 8, 2)]
    assert store.append([*good, *(batch(number) for number in range(1, 8, 2))]).batches == 4
    kept = [decode(letter.header, letter.data) for letter in letters.letters() if letter.header is not None]
    assert {each.header.sequence for each in kept} == {1, 3, 5, 7}
    assert held(server)[f"batches/1/north/{EPOCH}"] == [(4, 4), (6, 6)]
    server.ask("DELETE", name)
    assert sum(store.append([each]).batches for each in kept) == 4
    assert store.append([*good, *kept]).repeated == 8
    assert held(server) == {f"batches/{number}/north/{EPOCH}": [(4 * number, 4 * number + 3)] for number in range(2)}
    assert count(store) == 8 * 10
    store.close()


def test_a_consumer_goes_on_from_a_ledger_with_one_position_for_all(elastic: ElasticsearchSettings, server: Server) -> None:
    north, south = ("north", EPOCH), ("south", EPOCH)
    old = Position({"0": 4, "1": 7}, {north: 3, south: 6})
    name = f"/{ledger_index(elastic.prefix)}/_doc/consumer%2Fstore"
    server.ask("PUT", name, {"consumer": "store", "position": old.to_json()})
    store = ElasticsearchRecordStore(elastic, writer=True)
    assert store.position("store") == old
    store.append([], consumer="store", position=Position({"0": 5, "1": 7}, {north: 4, south: 6}, {north: "0"}))
    store.close()
    again = ElasticsearchRecordStore(elastic)
    assert again.position("store") == Position({"0": 5, "1": 7}, {north: 4, south: 6})
    again.close()


def test_a_consumer_that_knows_an_older_sequence_of_anothers_run_does_not_set_it_back(elastic: ElasticsearchSettings) -> None:
    north, south = ("north", EPOCH), ("south", EPOCH)
    one, other = (ElasticsearchRecordStore(elastic, writer=True) for _ in range(2))
    one.append([], consumer="store", position=Position({"0": 1, "1": 1}, {north: 0, south: 0}, {north: "0", south: "1"}))
    assert other.position("store") is not None
    one.append([], consumer="store", position=Position({"0": 9}, {north: 8}, {north: "0"}))
    other.append([], consumer="store", position=Position({"1": 2}, {north: 0, south: 1}, {south: "1"}))
    assert one.position("store") == Position({"0": 9, "1": 2}, {north: 8, south: 1})
    one.close()
    other.close()


def test_few_rows_of_many_sensors_go_into_few_requests(elastic: ElasticsearchSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ElasticsearchRecordStore(elastic, writer=True)
    paths = counted(monkeypatch)
    sensors = [f'sensor "{number}"' for number in range(100)]
    given = [batch(0, rows=3, sensor=sensor, table=table) for sensor in sensors for table in ("modbus", "point")]
    done = store.append(
        [replace(each, header=replace(each.header, sequence=int(each.header.table == "point"))) for each in given]
    )
    assert (done.batches, done.rows) == (200, 600)
    assert len(paths) < 12
    records = store.records([Identity(sensor, EPOCH, 0, 2) for sensor in sensors])
    assert [record["sensor"] for record in records.values()] == sensors
    store.close()


def test_sql_fetches_what_the_select_needs_and_refuses_more_than_its_bound(elastic: ElasticsearchSettings) -> None:
    store = ElasticsearchRecordStore(elastic.model_copy(update={"sql_rows": 50}), writer=True)
    store.append([batch(0, rows=60), batch(1, rows=30, table="point")])
    with pytest.raises(QueryError, match="needs more than 50 rows of modbus: add a WHERE"):
        store.sql("SELECT count(*) FROM modbus")
    for where, rows in (
        ("ts < '2025-11-24T16:00:00.025Z'", 25),
        ("modbus.ts BETWEEN '2025-11-24T16:00:00.010Z' AND '2025-11-24T16:00:00.019Z' AND modbus.quantity = 4", 10),
        ("ts < '2025-11-24T16:00:00.025Z'::TIMESTAMPTZ_NS", 25),
        ("10 > modbus.transaction_id", 10),
        ("modbus.transaction_id IN (1, 2, 99)", 2),
        ('"row" >= 55 AND (vlan IS NULL OR vlan = 7)', 5),
    ):
        assert store.sql(f"SELECT count(*) FROM modbus WHERE {where}").item() == rows
    assert store.sql("SELECT count(*) FROM point").item() == 30
    for select in ("SELECT * FROM modbus m WHERE m.ts < '2025-01-01'", "SELECT 1 FROM modbus WHERE ts < '2025-01-01' OR true"):
        if "OR" in select:
            with pytest.raises(QueryError, match="more than 50 rows"):
                store.sql(select)
        else:
            assert store.sql(select).is_empty()
    store.close()


def test_sql_reads_over_several_pages_at_one_point_in_time(elastic: ElasticsearchSettings) -> None:
    store = ElasticsearchRecordStore(elastic, writer=True)
    store.append([batch(sequence, rows=8_000) for sequence in range(3)])
    assert store.sql("SELECT count(*), count(DISTINCT (sequence, row)) FROM modbus").row(0) == (24_000, 24_000)
    store.close()


def test_setting_up_again_changes_nothing_and_brings_new_columns_to_old_indices(
    elastic: ElasticsearchSettings, server: Server, store: ElasticsearchRecordStore
) -> None:
    assert plan(server) == []
    server.ask("PUT", f"/_component_template/{elastic.prefix}-point", {"template": {"mappings": {"properties": {}}}})
    store.append([batch(0, table="point")])
    assert {change.path.removeprefix("/") for change in plan(server)} == {
        f"_component_template/{elastic.prefix}-point",
        f"{elastic.prefix}-point-2025.11.24/_mapping",
    }
    apply(server)
    assert plan(server) == []
    store.append([batch(1, table="point")])
    assert store.query(Query("point", [Filter("point.number", ">=", 0)])).rows.height == 10


def test_a_cluster_that_is_not_set_up_or_of_a_newer_version_is_refused_untouched(elasticsearch_server: Elasticsearch) -> None:
    chosen = settings(elasticsearch_server.url)
    server = Server(chosen)
    with pytest.raises(StoreError, match="run icsight elasticsearch apply"):
        ElasticsearchRecordStore(chosen)
    template = {"index_patterns": [f"{chosen.prefix}-flow-*"], "_meta": {"icsight": {"format": 99}}}
    server.ask("PUT", f"/_index_template/{chosen.prefix}-flow", template)
    try:
        for attempt in (lambda: ElasticsearchRecordStore(chosen, writer=True), lambda: apply(server)):
            with pytest.raises(StoreError, match=r"newer version \(format 99"):
                attempt()
        assert server.ask("GET", f"/_component_template/{chosen.prefix}-*", absent=True) in (None, {"component_templates": []})
    finally:
        server.ask("DELETE", f"/_index_template/{chosen.prefix}-flow")
        server.close()


def test_what_the_server_does_not_offer_is_said_before_it_is_used(elastic: ElasticsearchSettings, server: Server) -> None:
    # The server of the tests has no index lifecycle management.
    assert not probe(server).lifecycle
    asked = Server(elastic.model_copy(update={"retention_days": 30}))
    with pytest.raises(StoreError, match="has no index lifecycle management"):
        plan(asked)
    asked.close()
    with pytest.raises(StoreError, match="has no snapshot repository nowhere"):
        snapshot(server, "nowhere", "x")


def test_a_snapshot_brings_back_records_and_what_is_known_to_be_stored(
    elastic: ElasticsearchSettings, server: Server, elasticsearch_server: Elasticsearch
) -> None:
    repository = elastic.prefix
    place = str(elasticsearch_server.snapshots / repository)
    server.ask("PUT", f"/_snapshot/{repository}", {"type": "fs", "settings": {"location": place}})
    store = ElasticsearchRecordStore(elastic, writer=True)
    store.append([over_midnight(0)], consumer="store", position=Position({"0": 1}, {}))
    before = store.query(Query("modbus")).rows
    taken = snapshot(server, repository, "one")
    assert len(taken["indices"]) == 3
    empty(server)
    server.ask("POST", f"/_snapshot/{repository}/one/_restore", wait_for_completion=True)
    again = ElasticsearchRecordStore(elastic, writer=True)
    assert again.query(Query("modbus")).rows.equals(before)
    assert again.append([over_midnight(0)]).repeated == 1
    assert again.position("store") == Position({"0": 1}, {})
    server.ask("DELETE", f"/_snapshot/{repository}/one")
    server.ask("DELETE", f"/_snapshot/{repository}")
    store.close()
    again.close()


def test_a_node_that_is_away_costs_no_append_and_no_question(elastic: ElasticsearchSettings) -> None:
    # Which node is asked first is drawn: of eight processes some begin with the one that is away.
    hosts = f"http://127.0.0.1:{free_port()},{elastic.hosts}"
    for sequence in range(8):
        store = ElasticsearchRecordStore(elastic.model_copy(update={"hosts": hosts}), writer=True)
        done = store.append([batch(sequence)], consumer="store", position=Position({"0": sequence + 1}, {}))
        assert (done.batches, count(store)) == (1, 10 * (sequence + 1))
        store.close()


def test_a_write_of_the_ledger_that_is_left_unanswered_fails_and_is_found_done_the_next_time(
    elastic: ElasticsearchSettings,
) -> None:
    with proxy(elastic.hosts) as before:
        # Two names of one, the first of them twice: there is another to ask.
        hosts = f"{before.url},{before.url}/,{before.url.replace('127.0.0.1', 'localhost')}"
        store = ElasticsearchRecordStore(elastic.model_copy(update={"hosts": hosts}), writer=True)
        store.append([batch(0)])
        before.hangs_up = lambda path: ".ledger/_bulk" in path
        with pytest.raises(StoreError, match="cannot be reached"):
            store.append([batch(1)])
        before.hangs_up = lambda _path: False
        assert store.append([batch(1)]).repeated == 1
        assert count(store) == 20
        store.close()


def test_a_cluster_that_is_not_there_is_told_in_one_line() -> None:
    with pytest.raises(StoreError, match="cannot be reached") as caught:
        ElasticsearchRecordStore(ElasticsearchSettings(hosts="http://127.0.0.1:9"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("hosts", ["http://10.0.0.1:9200", "https://name:secret@host:9200", "ftp://host", "host:9200"])
def test_hosts_that_would_send_records_in_clear_or_hold_a_password_are_refused(hosts: str) -> None:
    with pytest.raises(ValueError, match="hosts:") as caught:
        ElasticsearchSettings(hosts=hosts)
    assert "secret" not in str(caught.value)
