"""Which batches a cluster holds and where consumers stand, in an index beside the records.

A document for each `BATCHES_PER_DOCUMENT` of a run has those that are stored as closed intervals. One by one they may be
missing, where a sensor leaves numbers out or they have become dead letters: what an append writes is bounded all the same, and
each is stored whenever it comes. A ledger from before had a document for each run: what that tells is read besides.

Where a consumer stands is in a document for each partition, with the runs that were met there, so that what an append writes
grows with what it brought and not with the fleet, and consumers that share the partitions do not wait for one another; one more
names the partitions. It may also hold a position, of runs whose partition is not known, and of all in a ledger from before there
were others: what the partitions tell goes before it.

Each document is written on condition that nobody else has written it since it was read, so that of two processes that store the
same run one finds out.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote

from collector.store import StoreError
from collector.store.elastic_documents import run_identifier
from collector.store.intervals import contains, intervals, joined, within
from collector.stream import NOWHERE, Position
from collector.stream.standing import RUNS_BEFORE_FORGETTING, RUNS_PER_PARTITION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from collector.store.elastic_server import Server
    from collector.store.intervals import Intervals
    from sensor.spool_format import Run

REMEMBERED_PARTS: Final = 65_536
"""Documents of batches that are kept in mind; when there are more, all are read anew."""

BATCHES_PER_DOCUMENT: Final = 16_384
"""Numbers of a run's batches that have a document together, which an append writes anew that stores one of them: 8,192 intervals
where every second is missing."""

_Part = tuple["Run", int]
"""A run, and which of its documents."""


@dataclass(frozen=True, slots=True)
class _Version:
    """The version of a document that was read; None of one that was not there."""

    number: int | None = None
    term: int | None = None


@dataclass(slots=True)
class _Stand:
    """What the documents of a consumer say.

    Attributes:
        rest: position in the document that names the partitions.
        version: version of that document.
        partitions: position and version of each partition's document.
        seen: highest sequence of each run, of all documents.
    """

    rest: Position = field(default_factory=Position)
    version: _Version = field(default_factory=_Version)
    partitions: dict[str, tuple[Position, _Version]] = field(default_factory=dict[str, tuple[Position, _Version]])
    seen: dict[Run, int] = field(default_factory=dict["Run", int])

    def whole(self) -> Position:
        """Where the consumer stands by all documents."""
        offsets, self.seen = dict(self.rest.offsets), dict(self.rest.seen)
        homes: dict[Run, str] = {}
        for partition, (part, _) in self.partitions.items():
            offsets.update(part.offsets)
            self.seen.update({run: max(sequence, self.seen.get(run, -1)) for run, sequence in part.seen.items()})
            homes.update(dict.fromkeys(part.seen, partition))
        return Position(offsets, dict(self.seen), homes)


class Ledger:
    """The ledger in its index. One thread at a time appends.

    Args:
        server: the cluster.
        index: name of the index.
    """

    def __init__(self, server: Server, index: str) -> None:
        self._server = server
        self._index = index
        self._held: dict[_Part, tuple[Intervals, _Version]] = {}
        self._stands: dict[str, _Stand] = {}
        self._turn = threading.Lock()

    def read(self, batches: Iterable[tuple[Run, int]]) -> None:
        """Have in mind whether these batches, by run and sequence, are stored. Raises StoreError."""
        with self._turn:
            if len(self._held) > REMEMBERED_PARTS:
                self._held.clear()
            parts = dict.fromkeys(_part(run, sequence) for run, sequence in batches)
            wanted = [part for part in parts if part not in self._held]
            if not wanted:
                return
            runs = list(dict.fromkeys(run for run, _ in wanted))
            names = [*map(_of_part, wanted), *map(_of_run, runs)]
            answer = self._server.ask("POST", f"/{self._index}/_mget", {"ids": names})
            documents = self._documents(answer)
            before = {run: _intervals(document) for run, document in zip(runs, documents[len(wanted) :], strict=True)}
            for part, document in zip(wanted, documents[: len(wanted)], strict=True):
                run, number = part
                here = within(before[run], number * BATCHES_PER_DOCUMENT, (number + 1) * BATCHES_PER_DOCUMENT - 1)
                self._held[part] = joined(_intervals(document), here), _version(document)

    def holds(self, run: Run, sequence: int) -> bool:
        """Whether a batch that has been read is stored, or was until retention removed it."""
        return contains(self._held[_part(run, sequence)][0], sequence)

    def hold(self, taken: Mapping[Run, AbstractSet[int]]) -> None:
        """Remember batches that have been read as stored; durable on return.

        Raises:
            StoreError: another process has stored batches of the same run; those in mind are forgotten.
        """
        more: dict[_Part, list[int]] = {}
        for run, sequences in taken.items():
            for sequence in sequences:
                more.setdefault(_part(run, sequence), []).append(sequence)
        if not more:
            return
        new = {part: joined(self._held[part][0], intervals(sequences)) for part, sequences in more.items()}
        documents = {_of_part(part): {"run": part[0], "held": held} for part, held in new.items()}
        versions = self._write(documents, {_of_part(part): self._held[part][1] for part in new})
        for part, held in new.items():
            self._held[part] = held, versions[_of_part(part)]

    def position(self, consumer: str) -> Position | None:
        """Where a consumer stands. Raises StoreError."""
        name = _of_consumer(consumer)
        document = self._server.ask("GET", f"/{self._index}/_doc/{quote(name, safe='')}", absent=True)
        stand = self._stands[consumer] = _Stand()
        if document is None or not document.get("found"):
            return None
        stand.version = _version(document)
        stand.rest = self._told(document, consumer)
        partitions = cast("list[str]", document["_source"].get("partitions", []))
        stand.partitions = dict.fromkeys(partitions, (Position(), _Version()))
        if partitions:
            ids = [_of_partition(consumer, partition) for partition in partitions]
            answer = self._server.ask("POST", f"/{self._index}/_mget", {"ids": ids})
            for partition, part in zip(partitions, self._documents(answer), strict=True):
                if part.get("found"):
                    stand.partitions[partition] = self._told(part, consumer), _version(part)
        return stand.whole()

    def stand(self, consumer: str, position: Position) -> None:
        """Remember where a consumer stands; durable on return.

        Partitions and runs that this position does not tell of stay as they were: other processes read them.

        Raises:
            StoreError: it could not be written.
        """
        if consumer not in self._stands:
            self.position(consumer)
        for _ in range(10):
            try:
                self._stand_once(consumer, position)
            except _Conflict:
                self.position(consumer)
            else:
                return
        raise StoreError(f"{self._index}: many processes write the position of {consumer}: give each a name of its own")

    def _stand_once(self, consumer: str, position: Position) -> None:
        """Write what has changed. Raises _Conflict where somebody else has written it, StoreError."""
        stand = self._stands[consumer]
        # Of runs that others read it may tell what was true at its start.
        further = {run: sequence for run, sequence in position.seen.items() if sequence > stand.seen.get(run, -1)}
        new: dict[str, tuple[int, dict[Run, int]]] = {partition: (at, {}) for partition, at in position.offsets.items()}
        homeless: dict[Run, int] = {}
        for run, sequence in further.items():
            home = position.homes.get(run, NOWHERE)
            if home == NOWHERE:
                homeless[run] = sequence
            elif home in new:
                new[home][1][run] = sequence
            # Else whoever reads that partition tells of it.
        if homeless or not stand.partitions.keys() >= new.keys():
            # Before the documents that it names: one that is named and not there tells nothing.
            stand.rest = Position(stand.rest.offsets, _latest({**stand.rest.seen, **homeless}, position))
            partitions = {**dict.fromkeys(new, (Position(), _Version())), **stand.partitions}
            told = {"consumer": consumer, "position": stand.rest.to_json(), "partitions": sorted(partitions)}
            name = _of_consumer(consumer)
            stand.version = self._write({name: told}, {name: stand.version})[name]
            stand.partitions = partitions
            stand.seen |= homeless
        parts: dict[str, Position] = {}
        for partition, (offset, seen) in new.items():
            before, _ = stand.partitions[partition]
            if seen or before.offsets.get(partition) != offset:
                parts[partition] = Position({partition: offset}, _latest({**before.seen, **seen}, position))
        if not parts:
            return
        documents = {
            _of_partition(consumer, partition): {"consumer": consumer, "position": part.to_json()}
            for partition, part in parts.items()
        }
        versions = {_of_partition(consumer, partition): stand.partitions[partition][1] for partition in parts}
        written = self._write(documents, versions)
        for partition, part in parts.items():
            stand.partitions[partition] = part, written[_of_partition(consumer, partition)]
        for _, seen in new.values():
            stand.seen |= seen
        if len(stand.seen) > sum(len(part.seen) for part, _ in stand.partitions.values()) + len(stand.rest.seen):
            # What there is no room for is not kept here either.
            stand.whole()

    def _documents(self, answer: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The documents of an answer that has many. Raises StoreError where one could not be looked for."""
        documents = cast("list[dict[str, Any]]", answer["docs"])
        for document in documents:
            if "error" in document:
                reason = " ".join(str(document["error"].get("reason", "")).split())[:300]
                raise StoreError(f"{self._index}: cannot be read ({reason}): look at the cluster")
        return documents

    def _told(self, document: Mapping[str, Any], consumer: str) -> Position:
        """The position in a document. Raises StoreError."""
        try:
            return Position.from_json(str(document["_source"]["position"]))
        except ValueError as error:
            raise StoreError(f"{self._index}: position of {consumer}: {error}: restore the index from a snapshot") from error

    def forget(self) -> None:
        """Have nothing in mind: after a failure nobody knows what was written."""
        with self._turn:
            self._held.clear()
            self._stands.clear()

    def _write(self, documents: Mapping[str, object], versions: Mapping[str, _Version]) -> dict[str, _Version]:
        """Write documents if they still are what was read; returns what they are now. Raises _Conflict, StoreError."""
        written: dict[str, _Version] = {}
        names: list[str] = []
        lines: list[bytes] = []
        size = 0
        for name, document in documents.items():
            version = versions[name]
            if version.number is None:
                action: dict[str, Any] = {"create": {"_id": name}}
            else:
                action = {"index": {"_id": name, "if_seq_no": version.number, "if_primary_term": version.term}}
            line = f"{json.dumps(action)}\n{json.dumps(document)}\n".encode()
            if names and size + len(line) > self._server.settings.bulk_bytes:
                written |= self._request(names, b"".join(lines))
                names, lines, size = [], [], 0
            names.append(name)
            lines.append(line)
            size += len(line)
        return written | self._request(names, b"".join(lines)) if names else written

    def _request(self, names: Sequence[str], body: bytes) -> dict[str, _Version]:
        """One request of `_write`; what these documents are now. Raises as that."""
        answer = json.loads(self._server.bytes("POST", f"/{self._index}/_bulk", body, lines=True, once=True))
        written: dict[str, _Version] = {}
        for name, item in zip(names, cast("list[dict[str, Any]]", answer["items"]), strict=True):
            (result,) = item.values()
            if result["status"] == 409:
                raise _Conflict(f"{self._index}: another process stores the same records: one process has to read a partition")
            if result["status"] >= 300:
                raise StoreError(
                    f"{self._index}: cannot be written ({result.get('error', {}).get('reason')}): look at the cluster"
                )
            written[name] = _version(result)
        return written


