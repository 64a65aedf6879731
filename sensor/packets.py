"""Packets as evidence: slices of the ring on disk, each with a manifest; those of alerts are pinned before they are overwritten.

The packet core writes the ring (`sensor/core/src/packets`): segments in pcapng, the oldest of which make room. A pin is a copy of
the packets of one alert, in a folder of its own under `pinned/`: an alert costs what its packets cost and not whole segments.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from sensor import __version__, _core

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKETS: Final = "packets"
"""Folder of the ring in a data folder."""

PINNED: Final = "pinned"
"""Folder of pinned packets in the ring's."""

MIB: Final = 1024 * 1024

QUOTA_MIB: Final = 10 * 1024
"""Most that a ring takes on disk, pinned packets included, where nothing else is said."""

QUOTA_MIB_LEAST: Final = 16
"""Least quota; with 0 no packets are kept."""

PIN_BYTES: Final = 16 * MIB
"""Most packets that are pinned of one alert."""

PIN_SHARE: Final = 4
"""One part in so many of the quota is for pinned packets; the packet core leaves it free."""

LIMIT_BYTES: Final = 64 * MIB
"""Most packets of one slice."""

ALWAYS: Final = (0, 2**63 - 1)
"""All of time, nanoseconds since 1970."""

_ALERT: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class EvidenceError(Exception):
    """Evidence cannot be given. The text is one line that says what to do."""


class NoPackets(EvidenceError):  # noqa: N818 - named for what it reports
    """The ring does not hold the packets that were asked for, or no longer."""


@dataclass(frozen=True, slots=True)
class Statement:
    """Which packets a statement rests on.

    Attributes:
        start: earliest time, nanoseconds since 1970.
        end: latest time.
        flows: Community IDs of conversations.
        pairs: two addresses, whatever runs between them; or one, and None for any other. With no flows and no pairs: all packets.
        alert: identity of the alert that says so.
    """

    start: int
    end: int
    flows: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str | None], ...] = ()
    alert: str | None = None

    def to_json(self) -> str:
        """The statement as text."""
        return json.dumps({"start": self.start, "end": self.end, "flows": self.flows, "pairs": self.pairs, "alert": self.alert})

    @classmethod
    def from_json(cls, text: str) -> Statement:
        """The statement that `to_json` wrote. Raises ValueError for any other text."""
        try:
            content = cast("Mapping[str, Any]", json.loads(text))
            pairs = tuple((str(one), None if other is None else str(other)) for one, other in content["pairs"])
            alert = None if content["alert"] is None else str(content["alert"])
            return cls(int(content["start"]), int(content["end"]), tuple(map(str, content["flows"])), pairs, alert)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a statement: {text[:80]!r}") from error


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for evidence, when, and how.

    Attributes:
        by: name of the person.
        at: time, nanoseconds since 1970.
        sensor: name of the sensor that is asked.
        mask_values: zeros in place of what carries values.
        limit_bytes: most bytes of packets.
    """

    by: str
    at: int
    sensor: str
    mask_values: bool = False
    limit_bytes: int = LIMIT_BYTES


@dataclass(frozen=True, slots=True)
class Evidence:
    """Packets as a pcapng file, and what the manifest says of it."""

    file: bytes
    manifest: Mapping[str, Any]


def moment(nanoseconds: int) -> str:
    """A time as ISO 8601 with nanoseconds, UTC."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


def take(ring: Path, statement: Statement, asked: Asked) -> Evidence:
    """The packets that a statement rests on, from what is pinned of its alert and from the ring.

    Raises:
        NoPackets: none are held.
        EvidenceError: the ring cannot be read, or the statement names no address.
    """
    folders = [ring]
    if statement.alert is not None:
        folders.insert(0, _folder(ring, statement.alert))
    found = _slice(folders, statement, asked)
    if found.packets == 0:
        raise NoPackets(f"{ring}: holds no packets of this, or no longer; a larger --packets-quota keeps them longer")
    return Evidence(found.file, _manifest(ring, found, statement, asked))


