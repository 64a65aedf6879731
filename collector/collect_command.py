"""`icsight collect`: records from Kafka into the record store, as a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from collector.letters_command import RECORDS
from collector.metrics import failures, readings
from collector.store import StoreError
from collector.store.choice import cluster_settings, open_store
from collector.stream import StreamError
from collector.stream.kafka import KafkaStream
from collector.stream.kafka_letters import LetterTopic
from collector.writer import CONSUMER, Writer
from sensor.configuration import ConfigurationError, configured
from sensor.kafka_client import KafkaUnusable, knock, probe
from sensor.kafka_settings import KafkaSettings
from sensor.observability import observed
from sensor.terminal import CommandError, until_signal, warn
from sensor.topics import Topics

if TYPE_CHECKING:
    from collector.stream import Gap

FILES: Final = "files"
"""Name under which a collector into files reads: where others read the same topic into a cluster, their group is not its own."""


@click.command()
@click.option(
    "--data", metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the records, where the configuration names no Elasticsearch.",
)  # fmt: skip
@click.option(
    "--member", metavar="NAME",
    help="Share the work with other collectors, under this name, for ever the same; needs Elasticsearch.",
)  # fmt: skip
@click.option("--exit-when-done", is_flag=True, help="End once all that is in the topic now is stored.")
def collect(data: Path | None, member: str | None, *, exit_when_done: bool) -> None:
    """Store what sensors send to Kafka, as [kafka] and [elasticsearch] of icsight.toml say."""
    stop = until_signal()
    kafka = configured(KafkaSettings)
    try:
        elsewhere = cluster_settings() is not None
        if member is not None and not elsewhere:
            raise CommandError("--member: a folder has one collector; name a cluster in [elasticsearch] to share the work")
        if member is not None and exit_when_done:
            raise CommandError("--member and --exit-when-done: a member does not know when the others are done")
        if data is None and not elsewhere:
            raise CommandError("where to? Name a cluster in [elasticsearch] of icsight.toml, or give --data DIR")
        topics = Topics(kafka.prefix)
        probe(kafka, [topics.records, topics.dead_letters])
        letters = LetterTopic(kafka)
        store = open_store((data or Path()) / RECORDS, writer=True, letters=letters)
    except (KafkaUnusable, StoreError) as error:
        raise CommandError(str(error)) from error
    try:
        writer = Writer(
            KafkaStream(kafka, topics.records, member=member), store, letters,
            reader=CONSUMER if elsewhere else FILES, on_gap=_gap, on_failure=warn,
        )  # fmt: skip
        checks = {"kafka": lambda: knock(kafka), "records": store.check}
        with observed("collect", [lambda: readings(writer)], lambda: failures(writer), checks):
            click.echo(f"storing {topics.records} of {kafka.bootstrap}")
            sys.stdout.flush()
            if exit_when_done:
                writer.drain()
            else:
                writer.run(stop)
    except (StoreError, StreamError, ConfigurationError) as error:
        raise CommandError(str(error)) from error
    finally:
        letters.close()
        store.close()
    counters = writer.counters
    click.echo(
        f"{counters.batches:,} batches stored, {counters.rows:,} rows; {counters.repeated:,} had been stored before; "
        f"{counters.dead_letters:,} dead letters; {counters.missing:,} batches missing in {counters.gaps:,} gaps"
    )


def _gap(gap: Gap) -> None:
    sensor, epoch = gap.run
    warn(f"{sensor}/{epoch}: batches {gap.expected:,} to {gap.found - 1:,} are missing and will not come")
