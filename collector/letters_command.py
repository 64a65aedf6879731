"""`icsight dead-letters`: what could not be stored, and why; and another try."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from collector.dead_letters import LetterFolder
from collector.records import Undecodable, decode
from collector.store import StoreError
from collector.store.choice import cluster_settings, open_store
from collector.stream import StreamError
from sensor.configuration import configured
from sensor.kafka_settings import KafkaSettings
from sensor.terminal import CommandError, shown, warn

if TYPE_CHECKING:
    from collector.dead_letters import DeadLetter, DeadLetters
    from collector.store import RecordBatch

FOLDER = "dead-letters"
"""Folder of dead letters in a data folder."""

RECORDS = "records"
"""Folder of the record store in a data folder."""

_DATA = click.option(
    "--data", metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Data folder, where Kafka is not used."
)


def letters_of(data: Path | None) -> DeadLetters:
    """The dead letters of this system: Kafka's topic where the configuration names a cluster, else those of a data folder.

    Raises CommandError.
    """
    settings = configured(KafkaSettings)
    if settings.bootstrap:
        # Loaded only where it is used: a system on one machine has no client of Kafka.
        from collector.stream.kafka_letters import LetterTopic  # noqa: PLC0415

        return LetterTopic(settings)
    if data is None:
        raise CommandError("where are the letters? Give --data DIR, or name a cluster in [kafka] of icsight.toml")
    return LetterFolder(data / FOLDER)


@click.group("dead-letters")
def dead_letters() -> None:
    """Look at batches that could not be stored, and store them after all."""


@dead_letters.command("list")
@_DATA
def list_letters(data: Path | None) -> None:
    """List all letters: name, batch, size, reason."""
    kept = letters_of(data)
    try:
        for letter in kept.letters():
            click.echo(shown(f"{letter.name}  {_batch(letter)}  {len(letter.data):,} bytes  {letter.reason}"))
    except (StreamError, OSError) as error:
        raise CommandError(str(error)) from error


@dead_letters.command()
@click.argument("name")
@_DATA
@click.option("--out", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write the batch's bytes here.")
def show(name: str, data: Path | None, out: Path | None) -> None:
    """Show one letter: why it could not be stored, and what is known of its batch."""
    letter = _letter(letters_of(data), name)
    click.echo(f"{shown(letter.name)}\n  batch   {shown(_batch(letter))}\n  bytes   {len(letter.data):,}")
    click.echo(f"  reason  {shown(letter.reason)}")
    if letter.header is not None:
        header = letter.header
        click.echo(f"  table   {shown(header.table)}, {header.rows:,} rows\n  site    {shown(header.site)}")
    if out is not None:
        try:
            out.write_bytes(letter.data)
        except OSError as error:
            raise CommandError(f"{out}: cannot be written ({error.strerror})") from error


@dead_letters.command()
@click.argument("names", metavar="NAME...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All letters.")
@_DATA
def replay(names: tuple[str, ...], data: Path | None, *, everything: bool) -> None:
    """Store the batches of letters, after what kept them from it has been mended. Those that are stored are let go of.

    Detection, which follows records in their order, does not look at them again.
    """
    if not names and not everything:
        raise CommandError("nothing to do: name letters, or give --all")
    kept = letters_of(data)
    wanted = None if everything else set(names)
    try:
        if data is None and cluster_settings() is None:
            raise CommandError("where to? Name a cluster in [elasticsearch] of icsight.toml, or give --data DIR")
        store = open_store((data or Path()) / RECORDS, writer=True)
    except StoreError as error:
        raise CommandError(str(error)) from error
    found: set[str] = set()
    failed = 0
    try:
        for letter in kept.letters(wanted):
            found.add(letter.name)
            try:
                appended = store.append([_decoded(letter)])
            except (Undecodable, StoreError) as error:
                failed += 1
                warn(f"{letter.name}: {error}")
                continue
            kept.remove(letter.name)
            click.echo(shown(f"{letter.name}  {_batch(letter)}  {appended.rows:,} rows stored"))
    except (StreamError, OSError) as error:
        raise CommandError(str(error)) from error
    finally:
        store.close()
    if wanted is not None and wanted != found:
        raise CommandError(_unknown(min(wanted - found)))
    if failed:
        raise CommandError(f"{failed} of {len(found)} letters could not be stored; they are kept")


def _letter(kept: DeadLetters, name: str) -> DeadLetter:
    try:
        letter = next(iter(kept.letters({name})), None)
    except (StreamError, OSError) as error:
        raise CommandError(str(error)) from error
    if letter is None:
        raise CommandError(_unknown(name))
    return letter


def _unknown(name: str) -> str:
    return f"{name}: there is no such letter; `icsight dead-letters list` names all"


def _decoded(letter: DeadLetter) -> RecordBatch:
    """The rows of a letter's batch. Raises Undecodable."""
    if letter.header is None:
        raise Undecodable("nothing is known of its batch")
    return decode(letter.header, letter.data)


def _batch(letter: DeadLetter) -> str:
    header = letter.header
    return "unknown" if header is None else f"{header.sensor}/{header.epoch}/{header.sequence}"
