"""What a source says, into the spool: the sensor's work, whether alone on a gateway or as a part of a whole system."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from sensor._core import LiveReader
from sensor.spool import BatchHeader, Spool, SpoolFull

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from sensor._core import Batch

RETRY_SECONDS: Final = 0.5
"""How long to wait for room in a full spool before trying again."""


MIB: Final = 1024 * 1024


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
    ring_mib: int = 32
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

    @property
    def warnings(self) -> list[str]:
        """One line for each thing that went wrong."""
        ...


def next_sequence(spool: Spool) -> int:
    """The sequence with which a live source goes on in the spool's epoch."""
    held = spool.highest(spool.identity.sensor, spool.identity.epoch)
    return 0 if held is None else held + 1


def keep(batch: Batch, epoch: str, spool: Spool, stop: threading.Event, when_full: Callable[[str], None]) -> bool:
    """Append a batch to the spool; whether it has not had it before.

    Waits while the spool is full, so that a file loses nothing and a live source is held back.

    Raises SpoolFull where it is still full when `stop` is set, SpoolError where the spool cannot be written.
    """
    identity = spool.identity
    header = BatchHeader(
        identity.sensor, epoch, batch.sequence, batch.table, batch.rows, identity.site,
        batch.cut, batch.cut_start, batch.cut_end, batch.cut_last,
    )  # fmt: skip
    data = batch.ipc()
    while True:
        try:
            return spool.append(header, data) is not None
        except SpoolFull as error:
            when_full(str(error))
            if stop.wait(RETRY_SECONDS):
                raise


def listen(to: Listening, spool: Spool) -> LiveReader:
    """A live capture from interfaces that goes on in the spool's epoch behind the last batch. Raises CaptureError."""
    identity = spool.identity
    return LiveReader(
        list(to.interfaces), site=identity.site, sensor=identity.sensor, epoch=identity.epoch,
        first_sequence=next_sequence(spool), bpf=to.bpf, workers=to.workers, ring_bytes=to.ring_mib * MIB, packets=to.packets,
    )  # fmt: skip