def pin(ring: Path, statement: Statement, asked: Asked, quota_bytes: int) -> int:
    """Copy the packets of an alert out of the ring; returns how many. What is pinned of it already is not copied again.

    The oldest pins make room where all together would take more than their share of the quota.

    Raises EvidenceError.
    """
    if statement.alert is None:
        raise EvidenceError("only the packets of an alert are pinned")
    folder = _folder(ring, statement.alert)
    share = quota_bytes // PIN_SHARE
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = pinned(ring, statement.alert)
        start = statement.start if held is None else max(statement.start, held.end + 1)
        used = _bytes(folder)
        limit_bytes = min(PIN_BYTES, share // 2) - used
        packets = 0
        if start <= statement.end and limit_bytes > 0:
            part = Statement(start, statement.end, statement.flows, statement.pairs, statement.alert)
            found = _slice([ring], part, Asked(asked.by, asked.at, asked.sensor, limit_bytes=limit_bytes // 2))
            packets = found.packets
            if packets:
                _make_room(ring / PINNED, share - len(found.file) - 64 * 1024, keep=folder)
                number = sum(1 for _ in folder.glob("*.pcapng"))
                manifest = json.dumps(_manifest(ring, found, part, asked), indent=1)
                # The packets last: a part without them was never there.
                _write(folder / f"{number:012}-pinned.json", manifest.encode())
                _write(folder / f"{number:012}-pinned.pcapng", found.file)
        first = statement.start if held is None else min(held.start, statement.start)
        last = statement.end if held is None else max(held.end, statement.end)
        whole = Statement(first, last, statement.flows, statement.pairs, statement.alert)
        _write(folder / "statement.json", whole.to_json().encode())
    except OSError as error:
        raise EvidenceError(f"{folder}: packets cannot be pinned ({error.strerror or error})") from error
    return packets


def pinned(ring: Path, alert: str) -> Statement | None:
    """What is pinned of an alert; None where nothing is. Raises EvidenceError."""
    path = _folder(ring, alert) / "statement.json"
    try:
        return Statement.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise EvidenceError(f"{path}: cannot be read ({error})") from error


def _slice(folders: list[Path], statement: Statement, asked: Asked) -> _core.Evidence:
    mask = "; values are zeros, checksums of what was changed are zero" if asked.mask_values else ""
    about = f"packets of alert {statement.alert}" if statement.alert else "packets"
    comment = f"icsight {__version__}: {about}; sensor {asked.sensor}; asked for by {asked.by} at {moment(asked.at)}{mask}"
    start, end = max(statement.start, ALWAYS[0]), min(statement.end, ALWAYS[1])
    try:
        return _core.evidence(
            [(str(folder), *ALWAYS) for folder in folders if folder.is_dir()],
            start=start, end=end, flows=list(statement.flows), pairs=list(statement.pairs), limit_bytes=asked.limit_bytes,
            mask_values=asked.mask_values, comment=comment,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise EvidenceError(f"{folders[-1]}: {error}") from error


def _manifest(ring: Path, found: _core.Evidence, statement: Statement, asked: Asked) -> dict[str, Any]:
    from hashlib import sha256  # noqa: PLC0415  a sensor that only records holds 4 MiB less without OpenSSL

    span, clock = found.span, _core.clock_offset()
    return {
        "product": f"icsight {__version__}",
        "sensor": asked.sensor,
        "clock_offset_ns": None if clock is None else clock[0],
        "clock_error_ns": None if clock is None else clock[1],
        "asked_by": asked.by,
        "asked_at": moment(asked.at),
        "alert": statement.alert,
        "flows": list(statement.flows),
        "addresses": [list(pair) for pair in statement.pairs],
        "from": moment(max(0, statement.start)),
        "to": moment(min(ALWAYS[1], statement.end)),
        "packets": found.packets,
        "first": None if span is None else moment(span[0]),
        "last": None if span is None else moment(span[1]),
        "limited": found.limited,
        "masked": asked.mask_values,
        "bytes": len(found.file),
        "sha256": sha256(found.file).hexdigest(),
        "segments": [
            {"file": _below(ring, Path(path)), "bytes": size, "sha256": digest, "packets": packets, **_origin(Path(path))}
            for path, size, digest, packets in found.parts
        ],
    }


def _origin(path: Path) -> dict[str, Any]:
    """The segments from which pinned packets were copied, as its own manifest says."""
    try:
        manifest = cast("Mapping[str, Any]", json.loads(path.with_suffix(".json").read_bytes()))
        return {"pinned_at": manifest["asked_at"], "copied_from": manifest["segments"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _below(ring: Path, path: Path) -> str:
    return str(path.relative_to(ring)) if path.is_relative_to(ring) else path.name


def _folder(ring: Path, alert: str) -> Path:
    if not _ALERT.fullmatch(alert):
        raise EvidenceError(f"{alert[:64]!r} is no identity of an alert")
    return ring / PINNED / alert


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def _make_room(folder: Path, room_bytes: int, keep: Path) -> None:
    """Remove the pins that were made longest ago until all together take at most so many bytes."""
    pins = sorted((path for path in folder.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime_ns)
    used = sum(_bytes(path) for path in pins)
    for path in pins:
        if used <= room_bytes:
            return
        if path != keep:
            used -= _bytes(path)
            shutil.rmtree(path)


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    draft = path.with_suffix(".part")
    draft.write_bytes(content)
    draft.replace(path)
