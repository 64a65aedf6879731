"""From the stream into the store: each batch once, whatever happens on the way."""

# pyarrow ships no type information.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingTypeStubs=false

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self, cast

import polars as pl
import pyarrow as pa
import pytest

from collector.dead_letters import LetterFolder
from collector.metrics import readings
from collector.records import decode
from collector.settings import WriterSettings
from collector.store import Appended, Identity, RecordBatch, StoreError, Unstorable
from collector.store.local import LocalRecordStore
from collector.stream import Consumer, DamagedBatch, Delivery, Gap, Outgoing, Position, Stream, StreamError
from collector.stream.local import LocalStream
from collector.writer import BESIDES_BYTES, CONSUMER, Writer
from sensor.spool import BatchHeader, Spool
from sensor.spool_format import segment_path, segments
from sensor.spool_thinning import frames
from tests.batches import EPOCH, encode, sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

ROOT = Path(__file__).parents[2]


def outgoing(sequence: int, table: str = "modbus", epoch: str = EPOCH) -> Outgoing:
    header = BatchHeader("north", epoch, sequence, table, 5, "plant", sequence)
    return Outgoing(header, encode(header, sample(table, 5, seed=sequence)))


class Plant:
    """A spool, a store and the writer between them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool = Spool(folder / "spool")
        self.stream = LocalStream(folder / "spool", self.spool)
        self.store = LocalRecordStore(folder / "records", writer=True)
        self.dead_letters = LetterFolder(folder / "dead-letters")
        self.gaps: list[Gap] = []
        self.failures: list[str] = []
        self.writer = Writer(
            self.stream,
            self.store,
            self.dead_letters,
            settings=WriterSettings(gather_seconds=0.1),
            on_gap=self.gaps.append,
            on_failure=self.failures.append,
        )

    def close(self) -> None:
        self.store.close()
        self.spool.close()

    def stored(self) -> list[tuple[str, int, int]]:
        return self.store.sql("SELECT epoch, sequence, count(*) FROM modbus GROUP BY ALL ORDER BY ALL").rows()


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    plant = Plant(tmp_path)
    yield plant
    plant.close()


def test_all_that_is_in_the_stream_is_stored_once(plant: Plant) -> None:
    plant.stream.publish([outgoing(0), outgoing(1, "point"), outgoing(2)])
    position = plant.writer.drain()
    assert plant.stored() == [(EPOCH, 0, 5), (EPOCH, 2, 5)]
    assert plant.writer.drain() == position == plant.store.position(CONSUMER)
    assert plant.writer.counters.rows == 15
    assert plant.writer.counters.repeated == 0


def test_reading_the_same_capture_twice_adds_nothing(plant: Plant) -> None:
    plant.stream.publish([outgoing(0), outgoing(1)])
    plant.writer.drain()
    assert plant.stream.publish([outgoing(0), outgoing(1)]) == 0
    plant.writer.drain()
    assert plant.stored() == [(EPOCH, 0, 5), (EPOCH, 1, 5)]


def test_a_store_that_was_emptied_is_filled_again_from_the_spool(plant: Plant, tmp_path: Path) -> None:
    plant.stream.publish([outgoing(0), outgoing(1)])
    plant.writer.drain()
    store = LocalRecordStore(tmp_path / "new", writer=True)
    Writer(plant.stream, store, plant.dead_letters).drain()
    assert store.sql("SELECT count(*) FROM modbus").item() == 10
    store.close()


def test_what_cannot_be_decoded_becomes_a_dead_letter_and_the_rest_is_stored(plant: Plant) -> None:
    good = outgoing(2)
    bad = [
        Outgoing(outgoing(0).header, b"not arrow at all"),
        Outgoing(outgoing(1).header, bytes(outgoing(1).data)[:-200]),
        good,
        Outgoing(replace(outgoing(3).header, rows=6), outgoing(3).data),
        Outgoing(replace(outgoing(4).header, table="nothing"), outgoing(4).data),
        Outgoing(replace(outgoing(5).header, table="point"), outgoing(5).data),
        Outgoing(outgoing(6).header, outgoing(7).data),
    ]
    plant.stream.publish(bad)
    plant.writer.drain()
    assert plant.stored() == [(EPOCH, 2, 5)]
    letters = list(plant.dead_letters.letters())
    kept = {letter.header.sequence: letter for letter in letters if letter.header}
    assert sorted(kept) == [0, 1, 3, 4, 5, 6]
    assert plant.writer.counters.dead_letters == 6
    for batch in bad:
        if batch is not good:
            assert (kept[batch.header.sequence].header, kept[batch.header.sequence].data) == (batch.header, batch.data)
    assert "Arrow" in kept[0].reason
    assert kept[3].reason == "5 rows where the header says 6"
    assert kept[4].reason == "table 'nothing' is not known"
    assert "metadata says icsight.table 'modbus'" in kept[5].reason
    assert "icsight.sequence" in kept[6].reason
    assert all("\n" not in letter.reason for letter in letters)


def test_a_column_of_another_type_is_not_stored(plant: Plant) -> None:
    header = outgoing(0).header
    data = encode(replace(header, table="point"), sample("point", 5)).replace(b"icsight.table", b"icsight.xable")
    plant.stream.publish([Outgoing(header, data)])
    plant.writer.drain()
    assert plant.writer.counters.dead_letters == 1


def test_a_batch_damaged_in_the_spool_becomes_a_dead_letter_too(plant: Plant, tmp_path: Path) -> None:
    plant.stream.publish([outgoing(0), outgoing(1), outgoing(2)])
    path = segment_path(tmp_path / "spool", segments(tmp_path / "spool")[-1])
    content = bytearray(path.read_bytes())
    second = list(frames(tmp_path / "spool", 0))[1]
    content[second.payload + 10] ^= 1
    path.write_bytes(content)
    plant.writer.drain()
    assert plant.stored() == [(EPOCH, 0, 5), (EPOCH, 2, 5)]
    (letter,) = plant.dead_letters.letters()
    assert letter.header == outgoing(1).header
    assert "damaged" in letter.reason


def test_a_batch_that_cannot_be_stored_becomes_a_dead_letter_and_the_others_are_stored(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = plant.store.append

    def refusing(batches: Iterable[RecordBatch], *, consumer: str = "", position: Position | None = None) -> Appended:
        given = list(batches)
        if any(batch.header.sequence == 1 for batch in given):
            raise Unstorable("not to be stored")
        return append(given, consumer=consumer, position=position)

    monkeypatch.setattr(plant.store, "append", refusing)
    plant.stream.publish([outgoing(0), outgoing(1), outgoing(2)])
    plant.writer.drain()
    assert plant.stored() == [(EPOCH, 0, 5), (EPOCH, 2, 5)]
    assert plant.store.position(CONSUMER) == Position({"0": 3}, {("north", EPOCH): 2})
    (letter,) = plant.dead_letters.letters()
    assert (letter.header, letter.data) == (outgoing(1).header, outgoing(1).data)
    assert letter.reason == "not to be stored"
    counters = plant.writer.counters
    assert (counters.batches, counters.rows, counters.dead_letters) == (2, 10, 1)


def test_batches_that_cannot_be_stored_together_are_stored_apart(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    def strange(header: BatchHeader, data: bytes) -> RecordBatch:
        batch = decode(header, data)
        return replace(batch, rows=batch.rows.with_columns(new=pl.lit([1, "b"][header.sequence])))

    monkeypatch.setattr("collector.writer.decode", strange)
    plant.stream.publish([outgoing(0), outgoing(1)])
    plant.writer.drain()
    assert plant.store.tables()[1].rows == 10
    assert plant.writer.counters.batches == 2
    assert list(plant.dead_letters.letters()) == []


@pytest.mark.parametrize("where", ["decode", "append"])
def test_no_position_moves_before_the_letters_in_front_of_it_are_durable(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    class Unsettled(LetterFolder):
        def settle(self) -> None:
            raise StreamError("not durable")

    append = plant.store.append

    def refusing(batches: Iterable[RecordBatch], *, consumer: str = "", position: Position | None = None) -> Appended:
        if given := list(batches):
            raise Unstorable("strange")
        return append(given, consumer=consumer, position=position)

    plant.stream.publish([Outgoing(outgoing(0).header, b"not arrow at all" if where == "decode" else outgoing(0).data)])
    if where == "append":
        monkeypatch.setattr(plant.store, "append", refusing)
    writer = Writer(plant.stream, plant.store, Unsettled(plant.folder))
    with pytest.raises(StreamError, match="not durable"):
        writer.drain()
    assert plant.store.position(CONSUMER) is None


def test_one_batch_that_cannot_be_stored_makes_few_appends_of_many(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant.stream.publish([outgoing(number) for number in range(64)])
    append, appends = plant.store.append, 0

    def refusing(batches: Iterable[RecordBatch], *, consumer: str = "", position: Position | None = None) -> Appended:
        nonlocal appends
        appends += 1
        given = list(batches)
        if any(batch.header.sequence == 21 for batch in given):
            raise Unstorable("strange")
        return append(given, consumer=consumer, position=position)

    monkeypatch.setattr(plant.store, "append", refusing)
    plant.writer.drain()
    assert [(letter.reason, letter.header) for letter in plant.dead_letters.letters()] == [("strange", outgoing(21).header)]
    assert plant.stored() == [(EPOCH, number, 5) for number in range(64) if number != 21]
    assert appends < 20


class Endless:
    """A stream, and its consumer, that always has one more at once: a damaged message, or a batch that has lost all its rows."""

    ends: ClassVar[Mapping[str, int]] = {}
    halted: ClassVar[Mapping[str, str]] = {}

    def __init__(self, *, damaged: bool) -> None:
        self.damaged = damaged
        self.position = Position()

    def subscribe(self, consumer: str, start: Position | None = None) -> Endless:
        del consumer, start
        return self

    def poll(self, timeout_seconds: float, max_batches: int = 0, max_bytes: int = 0) -> Sequence[Delivery]:
        del timeout_seconds, max_batches, max_bytes
        number = self.position.offsets.get("0", 0)
        self.position = Position({"0": number + 1})
        if self.damaged:
            raise DamagedBatch("no batch", header=None, data=b"", position=self.position)
        header = BatchHeader("north", EPOCH, number, "modbus", 0, dropped=1)
        return [Delivery(header, b"", ("0", number), self.position)]

    def commit(self, position: Position) -> None: ...

    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...


@pytest.mark.parametrize("damaged", [True, False])
def test_a_writer_that_is_given_more_and_more_stores_and_stops_when_told(plant: Plant, *, damaged: bool) -> None:
    class Letters(LetterFolder):
        def keep(self, reason: str, header: BatchHeader | None, data: bytes) -> str:
            del reason, header, data
            time.sleep(0.001)
            return ""

    settings = WriterSettings(gather_seconds=0.1)
    stream = cast("Stream", Endless(damaged=damaged))
    writer = Writer(stream, plant.store, Letters(plant.folder), settings=settings, on_failure=plant.failures.append)
    stop = threading.Event()
    thread = threading.Thread(target=writer.run, args=(stop,), daemon=True)
    thread.start()
    until = time.monotonic() + 60
    while plant.store.position(CONSUMER) is None and time.monotonic() < until:
        time.sleep(0.05)
    stop.set()
    thread.join(timeout=60)
    assert not thread.is_alive()
    assert plant.failures == []
    found = plant.store.position(CONSUMER)
    assert found is not None
    assert found.offsets["0"] > 1


def test_however_long_the_wait_batches_without_bytes_do_not_gather_without_bound(plant: Plant) -> None:
    settings = WriterSettings(gather_seconds=60, gather_bytes=100 * BESIDES_BYTES)
    writer = Writer(cast("Stream", Endless(damaged=False)), plant.store, plant.dead_letters, settings=settings)
    stop = threading.Event()
    thread = threading.Thread(target=writer.run, args=(stop,), daemon=True)
    thread.start()
    until = time.monotonic() + 30
    while plant.store.position(CONSUMER) is None and time.monotonic() < until:
        time.sleep(0.05)
    stop.set()
    thread.join(timeout=30)
    assert plant.store.holds(("north", EPOCH), 99)


def test_a_consumer_that_cannot_read_is_not_asked_again_once_what_it_gave_is_stored(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.stream.publish([outgoing(number) for number in range(3)])
    subscribe, opened = plant.stream.subscribe, 0

    def failing(consumer: str, start: Position | None = None) -> Consumer:
        nonlocal opened
        opened += 1
        made = subscribe(consumer, start)
        poll, asked = made.poll, 0

        def once(timeout_seconds: float, **_: int) -> Sequence[Delivery]:
            nonlocal asked
            asked += 1
            if asked == 2:
                raise StreamError("a broker is away")
            assert asked < 2
            return poll(timeout_seconds, max_batches=1)

        monkeypatch.setattr(made, "poll", once)
        return made

    monkeypatch.setattr(plant.stream, "subscribe", failing)
    for number in range(3):
        with pytest.raises(StreamError, match="a broker is away"):
            plant.writer.drain()
        assert plant.stored() == [(EPOCH, sequence, 5) for sequence in range(number + 1)]
    assert opened == 3


def test_a_gap_is_counted_and_told(plant: Plant) -> None:
    plant.stream.publish([outgoing(0), outgoing(1), outgoing(2)])
    plant.store.append([], consumer=CONSUMER, position=Position({"0": 2}, {("north", EPOCH): 0}))
    plant.writer.drain()
    assert plant.gaps == [Gap(("north", EPOCH), 1, 2)]
    assert (plant.writer.counters.gaps, plant.writer.counters.missing) == (1, 1)


def had_before(plant: Plant) -> None:
    """Let the store's position say that it has had what its offset has yet to pass, as where an uplink has sent batches again."""
    plant.stream.publish([outgoing(0), outgoing(1), outgoing(2)])
    plant.store.append([], consumer=CONSUMER, position=Position({"0": 0}, {("north", EPOCH): 2}))


