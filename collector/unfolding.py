"""How large a batch gets, told from what frames it: before a buffer is unpacked, since a few bytes can unfold to gigabytes.

An Arrow IPC stream is a row of messages, each a flatbuffer and a body. The flatbuffer of a record batch or a dictionary names the
buffers in the body; a compressed one begins with its unpacked length. (Apache Arrow columnar format, 1.5, "Encapsulated message
format" and "Buffer compression"; `Message.fbs`.)
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA_BYTES: Final = 256 * 1024
"""Most bytes of what describes the columns or the buffers: those of the largest table have a tenth of it."""

_CONTINUATION: Final = 0xFFFFFFFF
_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3  # MessageHeader
_NOT_COMPRESSED: Final = -1

_short: Final = struct.Struct("<H").unpack_from
_word: Final = struct.Struct("<I").unpack_from
_signed: Final = struct.Struct("<i").unpack_from
_long: Final = struct.Struct("<q").unpack_from


class Unfolded(NamedTuple):
    """What an Arrow stream has once it is unpacked: rows, bytes of all buffers, and how many of these are of dictionaries."""

    rows: int
    bytes: int
    shared: int


def unfolded(data: bytes) -> Unfolded:
    """What an Arrow stream unfolds to. Raises ValueError where it is none, or is laid out as no sensor does it."""
    rows = size = shared = 0
    try:
        for kind, header, at, body in _messages(data):
            if kind == _SCHEMA:
                continue
            if kind not in {_DICTIONARY, _BATCH}:
                raise ValueError(f"a message of kind {kind}")
            batch = at if kind == _BATCH else _table(header, at, 1)
            if batch is None:
                raise ValueError("a dictionary of nothing")
            if kind == _BATCH:
                rows += max(0, _number(header, batch, 0))
            if _count(header, batch, 4):
                # Of such columns a thousand rows can share the same long text.
                raise ValueError("columns of views")
            unpacked = _buffers(header, batch, body)
            size += unpacked
            shared += unpacked if kind == _DICTIONARY else 0
    except (struct.error, IndexError) as error:
        raise ValueError("it is cut short") from error
    return Unfolded(rows, size, shared)


def _messages(data: bytes) -> Iterator[tuple[int, bytes, int, memoryview]]:
    """Of each message its kind, its flatbuffer, where in that its header is, and its body."""
    at = 0
    while at < len(data):
        (length,) = _word(data, at)
        at += 4
        if length == _CONTINUATION:
            (length,) = _word(data, at)
            at += 4
        if not length:
            return
        if length > SCHEMA_BYTES:
            raise ValueError(f"a description of {length} bytes, more than {SCHEMA_BYTES}")
        header = data[at : at + length]
        at += length
        (root,) = _word(header)
        body = _number(header, root, 3)
        if not 0 <= body <= len(data) - at:
            raise ValueError("it is cut short")
        found = _table(header, root, 2)
        if found is None:
            raise ValueError("a message of nothing")
        yield _kind(header, root), header, found, memoryview(data)[at : at + body]
        at += body


def _buffers(header: bytes, batch: int, body: memoryview) -> int:
    """Bytes of all buffers of a record batch, unpacked."""
    vector = _table(header, batch, 2)
    if vector is None:
        return 0
    is_compressed = _table(header, batch, 3) is not None
    (count,) = _word(header, vector)
    if count * 16 > len(header):
        raise ValueError("it is cut short")
    places = struct.unpack_from(f"<{2 * count}q", header, vector + 4)
    within = len(body)
    size = 0
    for offset, length in zip(places[::2], places[1::2], strict=True):
        if not length:
            continue
        if offset < 0 or length < 0 or offset + length > within:
            raise ValueError("a buffer lies outside")
        told = _long(body, offset)[0] if is_compressed else length
        if told < _NOT_COMPRESSED:
            raise ValueError("a buffer of a negative length")
        size += length if told == _NOT_COMPRESSED else told
    return size


def _field(header: bytes, table: int, number: int) -> int | None:
    """Where a field of a flatbuffer's table lies; None where it is left out."""
    (back,) = _signed(header, table)
    directory = table - back
    if directory < 0:
        raise ValueError("it is cut short")
    (size,) = _short(header, directory)
    if 4 + 2 * number + 2 > size:
        return None
    (offset,) = _short(header, directory + 4 + 2 * number)
    return table + offset if offset else None


def _number(header: bytes, table: int, number: int) -> int:
    """A field that is an integer of 64 bits."""
    place = _field(header, table, number)
    return 0 if place is None else int(_long(header, place)[0])


def _count(header: bytes, table: int, number: int) -> int:
    """How many elements the vector in a field has."""
    place = _table(header, table, number)
    return 0 if place is None else int(_word(header, place)[0])


def _kind(header: bytes, root: int) -> int:
    """Which header a message has."""
    place = _field(header, root, 1)
    return 0 if place is None else header[place]


def _table(header: bytes, table: int, number: int) -> int | None:
    """Where what a field refers to lies: a table or a vector."""
    place = _field(header, table, number)
    return None if place is None else place + int(_word(header, place)[0])
