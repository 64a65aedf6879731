"""The sensor's part of a system in one process: a capture's batches into the spool."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from sensor import recorder

if TYPE_CHECKING:
    from api.services import Services
    from sensor.spool import Spool

PART: Final = "capture"


class Capture:
    """Reads a capture, or listens to interfaces, and spools the batches.

    Packets are kept in the ring `packets` (folder, quota in bytes), those of a file too: so there is one way to evidence for all
    sources, it still holds once the file has been moved, and packed files need no unpacking to be looked into. What an earlier
    reading of the same file has left in the ring makes room first.

    Raises:
        CaptureError: the capture cannot be read, or the ring's folder cannot be used.
    """

    def __init__(
        self, source: str | recorder.Listening, spool: Spool, services: Services, packets: tuple[str, int] | None = None
    ) -> None:
        self._spool = spool
        self._services = services
        self._reader = recorder.opened(source, spool, packets)
        self._told = 0
        self._counting = threading.Lock()
        kind = self._reader.format
        services.status.tell(PART, detail=f"{source} ({kind})" if isinstance(source, str) else kind)

    def take_warnings(self) -> list[str]:
        """One line for each thing that could not be read, or that happened to an interface, since the last look."""
        return self._reader.take_warnings()

    def run(self, stop: threading.Event) -> None:
        """Spool all batches until the capture ends or `stop` is set. Raises CaptureError, SpoolError."""
        threading.Thread(target=self._end_with, args=(stop,), name="capture-stop", daemon=True).start()
        keeper = recorder.Recorder(self._reader, self._spool, stop, self._tell)
        for number, batch in enumerate(self._reader, 1):
            if keeper.keep(batch):
                self._services.metrics.batches.labels(batch.table).inc()
                self._services.metrics.records.labels(batch.table).inc(batch.rows)
            self.observe()
            self._services.status.tell(PART, batches=number)
        keeper.finish()
        self.observe()

    def observe(self) -> None:
        """Tell how many packets have been taken in. Safe from any thread: each packet is counted once."""
        with self._counting:
            packets = self._reader.packets
            self._services.status.packets = packets
            self._services.metrics.packets.inc(packets - self._told)
            self._told = packets

    def _end_with(self, stop: threading.Event) -> None:
        stop.wait()
        self._reader.stop()

    def _tell(self, line: str) -> None:
        self._services.status.tell(PART, detail=line)
