"""The sensor's part of a system in one process: a capture's batches into the spool."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from sensor._core import Reader
from sensor.spool import BatchHeader, Spool, SpoolFull

if TYPE_CHECKING:
    from api.services import Services
    from sensor._core import Batch

PART: Final = "capture"

STANDARD_INPUT: Final = "-"

RETRY_SECONDS: Final = 0.5
"""How long to wait for room in a full spool before trying again."""


class Capture:
    """Reads a capture and spools its batches.

    A file is read from its beginning each time: its epoch is a hash of its content, so the spool knows what it has had. Standard
    input is a live source: it goes on with the spool's epoch behind the last batch.

    Raises:
        CaptureError: the capture cannot be read.
    """

    def __init__(self, path: str, spool: Spool, services: Services) -> None:
        self._spool = spool
        self._services = services
        identity = spool.identity
        if path == STANDARD_INPUT:
            held = spool.highest(identity.sensor, identity.epoch)
            first = 0 if held is None else held + 1
            self._reader = Reader(
                path, site=identity.site, sensor=identity.sensor, epoch=identity.epoch, first_sequence=first, live=True
            )
        else:
            self._reader = Reader(path, site=identity.site, sensor=identity.sensor)
        self._told = 0
        self._counting = threading.Lock()
        services.status.tell(PART, detail=f"{path} ({self._reader.format})")

    @property
    def warnings(self) -> list[str]:
        """One line for each thing that could not be read."""
        return self._reader.warnings

    def run(self, stop: threading.Event) -> None:
        """Spool all batches until the capture ends or `stop` is set. Raises CaptureError, SpoolError."""
        threading.Thread(target=self._end_with, args=(stop,), name="capture-stop", daemon=True).start()
        for number, batch in enumerate(self._reader, 1):
            if self._keep(batch, stop):
                self._services.metrics.batches.labels(batch.table).inc()
                self._services.metrics.records.labels(batch.table).inc(batch.rows)
            self.observe()
            self._services.status.tell(PART, batches=number)
        self._spool.sync()
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

    def _keep(self, batch: Batch, stop: threading.Event) -> bool:
        """Append a batch; whether the spool has not had it before.

        Waits while the spool is full, so that a file loses nothing and a live source is held back.
        """
        header = BatchHeader(
            self._spool.identity.sensor, self._reader.epoch, batch.sequence, batch.table, batch.rows, self._spool.identity.site,
            batch.cut, batch.cut_start, batch.cut_end, batch.cut_last,
        )  # fmt: skip
        data = batch.ipc()
        while True:
            try:
                return self._spool.append(header, data) is not None
            except SpoolFull as error:
                self._services.status.tell(PART, detail=str(error))
                if stop.wait(RETRY_SECONDS):
                    raise
