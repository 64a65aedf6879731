"""What `icsight sensor uplink` does."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Final, Protocol

import click

from sensor import recorder_metrics
from sensor.configuration import ConfigurationError, configured
from sensor.evidence_uplink import EvidenceUplink
from sensor.kafka_client import KafkaUnusable, knock, probe
from sensor.kafka_control import ControlPoller
from sensor.kafka_settings import KafkaSettings
from sensor.observability import observed
from sensor.renewal import Renewal
from sensor.reporter import Reporter
from sensor.settings_followers import UplinkFollower
from sensor.spool_format import SpoolError
from sensor.terminal import CommandError, warn
from sensor.topics import Topics
from sensor.uplink import Uplink
from sensor.uplink_metrics import failures, readings
from sensor.uplink_settings import UplinkSettings

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

END_SECONDS: Final = 5.0
"""How long the end of what is done beside shipping is waited for."""


class Part(Protocol):
    """What is done beside shipping."""

    @property
    def trouble(self) -> str:
        """Why it cannot be done, in one line; empty where it can."""
        ...

    def run(self, stop: threading.Event) -> None:
        """Do it until `stop` is set, whatever happens."""
        ...


def ship(folder: Path, stop: threading.Event) -> None:
    """Ship a spool until `stop` is set.

    Raises CommandError where Kafka cannot be used and waiting does not help, which is told within `connect_seconds`.
    """
    kafka, settings = configured(KafkaSettings), configured(UplinkSettings)
    try:
        uplink = Uplink(folder, kafka, settings, warn)
        try:
            probe(kafka, [Topics(kafka.prefix).records])
        except KafkaUnusable as error:
            if error.is_lasting:
                raise
        click.echo(f"shipping {folder} to {kafka.bootstrap} from batch {uplink.position:,} on")
        sys.stdout.flush()
        data = folder.parent
        beside = _beside(uplink, data, kafka)
        sources = [lambda: readings(uplink.counters), lambda: recorder_metrics.readings(data)]
        # One that has nothing to ship does not notice by itself that its brokers are gone.
        checks = {"kafka": lambda: knock(kafka)}

        def failing() -> dict[str, str]:
            troubles = {name: part.trouble for name, part in beside.items() if part.trouble}
            return {**failures(uplink.counters), **recorder_metrics.failures(data), **troubles}

        with observed("uplink", sources, failing, checks):
            _run(uplink, beside.values(), stop)
    except (KafkaUnusable, ConfigurationError, SpoolError) as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(f"{error.filename or folder}: {error.strerror or error}. Check who owns it.") from error
    counters = uplink.counters
    click.echo(
        f"{counters.batches:,} batches shipped, {counters.bytes:,} bytes; {counters.lag_batches:,} batches wait in the spool"
    )


def _beside(uplink: Uplink, data: Path, kafka: KafkaSettings) -> dict[str, Part]:
    """What is done beside shipping, by the name that `/readyz` has for it.

    Bring what is asked of the sensor, take its answers away, renew its certificate, and report.
    """
    poller = ControlPoller(data, kafka, uplink.sensor, warn, UplinkFollower(data, uplink, warn).take)
    renewal = Renewal(data, warn)
    return {
        "requests": poller,
        "evidence": EvidenceUplink(data, kafka, uplink.sensor, warn),
        "renewal": renewal,
        "reports": Reporter(data, kafka, (uplink, poller, renewal), warn),
    }


def _run(uplink: Uplink, beside: Iterable[Part], stop: threading.Event) -> None:
    """Ship, and do the rest meanwhile. Raises what `Uplink.run` does."""
    ended = threading.Event()
    # One that waits for an answer of the centre, or for brokers, does not hold up the end: a kill does no harm to any of them.
    threads = [threading.Thread(target=part.run, args=(ended,), name=type(part).__name__, daemon=True) for part in beside]
    for thread in threads:
        thread.start()
    try:
        uplink.run(stop)
    finally:
        ended.set()
        until = time.monotonic() + END_SECONDS
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
