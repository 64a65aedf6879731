"""The command `icsight evidence`: the packets that a statement rests on, with a manifest; it needs no server's libraries.

Of a sensor elsewhere they are asked for over Kafka.
"""

from __future__ import annotations

import json
import os
import pwd
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from sensor import packets
from sensor.control_records import EvidenceRequest
from sensor.edge import with_kafka
from sensor.packets import ALWAYS, MIB, PACKETS, Asked, EvidenceError, Statement
from sensor.spool_files import IDENTITY, SPOOL
from sensor.tables import LOCAL_SENSOR
from sensor.terminal import CommandError, warn

NANOSECONDS: Final = 1_000_000_000


@click.command()
@click.option("--data", metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Data folder.")
@click.option("--sensor", metavar="NAME", help="Sensor elsewhere that is asked, over Kafka, in place of a data folder.")
@click.option(
    "--wait",
    "wait_seconds",
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    type=click.FloatRange(1, 86_400),
    help="How long a sensor elsewhere is waited for.",
)
@click.option("--alert", metavar="ID", help="Packets of an alert.")
@click.option("--flow", "flows", metavar="COMMUNITY_ID", multiple=True, help="Packets of a conversation; may be repeated.")
@click.option("--from", "start", metavar="TIME", help="Packets from this time on (ISO 8601, UTC unless it says otherwise).")
@click.option("--to", "end", metavar="TIME", help="Packets up to this time.")
@click.option("--mask-values", is_flag=True, help="Zeros in place of all that carries values, to show the packets to others.")
@click.option(
    "--limit", "limit_mib", default=64, show_default=True, metavar="MIB", type=click.IntRange(1, 1024), help="Most packets."
)
@click.option(
    "-o", "--output", required=True, metavar="FILE.pcapng", type=click.Path(dir_okay=False, path_type=Path),
    help="The file; its manifest is put beside it, FILE.json.",
)  # fmt: skip
def evidence(  # noqa: PLR0913 - a command's options are its face
    data: Path | None,
    sensor: str | None,
    output: Path,
    *,
    wait_seconds: float,
    mask_values: bool,
    limit_mib: int,
    **asked_for: Any,
) -> None:
    """Write the packets that a statement rests on, and a manifest that says where they come from."""
    if (data is None) == (sensor is None):
        raise CommandError("whose packets? Give --data DIR, or --sensor NAME for a sensor elsewhere; not both.")
    if not any(asked_for.values()):
        raise CommandError("which packets? Give --alert ID, --flow COMMUNITY_ID, or --from and --to.")
    if output.suffix == ".json":
        raise CommandError(f"{output}: that name is the manifest's; end it in .pcapng")
    manifest = output.with_suffix(".json")
    for file in (output, manifest):
        if file.exists():
            raise CommandError(f"{file}: is there already, and evidence is not written over: give another name")
    try:
        if data is None:
            found = _from_elsewhere(str(sensor), wait_seconds, mask_values=mask_values, limit_mib=limit_mib, **asked_for)
        else:
            found = _from_here(data, mask_values=mask_values, limit_mib=limit_mib, **asked_for)
        output.write_bytes(found.file)
        manifest.write_text(json.dumps(found.manifest, indent=1) + "\n", encoding="utf-8")
    except EvidenceError as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(f"{error.filename or output}: cannot be written ({error.strerror or error})") from error
    if found.manifest["limited"]:
        warn(f"there are more packets than {limit_mib} MiB: raise --limit, or ask for a shorter time")
    click.echo(f"{found.manifest['packets']:,} packets in {output}, manifest in {manifest}")


def _from_here(data: Path, *, mask_values: bool, limit_mib: int, **asked_for: Any) -> packets.Evidence:
    """Packets of a data folder. Raises CommandError, EvidenceError, OSError."""
    ring = data / PACKETS
    if not ring.is_dir():
        raise CommandError(f"{data}: no packets are kept here. `icsight run` keeps them unless --packets-quota is 0.")
    asked = Asked(_user(), time.time_ns(), _sensor(data), mask_values, limit_mib * MIB)
    return packets.take(ring, _statement(ring, **asked_for), asked)


def _from_elsewhere(sensor: str, wait_seconds: float, *, mask_values: bool, limit_mib: int, **asked_for: Any) -> packets.Evidence:
    """Packets of a sensor elsewhere. Raises CommandError, EvidenceError."""
    flows, start, end = asked_for["flows"], asked_for["start"], asked_for["end"]
    if not (flows or start or end):
        raise CommandError("an alert's addresses are not known here: give --flow COMMUNITY_ID, or --from and --to, as well.")
    if limit_mib * MIB > packets.LIMIT_BYTES:
        raise CommandError(f"--limit: a sensor elsewhere gives at most {packets.LIMIT_BYTES // MIB} MiB at once")
    statement = Statement(*_times(start, end), flows, alert=asked_for["alert"])
    request = EvidenceRequest(secrets.token_hex(16), statement, _user(), sensor, mask_values, limit_mib * MIB)
    return with_kafka("sensor.remote_evidence").evidence(request, wait_seconds)


def _user() -> str:
    """Who runs the command, as the system knows them: the environment says what one likes."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _statement(ring: Path, alert: str | None, flows: tuple[str, ...], start: str | None, end: str | None) -> Statement:
    """What is asked for: what is pinned of an alert says which addresses and when; the other options narrow it."""
    first, last = _times(start, end)
    if alert is None:
        return Statement(first, last, flows)
    known = packets.pinned(ring, alert)
    if known is None:
        raise CommandError(
            f"nothing is pinned of an alert {alert}. Ask for its conversation (--flow) or its time (--from, --to)."
        )
    return Statement(max(first, known.start), min(last, known.end), flows or known.flows, () if flows else known.pairs, alert)


def _times(start: str | None, end: str | None) -> tuple[int, int]:
    """The time that is asked for. Raises CommandError."""
    first = ALWAYS[0] if start is None else _moment(start)
    last = ALWAYS[1] if end is None else _moment(end)
    if first > last:
        raise CommandError(f"--from {start} is later than --to {end}: give the earlier time first")
    return first, last


def _sensor(data: Path) -> str:
    """Name of the sensor whose data folder this is."""
    try:
        return str(json.loads((data / SPOOL / IDENTITY).read_bytes())["sensor"])
    except (OSError, ValueError, KeyError, TypeError):
        # A ring can be read without the spool beside it.
        return LOCAL_SENSOR


def _moment(text: str) -> int:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandError(f"{text!r} is no time: write 2026-11-23T08:00:00Z") from error
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    seconds = int(found.replace(microsecond=0).timestamp())
    return seconds * NANOSECONDS + found.microsecond * 1000
