"""What detection itself puts on a stream: one batch at a time, each a cut of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from collector.stream import BatchHeader, Outgoing

if TYPE_CHECKING:
    from collector.stream import Stream


@dataclass(frozen=True, slots=True)
class Publisher:
    """Puts batches of one table on a stream, numbered without gaps."""

    stream: Stream
    sensor: str
    """Name of the sender."""
    epoch: str
    """The sender's epoch."""
    table: str

    def publish(self, data: bytes, rows: int, site: str, times: tuple[int, int]) -> None:
        """Publish a batch under the next sequence number; durable on return. Raises StreamError.

        Args:
            data: the batch, an Arrow IPC stream.
            rows: how many it holds.
            site: name of the site.
            times: earliest and latest time of the rows, nanoseconds since 1970.
        """
        highest = self.stream.highest(self.sensor, self.epoch)
        sequence = 0 if highest is None else highest + 1
        header = BatchHeader(
            sensor=self.sensor,
            epoch=self.epoch,
            sequence=sequence,
            table=self.table,
            rows=rows,
            site=site,
            cut=sequence,
            cut_start=times[0],
            cut_end=times[1],
        )
        self.stream.publish([Outgoing(header, data)])
