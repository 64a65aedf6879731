"""Which batches a cluster holds and where consumers stand, in an index beside the records.

A document for each run has its batches as closed intervals; one for each consumer has its position. Each is written on condition
that nobody else has written it since it was read, so that of two processes that store the same run one finds out.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote

from collector.store import StoreError
from collector.store.elastic_documents import run_identifier
from collector.store.intervals import contains, joined
from collector.stream import Position

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from collector.store.elastic_server import Server
    from collector.store.intervals import Intervals
    from sensor.spool_format import Run

REMEMBERED_RUNS: Final = 65_536
"""Runs whose batches are kept in mind; when there are more, all are read anew."""


@dataclass(frozen=True, slots=True)
class _Version:
    """The version of a document that was read; None of one that was not there."""

    number: int | None = None
    term: int | None = None


class Ledger:
    """The ledger in its index. One thread at a time appends.

    Args:
        server: the cluster.
        index: name of the index.
    """

    def __init__(self, server: Server, index: str) -> None:
        self._server = server
        self._index = index
        self._held: dict[Run, tuple[Intervals, _Version]] = {}
        self._stands: dict[str, tuple[Position, _Version]] = {}
        self._turn = threading.Lock()

    def read(self, runs: Iterable[Run]) -> None:
        """Have the batches of these runs in mind. Raises StoreError."""
        with self._turn:
            if len(self._held) > REMEMBERED_RUNS:
                self._held.clear()
            wanted = [run for run in dict.fromkeys(runs) if run not in self._held]
            if not wanted:
                return
            answer = self._server.ask("POST", f"/{self._index}/_mget", {"ids": [_of_run(run) for run in wanted]})
            for run, document in zip(wanted, cast("list[dict[str, Any]]", answer["docs"]), strict=True):
                held = cast("Intervals", document["_source"]["held"]) if document.get("found") else []
                self._held[run] = ([(int(first), int(last)) for first, last in held], _version(document))

    def holds(self, run: Run, sequence: int) -> bool:
        """Whether a batch of a run in mind is stored, or was until retention removed it."""
        return contains(self._held[run][0], sequence)

    def hold(self, taken: Mapping[Run, AbstractSet[int]]) -> None:
        """Remember batches as stored; durable on return.

        Raises:
            StoreError: another process has stored batches of the same run; those in mind are forgotten.
        """
        taken = {run: sequences for run, sequences in taken.items() if sequences}
        if not taken:
            return
        new = {run: joined(self._held[run][0], sequences) for run, sequences in taken.items()}
        versions = self._write({_of_run(run): {"run": run, "held": held} for run, held in new.items()}, self._versions(new))
        for run, held in new.items():
            self._held[run] = (held, versions[_of_run(run)])

    def position(self, consumer: str) -> Position | None:
        """Where a consumer stands. Raises StoreError."""
        document = self._server.ask("GET", f"/{self._index}/_doc/{quote(_of_consumer(consumer), safe='')}", absent=True)
        if document is None or not document.get("found"):
            self._stands[consumer] = Position(), _Version()
            return None
        try:
            found = Position.from_json(str(document["_source"]["position"]))
        except ValueError as error:
            raise StoreError(f"{self._index}: position of {consumer}: {error}: restore the index from a snapshot") from error
        self._stands[consumer] = found, _version(document)
        return found

    def stand(self, consumer: str, position: Position) -> None:
        """Remember where a consumer stands; durable on return.

        Partitions and runs that this position does not tell of stay as they were: other processes read them.

        Raises:
            StoreError: it could not be written.
        """
        if consumer not in self._stands:
            self.position(consumer)
        name = _of_consumer(consumer)
        for _ in range(10):
            before, version = self._stands[consumer]
            # Of runs that others read it may tell what was true at its start.
            further = {run: sequence for run, sequence in position.seen.items() if sequence > before.seen.get(run, -1)}
            whole = Position({**before.offsets, **position.offsets}, {**before.seen, **further})
            try:
                written = self._write({name: {"consumer": consumer, "position": whole.to_json()}}, {name: version})
            except _Conflict:
                self.position(consumer)
                continue
            self._stands[consumer] = whole, written[name]
            return
        raise StoreError(f"{self._index}: many processes write the position of {consumer}: give each a name of its own")

    def forget(self) -> None:
        """Have nothing in mind: after a failure nobody knows what was written."""
        with self._turn:
            self._held.clear()
            self._stands.clear()

    def _versions(self, runs: Iterable[Run]) -> dict[str, _Version]:
        return {_of_run(run): self._held[run][1] for run in runs}

    def _write(self, documents: Mapping[str, object], versions: Mapping[str, _Version]) -> dict[str, _Version]:
        """Write documents if they still are what was read; returns what they are now. Raises _Conflict, StoreError."""
        lines: list[str] = []
        for name, document in documents.items():
            version = versions[name]
            if version.number is None:
                action: dict[str, Any] = {"create": {"_id": name}}
            else:
                action = {"index": {"_id": name, "if_seq_no": version.number, "if_primary_term": version.term}}
            lines += [json.dumps(action), json.dumps(document)]
        body = ("\n".join(lines) + "\n").encode()
        answer = json.loads(self._server.bytes("POST", f"/{self._index}/_bulk", body, lines=True, once=True))
        written: dict[str, _Version] = {}
        for name, item in zip(documents, cast("list[dict[str, Any]]", answer["items"]), strict=True):
            (result,) = item.values()
            if result["status"] == 409:
                raise _Conflict(f"{self._index}: another process stores the same records: one process has to read a partition")
            if result["status"] >= 300:
                raise StoreError(
                    f"{self._index}: cannot be written ({result.get('error', {}).get('reason')}): look at the cluster"
                )
            written[name] = _version(result)
        return written


class _Conflict(StoreError):  # noqa: N818 - named for what happened
    """A document is no longer what was read."""


def _version(document: Mapping[str, Any]) -> _Version:
    return _Version(document.get("_seq_no"), document.get("_primary_term"))


def _of_run(run: Run) -> str:
    return f"run/{run_identifier(*run)}"


def _of_consumer(consumer: str) -> str:
    return f"consumer/{consumer}"