def _latest(seen: dict[Run, int], position: Position) -> dict[Run, int]:
    """What is kept of the runs of a document: where they are too many, those that were met last."""
    if len(seen) <= RUNS_BEFORE_FORGETTING:
        return seen
    order = {run: number for number, run in enumerate(position.homes)}
    return {run: seen[run] for run in sorted(seen, key=lambda run: order.get(run, -1))[-RUNS_PER_PARTITION:]}


class _Conflict(StoreError):  # noqa: N818 - named for what happened
    """A document is no longer what was read."""


def _version(document: Mapping[str, Any]) -> _Version:
    return _Version(document.get("_seq_no"), document.get("_primary_term"))


def _intervals(document: Mapping[str, Any]) -> Intervals:
    """The batches that a document tells of; none where there is no such document."""
    held = cast("Intervals", document["_source"]["held"]) if document.get("found") else []
    return [(int(first), int(last)) for first, last in held]


def _part(run: Run, sequence: int) -> _Part:
    return run, sequence // BATCHES_PER_DOCUMENT


def _of_part(part: _Part) -> str:
    run, number = part
    # The number comes first: a run may be called what another is and a number besides.
    return f"batches/{number}/{run_identifier(*run)}"


def _of_run(run: Run) -> str:
    """Where a ledger from before has the batches of a run."""
    return f"run/{run_identifier(*run)}"


def _of_consumer(consumer: str) -> str:
    return f"consumer/{consumer}"


def _of_partition(consumer: str, partition: str) -> str:
    return f"consumer/{consumer}/{partition}"
