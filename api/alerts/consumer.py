"""The consumer of the stream of alerts: the only one who writes alerts into the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from api.alerts import upserts
from api.status import Gap
from collector.stream import DamagedBatch
from detection.alerts import decode_alerts

if TYPE_CHECKING:
    import threading

    from api.evidence.pins import Pins
    from api.services import Services
    from collector.stream import Consumer, Stream
    from detection.alerts import Alert as Revision

POLL_SECONDS: Final = 0.25
"""How long to wait for batches before looking whether to stop."""

BATCHES: Final = 64
"""Most batches applied in one transaction."""

PART: Final = "alerts"


class AlertConsumer:
    """Applies the stream of alerts to the database, and asks for the packets of each to be pinned."""

    def __init__(self, stream: Stream, services: Services, pins: Pins | None = None) -> None:
        self._stream = stream
        self._pins = pins
        self._services = services

    def run(self, stop: threading.Event) -> None:
        """Apply what comes until `stop` is set. Raises StreamError or SQLAlchemyError where it cannot go on."""
        with self._subscribe() as consumer:
            while not stop.is_set():
                self._apply_next(consumer, POLL_SECONDS)

    def drain(self) -> None:
        """Apply all that is in the stream now."""
        with self._subscribe() as consumer:
            while self._apply_next(consumer, 0):
                pass

    def _subscribe(self) -> Consumer:
        with self._services.database.read() as session:
            start = upserts.position(session)
        return self._stream.subscribe(upserts.CONSUMER, start)

    def _apply_next(self, consumer: Consumer, timeout_seconds: float) -> bool:
        """Apply the next batches and say so to live streams; False where there were none."""
        try:
            deliveries = consumer.poll(timeout_seconds, max_batches=BATCHES)
        except DamagedBatch as damage:
            self._services.status.tell(PART, detail=str(damage))
            with self._services.database.write() as session:
                upserts.stand(session, damage.position)
            return True
        if not deliveries:
            return False
        for delivery in deliveries:
            if delivery.gap is not None:
                sensor, epoch = delivery.gap.run
                self._services.metrics.gaps.labels(PART).inc()
                self._services.status.gap(Gap(PART, sensor, epoch, delivery.gap.expected, delivery.gap.found))
        told: dict[str, list[Revision]] = {}
        for delivery in deliveries:
            told.setdefault(delivery.header.site, []).extend(decode_alerts(delivery.data))
        if self._pins is not None:
            # Before the position is stored: after a crash it is asked for once more, which changes nothing.
            self._pins.ask([revision for revisions in told.values() for revision in revisions])
        with self._services.database.write() as session:
            applied = sum(upserts.apply(session, revisions, site) for site, revisions in told.items())
            upserts.stand(session, consumer.position)
        consumer.commit(consumer.position)
        self._services.metrics.upserts.inc(applied)
        if applied:
            self._services.hub.notify()
        return True
