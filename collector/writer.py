"""The way from a stream into a store: each batch once, whatever happens on the way.

The writer's position is stored together with the rows, in one transaction. After a crash it goes on from there, and what the
store has had is passed over. A batch that cannot be decoded becomes a dead letter, kept whole, and the position moves on only
once that is on the disk.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from collector.records import Undecodable, decode
from collector.settings import WriterSettings
from collector.store import Appended, RecordBatch, StoreError, Unstorable
from collector.stream import Consumer, DamagedBatch, Delivery, Gap, Position, Stream, StreamError
from sensor import tracing
from sensor.configuration import configured
from sensor.logs import identity
from sensor.progress import Progress

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence

    from collector.dead_letters import DeadLetters
    from collector.store import RecordStore
    from collector.stream import BatchHeader

CONSUMER: Final = "store"
"""Name under which the writer keeps its position in its store, and reads the stream where it is given no other."""

POLL_SECONDS: Final = 0.25
"""How long the writer waits for batches before it looks whether it shall stop."""

RETRY_SECONDS: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
"""How long the writer waits after a failed attempt to store; the last one again and again."""

BESIDES_BYTES: Final = 1_024
"""What a batch takes in memory besides its bytes, so that those without any do not gather without bound."""

STAND_SECONDS: Final = 1.0
"""How often a position is stored, at most, where all that it passed had been had before."""

TOLD_COLUMNS: Final = 5
"""Columns that are named where some are not stored: who sends them may call them anything."""

TOLD_CHARACTERS: Final = 64
"""Most of each name."""

_log: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class WriterCounters:
    """What a writer has done since it was made.

    Attributes:
        batches: batches stored.
        rows: rows stored.
        repeated: batches that were stored already.
        dropped: rows of these batches that their sensors had dropped for want of room.
        dead_letters: batches that could not be decoded or stored, or were damaged.
        gaps: times that batches were missing.
        missing: batches missing.
        failures: attempts to store or read that failed and were made again.
        seconds: time that storing took.
        left_out: columns of batches that were not stored because their table does not know them, by table.
    """

    batches: int = 0
    rows: int = 0
    repeated: int = 0
    dropped: int = 0
    dead_letters: int = 0
    gaps: int = 0
    missing: int = 0
    failures: int = 0
    seconds: float = 0.0
    left_out: dict[str, int] = field(default_factory=dict[str, int])


class Writer:
    """Reads a stream of records and stores it.

    Args:
        stream: where batches come from.
        store: where rows go.
        dead_letters: where batches go that cannot be stored.
        settings: how batches are gathered; from the environment where none are given.
        reader: name under which it reads the stream. Two stores that are filled from one stream need one each.
        on_gap: called for each gap, from the writer's thread.
        on_failure: called with one line for each failed attempt and for each partition that is halted, from the writer's thread.
    """

    def __init__(  # noqa: PLR0913 - three places and three choices
        self,
        stream: Stream,
        store: RecordStore,
        dead_letters: DeadLetters,
        *,
        settings: WriterSettings | None = None,
        reader: str = CONSUMER,
        on_gap: Callable[[Gap], None] | None = None,
        on_failure: Callable[[str], None] | None = None,
    ) -> None:
        self._stream = stream
        self._store = store
        self._dead_letters = dead_letters
        self._settings: Final = settings or configured(WriterSettings)
        self._reader: Final = reader
        self._on_gap = on_gap
        self._on_failure = on_failure
        self.counters: Final = WriterCounters()
        self.progress: Final = Progress(CONSUMER)
        self._stood: Mapping[str, int] = {}
        """Offsets of the position stored last."""
        self._stand_at = 0.0
        self.trouble: str | None = None
        """Why the last attempt to store or to read failed; None once one has not."""
        self.halted: Mapping[str, str] = {}
        """Why nothing more of a partition is stored, by partition."""

    def run(self, stop: threading.Event) -> None:
        """Store what comes until `stop` is set. Tries again where the store, the stream or the disk fails."""
        attempts = 0
        while not stop.is_set():
            try:
                with self._subscribe() as consumer:
                    while not stop.is_set():
                        stored = self._store_next(consumer, POLL_SECONDS)
                        attempts, self.trouble = 0, None
                        self._note_halted(consumer.halted)
                        self.progress.stand(consumer.ends, consumer.position.offsets)
                        if not stored:
                            if time.monotonic() >= self._stand_at:
                                self._stand(consumer)
                            self._store.merge()
                    self._stand(consumer)
            except (StoreError, StreamError, OSError) as error:
                self.counters.failures += 1
                self.trouble = str(error)
                if self._on_failure is not None:
                    self._on_failure(str(error))
                stop.wait(RETRY_SECONDS[min(attempts, len(RETRY_SECONDS) - 1)])
                attempts += 1

    def drain(self) -> Position:
        """Store all that is in the stream now, and return where that ends.

        Raises:
            StoreError: the store failed; what was stored before stays.
            StreamError: the stream cannot be read, or not all of it: the rest is stored then.
            OSError: a dead letter cannot be kept.
        """
        with self._subscribe() as consumer:
            while self._store_next(consumer, 0):
                pass
            self._stand(consumer)
            while self._store.merge():
                pass
            if consumer.halted:
                raise StreamError("; ".join(consumer.halted.values()))
            return consumer.position

    def _subscribe(self) -> Consumer:
        consumer = self._stream.subscribe(self._reader, self._store.position(CONSUMER) or Position())
        self._stood = consumer.position.offsets
        return consumer

    def _note_halted(self, halted: Mapping[str, str]) -> None:
        """Say once of each partition why nothing more of it is stored."""
        if self._on_failure is not None:
            for reason in sorted(set(halted.values()) - set(self.halted.values())):
                self._on_failure(f"{reason}; nothing more of this partition is stored, the others go on")
        self.halted = dict(halted)

    def _stand(self, consumer: Consumer) -> None:
        """Store where the consumer stands, where it has passed only what was had before: else that is read at each start anew."""
        position = consumer.position
        if position.offsets != self._stood:
            self._store.append([], consumer=CONSUMER, position=position)
            consumer.commit(position)
            self._stood = position.offsets
        self._stand_at = time.monotonic() + STAND_SECONDS

    def _store_next(self, consumer: Consumer, timeout_seconds: float) -> bool:
        """Gather batches, store them, commit; False where there were none.

        Raises StreamError, once all before it is stored, StoreError, OSError.
        """
        settings = self._settings
        batches: list[RecordBatch] = []
        rows = size = 0
        moved = False
        trouble: StreamError | None = None
        began_ns = time.time_ns()
        until = time.monotonic() + timeout_seconds
        while rows < settings.gather_rows and size < settings.gather_bytes:
            try:
                # One at a time: how much it unfolds to is known only then.
                deliveries = consumer.poll(max(0.0, until - time.monotonic()), max_batches=1)
            except DamagedBatch as damage:
                self._keep_aside(str(damage), damage.header, damage.data)
                size += len(damage.data) + BESIDES_BYTES
                if not moved:
                    until = time.monotonic() + (settings.gather_seconds if timeout_seconds else 0)
                moved = True
                if timeout_seconds and time.monotonic() >= until:
                    break
                continue
            except StreamError as error:
                # What has been gathered is stored first. Then this consumer is not asked again.
                trouble = error
                break
            if not deliveries:
                break
            if not moved:
                # The first batch may wait for others, but no longer than this.
                until = time.monotonic() + (settings.gather_seconds if timeout_seconds else 0)
            moved = True
            for delivery in deliveries:
                self._report(delivery.gap)
                size += self._decode(delivery, batches) + BESIDES_BYTES
                rows += delivery.header.rows
            if timeout_seconds and time.monotonic() >= until:
                # However fast more comes: what has been gathered is stored, and who wants to stop is heard.
                break
        if moved:
            start = time.perf_counter()
            position = consumer.position
            appended = self._append(batches, position)
            self.counters.seconds += time.perf_counter() - start
            self.counters.batches += appended.batches
            self.counters.rows += appended.rows
            self.counters.repeated += appended.repeated
            consumer.commit(position)
            self._stood = position.offsets
            self._tell(batches, began_ns)
        if trouble is not None:
            raise trouble
        return moved

    def _append(self, batches: Sequence[RecordBatch], position: Position) -> Appended:
        """Store batches and the position; what cannot be stored becomes a dead letter, and keeps no other from it."""
        self._dead_letters.settle()
        try:
            return self._store.append(batches, consumer=CONSUMER, position=position)
        except Unstorable:
            _log.warning("%d batches cannot be stored together: in parts", len(batches))
        done = Appended(0, 0, 0)
        waiting = [batches]
        while waiting:
            part = waiting.pop()
            try:
                some = self._store.append(part)
            except Unstorable as error:
                if len(part) > 1:
                    # One that cannot be stored must not make each of hundreds wait for a disk or a cluster by itself.
                    half = len(part) // 2
                    waiting += [part[half:], part[:half]]
                else:
                    self._keep_aside(str(error), part[0].header, part[0].data)
                continue
            done = Appended(done.batches + some.batches, done.rows + some.rows, done.repeated + some.repeated)
        self._dead_letters.settle()
        # Behind them all: after a crash before this, what was stored comes again and is passed over.
        self._store.append([], consumer=CONSUMER, position=position)
        return done

    def _tell(self, batches: Sequence[RecordBatch], began_ns: int) -> None:
        """Say what has been stored."""
        headers = [batch.header for batch in batches]
        tracing.record("store", headers, began_ns)
        if headers:
            self.progress.did(max(header.cut_end for header in headers))
        if _log.isEnabledFor(logging.INFO):
            for header in headers:
                _log.info("stored %d rows of %s", header.rows, header.table, extra={"batch": identity(header)})

    def _decode(self, delivery: Delivery, batches: list[RecordBatch]) -> int:
        """Add the batch of a delivery to those that are stored; returns how many bytes it takes."""
        try:
            batch = decode(delivery.header, delivery.data)
        except Undecodable as error:
            self._keep_aside(str(error), delivery.header, delivery.data)
            return len(delivery.data)
        batches.append(batch)
        self.counters.dropped += delivery.header.dropped
        if batch.left_out:
            self._count_left_out(delivery.header, batch.left_out)
        return len(delivery.data) + batch.written

    def _count_left_out(self, header: BatchHeader, names: Sequence[str]) -> None:
        """Count columns that are not stored, and say so of each table once."""
        counted = self.counters.left_out
        if header.table not in counted:
            told = ", ".join(repr(name[:TOLD_CHARACTERS]) for name in names[:TOLD_COLUMNS])
            more = f" and {len(names) - TOLD_COLUMNS:,} more" if len(names) > TOLD_COLUMNS else ""
            _log.warning(
                "columns that table %s does not know are not stored: %s%s: update this program if a newer sensor sends them",
                header.table, told, more, extra={"batch": identity(header)},
            )  # fmt: skip
        # Another thread may read them: they are replaced, not changed.
        self.counters.left_out = {**counted, header.table: counted.get(header.table, 0) + len(names)}

    def _keep_aside(self, reason: str, header: BatchHeader | None, data: bytes) -> None:
        """Make a batch a dead letter, and say so."""
        self._dead_letters.keep(reason, header, data)
        self.counters.dead_letters += 1
        _log.warning("dead letter: %s", reason, extra={} if header is None else {"batch": identity(header)})

    def _report(self, gap: Gap | None) -> None:
        if gap is not None:
            self.counters.gaps += 1
            self.counters.missing += gap.found - gap.expected
            if self._on_gap is not None:
                self._on_gap(gap)
