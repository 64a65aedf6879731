"""What a source says, into the spool: the sensor's work, whether alone on a gateway or as a part of a whole system."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from sensor._core import LiveReader, Reader
from sensor.recorder_state import RecorderState
from sensor.spool import BatchHeader, Spool, SpoolError, SpoolFull, SpoolUnwritable

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from sensor._core import Batch

RETRY_SECONDS: Final = 0.5
"""How long to wait for room in a full spool before trying again."""

MIB: Final = 1024 * 1024

STANDARD_INPUT: Final = "-"
"""The name of a capture that comes on standard input."""

UNSYNCED_BYTES: Final = 2 * MIB
"""Most bytes of batches that wait for their turn to be put on the disk."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Which interfaces to listen to, and how.

    Attributes:
        interfaces: their names.
        bpf: filter expression (pcap-filter(7)), or None.
        workers: threads that work on packets, 1 to 6.
        ring_mib: memory for packets not yet worked on, for each interface and worker, in MiB.
        packets: folder and quota in bytes of the ring in which packets are kept as evidence, or None.
    """

    interfaces: tuple[str, ...]
    bpf: str | None = None
    workers: int = 1
    ring_mib: int = 16
    packets: tuple[str, int] | None = None


class Source(Protocol):
    """What yields batches: `sensor._core.Reader`, `sensor._core.LiveReader`."""

    def __iter__(self) -> Iterator[Batch]:
        """The batches, in order of `sequence`."""
        ...

    def stop(self) -> None:
        """Take in no more packets."""
        ...

    @property
    def epoch(self) -> str:
        """Epoch of the batches."""
        ...

    @property
    def format(self) -> str:
        """What the source is."""
        ...

    @property
    def packets(self) -> int:
        """Packets taken in so far."""
        ...

    def take_warnings(self) -> list[str]:
        """One line for each thing that could not be read, or that happened to an interface, since the last look."""
        ...


def next_sequence(spool: Spool) -> int:
    """The sequence with which a live source goes on in the spool's epoch."""
    held = spool.highest(spool.identity.sensor, spool.identity.epoch)
    return 0 if held is None else held + 1