def test_a_position_is_stored_where_only_repeats_came(plant: Plant) -> None:
    had_before(plant)
    plant.writer.drain()
    assert plant.store.position(CONSUMER) == Position({"0": 3}, {("north", EPOCH): 2})
    with plant.stream.subscribe(CONSUMER) as consumer:
        assert consumer.position.offsets == {"0": 3}


def test_a_position_is_stored_where_only_repeats_come_to_a_writer_that_runs(plant: Plant) -> None:
    had_before(plant)
    stop = threading.Event()
    thread = threading.Thread(target=plant.writer.run, args=(stop,))
    thread.start()
    until = time.monotonic() + 10
    while plant.store.position(CONSUMER) != Position({"0": 3}, {("north", EPOCH): 2}) and time.monotonic() < until:
        stop.wait(0.01)
    stop.set()
    thread.join(timeout=10)
    assert plant.store.position(CONSUMER) == Position({"0": 3}, {("north", EPOCH): 2})
    assert plant.failures == []


def test_a_writer_with_nothing_to_do_writes_nothing(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant.stream.publish([outgoing(0)])
    plant.writer.drain()
    asked: list[object] = []
    monkeypatch.setattr(plant.store, "append", asked.append)
    plant.writer.drain()
    assert asked == []


def test_the_writer_stores_what_comes_while_it_runs_and_stops_when_told(plant: Plant) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=plant.writer.run, args=(stop,))
    thread.start()
    for sequence in range(20):
        plant.stream.publish([outgoing(sequence)])
    reached = threading.Event()
    while plant.writer.counters.batches < 20:
        reached.wait(0.01)
        assert thread.is_alive()
    stop.set()
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert len(plant.stored()) == 20


