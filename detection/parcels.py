"""What workers send one another of a site that is split, over topic `shares`: messages, and what they say. Pure.

The worker that has the site's partition of records sends to each share what it remembers of its runs, once, then what took
effect and the batches of cuts in the order in which they were let through; and to the site's teller the same but for the batches,
of which it sends that order. Each share sends the teller what became of each cut. Whatever is larger than a message may be goes
in pieces, one behind the other.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, Self, cast, get_args

from collector.stream import Outgoing, Position
from detection.changelog import ANEW, FORGET
from detection.checkpoint import Checkpoint, CheckpointError, members_of, of_members
from sensor import kafka_message
from sensor.kafka_message import MessageError
from sensor.spool_format import BatchHeader

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from collector.stream import Run
    from detection.pipeline import State

Kind = Literal["state", "control", "batch", "order", "found", "lost"]
"""state: a piece of what is remembered; control: what took effect; batch: records; order: cuts; found: what became of them; lost:
why a share does not go on."""

VERSION: Final = 1
"""Version of what is said: a worker of an older version ends at a newer one, and one of the newer goes on."""

HEADER: Final = "icsight-share"
"""Name of the header that says what a message is."""

STUCK_SECONDS: Final = 300.0
"""After so long a share or a teller is said to stand still."""

SHARE: Final = b"share/"
TELLER: Final = b"tell/"
"""What keys begin with; the key of the site's records follows."""

PIECE_BYTES: Final = 512 * 1024
"""Most bytes of a piece: well below what a message may have (`kafka.largest_message_bytes`, at least 1 MiB). Records may come
packed once more by who sent them: here a batch may have more than that."""


class LostError(CheckpointError):
    """Something that was sent of a site is gone: no version can go on with it, and it is to begin anew."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message of topic `shares`.

    Attributes:
        partition: where it goes.
        key: to a share or to the teller, and the key of the site's records.
        kind: what it is.
        value: its content, or a piece of it.
        said: what else is said of it: whose piece it is, its number, and how many follow; with `control` and `batch` the batch's
            header; of a `control` the place in the topic of records before which nothing comes any more, and with the last
            piece of a version the names of the rules that are in use then; of a `batch` the place of its cut in that topic and
            whether its cut ends with it; of a `state` its teller, or to that, how many shares there are.
    """

    partition: int
    key: bytes
    kind: Kind
    value: bytes
    said: Mapping[str, Any]

    @property
    def headers(self) -> list[tuple[str, bytes]]:
        """The message's headers."""
        return [(HEADER, json.dumps({"version": VERSION, "kind": self.kind, **self.said}, ensure_ascii=False).encode())]

    @classmethod
    def of(cls, partition: int, key: bytes, value: bytes, headers: Iterable[tuple[str, bytes | None]]) -> Self:
        """The parcel that a message is. Raises NewerMessage, MessageError."""
        told = next((content for name, content in headers if name == HEADER), None)
        try:
            said = cast("dict[str, Any]", json.loads(told or b""))
            version, kind = int(said.pop("version")), said.pop("kind")
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise MessageError(f"no message of a site that is split: header {HEADER!r} says nothing") from error
        if version > VERSION or kind not in get_args(Kind):
            raise kafka_message.NewerMessage(f"a message of version {version}, this program reads up to {VERSION}: update it")
        return cls(partition, key, kind, value, said)

    def of_split(self, split: str) -> Self:
        """The same, of the site from when it was split this time: where a site is forgotten it is split anew."""
        return replace(self, said={**self.said, "split": split})

    @property
    def split(self) -> str:
        """What `of_split` was told."""
        return str(self.said["split"])

    @property
    def begins(self) -> bool:
        """Whether what is remembered, or a part of it, begins with it."""
        return self.kind == "state" and not self.said["number"]

    @property
    def header(self) -> BatchHeader:
        """Of a `control` or a `batch`: the batch's header."""
        return header_of(self.said["header"])


def no_beginning(seconds: float) -> str:
    """What is said where all that came was passed over for so long; empty where that is not long."""
    if seconds <= STUCK_SECONDS:
        return ""
    return f"its beginning did not come, and what comes is passed over: {FORGET}"


def share_of(sensor: str, shares: int) -> int:
    """The share, and its partition, that the runs of a sensor go to."""
    return zlib.crc32(sensor.encode()) % shares


def header_of(content: Mapping[str, Any]) -> BatchHeader:
    """The header that `asdict` gave the fields of. Raises TypeError for anything else."""
    return BatchHeader(**content)


