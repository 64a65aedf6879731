"""The API of a system on several machines: alerts come from Kafka, decisions and requests to sensors go there.

Records, detection and sensors are other processes' work. Kafka may be away for as long as it likes: what is stored can be looked
at and decided on meanwhile, `/readyz` says what does not work, and what was decided is sent when it is back.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import SQLAlchemyError

from api import system
from api.alerts.consumer import PART as ALERTS
from api.alerts.consumer import POLL_SECONDS, AlertConsumer
from api.decisions import service as decisions
from api.evidence.pins import Pins
from api.parts import Parts
from api.problems import Problem
from api.sensors.report_reader import ReportReader
from collector.stream import StreamError
from collector.stream.kafka import KafkaStream
from detection.changelog_topic import ChangelogTopic
from detection.inbox import InboxError
from detection.published import Published, RuleVersions, publish_decision
from detection.sigma.rule import RuleError
from sensor.configuration import ConfigurationError
from sensor.control_records import PIN, EvidenceRequest
from sensor.kafka_client import KafkaUnusable, NoSuchTopic, probe
from sensor.kafka_control import ControlSender
from sensor.packets import EvidenceError
from sensor.remote_evidence import NotAnswered, take
from sensor.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from api.services import Services
    from api.settings import Settings
    from detection.inbox import Entry
    from detection.ruleset import Ruleset
    from sensor.kafka_settings import KafkaSettings
    from sensor.packets import Asked, Evidence, Statement

DECISIONS: Final = "decisions"
"""Name of the part that sends decisions."""

SENSORS: Final = "sensors"
"""Name of the part that reads what sensors say of themselves."""

PINS: Final = "pins"
"""Name of the part that asks sensors to keep packets."""

RETRY_SECONDS: Final = 5.0
"""How long until what failed is tried again."""

LOOK_SECONDS: Final = 10.0
"""How often is looked how many alerts wait."""

NONE_SECONDS: Final = 60.0
"""How long a sensor without a topic is not looked for again."""

EVIDENCE_SECONDS: Final = 20.0
"""How long a request waits for a sensor's packets."""

ASKED_AT_A_TIME: Final = 4
"""Most requests for packets at a time: each holds a thread and up to 64 MiB."""

STOP_SECONDS: Final = 5.0

_log = logging.getLogger(__name__)


