"""What a transaction of Quix has of which partitions: what of it must not be committed, and where a partition is not read on."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from confluent_kafka import TopicPartition  # pyright: ignore[reportUnknownVariableType]  it has no types

from sensor.kafka_client import KafkaUnusable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

REVOKE_SECONDS: Final = 30.0
"""How long a transaction may take to be made where partitions go to others, for all topics together: half of what Quix waits."""

_BEGAN: Final = WeakKeyDictionary[object, float]()
"""When the making of each transaction began."""

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Halt:
    """A partition of which nothing more is taken."""

    owner: object
    """Quix' copy of its state then."""
    offset: int
    """Place of the message that cannot be read."""
    reason: str


class Taken:
    """The messages that were taken since the last commit.

    Args:
        context: Quix' processing context.
        topic: the topic of records.
        owners: gives Quix' copy of each partition's state; another whenever the partition has been assigned anew.
    """

    def __init__(self, context: Any, topic: str, owners: Callable[[], Mapping[int, object]]) -> None:
        self._context = context
        self._topic = topic
        self._owners = owners
        self._checkpoint: object = None
        self._from: dict[int, object] = {}
        """The partitions of which the transaction has something, each with Quix' copy of its state then."""
        self._halts: dict[int, _Halt] = {}

    def hold(self, partition: int) -> None:
        """Note that the transaction has something of a partition."""
        if self._checkpoint is not self._context.checkpoint:
            self._checkpoint, self._from = self._context.checkpoint, {}
        self._from.setdefault(partition, self._owners()[partition])

    def check(self) -> None:
        """Look whether all of it may be committed.

        Where a session is lost Quix takes the state of partitions away, and leaves the places of their messages in the
        transaction: they would be committed without what came of them.

        Raises:
            KafkaUnusable: it may not. Nothing of it is committed then, and all is looked at again.
        """
        owners = self._owners()
        lost = sorted(each for each, owner in self._from.items() if owners.get(each) is not owner)
        if lost and self._checkpoint is self._context.checkpoint:
            raise KafkaUnusable(
                f"partitions {', '.join(map(str, lost))} of {self._topic} went to other workers before what was looked at was "
                "committed: it is looked at again; start this worker again",
                is_lasting=False,
            )

    def within(self) -> Callable[[], None]:
        """A look at whether what is put into the transaction that there is now still gets there.

        Where partitions go to others Quix lets a flush run in a thread of its own, waits for it only so long, and goes on with
        another transaction. What the look raises is KafkaUnusable: nothing of the transaction is committed then.
        """
        checkpoint = self._context.checkpoint
        began = _BEGAN.setdefault(checkpoint, time.monotonic())
        is_beside = threading.current_thread() is not threading.main_thread()

        def look() -> None:
            late = is_beside and time.monotonic() - began > REVOKE_SECONDS
            if late or self._context.checkpoint is not checkpoint:
                raise KafkaUnusable("what was looked at could not be kept in time: it is looked at again", is_lasting=False)

        return look

    def halt(self, partition: int, offset: int, reason: str) -> None:
        """Take nothing more of a partition from this message on: whoever can read it must look at it."""
        halt = _Halt(self._owners()[partition], offset, f"{self._topic}/{partition}/{offset}: {reason}")
        self._halts[partition] = halt
        _log.error("%s; nothing more of this partition is looked at here", halt.reason)
        self._context.consumer.pause([TopicPartition(self._topic, partition)])

    def is_halted(self, partition: int) -> bool:
        """Whether nothing more is taken of a partition. One that has been assigned anew is tried again."""
        halt = self._halts.get(partition)
        if halt is not None and halt.owner is not self._owners().get(partition):
            del self._halts[partition]
            return False
        return halt is not None

    @property
    def halted(self) -> Sequence[str]:
        """Why partitions are halted. Safe from any thread."""
        owners = self._owners()
        return [halt.reason for partition, halt in list(self._halts.items()) if halt.owner is owners.get(partition)]

    def leave_out(self) -> None:
        """Commit no place behind a message at which a partition is halted: a worker that can read it begins with it."""
        checkpoint = self._context.checkpoint
        # Quix has no other way to it.
        ends, begins = checkpoint._tp_offsets, checkpoint._starting_tp_offsets  # noqa: SLF001
        for partition in filter(self.is_halted, list(self._halts)):
            place, offset = (self._topic, partition), self._halts[partition].offset
            if ends.get(place, -1) < offset:
                continue
            if begins[place] < offset:
                ends[place] = offset - 1
            else:
                del ends[place], begins[place]
