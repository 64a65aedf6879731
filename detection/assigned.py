"""What a worker has of a topic whose partitions are shared out among workers: loops by partition and key, with Quix' stores."""

# Quix Streams' own annotations are partial.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar, cast

from detection.changelog import STORE
from detection.loop import Counters
from detection.quix import BaseSink
from detection.taken import Taken
from sensor.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from detection.changelog import Store


STAND_SECONDS: Final = 1.0
"""How often is noted how far a worker is."""


class Counting(Protocol):
    """A loop over a part of a topic."""

    @property
    def done(self) -> Counters:
        """What was done here since this loop began."""
        ...


L = TypeVar("L", bound=Counting)


class Assigned(BaseSink, Generic[L]):
    """The loops of the partitions that this worker has of one topic.

    Args:
        topic: the topic.
        consumer: name in metrics of who reads it.
        marks: places at the end of a partition that are no messages: a transaction ends with one.
    """

    def __init__(self, topic: str, consumer: str, marks: int = 0) -> None:
        super().__init__()
        self.progress: Final = Progress(consumer)
        """How far it is in the partitions that it has."""
        self.counters = Counters()
        """What was done by loops that this worker has no more, and messages that are none."""
        self._loops: dict[tuple[int, str], tuple[object, L]] = {}
        self._frame: Any = None
        self._topic = topic
        self._marks = marks
        self._stood = 0.0
        self._taken: Taken

    def attach(self, frame: object) -> None:
        """Take the messages of a data frame of Quix, in exactly one application."""
        self._frame = frame
        self._frame.register_store()
        self._frame.sink(self)
        self._taken = Taken(self._frame.processing_context, self._topic, self._owners)

    @property
    def loops(self) -> Iterable[L]:
        """The loops that it has."""
        return [loop for _, loop in self._loops.values()]

    def counted(self) -> Counters:
        """What this worker has done since its start, for all that it has or had. Safe from any thread."""
        found = Counters()
        found.add(self.counters)
        for _, loop in list(self._loops.values()):
            found.add(loop.done)
        return found

    @property
    def halted(self) -> Sequence[str]:
        """Why partitions are halted (`taken`). Safe from any thread."""
        return self._taken.halted

    def look(self) -> None:
        """Look whether what was taken may be committed, and note how far it is. Raises KafkaUnusable: it may not."""
        self._taken.check()
        self.stand()

    def stand(self) -> None:
        """Note once a second how far it is, as far as that is known without asking a broker."""
        if time.monotonic() - self._stood < STAND_SECONDS:
            return
        self._stood = time.monotonic()
        consumer = self._frame.processing_context.consumer
        ends: dict[str, int] = {}
        offsets: dict[str, int] = {}
        for place in consumer.assignment():
            if place.topic != self._topic:
                continue
            _, end = consumer.get_watermark_offsets(place, cached=True)
            (at,) = consumer.position([place])
            # Both are negative until the first message has come.
            name = str(place.partition)
            offsets[name] = at.offset if at.offset >= 0 else max(end, 0)
            ends[name] = max(end - self._marks, offsets[name])
        self.progress.stand(ends, offsets)

    def _committing(self) -> Callable[[], None]:
        """Begin a flush: gives a look at whether what is put into the transaction still gets there (`Taken.within`).

        Raises KafkaUnusable: what is to be committed was taken from partitions that others have by now.
        """
        within = self._taken.within()
        self._taken.check()
        self._taken.leave_out()
        return within

    def _held(self, partition: int, name: str) -> L | None:
        """The loop of a key, unless its partition was assigned anew since."""
        held = self._loops.get((partition, name))
        if held is None:
            return None
        if held[0] is not self._owners()[partition]:
            self._forget((partition, name))
            return None
        return held[1]

    def _hold(self, partition: int, name: str, loop: L) -> L:
        """Keep the loop of a key."""
        self._loops[partition, name] = self._owners()[partition], loop
        return loop

    def _live(self) -> list[tuple[tuple[int, str], L]]:
        """The loops of the partitions that the worker has; what it remembers of others is forgotten."""
        owners = self._owners()
        gone = [place for place, held in self._loops.items() if owners.get(place[0]) is not held[0]]
        for place in gone:
            self._forget(place)
        return [(place, loop) for place, (_, loop) in self._loops.items()]

    def _forget(self, place: tuple[int, str]) -> None:
        """Let a loop go; what was done by it stays counted."""
        _, loop = self._loops.pop(place)
        self.counters.add(loop.done)

    def _owners(self) -> dict[int, object]:
        """Quix' copy of each partition's state; another whenever the partition has been assigned anew."""
        context = self._frame.processing_context
        return context.state_manager.get_store(self._frame.stream_id, STORE).partitions

    def _state(self, partition: int, prefix: bytes) -> Store:
        """What is kept under a prefix, within the transaction that goes on."""
        checkpoint = self._frame.processing_context.checkpoint
        state = checkpoint.get_store_transaction(self._frame.stream_id, partition, STORE).as_state(prefix=prefix)
        return cast("Store", state)
