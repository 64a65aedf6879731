"""The packets of a drill: kept as text with it, read by the same packet core as any capture, and given out as evidence.

They are in memory files, and for evidence in a folder that lasts as long as the question: no spool, no ring, no record store has
them.
"""

from __future__ import annotations

import base64
import os
import zlib
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from sensor import packets
from sensor._core import Reader

if TYPE_CHECKING:
    from collections.abc import Generator

    from sensor.packets import Asked, Evidence, Statement

SENSOR: Final = "drill"
"""What stands for a sensor where one is named: nothing of it was captured."""

_QUOTA_BYTES: Final = packets.QUOTA_MIB_LEAST * packets.MIB


def kept(capture: bytes) -> str:
    """A capture as it is kept."""
    return base64.b64encode(zlib.compress(capture, 9)).decode()


def given_back(text: str) -> bytes:
    """The capture that `kept` made a text of."""
    return zlib.decompress(base64.b64decode(text))


@contextmanager
def as_file(capture: bytes) -> Generator[str]:
    """A path at which the capture can be read meanwhile; it is in memory."""
    file = os.memfd_create(SENSOR, os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(file), "wb") as written:
            written.write(capture)
        yield f"/proc/self/fd/{file}"
    finally:
        os.close(file)


def take(capture: bytes, statement: Statement, asked: Asked) -> Evidence:
    """The packets of an alert of a drill. Raises as `sensor.packets.take`."""
    with TemporaryDirectory() as folder, as_file(capture) as path:
        for _ in Reader(path, sensor=SENSOR, packets=(folder, _QUOTA_BYTES)):
            pass
        return packets.take(Path(folder), statement, asked)
