"""The consumer of the stream of alerts: the only one who writes alerts into the database."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from polars.exceptions import PanicException, PolarsError
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from api.alerts import upserts
from api.alerts.models import SEVERITIES
from api.database.turns import is_busy
from api.decisions.taken import effects, take_over
from api.status import Gap
from collector.records import stream_schema
from collector.stream import DamagedBatch, NewerBatch
from detection.alerts import decode_alerts
from sensor.control_records import rows_of
from sensor.metrics import GAPS, Reading
from sensor.progress import Progress

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping, Sequence

    from api.decisions.taken import Effect
    from api.evidence.pins import Pins
    from api.services import Services
    from collector.stream import Consumer, Delivery, Position, Stream
    from detection.alerts import Alert as Revision

POLL_SECONDS: Final = 0.25
"""How long to wait for batches before looking whether to stop."""

BATCHES: Final = 64
"""Most batches applied in one transaction."""

PART: Final = "alerts"

CONTROL: Final = "control"
"""Table of what took effect in detection, which workers on Kafka tell in the stream of alerts."""

_log = logging.getLogger(__name__)


class AlertConsumer:
    """Applies the stream of alerts to the database, and asks for the packets of each to be pinned."""

    def __init__(self, stream: Stream, services: Services, pins: Pins | None = None) -> None:
        self._stream = stream
        self._pins = pins
        self._services = services
        self.progress: Final = Progress(PART)
        self._gaps = 0
        self._halted: Mapping[str, str] = {}

    def readings(self) -> Iterator[Reading]:
        """Gaps, and how far it is."""
        yield Reading(GAPS, self._gaps, (PART,))
        yield from self.progress.readings()

    def _failures(self) -> Mapping[str, str]:
        """What does not work."""
        if self._halted:
            return {PART: "; ".join(f"{reason}: alerts of this partition wait" for reason in self._halted.values())}
        return {} if self.progress.stuck is None else {PART: self.progress.stuck}

    def watch(self) -> None:
        """Let the services tell how it is, from here on."""
        self._services.metrics.readings.add(self.readings)
        self._services.watched.append(self._failures)

    def run(self, stop: threading.Event) -> None:
        """Apply what comes until `stop` is set. Raises StreamError or SQLAlchemyError where it cannot go on.

        Where others keep the database it begins again at the place that stands there.
        """
        self.watch()
        while not stop.is_set():
            try:
                with self.subscribe() as consumer:
                    while not stop.is_set():
                        self.apply_next(consumer, POLL_SECONDS)
            except (OperationalError, PoolTimeoutError) as error:
                if not is_busy(error):
                    raise
                _log.warning("%s: the database is busy; alerts wait", PART)
                stop.wait(POLL_SECONDS)

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
        """Apply the next batches and say so to live streams; False where there were none.

        Raises NewerBatch, behind all that comes before it, where a batch is not written as this program knows it.
        """
        try:
            deliveries = consumer.poll(timeout_seconds, max_batches=BATCHES)
        except DamagedBatch as damage:
            self._services.status.tell(PART, detail=str(damage))
            with self._services.database.write() as session:
                upserts.stand(session, damage.position)
            return True
        for reason in sorted(set(consumer.halted.values()) - set(self._halted.values())):
            _log.error("%s: alerts of this partition wait", reason)
        self._halted = consumer.halted
        if not deliveries:
            self.progress.stand(consumer.ends, consumer.position.offsets)
            return False
        for delivery in deliveries:
            if delivery.gap is not None:
                sensor, epoch = delivery.gap.run
                self._gaps += 1
                self._services.status.gap(Gap(PART, sensor, epoch, delivery.gap.expected, delivery.gap.found))
        readable, newer = self._read(deliveries)
        if readable:
            self._apply(consumer, readable, consumer.position if newer is None else readable[-1].delivery.position)
        if newer is not None:
            raise newer
        return True

    def _read(self, deliveries: Sequence[Delivery]) -> tuple[list[_Read], NewerBatch | None]:
        """What batches hold, up to the first that a newer worker must have written, and that one's trouble."""
        readable: list[_Read] = []
        for delivery in deliveries:
            place = f"{delivery.offset[0]}/{delivery.offset[1]}"
            try:
                readable.append(_read(delivery))
            except (ValueError, TypeError, KeyError, PolarsError, PanicException) as error:
                if _is_arrow(delivery.data):
                    reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
                    return readable, NewerBatch(
                        f"batch {place} of table {delivery.header.table} cannot be read ({reason}): "
                        "a newer worker has written it? Update this program; alerts wait until then"
                    )
                self._services.status.tell(PART, detail=f"batch {place} is damaged and was passed over")
                _log.error("batch %s of the stream of alerts is no Arrow stream: it is passed over", place)
                readable.append(_Read(delivery))
        return readable, None

    def _apply(self, consumer: Consumer, read: Sequence[_Read], position: Position) -> None:
        """Write down what batches hold, with the place behind them."""
        told: dict[str, list[Revision]] = {}
        for each in read:
            if each.revisions:
                told.setdefault(each.delivery.header.site, []).extend(each.revisions)
        if self._pins is not None:
            # Before the position is stored: after a crash it is asked for once more, which changes nothing.
            self._pins.ask([revision for revisions in told.values() for revision in revisions])
        with self._services.database.write() as session:
            applied = sum(upserts.apply(session, revisions, site) for site, revisions in told.items())
            # Another server may have been here before; alerts are passed over by their revision, these by their place.
            stood = upserts.position(session).offsets
            effective: dict[str, list[Effect]] = {}
            for each in read:
                partition, offset = each.delivery.offset
                if each.effects and offset >= stood.get(partition, 0):
                    effective.setdefault(each.delivery.header.site, []).extend(each.effects)
            for site, effects_there in effective.items():
                take_over(session, site, effects_there)
            upserts.stand(session, position)
        consumer.commit(position)
        self._services.metrics.upserts.inc(applied)
        self.progress.did(max(each.delivery.header.cut_end for each in read))
        self.progress.stand(consumer.ends, position.offsets)
        if applied:
            self._services.hub.notify()


@dataclass(frozen=True, slots=True)
class _Read:
    """What a batch holds: alerts, or what took effect."""

    delivery: Delivery
    revisions: Sequence[Revision] = ()
    effects: Sequence[Effect] = ()


def _read(delivery: Delivery) -> _Read:
    """Raises ValueError, TypeError, KeyError, PolarsError or PanicException where it is not written as this program knows it."""
    if delivery.header.table == CONTROL:
        return _Read(delivery, effects=effects(rows_of(delivery.data)))
    revisions = [upserts.fitting(each) for each in decode_alerts(delivery.data)]
    for each in revisions:
        # What is written of it is looked at here: within the transaction it would be too late to tell whose fault it is.
        SEVERITIES.index(each.severity)  # pyright: ignore[reportArgumentType]  that is what is asked
        if not {"texts", "techniques", "records"} <= each.body.keys() or (each.exception and "name" not in each.exception):
            raise KeyError(each.rule)
    return _Read(delivery, revisions)


def _is_arrow(data: bytes) -> bool:
    """Whether bytes are what a worker of any version writes; else the fault is theirs."""
    try:
        stream_schema(data)
    except OSError:
        return False
    return True
