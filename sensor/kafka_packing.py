"""How what goes to Kafka in one request is packed: small batches are, large ones go as they are.

A live batch has a handful of rows, and most of its bytes are its table's schema, the same in each. Deflate takes them to a fifth,
on the link, on the brokers' disks and on the way to each reader; every Kafka client unpacks gzip without further packages. The
columns of large batches are packed already (lz4) and the schema's share is small: deflate would take long for little.
"""

from __future__ import annotations

import zlib
from typing import Any, Final, cast

from kafka.record import default_records

KIND: Final = "gzip"
"""How Kafka calls it."""

LEVEL: Final = 1
"""How hard deflate tries. 9, which the library has fixed, makes a fifth fewer bytes in ten times the time."""

SAMPLES: Final = 4
"""Pieces from all over it that tell whether the rest is worth it: a batch's columns lie behind one another, and differ."""

SAMPLE_BYTES: Final = 8 * 1024
"""Bytes of such a piece."""

WORTH: Final = 0.5
"""It is where so much is left of them, or less."""

_GZIP: Final = 16 + zlib.MAX_WBITS


def packed(data: bytes) -> bytes:
    """The messages of a request as a gzip stream; as they are where deflate would not help."""
    part = len(data) // SAMPLES
    if part > 2 * SAMPLE_BYTES:
        begins = range((part - SAMPLE_BYTES) // 2, len(data) - SAMPLE_BYTES, part)
        left = sum(len(zlib.compress(data[begin : begin + SAMPLE_BYTES], LEVEL)) for begin in begins)
        if left > WORTH * SAMPLES * SAMPLE_BYTES:
            return data
    return zlib.compress(data, LEVEL, _GZIP)


def use() -> None:
    """Have all producers of this process that are told `KIND` pack like this.

    The library has no setting for the level; it packs with one function. Where what that returns is not shorter than what it was
    given, messages go unpacked, and are marked so.
    """
    cast("Any", default_records).gzip_encode = packed
