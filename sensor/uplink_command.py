"""What `icsight sensor uplink` does."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

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
    from pathlib import Path


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
        sources = [lambda: readings(uplink.counters), lambda: recorder_metrics.readings(data)]
        # One that has nothing to ship does not notice by itself that its brokers are gone.
        checks = {"kafka": lambda: knock(kafka)}
        with observed("uplink", sources, lambda: {**failures(uplink.counters), **recorder_metrics.failures(data)}, checks):
            _run(uplink, folder.parent, kafka, stop)
    except (KafkaUnusable, ConfigurationError, SpoolError) as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(f"{error.filename or folder}: {error.strerror or error}. Check who owns it.") from error
    counters = uplink.counters
    click.echo(
        f"{counters.batches:,} batches shipped, {counters.bytes:,} bytes; {counters.lag_batches:,} batches wait in the spool"
    )


def _run(uplink: Uplink, data: Path, kafka: KafkaSettings, stop: threading.Event) -> None:
    """Ship, and meanwhile bring what is asked of the sensor, take its answers away, renew its certificate, and report.

    Raises what `Uplink.run` does.
    """
    ended = threading.Event()
    poller = ControlPoller(data, kafka, uplink.sensor, warn, UplinkFollower(data, uplink, warn).take)
    renewal = Renewal(data, warn)
    reporter = Reporter(data, kafka, (uplink, poller, renewal), warn)
    parts = (poller, EvidenceUplink(data, kafka, uplink.sensor, warn), renewal, reporter)
    beside = [threading.Thread(target=part.run, args=(ended,), name=type(part).__name__) for part in parts]
    for thread in beside:
        thread.start()
    try:
        uplink.run(stop)
    finally:
        ended.set()
        for thread in beside:
            thread.join()