def controls(
    told: Iterable[tuple[Outgoing, Sequence[str]]], places: Sequence[tuple[int, bytes]], since: tuple[str, int], sender: int
) -> list[Parcel]:
    """What took effect, with the rules that are in use then, to each of these places; no cut follows that ends before `since`."""
    return [
        piece
        for batch, rules in told
        for place in places
        for piece in pieces(
            "control", bytes(batch.data), place, sender, {"rules": rules}, header=asdict(batch.header), since=since
        )
    ]


def pieces(
    kind: Kind, content: bytes, to: tuple[int, bytes], sender: int, last: Mapping[str, Any] | None = None, **said: Any
) -> list[Parcel]:
    """A content of any size, in pieces; the partition of who sends it tells those of several apart.

    What is said of the `last` alone may be long: where it is, that piece has nothing else.
    """
    # What has no bytes (a batch that has lost all its rows) is a piece, too.
    parts = [content[begin : begin + PIECE_BYTES] for begin in range(0, max(1, len(content)), PIECE_BYTES)]
    ends = dict(last or {})
    if ends and len(json.dumps(ends, ensure_ascii=False).encode()) + len(parts[-1]) > PIECE_BYTES:
        parts.append(b"")
    partition, key = to
    made = [
        Parcel(partition, key, kind, part, {**said, "from": sender, "number": number, "left": len(parts) - 1 - number})
        for number, part in enumerate(parts)
    ]
    return [*made[:-1], replace(made[-1], said={**made[-1].said, **ends})]


class Pieces:
    """Contents of which not all pieces are there.

    Args:
        beside: what `beside` gave.
    """

    def __init__(self, beside: Mapping[str, bytes]) -> None:
        self._parts: dict[int, list[bytes]] = {}
        for name in sorted(beside):
            if name.startswith(_PIECES):
                self._parts.setdefault(int(name.removeprefix(_PIECES).partition("/")[0]), []).append(beside[name])

    def joined(self, parcel: Parcel) -> bytes | None:
        """The content that is whole with this piece; None where more follow. Raises LostError: one before it did not come."""
        before = self._parts.get(int(parcel.said["from"]), ())
        if len(before) != int(parcel.said["number"]):
            raise LostError(f"piece {parcel.said['number']} of {parcel.kind} came behind {len(before)}: {FORGET}")
        return None if parcel.said["left"] else b"".join((*before, parcel.value))

    def take(self, parcel: Parcel) -> None:
        """Keep this piece; those of a content that is whole with it go."""
        sender = int(parcel.said["from"])
        if parcel.said["left"]:
            self._parts.setdefault(sender, []).append(parcel.value)
        else:
            self._parts.pop(sender, None)

    def beside(self) -> dict[str, bytes]:
        """The pieces that are here, to be kept beside a checkpoint."""
        return {
            f"{_PIECES}{sender}/{number:08d}": part for sender, parts in self._parts.items() for number, part in enumerate(parts)
        }


_PIECES: Final = "pieces/"


def packed(state: State) -> bytes:
    """What detection remembers as one content."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members_of(Checkpoint(Position(), state, "", {}, ended=True)).items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def unpacked(content: bytes, where: str) -> State:
    """What `packed` packed. Raises CheckpointError where it is of a version that is not read, BadZipFile for anything else."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return of_members({name: archive.read(name) for name in archive.namelist()}, where, ANEW).state


def batches(cut: Sequence[Outgoing], at: tuple[str, int], place: tuple[int, bytes], sender: int) -> list[Parcel]:
    """The batches of a cut whose last batch was at this place of the topic of records, to a partition and key."""
    return [
        piece
        for number, each in enumerate(cut)
        for piece in pieces(
            "batch", bytes(each.data), place, sender, header=asdict(each.header), place=at, ends=number == len(cut) - 1
        )
    ]


@dataclass(frozen=True, slots=True)
class Ordered:
    """A cut in the order of its site.

    Attributes:
        first: sequence of its first batch.
        place: where in the topic of records its last batch was: what holds there holds for it.
        header: that of its last batch.
    """

    first: int
    place: tuple[str, int]
    header: BatchHeader

    @property
    def run(self) -> Run:
        """Its run."""
        return self.header.run

    def to_json(self) -> list[Any]:
        """As values that JSON can hold."""
        return [self.first, self.place, asdict(self.header)]

    @classmethod
    def from_json(cls, content: Sequence[Any]) -> Self:
        """What `to_json` gave. Raises TypeError or ValueError for anything else."""
        first, (partition, offset), header = content
        return cls(int(first), (str(partition), int(offset)), header_of(header))