def test_a_store_that_fails_is_tried_again_until_it_takes_the_batches(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant.stream.publish([outgoing(0), outgoing(1)])
    stop = threading.Event()
    real = plant.store.append
    attempts = 0

    def failing(*arguments: object, **named: object) -> object:
        nonlocal attempts
        attempts += 1
        if attempts <= 2:
            raise StoreError("no room")
        done = real(*arguments, **named)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - handed on as they came
        stop.set()
        return done

    monkeypatch.setattr(plant.store, "append", failing)
    monkeypatch.setattr("collector.writer.RETRY_SECONDS", (0.0,))
    plant.writer.run(stop)
    assert plant.failures == ["no room", "no room"]
    assert plant.stored() == [(EPOCH, 0, 5), (EPOCH, 1, 5)]


KILLED = """
import sys
from pathlib import Path
from collector.dead_letters import LetterFolder
from collector.settings import StoreSettings, WriterSettings
from collector.store.local import LocalRecordStore
from collector.stream.local import LocalStream
from collector.writer import Writer
folder = Path(sys.argv[1])
store = LocalRecordStore(folder / "records", writer=True, settings=StoreSettings(merge_files=2, query_seconds=0.001))
settings = WriterSettings(gather_rows=int(sys.argv[2]))
writer = Writer(LocalStream(folder / "spool"), store, LetterFolder(folder / "dead"), settings=settings)
with writer._subscribe() as consumer:
    while writer._store_next(consumer, 0):
        print(writer.counters.batches, flush=True)
        store.merge()
print("done", flush=True)
"""


@pytest.mark.parametrize("seed", range(5))
def test_killed_at_any_moment_the_store_holds_every_batch_once_in_the_end(tmp_path: Path, seed: int) -> None:
    source = random.Random(seed)
    with Spool(tmp_path / "spool") as spool:
        stream = LocalStream(tmp_path / "spool", spool)
        stream.publish([outgoing(sequence) for sequence in range(60)])
        stream.publish([Outgoing(outgoing(60).header, b"rubbish"), outgoing(61)])
    kills, finished = 0, False
    while not finished:
        command = [sys.executable, "-c", KILLED, str(tmp_path), str(source.choice([10, 25]))]
        after = source.randrange(3) if kills < 3 else -1
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for count, line in enumerate(process.stdout):
                finished = line == "done\n"
                if count == after:
                    threading.Timer(source.uniform(0.0, 0.02), process.kill).start()
        assert process.returncode in {0, -signal.SIGKILL}
        kills += process.returncode != 0
    assert kills
    store = LocalRecordStore(tmp_path / "records", writer=True)
    wanted = [*range(60), 61]
    assert store.sql("SELECT sequence, count(*) FROM modbus GROUP BY ALL ORDER BY ALL").rows() == [
        (sequence, 5) for sequence in wanted
    ]
    assert len(store.records([Identity("north", EPOCH, sequence, 4) for sequence in wanted])) == 61
    assert len(list(LetterFolder(tmp_path / "dead").letters())) == 1
    store.close()


def test_what_is_gathered_is_bounded_by_what_it_unfolds_to(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    long = {"client.ip": ["long " * 200] * 1_000}
    headers = [BatchHeader("north", EPOCH, number, "modbus", 1_000) for number in range(6)]
    outgoings = [Outgoing(header, encode(header, {**sample("modbus", 1_000), **long})) for header in headers]
    written = decode(headers[0], bytes(outgoings[0].data)).written
    assert written > 10 * len(outgoings[0].data)
    plant.stream.publish(outgoings)
    gathered: list[int] = []
    append = plant.store.append

    def noted(batches: Iterable[RecordBatch], *, consumer: str = "", position: Position | None = None) -> Appended:
        given = list(batches)
        gathered.append(len(given))
        return append(given, consumer=consumer, position=position)

    monkeypatch.setattr(plant.store, "append", noted)
    settings = WriterSettings(gather_seconds=60, gather_bytes=2 * written)
    Writer(plant.stream, plant.store, plant.dead_letters, settings=settings).drain()
    assert gathered == [2, 2, 2]


def with_unknown(batch: Outgoing, *names: str) -> Outgoing:
    """The batch with further columns, as a newer sensor may send them."""
    table = pa.ipc.open_stream(bytes(batch.data)).read_all()
    for name in names:
        table = table.append_column(name, pa.array(range(table.num_rows)))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return Outgoing(batch.header, sink.getvalue().to_pybytes())


def test_columns_that_are_not_stored_are_counted_by_table_and_told_once(plant: Plant, caplog: pytest.LogCaptureFixture) -> None:
    names = [f"modbus.new_{number}" for number in range(7)]
    plant.stream.publish([outgoing(0), with_unknown(outgoing(1), "modbus.new\x1b[2J"), with_unknown(outgoing(2), *names)])
    plant.stream.publish([with_unknown(outgoing(3, "flow"), *names)])
    plant.writer.drain()
    assert plant.stored() == [(EPOCH, number, 5) for number in range(3)]
    found = {each.labels: each.value for each in readings(plant.writer) if each.measure.name == "icsight_store_left_out_columns"}
    assert found == {("modbus",): 8, ("flow",): 7}
    assert [each.getMessage() for each in caplog.records if each.name == "collector.writer"] == [
        "columns that table modbus does not know are not stored: 'modbus.new\\x1b[2J': "
        "update this program if a newer sensor sends them",
        "columns that table flow does not know are not stored: 'modbus.new_0', 'modbus.new_1', 'modbus.new_2', 'modbus.new_3', "
        "'modbus.new_4' and 2 more: update this program if a newer sensor sends them",
    ]
    assert list(plant.dead_letters.letters()) == []
