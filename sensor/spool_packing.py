"""How small batches are packed: deflated, and leaning on an earlier batch of the same table in the same segment.

A cut of a quiet plant has a handful of rows, and most of its bytes are the table's schema, the same in each batch. Deflate
alone takes such a batch to a quarter; with an earlier batch as its dictionary (RFC 1950, 2.2) a twentieth is left. What a flash
card has to take in a year falls with it.

Damage to a batch that others lean on damages these, too: at most `LEANING_BATCHES` of one table. Adler-32 over the dictionary and
over what comes out says so.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from sensor.spool_format import Packed

if TYPE_CHECKING:
    from collections.abc import Callable

    from sensor.spool_format import Frame

PLAIN: Final = 0
"""Bytes as they were given."""

DEFLATED: Final = 1
"""A zlib stream."""

LEANING: Final = 2
"""A zlib stream whose dictionary is the end of the batch at offset `Frame.base`."""

PACKED_BYTES: Final = 32 * 1024
"""Larger batches stay as they are: they are lz4 inside, the schema's share is small, and deflate takes long."""

LEANING_BATCHES: Final = 63
"""How many batches lean on one."""

WINDOW_BYTES: Final = 32 * 1024
"""What deflate looks back (RFC 1951, 2): a longer dictionary is of no use."""

LEVEL: Final = 6

TABLES: Final = 64
"""Most tables whose dictionaries are remembered."""


class Packer:
    """Packs the batches of one segment, in the order in which they are written."""

    def __init__(self) -> None:
        self._bases: dict[str, tuple[int, bytes, int]] = {}

    def pack(self, table: str, data: bytes | memoryview, offset: int) -> Packed:
        """The batch as it is to lie in the frame at `offset`."""
        if not 0 < len(data) <= PACKED_BYTES:
            return Packed(data)
        known = self._bases.get(table)
        if known is not None:
            base, dictionary, left = known
            if left:
                packer = zlib.compressobj(LEVEL, zdict=dictionary)
                packed = packer.compress(data) + packer.flush()
                self._bases[table] = base, dictionary, left - 1
                return Packed(packed, LEANING, base) if len(packed) < len(data) else Packed(data)
        packed = zlib.compress(data, LEVEL)
        if len(self._bases) < TABLES or table in self._bases:
            self._bases[table] = offset, bytes(data[-WINDOW_BYTES:]), LEANING_BATCHES
        return Packed(packed, DEFLATED) if len(packed) < len(data) else Packed(data)

    def forget(self) -> None:
        """Lean on nothing that was packed so far: it has been taken back."""
        self._bases.clear()


class Unpacker:
    """Unpacks the batches of one segment.

    Args:
        read: gives the bytes of the batch whose frame is at an offset, unpacked. Raises ValueError where they are damaged.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read: Final = read
        self._dictionaries: dict[str, tuple[int, bytes]] = {}

    def unpack(self, frame: Frame, stored: bytes) -> bytes:
        """The batch of a frame. Raises ValueError where it, or what it leans on, is damaged."""
        if frame.packing == PLAIN:
            return stored
        try:
            if frame.packing == DEFLATED:
                unpacker = zlib.decompressobj()
            elif frame.packing == LEANING and frame.base < frame.offset:
                unpacker = zlib.decompressobj(zdict=self._dictionary(frame))
            else:
                raise ValueError(f"packed in a way that is not known ({frame.packing})")
            data = unpacker.decompress(stored, PACKED_BYTES + 1)
        except zlib.error as error:
            raise ValueError(str(error)) from error
        if not unpacker.eof or len(data) > PACKED_BYTES:
            raise ValueError("its packed bytes end too early")
        return data

    def _dictionary(self, frame: Frame) -> bytes:
        known = self._dictionaries.get(frame.header.table)
        if known is None or known[0] != frame.base:
            known = frame.base, self._read(frame.base)[-WINDOW_BYTES:]
            if len(self._dictionaries) >= TABLES:
                self._dictionaries.clear()
            self._dictionaries[frame.header.table] = known
        return known[1]
