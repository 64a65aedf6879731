"""The consumer of the stream of alerts: the only one who writes alerts into the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from api.alerts import upserts
from api.decisions.taken import take_over
from api.status import Gap
from collector.stream import DamagedBatch
from detection.alerts import decode_alerts
from sensor.control_records import rows_of
from sensor.metrics import GAPS, Reading
from sensor.progress import Progress

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping

    from api.evidence.pins import Pins
    from api.services import Services
    from collector.stream import Consumer, Stream
    from detection.alerts import Alert as Revision

POLL_SECONDS: Final = 0.25
"""How long to wait for batches before looking whether to stop."""

BATCHES: Final = 64
"""Most batches applied in one transaction."""

PART: Final = "alerts"

CONTROL: Final = "control"
"""Table of what took effect in detection, which workers on Kafka tell in the stream of alerts."""


class AlertConsumer:
    """Applies the stream of alerts to the database, and asks for the packets of each to be pinned."""

    def __init__(self, stream: Stream, services: Services, pins: Pins | None = None) -> None:
        self._stream = stream
        self._pins = pins
        self._services = services
        self.progress: Final = Progress(PART)
        self._gaps = 0

    def readings(self) -> Iterator[Reading]:
        """Gaps, and how far it is."""
        yield Reading(GAPS, self._gaps, (PART,))
        yield from self.progress.readings()

    def _failures(self) -> Mapping[str, str]:
        """What does not work."""
        return {} if self.progress.stuck is None else {PART: self.progress.stuck}

    def watch(self) -> None:
        """Let the services tell how it is, from here on."""
        self._services.metrics.readings.add(self.readings)
        self._services.watched.append(self._failures)

    def run(self, stop: threading.Event) -> None:
        """Apply what comes until `stop` is set. Raises StreamError or SQLAlchemyError where it cannot go on."""
        self.watch()
        with self.subscribe() as consumer:
            while not stop.is_set():
                self.apply_next(consumer, POLL_SECONDS)

    def drain(self) -> None:
        """Apply all that is in the stream now."""
        with self.subscribe() as consumer:
            while self.apply_next(consumer, 0):
                pass

    def subscribe(self) -> Consumer:
        """The stream, read from where the database says."""
        with self._services.database.read() as session:
            start = upserts.position(session)
        return self._stream.subscribe(upserts.CONSUMER, start)

    def apply_next(self, consumer: Consumer, timeout_seconds: float) -> bool:
        """Apply the next batches and say so to live streams; False where there were none."""
        try:
            deliveries = consumer.poll(timeout_seconds, max_batches=BATCHES)
        except DamagedBatch as damage:
            self._services.status.tell(PART, detail=str(damage))
            with self._services.database.write() as session:
                upserts.stand(session, damage.position)
            return True
        if not deliveries:
            self.progress.stand(consumer.ends, consumer.position.offsets)
            return False
        for delivery in deliveries:
            if delivery.gap is not None:
                sensor, epoch = delivery.gap.run
                self._gaps += 1
                self._services.status.gap(Gap(PART, sensor, epoch, delivery.gap.expected, delivery.gap.found))
        told: dict[str, list[Revision]] = {}
        for delivery in deliveries:
            if delivery.header.table != CONTROL:
                told.setdefault(delivery.header.site, []).extend(map(upserts.fitting, decode_alerts(delivery.data)))
        if self._pins is not None:
            # Before the position is stored: after a crash it is asked for once more, which changes nothing.
            self._pins.ask([revision for revisions in told.values() for revision in revisions])
        with self._services.database.write() as session:
            applied = sum(upserts.apply(session, revisions, site) for site, revisions in told.items())
            # Another server may have been here before; alerts are passed over by their revision, these by their place.
            stood = upserts.position(session).offsets
            effective: dict[str, list[Mapping[str, Any]]] = {}
            for delivery in deliveries:
                partition, offset = delivery.offset
                if delivery.header.table == CONTROL and offset >= stood.get(partition, 0):
                    effective.setdefault(delivery.header.site, []).extend(rows_of(delivery.data))
            for site, rows in effective.items():
                take_over(session, site, rows)
            upserts.stand(session, consumer.position)
        consumer.commit(consumer.position)
        self._services.metrics.upserts.inc(applied)
        self.progress.did(max(delivery.header.cut_end for delivery in deliveries))
        self.progress.stand(consumer.ends, consumer.position.offsets)
        if applied:
            self._services.hub.notify()
        return True
