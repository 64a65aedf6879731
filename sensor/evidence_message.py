"""A sensor's answer to a request for evidence as messages on Kafka, and back.

An answer has up to three parts, each the bytes of a file of the outbox (`sensor.control`): `pcapng`, `json` (the manifest) and,
last of all, `answer`. A part goes in chunks of at most `CHUNK_BYTES`; each chunk tells of its part how many chunks and bytes it
has and their SHA-256. Whoever puts the chunks together believes none of it before the hash is right.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from sensor.kafka_message import HEADER, HEADER_BYTES, Message, MessageError
from sensor.packets import LIMIT_BYTES, MIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

VERSION: Final = 1
"""Version of the message: a reader refuses a newer one."""

CHUNK_BYTES: Final = 512 * 1024
"""Most bytes of a chunk."""

PARTS: Final = ("pcapng", "json", "answer")
"""Endings of the files of an answer, in the order in which they are sent."""

PART_BYTES: Final = LIMIT_BYTES + 16 * MIB
"""Most bytes of a part: the packets that may be asked for, and what frames them."""

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HASH: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a part of an answer.

    Attributes:
        request: identity of the request.
        sensor: name of the sensor that answers.
        part: which of `PARTS`.
        index: its place in the part, from 0.
        count: chunks of the part, at least one.
        bytes: bytes of the part.
        sha256: hash of the part.
    """

    request: str
    sensor: str
    part: str
    index: int
    count: int
    bytes: int
    sha256: str


def chunks(request: str, sensor: str, part: str, content: bytes) -> Iterator[Message]:
    """The messages of a part. Raises MessageError where it is too large."""
    if len(content) > PART_BYTES:
        raise MessageError(f"{part} of request {request} has {len(content)} bytes, more than {PART_BYTES}")
    count = max(1, -(-len(content) // CHUNK_BYTES))
    digest = hashlib.sha256(content).hexdigest()
    for index in range(count):
        told = {
            "version": VERSION, "request": request, "sensor": sensor, "part": part, "index": index, "count": count,
            "bytes": len(content), "sha256": digest,
        }  # fmt: skip
        header = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
        yield Message(sensor.encode(), content[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES], [(HEADER, header)])


def decode(headers: Iterable[tuple[str, bytes | None]], value: bytes | None) -> tuple[Chunk, bytes]:
    """The chunk of a message and its bytes. Raises MessageError where it is none."""
    told = next((value for name, value in headers if name == HEADER), None)
    if told is None or len(told) > HEADER_BYTES or value is None or len(value) > CHUNK_BYTES:
        raise MessageError("the message is no part of an answer")
    try:
        content = cast("dict[str, Any]", json.loads(told.decode()))
        version: object = content.pop("version")
        chunk = Chunk(**content)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise MessageError("the message is no part of an answer") from error
    if type(version) is not int or version < 1:
        raise MessageError("the message is no part of an answer")
    if version > VERSION:
        raise MessageError("the message is of a newer version: update this program")
    texts = (chunk.request, chunk.sensor, chunk.part, chunk.sha256)
    numbers = (chunk.index, chunk.count, chunk.bytes)
    if (
        any(type(text) is not str for text in texts)
        or any(type(number) is not int for number in numbers)
        or not _ID.fullmatch(chunk.request)
        or not _HASH.fullmatch(chunk.sha256)
        or chunk.part not in PARTS
        or not 0 <= chunk.bytes <= PART_BYTES
        or chunk.count != max(1, -(-chunk.bytes // CHUNK_BYTES))
        or not 0 <= chunk.index < chunk.count
        or len(value) != min(CHUNK_BYTES, chunk.bytes - chunk.index * CHUNK_BYTES)
    ):
        raise MessageError("the message tells of a part of an answer what cannot be")
    return chunk, value


@dataclass(slots=True)
class Assembly:
    """Puts the parts of the answer of one sensor to one request together. Chunks may come more than once.

    Attributes:
        request: identity of the request.
        sensor: name of the sensor that was asked.
        parts: the whole parts so far.
    """

    request: str
    sensor: str
    parts: dict[str, bytes] = field(default_factory=dict[str, bytes])
    _held: dict[tuple[str, str], dict[int, bytes]] = field(default_factory=dict[tuple[str, str], dict[int, bytes]])

    def add(self, chunk: Chunk, content: bytes) -> bool:
        """Take a chunk; whether the answer, which comes last, is whole. Raises MessageError where a part belies its hash."""
        if (chunk.request, chunk.sensor) != (self.request, self.sensor) or chunk.part in self.parts:
            return "answer" in self.parts
        # An answer that was made again after a crash may differ in its time, and so in its hash: one is not put into the other.
        for key in [key for key in self._held if key[0] == chunk.part and key[1] != chunk.sha256]:
            del self._held[key]
        held = self._held.setdefault((chunk.part, chunk.sha256), {})
        held[chunk.index] = content
        if len(held) == chunk.count:
            whole = b"".join(held[index] for index in range(chunk.count))
            del self._held[chunk.part, chunk.sha256]
            if hashlib.sha256(whole).hexdigest() != chunk.sha256:
                raise MessageError(f"{chunk.part} of request {chunk.request} from {chunk.sensor} is not what its hash says")
            self.parts[chunk.part] = whole
        return "answer" in self.parts
