"""Checkpoints of the audit trail: how far it was at a time, and with which hash, signed.

A checkpoint is kept where those who could alter the trail cannot reach: what it says can then not be made unsaid, whatever is
done to the database, and with whatever key.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, cast

import rfc8785
from cryptography.exceptions import InvalidSignature

from api.audit import keys
from api.times import iso
from sensor.spool_files import replace_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KIND: Final = "icsight.audit.checkpoint"
"""What a checkpoint says it is: whatever else its key signs says something else."""

FILE_BYTES: Final = 4096
"""Longest file of a checkpoint that is read."""


class CheckpointFileError(Exception):
    """Checkpoints cannot be read or written. The text is one line."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint says.

    Attributes:
        organisation: whose trail.
        number: its newest entry then.
        hash: the hash of that entry.
        at: when, RFC 3339.
        key: name of the key that signs.
        signature: Ed25519 over all the rest in canonical JSON (RFC 8785), base64.
        place: the file that it was read from.
    """

    organisation: str
    number: int
    hash: str
    at: str
    key: str
    signature: str = ""
    place: str = ""

    def signed(self) -> bytes:
        """What is signed."""
        return rfc8785.dumps({name: value for name, value in self.fields().items() if name != "signature"})

    def fields(self) -> dict[str, Any]:
        """The checkpoint as JSON."""
        return {
            "at": self.at, "hash": self.hash, "key": self.key, "kind": KIND, "number": self.number,
            "organisation": self.organisation, "signature": self.signature,
        }  # fmt: skip

    def line(self) -> str:
        """The checkpoint in one line of canonical JSON."""
        return rfc8785.dumps(self.fields()).decode()


def sign(key: Ed25519PrivateKey, organisation: str, number: int, entry_hash: str, at: int) -> Checkpoint:
    """A checkpoint at a time, in nanoseconds since 1970."""
    drawn = Checkpoint(organisation, number, entry_hash, iso(at), keys.identity(key.public_key()))
    return replace(drawn, signature=base64.b64encode(key.sign(drawn.signed())).decode())


def holds(checkpoint: Checkpoint, key: Ed25519PublicKey) -> bool:
    """Whether this key has signed it."""
    try:
        key.verify(base64.b64decode(checkpoint.signature, validate=True), checkpoint.signed())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def parse(text: str, place: str = "") -> Checkpoint:
    """The checkpoint of a line. Raises ValueError."""
    given: object = json.loads(text)
    if not isinstance(given, dict):
        raise ValueError("no checkpoint")  # noqa: TRY004  the caller tells all that is none alike
    fields = cast("Mapping[str, object]", given)
    kinds: dict[str, type] = {
        "at": str, "hash": str, "key": str, "kind": str, "number": int, "organisation": str, "signature": str,
    }  # fmt: skip
    if fields.keys() != kinds.keys() or any(type(fields[name]) is not kind for name, kind in kinds.items()):
        raise ValueError("no checkpoint")
    if fields["kind"] != KIND:
        raise ValueError("no checkpoint")
    said: dict[str, Any] = {name: value for name, value in fields.items() if name != "kind"}
    return Checkpoint(**said, place=place)


def name_of(checkpoint: Checkpoint) -> str:
    """Name of its file: those of a trail sort by number."""
    return f"{checkpoint.organisation}-{checkpoint.number:012d}-{checkpoint.key}.json"


def write(folder: Path, checkpoint: Checkpoint) -> Path:
    """Put a checkpoint into a folder; one that is there stays as it is. Raises CheckpointFileError."""
    path = folder / name_of(checkpoint)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            replace_file(path, f"{checkpoint.line()}\n".encode())
    except OSError as error:
        raise CheckpointFileError(f"{path}: cannot be written ({error.strerror})") from error
    return path


def read(folder: Path, organisation: str) -> list[Checkpoint]:
    """The checkpoints of an organisation's trail in a folder, by number. Raises CheckpointFileError."""
    found: list[Checkpoint] = []
    try:
        for path in sorted(folder.glob("*.json")):
            with path.open("rb") as file:
                content = file.read(FILE_BYTES)
            try:
                # One that is longer is cut here, and is none.
                checkpoint = parse(content.decode(), path.name)
            except ValueError as error:
                raise CheckpointFileError(f"{path}: not a checkpoint: move away what is none") from error
            if checkpoint.organisation == organisation:
                found.append(checkpoint)
    except OSError as error:
        raise CheckpointFileError(f"{error.filename or folder}: cannot be read ({error.strerror})") from error
    return sorted(found, key=lambda checkpoint: checkpoint.number)