class Recorder:
    """Puts the batches of a source into a spool.

    While the spool takes nothing it waits, so that a file loses nothing and a live source is held back: what the rings of
    interfaces then have no room for, the kernel counts. What has been appended and is not on the disk yet is kept here, too: a
    disk that failed and came back gets it again.

    Args:
        source: where batches come from.
        spool: where they go.
        stop: waiting ends when this is set.
        say: is called with one line when the spool begins to take nothing, and with another when it takes batches again.
    """

    def __init__(self, source: Source, spool: Spool, stop: threading.Event, say: Callable[[str], None]) -> None:
        self.batches = self.rows = 0
        """Batches and rows that the spool has taken."""
        self.waits = 0
        """Times that the spool began to take nothing."""
        self.is_waiting = False
        """Whether it takes nothing now."""
        self.refused_requests = 0
        """Requests from outside that could not be followed (`sensor.control`)."""
        self._source = source
        self._spool = spool
        self._stop = stop
        self._say = say
        # A file on a disk that has failed is read again another time; packets come once.
        self._patience: tuple[type[SpoolError], ...] = (
            (SpoolFull, SpoolUnwritable) if isinstance(source, LiveReader) else (SpoolFull,)
        )
        self._unsynced: list[tuple[BatchHeader, bytes]] = []
        self._unsynced_bytes = 0

    def keep(self, batch: Batch) -> bool:
        """Append a batch; whether the spool has not had it before.

        Raises SpoolError where the spool cannot be written and waiting does not help, or still not when `stop` is set.
        """
        identity = self._spool.identity
        header = BatchHeader(
            identity.sensor, self._source.epoch, batch.sequence, batch.table, batch.rows, identity.site,
            batch.cut, batch.cut_start, batch.cut_end, batch.cut_last,
        )  # fmt: skip
        self._unsynced.append((header, batch.ipc()))
        self._unsynced_bytes += len(self._unsynced[-1][1])
        is_new = self._insist(lambda: self._append(self._unsynced[-1:])) > 0
        if self._unsynced_bytes > UNSYNCED_BYTES:
            self._insist(self._spool.sync)
        if self._spool.acknowledged == self._spool.next_number:
            self._unsynced.clear()
            self._unsynced_bytes = 0
        self.batches += 1
        self.rows += batch.rows
        self.tell()
        return is_new

    def state(self, *, ended: bool = False) -> RecorderState:
        """How it is, for who watches it."""
        source, spool, room = self._source, self._spool, self._spool.room
        return RecorderState(
            packets=source.packets,
            lost=dict(source.losses) if isinstance(source, LiveReader) else {},
            batches=self.batches,
            records=self.rows,
            spool_depth=spool.depth,
            spool_written_bytes=spool.bytes_written,
            spool_dropped={
                "values": room.values,
                "reads": room.reads,
                "records": room.records,
                "expired": room.expired,
            },
            waits=self.waits,
            is_waiting=self.is_waiting,
            ended=ended,
            at=time.time(),
        )

    def finish(self) -> None:
        """Put all on the disk. Raises SpoolError."""
        self._insist(self._spool.sync)
        self._unsynced.clear()

    def tell(self) -> None:
        """Tell table `sensor` how the spool is."""
        if isinstance(self._source, LiveReader):
            spool, room = self._spool, self._spool.room
            drops = {
                "spool_values": room.values, "spool_reads": room.reads, "spool_records": room.records,
                "spool_expired": room.expired, "spool_waits": self.waits, "control_refused": self.refused_requests,
            }  # fmt: skip
            self._source.tell(spool_depth=spool.depth, bytes_written=spool.bytes_written, drops=drops)

    def _append(self, batches: list[tuple[BatchHeader, bytes]]) -> int:
        """Append batches; how many were new."""
        return sum(self._spool.append(header, data) is not None for header, data in batches)

    def _insist(self, action: Callable[[], int]) -> int:
        """Do what the spool refuses again until it does it."""
        since = None
        is_last = False
        while True:
            try:
                done = action()
            except self._patience as error:
                if since is None:
                    since = time.monotonic()
                    self.waits += 1
                    self.is_waiting = True
                    self._say(str(error))
                if is_last:
                    raise
                is_last = self._stop.wait(RETRY_SECONDS)
                # What was taken back is appended again, in its order; what the spool still has it passes over.
                action = self._again
            else:
                if since is not None:
                    self.is_waiting = False
                    self._say(f"{self._spool.folder}: recording again after {time.monotonic() - since:.0f} s")
                return done

    def _again(self) -> int:
        new = self._append(self._unsynced)
        self._spool.sync()
        return new


def opened(source: str | Listening, spool: Spool, packets: tuple[str, int] | None = None) -> Reader | LiveReader:
    """What a spool is to record: interfaces, or a capture.

    A file is read from its beginning each time: its epoch is a hash of its content, so the spool knows what it has had. Standard
    input and interfaces are live sources: they go on with the spool's epoch behind the last batch.

    Args:
        source: interfaces, or the capture's file, or "-".
        spool: where the batches go.
        packets: folder and quota in bytes of the ring of packets, or None.

    Raises:
        CaptureError: it cannot be read, or the ring's folder cannot be used.
    """
    if isinstance(source, Listening):
        return listen(replace(source, packets=packets), spool)
    identity = spool.identity
    if source == STANDARD_INPUT:
        return Reader(
            source, site=identity.site, sensor=identity.sensor, epoch=identity.epoch, first_sequence=next_sequence(spool),
            live=True, packets=packets,
        )  # fmt: skip
    return Reader(source, site=identity.site, sensor=identity.sensor, packets=packets)


def listen(to: Listening, spool: Spool) -> LiveReader:
    """A live capture from interfaces that goes on in the spool's epoch behind the last batch. Raises CaptureError."""
    identity = spool.identity
    return LiveReader(
        list(to.interfaces), site=identity.site, sensor=identity.sensor, epoch=identity.epoch,
        first_sequence=next_sequence(spool), bpf=to.bpf, workers=to.workers, ring_bytes=to.ring_mib * MIB, packets=to.packets,
    )  # fmt: skip