class RemotePackets:
    """The packets of sensors elsewhere."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka: Final = kafka
        self._room: Final = threading.BoundedSemaphore(ASKED_AT_A_TIME)

    def take(self, statement: Statement, asked: Asked) -> Evidence:
        """As `api.services.Packets.take`: asks the sensor and waits for its answer."""
        if not self._room.acquire(blocking=False):
            raise Problem("evidence_busy", headers={"Retry-After": "5"})
        try:
            request = EvidenceRequest(
                secrets.token_hex(16), statement, asked.by, asked.sensor, asked.mask_values, asked.limit_bytes
            )
            return take(self._kafka, request, EVIDENCE_SECONDS)
        except NotAnswered as error:
            raise Problem("evidence_waits", sensor=asked.sensor, seconds=round(EVIDENCE_SECONDS)) from error
        except (KafkaUnusable, ConfigurationError) as error:
            raise EvidenceError(str(error)) from error
        finally:
            self._room.release()


class Distributed:
    """What of a system on several machines works in the process of the API.

    Args:
        services: the services; what is elsewhere is put into them.
        kafka: how Kafka is reached.
    """

    def __init__(self, services: Services, kafka: KafkaSettings) -> None:
        self._services = services
        self._kafka = kafka
        self._topics = Topics(kafka.prefix)
        self._alerts = KafkaStream(kafka, self._topics.alerts)
        self._sender = ControlSender(kafka)
        self._changelog = ChangelogTopic(kafka)
        self._consumer = AlertConsumer(self._alerts, services, Pins(self._pin))
        self._parts = Parts(services.status)
        self._looked = 0.0
        self._is_unreachable = False
        """Whether the part of the alerts counts as failed because Kafka could not be asked for their end."""
        self._none: dict[str, float] = {}
        """Sensors without a topic, and until when that is taken for granted (monotonic clock)."""
        self._read: Mapping[str, int] = {}
        """How far the topic of alerts was read, by partition."""
        self._decided = threading.Event()
        self._decided.set()
        services.site, services.decided, services.leave = None, self._decided, self._leave
        services.ruleset = self._ruleset
        services.packets, services.learned = RemotePackets(kafka), self._changelog.learned

    def start(self) -> None:
        """Begin."""
        self._consumer.watch()
        self._parts.start(ALERTS, self._follow_alerts)
        self._parts.start(DECISIONS, self._send_decisions)
        refuse = self._services.metrics.refused_reports.inc
        self._parts.start(SENSORS, ReportReader(self._kafka, self._services.reports, self._tell_sensors, refuse).run)

    def observe(self) -> None:
        """Tell how many alerts wait, now and then."""
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        try:
            end = self._alerts.end()
        except StreamError as error:
            self._is_unreachable = True
            self._services.status.tell(ALERTS, state="failed", detail=str(error))
            return
        # What a transaction ends with is no batch, and counts as read.
        waiting = sum(offset - self._read.get(partition, 0) for partition, offset in end.offsets.items())
        self._services.status.tell(ALERTS, waiting=waiting)
        if self._is_unreachable:
            # Only that was the trouble: any other is not over because Kafka answers.
            self._is_unreachable = False
            self._services.status.tell(ALERTS, state="working", detail="")

    @property
    def ended(self) -> str | None:
        """A part that has ended by a fault that will not be over by itself; its reason is in the status."""
        return next((name for name in (ALERTS, DECISIONS, SENSORS) if self._parts.done(name)), None)

    def stop(self) -> list[str]:
        """End all parts; returns those that did not end in time."""
        left = self._parts.stop(STOP_SECONDS)
        if ALERTS not in left:
            self._sender.close()
            self._alerts.close()
        self._changelog.close()
        return left

    def _follow_alerts(self, stop: threading.Event) -> None:
        """Put alerts into the database."""

        def follow() -> None:
            with self._consumer.subscribe() as consumer:
                self._services.status.tell(ALERTS, state="working", detail="")
                while not stop.is_set():
                    self._consumer.apply_next(consumer, POLL_SECONDS)
                    self._read = consumer.position.offsets

        self._steadily(ALERTS, follow, stop)

    def _send_decisions(self, stop: threading.Event) -> None:
        """Send what was decided, when somebody decides."""

        def send() -> None:
            # Whatever kept decisions from being sent before, they are tried again now.
            self._decided.set()
            while not stop.is_set():
                if self._decided.wait(POLL_SECONDS):
                    self._decided.clear()
                    if not decisions.send_unsent(self._services):
                        raise KafkaUnusable("decisions wait in the database until Kafka takes them", is_lasting=False)
                    self._services.status.tell(DECISIONS, state="working", detail="")

        self._steadily(DECISIONS, send, stop)

    def _tell_sensors(self, trouble: str) -> None:
        """Say why sensors are not heard; empty where they are. All else can be served meanwhile: it is no failure."""
        self._services.status.tell(SENSORS, detail=trouble)
        if trouble:
            _log.warning("%s: %s", SENSORS, trouble)

    def _steadily(self, part: str, work: Callable[[], None], stop: threading.Event) -> None:
        """Work, and begin again after whatever can be over by itself."""
        while not stop.is_set():
            try:
                work()
            except (StreamError, KafkaUnusable, ConfigurationError, SQLAlchemyError) as error:
                line = " ".join(str(error).split()) if not isinstance(error, SQLAlchemyError) else type(error).__name__
                self._is_unreachable = self._is_unreachable and part != ALERTS
                self._services.status.tell(part, state="failed", detail=line)
                _log.warning("%s: %s", part, line)
                stop.wait(RETRY_SECONDS)

    def _leave(self, decision: Entry, site: str) -> None:
        """Publish a decision. Raises InboxError."""
        try:
            publish_decision(self._kafka, self._topics, site, decision)
        except (KafkaUnusable, ConfigurationError) as error:
            raise InboxError(str(error)) from error

    def _ruleset(self, site: str) -> Ruleset:
        """The rules that are published for a site, else the product's own; read anew, for nobody asks often. Raises RuleError."""
        try:
            published = Published(self._kafka, self._topics)
        except (KafkaUnusable, ConfigurationError) as error:
            raise RuleError(str(error)) from error
        try:
            return RuleVersions(published, site).read()
        finally:
            published.close()

    def _pin(self, statement: Statement, sensors: Sequence[str]) -> None:
        """Ask sensors to pin packets; one without a topic is passed over: it is none of ours, or no more. Raises StreamError."""
        for sensor in sensors:
            if self._none.get(sensor, 0.0) > time.monotonic():
                continue
            try:
                self._sender.send(sensor, PIN, statement.to_json())
            except NoSuchTopic as error:
                self._none = {name: until for name, until in self._none.items() if until > time.monotonic()}
                self._none[sensor] = time.monotonic() + NONE_SECONDS
                _log.warning("packets of alert %s are not pinned at %s: %s", statement.alert, sensor, error)
            except KafkaUnusable as error:
                if not error.is_lasting:
                    raise StreamError(str(error)) from error
                # A person must put this right. Alerts are worth more than their packets: they go on, and `/readyz` tells.
                self._services.status.tell(PINS, state="failed", detail=str(error))
                _log.error("packets of alert %s are not pinned at %s: %s", statement.alert, sensor, error)
            else:
                self._services.status.tell(PINS, state="working", detail="")


@contextmanager
def distributed(settings: Settings, kafka: KafkaSettings) -> Generator[tuple[Services, Distributed]]:
    """The API's part of a system on several machines, not started yet.

    Raises:
        FolderError: as `system.opened`.
        KafkaUnusable: Kafka cannot be used, and that will not change by itself.
    """
    topics = Topics(kafka.prefix)
    try:
        probe(kafka, [topics.alerts, topics.decisions, topics.evidence])
    except KafkaUnusable as error:
        if error.is_lasting:
            raise
        _log.warning("%s", error)
    with ExitStack() as stack:
        services = stack.enter_context(system.opened(settings, collects=False))
        parts = Distributed(services, kafka)
        yield services, parts
