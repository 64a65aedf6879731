"""The port `CheckpointStore`, on a file and on the store whose changes go to a topic of Kafka."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Final, cast

import pytest
from quixstreams.state.rocksdb import RocksDBStorePartition

from collector.stream import Position
from detection.changelog import CHUNK_BYTES, OWN, ChangelogCheckpoints
from detection.checkpoint import Checkpoint, CheckpointError, FileCheckpoints
from detection.grouping import AlertState
from detection.pipeline import RunState, State

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from detection.changelog import Store
    from detection.checkpoint import CheckpointStore


class Counted:
    """A store of keys and values that counts what is written."""

    def __init__(self, store: Store) -> None:
        self.written: list[str] = []
        self._store = store
        self.get_bytes = store.get_bytes
        self.delete = store.delete

    def set_bytes(self, key: str, value: bytes) -> None:
        """Put a value."""
        assert len(value) <= CHUNK_BYTES
        self.written.append(key)
        self._store.set_bytes(key, value)


class Transactions:
    """Quix' store of one partition; each checkpoint is written in a transaction of its own."""

    def __init__(self, folder: Path) -> None:
        self._partition = RocksDBStorePartition(str(folder / "rocksdb"))
        self.written: list[str] = []

    def read(self) -> Checkpoint | None:
        """The checkpoint."""
        return ChangelogCheckpoints(self._state(), "changelog").read()

    def write(self, checkpoint: Checkpoint, beside: dict[str, bytes] | None = None) -> None:
        """Write one, and commit."""
        self._transaction = self._partition.begin()
        counted = Counted(cast("Store", self._transaction.as_state(prefix=b"works")))
        ChangelogCheckpoints(counted, "changelog").write(checkpoint, beside)
        self.written = counted.written
        self._transaction.prepare()
        self._transaction.flush()

    def beside(self) -> dict[str, bytes]:
        """What lies beside it."""
        return ChangelogCheckpoints(self._state(), "changelog").beside()

    def forget(self, key: str) -> None:
        """Remove a value."""
        transaction = self._partition.begin()
        cast("Store", transaction.as_state(prefix=b"works")).delete(key)
        transaction.flush()

    def put(self, member: str | None, content: bytes) -> None:
        """Put what another version would write in the place of a member, or of the table of contents."""
        transaction = self._partition.begin()
        store = cast("Store", transaction.as_state(prefix=b"works"))
        if member is not None:
            (key,) = json.loads(store.get_bytes("index") or b"")
            table = json.loads(store.get_bytes(f"chunk/{key}") or b"")
            table["members"][member] = ["changed"]
            store.set_bytes("chunk/changed", content)
            content = json.dumps(table).encode()
        store.set_bytes("chunk/table", content)
        store.set_bytes("index", b'["table"]')
        transaction.flush()

    def content(self) -> dict[bytes, bytes]:
        """All keys and values."""
        return {bytes(key): bytes(value) for key, value in self._partition.iter_items(b"", b"\xff")}

    def close(self) -> None:
        """Let go of the files."""
        self._partition.close()

    def _state(self) -> Store:
        return cast("Store", self._partition.begin().as_state(prefix=b"works"))


@pytest.fixture(params=["file", "changelog"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[CheckpointStore]:
    """A place for checkpoints that has none."""
    if request.param == "file":
        yield FileCheckpoints(tmp_path / "detection.zip")
        return
    transactions = Transactions(tmp_path)
    yield transactions
    transactions.close()


@pytest.fixture
def transactions(tmp_path: Path) -> Generator[Transactions]:
    """Quix' store."""
    made = Transactions(tmp_path)
    yield made
    made.close()


def state_of(count: int) -> State:
    """A state of so many runs."""
    return State({("sensor", f"{number:032x}"): RunState(alerts=AlertState(findings=number)) for number in range(count)})


FIRST: Final = Checkpoint(Position({"0": 3}, {("s", "e"): 2}), state_of(3), "epoch", {"clocks": [1]}, ended=False, site="v")


def test_there_is_none_at_the_beginning(store: CheckpointStore) -> None:
    assert store.read() is None


def test_what_was_written_is_read(store: CheckpointStore) -> None:
    store.write(FIRST)
    assert store.read() == FIRST


def test_the_newest_takes_the_place_of_the_one_before(store: CheckpointStore) -> None:
    store.write(FIRST)
    second = Checkpoint(Position({"0": 9}), state_of(1), "epoch", {}, ended=True)
    store.write(second)
    assert store.read() == second


def test_a_state_of_megabytes_goes_in_chunks_and_only_what_changed_is_written_again(transactions: Transactions) -> None:
    large = secrets.token_bytes(3 * CHUNK_BYTES + 17)
    transactions.write(FIRST, {"a": large, "b": b"other"})
    assert transactions.beside() == {"a": large, "b": b"other"}
    assert len(transactions.written) > 4
    transactions.write(FIRST, {"moved": large, "b": b"another"})
    assert len(transactions.written) == 3, "the changed value, the table of contents, and what names it"
    assert transactions.beside() == {"moved": large, "b": b"another"}
    transactions.write(FIRST)
    assert transactions.beside() == {}
    assert transactions.read() == FIRST


def test_a_part_that_is_missing_is_told(transactions: Transactions) -> None:
    transactions.write(FIRST)
    transactions.forget(next(key for key in transactions.written if key.startswith("chunk/")))
    with pytest.raises(CheckpointError, match="a part is missing"):
        transactions.read()


@pytest.mark.parametrize(
    ("member", "said", "line"),
    [
        (f"{OWN}checkpoint.json", {"format": 21}, "checkpoint 21, this one reads 19 and 20"),
        (None, {"format": 2, "contents": []}, "changelog 2, this one reads 1"),
    ],
)
def test_what_a_newer_version_remembers_on_kafka_is_refused_in_one_line_and_not_touched(
    transactions: Transactions, member: str | None, said: dict[str, object], line: str
) -> None:
    transactions.write(FIRST)
    transactions.put(member, json.dumps(said).encode())
    before = transactions.content()
    with pytest.raises(CheckpointError, match=rf"^changelog: written by a newer version of icsight \({line}\): update icsight"):
        transactions.read()
    assert transactions.content() == before
