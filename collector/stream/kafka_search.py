"""Where a batch lies in a topic: looked for by halving, since the sequences of a run rise with the offsets.

A topic holds the batches of many runs. A look somewhere in a partition reads what comes there in one fetch; batches of the run
that it meets say on which side the one that is sought lies. Where the run is met nowhere the looks come to have read all, which
takes as long as reading the topic: that is given up when the time is over, and said.
"""

# kafka-python ships no types for its clients.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kafka import errors

from collector.stream import StreamError
from sensor.kafka_client import meaning
from sensor.kafka_message import MessageError, decode

if TYPE_CHECKING:
    from kafka.structs import TopicPartition

    from collector.stream.kafka import KafkaStream
    from sensor.spool_format import BatchHeader, Run

POLL_MS: Final = 200

LOOK_RECORDS: Final = 500
"""Most messages of one look."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a topic says of a batch.

    Attributes:
        below: highest sequence of its run that was met and is lower; None where none was.
        above: lowest sequence of its run that was met and is higher.
        is_whole: whether all was looked at where it could be; else the time was over.
        header: its header; None where it was not found.
        partition: where it lies.
        offset: its place there.
        written_ms: when it was written, milliseconds since 1970.
        begins: first offset that is kept, by partition.
        ends: offset behind the last message, by partition.
    """

    below: int | None
    above: int | None
    is_whole: bool
    begins: dict[int, int]
    ends: dict[int, int]
    header: BatchHeader | None = None
    partition: int = 0
    offset: int = 0
    written_ms: int = 0


class _Found(Exception):  # noqa: N818 - named for what it reports
    """The message that was sought."""

    def __init__(self, record: Any, header: BatchHeader) -> None:
        super().__init__()
        self.record = record
        self.header = header


class _Search:
    """One search."""

    def __init__(self, client: Any, run: Run, sequence: int, until: float) -> None:
        self._client = client
        self._run = run
        self._sequence = sequence
        self._until = until
        self.below: int | None = None
        self.above: int | None = None

    def partition(self, place: TopicPartition, begin: int, end: int) -> bool:
        """Look through a partition; whether all was looked at that could hold it. Raises _Found."""
        left = [(begin, end)]
        while left:
            if time.monotonic() > self._until:
                return False
            # The widest first: wherever the run lies, a look comes near it soon.
            left.sort(key=lambda part: part[1] - part[0])
            first, last = left.pop()
            middle = (first + last) // 2 if last - first > LOOK_RECORDS else first
            reached, met = self._look(place, middle, last)
            left += [(first, middle), (reached, last)]
            for offset, sequence in met:
                # All that lies before a lower one is lower still.
                bounds = (offset + 1, end) if sequence < self._sequence else (begin, offset)
                left = [(max(first, bounds[0]), min(last, bounds[1])) for first, last in left]
            left = [(first, last) for first, last in left if first < last]
        return True

    def _look(self, place: TopicPartition, offset: int, end: int) -> tuple[int, list[tuple[int, int]]]:
        """Read what comes from an offset on: how far that reached, and offset and sequence of the run's first and last there."""
        client = self._client
        client.assign([place])
        client.seek(place, offset)
        while time.monotonic() <= self._until:
            records = [record for some in client.poll(timeout_ms=POLL_MS, max_records=LOOK_RECORDS).values() for record in some]
            position = int(client.position(place))
            if not records and position <= offset and position < end:
                continue
            met: list[tuple[int, int]] = []
            for record in records:
                if record.offset >= end:
                    break
                try:
                    header = decode(record.headers)
                except MessageError:
                    continue
                if header.run != self._run:
                    continue
                if header.sequence == self._sequence:
                    raise _Found(record, header)
                met.append((record.offset, header.sequence))
                self._note(header.sequence)
            reached = records[-1].offset + 1 if records else max(position, offset + 1)
            return reached, [met[0], met[-1]] if met else []
        return offset, []

    def _note(self, sequence: int) -> None:
        if sequence < self._sequence:
            self.below = sequence if self.below is None else max(self.below, sequence)
        else:
            self.above = sequence if self.above is None else min(self.above, sequence)


def search(stream: KafkaStream, run: Run, sequence: int, seconds: float) -> Held:
    """Look for a batch in a topic, for so long. Raises StreamError."""
    client = stream.client(fetch_max_wait_ms=50)
    try:
        places = stream.partitions(client)
        begins: dict[TopicPartition, int] = client.beginning_offsets(places)
        ends = stream.ends(client)
        sought = _Search(client, run, sequence, time.monotonic() + seconds)
        known = {place.partition: int(begins[place]) for place in places}, dict(ends)
        try:
            whole = [sought.partition(place, int(begins[place]), ends[place.partition]) for place in places]
        except _Found as found:
            record = found.record
            return Held(
                sought.below, sought.above, True, *known, found.header, record.partition, record.offset, record.timestamp
            )  # fmt: skip
        return Held(sought.below, sought.above, all(whole), *known)
    except errors.KafkaError as error:
        raise StreamError(f"topic {stream.topic}: {meaning(stream.settings, [error])}") from error
    finally:
        client.close(autocommit=False)
