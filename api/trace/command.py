"""`icsight trace`: where a batch is, and what came of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from sqlalchemy.exc import SQLAlchemyError

from api.commands import settings_of
from api.database import Database, UnusableDatabaseError, first_line
from api.trace import Found, Sought, outcome, spool
from collector.letters_command import RECORDS, letters_of
from collector.store import StoreError
from collector.store.choice import cluster_settings, open_store
from detection.checkpoint import CHECKPOINT_FILE, CheckpointError, read_position
from sensor.configuration import ConfigurationError, configured
from sensor.kafka_settings import KafkaSettings
from sensor.terminal import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS: Final = 10.0
"""How long each place is looked through that has no index to ask."""


@click.command()
@click.argument("batch", nargs=-1, required=True, metavar="SENSOR EPOCH SEQUENCE")
@click.option(
    "--data", metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
    help="Data folder of a sensor, or of a system on one machine.",
)  # fmt: skip
@click.option(
    "--seconds", default=SECONDS, show_default=True, metavar="SECONDS", type=click.FloatRange(0.1, 3600),
    help="How long the topic, dead letters and alerts are looked through, each.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def trace(batch: tuple[str, ...], data: Path | None, seconds: float, *, as_json: bool) -> None:
    """Tell where a batch of records is, and what came of it.

    A batch is named as in logs, SENSOR/EPOCH/SEQUENCE, or by three arguments. What is asked: the spool of --data; Kafka,
    the record store and the database as icsight.toml names them, else those of --data.

    Exit status: 0 it was found somewhere; 1 nowhere; 2 nowhere, and not all places could be asked.
    """
    sought = _named(batch)
    for found in _places(sought, data, seconds):
        sought.found.append(found)
        if not as_json:
            click.echo(f"{found.place:<14}{found.state:<9}{found.text}")
    if as_json:
        places = [{"place": each.place, "state": each.state, "text": each.text, **each.about} for each in sought.found]
        told = {"sensor": sought.run[0], "epoch": sought.run[1], "sequence": sought.sequence, "places": places}
        click.echo(json.dumps(told, ensure_ascii=False))
    # What detection did follows from where the batch lies: that is no place of its own.
    states = {each.state for each in sought.found if each.place != "detection"}
    if not states & {"there", "done", "waits"}:
        raise click.exceptions.Exit(2 if "unknown" in states else 1)


def _named(batch: tuple[str, ...]) -> Sought:
    """The batch that arguments name. Raises CommandError."""
    parts = batch if len(batch) == 3 else tuple("/".join(batch).rsplit("/", 2))
    if len(parts) != 3 or not all(parts) or not parts[2].isdecimal():
        raise CommandError(f"{' '.join(batch)!r} names no batch: write SENSOR EPOCH SEQUENCE, or SENSOR/EPOCH/SEQUENCE")
    return Sought((parts[0], parts[1]), int(parts[2]))


def _places(sought: Sought, data: Path | None, seconds: float) -> Iterator[Found]:
    """Ask one place after the other; each knows what those before have found. Raises CommandError."""
    kafka = configured(KafkaSettings)
    if data is None and not kafka.bootstrap:
        raise CommandError("where is the batch to be looked for? Give --data DIR, or name a cluster in [kafka] of icsight.toml")
    if data is not None and not data.is_dir():
        raise CommandError(f"{data}: there is no such folder")
    if data is not None and (found := spool.in_spool(sought, data)) is not None:
        yield found
    if kafka.bootstrap:
        # Loaded only where it is used: a system on one machine has no client of Kafka.
        from api.trace import topic  # noqa: PLC0415

        yield topic.in_kafka(sought, kafka, seconds)
    try:
        has_store = cluster_settings() is not None or (data is not None and (data / RECORDS).is_dir())
        if has_store:
            store = open_store((data or Path()) / RECORDS)
            try:
                yield outcome.in_store(sought, store)
            finally:
                store.close()
    except StoreError as error:
        yield Found("records", "unknown", str(error))
    yield outcome.in_letters(sought, letters_of(data), seconds)
    found = _detection(sought, data, kafka)
    if found is not None:
        yield found
    yield from _alerts(sought, data, seconds)


def _detection(sought: Sought, data: Path | None, kafka: KafkaSettings) -> Found | None:
    """What detection did; None where none has ever worked here."""
    if kafka.bootstrap:
        from detection.standing import standing  # noqa: PLC0415  as above
        from sensor.kafka_client import KafkaUnusable  # noqa: PLC0415

        try:
            stands = standing(kafka)
        except (KafkaUnusable, ConfigurationError) as error:
            return Found("detection", "unknown", str(error))
        return outcome.looked_at_on_kafka(sought, kafka.prefix, stands.committed, stands.workers)
    try:
        return None if data is None else outcome.looked_at(sought, read_position(data / CHECKPOINT_FILE))
    except FileNotFoundError:
        return None
    except CheckpointError as error:
        return Found("detection", "unknown", str(error))


def _alerts(sought: Sought, data: Path | None, seconds: float) -> Iterator[Found]:
    """What the database says, where there is one."""
    settings = settings_of(data or Path(), {})
    if not settings.database.url and (data is None or not settings.database_path.is_file()):
        return
    try:
        database = Database.of(settings)
        try:
            yield outcome.in_alerts(sought, database, seconds)
        finally:
            database.close()
    except SQLAlchemyError as error:
        yield Found("alerts", "unknown", f"the database: {first_line(error)}")
    except (OSError, ConfigurationError, UnusableDatabaseError) as error:
        yield Found("alerts", "unknown", f"the database {error}")
