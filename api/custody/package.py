"""A package of evidence: one archive with the pieces, who had them, what the trail says, and the script that verifies all of it.

The manifest names every file with its hashes and the end of every chain of custody, and is signed with the key of the audit
trail. Every byte of the archive follows from it: `verify.py` has the form of the frame, for both.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from importlib.resources import files as resources
from typing import TYPE_CHECKING, Any, Final

import rfc8785

from api.audit import keys
from api.audit.chain import plain
from api.custody import chain, verify
from api.custody.files import Hashes, Hashing
from sensor import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from api.audit.checkpoints import Checkpoint
    from api.custody.models import CustodyEntry, EvidenceItem

MEDIA_TYPE: Final = "application/zip"

TEXTS: Final = ("README.en.md", "README.zh-CN.md", "verify.py")
"""What goes with every package as it is."""

ENDINGS: Final = {"file": "bin", "packets": "pcapng", "snapshot": "jsonl"}
"""How files of evidence are called, by kind: what somebody called a file is in the manifest only."""

BYTES: Final = verify.ARCHIVE_BYTES
"""Longest package."""


@dataclass(frozen=True, slots=True)
class Part:
    """A file of a package.

    Attributes:
        pieces: gives it, piece by piece; is called once.
    """

    name: str
    crc: int
    hashes: Hashes
    pieces: Callable[[], Iterator[bytes]]

    @classmethod
    def of(cls, name: str, content: bytes) -> Part:
        """One that is in memory."""
        hashing = Hashing()
        hashing.update(content)
        return cls(name, zlib.crc32(content), hashing.end(), lambda: iter((content,)))


@dataclass(slots=True)
class Custody:
    """The custody of a piece as lines of a package.

    Attributes:
        lines: the entries, one a line.
        entries: how many there are.
        hash: that of the last.
        untold: how many of the first are from before custody was in the audit trail, which told the same of them then.
    """

    lines: bytearray = field(default_factory=bytearray)
    entries: int = 0
    hash: str = ""
    untold: int = 0

    def add(self, entry: CustodyEntry) -> int:
        """Take the next entry; returns how many bytes it takes."""
        line = rfc8785.dumps({**chain.of_entry(entry), "hash": entry.hash}) + b"\n"
        self.lines += line
        self.entries, self.hash = entry.number, entry.hash
        return len(line)


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of evidence on its way into a package."""

    item: EvidenceItem
    custody: Custody
    part: Part


@dataclass(frozen=True, slots=True)
class Contents:
    """What a package tells.

    Attributes:
        incident: the incident, as the API shows it.
        trail: the entries of the audit trail that are about this evidence, one a line.
        left_out: how many older ones there are, none of which is about custody.
        checkpoint: how far the trail is, signed.
        since: number of the trail's first entry of custody, where a piece has custody from before it; else None.
        given: who gives it out, to whom, why and when.
    """

    incident: dict[str, Any]
    pieces: Sequence[Piece]
    trail: bytes
    left_out: int
    checkpoint: Checkpoint
    since: int | None
    given: dict[str, Any]


def name_of(item: EvidenceItem) -> str:
    """Name of a piece in a package."""
    return f"{verify.ITEMS}{item.id:06}.{ENDINGS[item.kind]}"


def parts(contents: Contents, key: Ed25519PrivateKey) -> list[Part]:
    """The files of a package, in their order."""
    public = key.public_key()
    custody = b"".join(piece.custody.lines for piece in contents.pieces)
    texts = [Part.of(name, (resources("api.custody") / name).read_bytes()) for name in TEXTS]
    told = [
        *texts,
        Part.of("incident.json", rfc8785.dumps(plain(contents.incident)) + b"\n"),
        *(piece.part for piece in contents.pieces),
        Part.of(verify.CUSTODY, custody),
        Part.of(verify.AUDIT, contents.trail),
        Part.of(verify.CHECKPOINT, contents.checkpoint.line().encode() + b"\n"),
        Part.of(verify.KEY, keys.pem(public).encode()),
    ]
    manifest = rfc8785.dumps(
        {
            **contents.given,
            **({} if contents.since is None else {"custody_since": contents.since}),
            "audit_left_out": contents.left_out,
            "drill": contents.incident["drill"],
            "files": [
                {"name": each.name, "sha256": each.hashes.sha256, "size": each.hashes.size, "sm3": each.hashes.sm3}
                for each in told
            ],
            "format": verify.FORMAT,
            "incident": contents.incident["number"],
            "items": [_item(piece) for piece in contents.pieces],
            "key": keys.identity(public),
            "kind": verify.KIND,
            "version": __version__,
        }
    )
    return [*told, Part.of(verify.MANIFEST, manifest), Part.of(verify.SIGNATURE, key.sign(manifest))]


def _item(piece: Piece) -> dict[str, Any]:
    end = {"entries": piece.custody.entries, "hash": piece.custody.hash}
    if piece.custody.untold:
        end["untold"] = piece.custody.untold
    return {**chain.of_item(piece.item), "custody": end, "path": piece.part.name}


def size(whole: Sequence[Part]) -> int:
    """How long the archive is."""
    frame = sum(len(verify.local_header(part.name, 0, 0)) + len(verify.central_header(part.name, 0, 0, 0)) for part in whole)
    return frame + sum(part.hashes.size for part in whole) + len(verify.end_of_archive(0, 0, 0))


def archive(whole: Sequence[Part]) -> Iterator[bytes]:
    """The archive, piece by piece."""
    directory, offset = b"", 0
    for part in whole:
        header = verify.local_header(part.name, part.crc, part.hashes.size)
        yield header
        yield from part.pieces()
        directory += verify.central_header(part.name, part.crc, part.hashes.size, offset)
        offset += len(header) + part.hashes.size
    yield directory + verify.end_of_archive(len(whole), len(directory), offset)
