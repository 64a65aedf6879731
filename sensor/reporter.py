"""Tells the centre how the sensor is: a report to topic `<prefix>.sensors` every ten seconds, beside the uplink."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from sensor import __version__
from sensor.control import OUTBOX
from sensor.credentials import Credentials
from sensor.enrolled import EnrolmentError, read_enrolled
from sensor.kafka_client import KafkaUnusable, probe, shown
from sensor.kafka_producer import OrderedProducer
from sensor.persistence import Persistence
from sensor.remote_settings import applied
from sensor.self_report import SelfReport
from sensor.topics import Topics, plain

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

    from sensor.kafka_control import ControlPoller
    from sensor.kafka_settings import KafkaSettings
    from sensor.renewal import Renewal
    from sensor.uplink import Uplink

REPORT_SECONDS: Final = 10.0
"""How often the sensor reports."""

RETRY_SECONDS: Final = 30.0
"""How long to wait before trying again to reach the topic."""

IN_FLIGHT_BYTES: Final = 1024 * 1024

NANOSECONDS: Final = 1_000_000_000


class Reporter:
    """Reports until it is stopped.

    Args:
        data: the data folder.
        kafka: how Kafka is reached.
        parts: the uplink, what brings requests, and what renews the certificate: the report is about them.
        say: is called with one line when reports cannot be sent, once for each reason.
    """

    def __init__(
        self, data: Path, kafka: KafkaSettings, parts: tuple[Uplink, ControlPoller, Renewal],
        say: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self.reports = 0
        """Reports that the brokers have acknowledged."""
        self._data: Final = data
        self._kafka: Final = kafka
        self._parts: Final = parts
        self._topic: Final = Topics(kafka.prefix).sensors
        # Where the uplink itself is in trouble it says so.
        self._persistence: Final = Persistence(
            lambda trouble: say(f"the centre does not hear how the sensor is: {trouble}"),
            RETRY_SECONDS,
            lambda: parts[0].counters.connected,
        )

    @property
    def trouble(self) -> str:
        """Why the sensor cannot report, in one line; empty where it can."""
        return self._persistence.trouble

    def run(self, stop: threading.Event) -> None:
        """Report until `stop` is set, whatever happens."""
        self._persistence.run(self._report, stop)

    def _report(self, stop: threading.Event) -> None:
        """Report with one producer, until its certificate is replaced or `stop` is set. Raises KafkaUnusable."""
        certificate = shown(self._kafka)
        probe(self._kafka, [self._topic])
        producer = OrderedProducer(self._kafka, f"icsight-report-{plain(self._parts[0].sensor)}", IN_FLIGHT_BYTES)
        try:
            while not stop.is_set() and shown(self._kafka) == certificate:
                patience = self._kafka.connect_seconds
                if not (producer.send(self._topic, self.report().message(), patience) and producer.wait(patience)):
                    raise KafkaUnusable(f"{self._kafka.bootstrap}: the brokers did not take the report", is_lasting=False)
                self.reports += 1
                self._persistence.went_well()
                stop.wait(REPORT_SECONDS)
        finally:
            producer.close()

    def report(self) -> SelfReport:
        """How the sensor is now."""
        uplink, poller, renewal = self._parts
        counters = uplink.counters
        serial, expires = self._certificate()
        settings = {part: applied(self._data, part) for part in ("uplink", "recorder")}
        return SelfReport(
            sensor=uplink.sensor,
            site=uplink.site,
            version=__version__,
            at=time.time_ns(),
            epoch=uplink.epoch,
            lag_batches=counters.lag_batches,
            lag_seconds=counters.lag_seconds,
            missing=counters.missing,
            damaged=counters.damaged,
            refused=counters.refused,
            certificate_serial=serial,
            certificate_expires=expires,
            renewal_trouble=renewal.trouble[:1024],
            settings_uplink=settings["uplink"][0],
            settings_recorder=settings["recorder"][0],
            settings_refused=(settings["uplink"][1] or settings["recorder"][1])[:1024],
            control_offset=poller.offset,
            control_waiting=poller.waiting,
            answers_waiting=sum(1 for _ in (self._data / OUTBOX).glob("*.answer")),
        )

    def _certificate(self) -> tuple[str, int]:
        """Serial number and end of the certificate; "" and 0 where the sensor is not enrolled or has lost it."""
        try:
            if read_enrolled(self._data) is None:
                return "", 0
            credentials = Credentials.read(self._data)
        except EnrolmentError:
            # The renewal meets the same and says so.
            return "", 0
        return credentials.serial, int(credentials.expires.timestamp()) * NANOSECONDS
