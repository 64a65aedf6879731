"""`python -m tests.benchmarks.sender IF CAPTURE…`: frames of pcap files on an interface as fast as one is told, or as it goes.

The captures are merged by time, read into memory whole and handed to the kernel many at a time (sendmmsg(2)), past the
queueing discipline (packet(7), PACKET_QDISC_BYPASS). It says "ready", takes a line "RATE SECONDS" from standard input
(frames a second, 0 as fast as it goes), sends from the first frame on for so long or until all have gone, says what it did
as JSON, and takes the next line.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import socket
import struct
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SOL_PACKET: Final = 263
PACKET_QDISC_BYPASS: Final = 20

BURST: Final = 64
"""Frames that go out at once: a third of a millisecond at 200,000 a second."""

IOVEC: Final = np.dtype([("base", "u8"), ("length", "u8")])
"""`struct iovec`."""

MMSGHDR: Final = np.dtype({
    "names": ["iov", "iovlen"],
    "formats": ["u8", "u8"],
    "offsets": [16, 24],
    "itemsize": 64,
})  # fmt: skip
"""`struct mmsghdr` of a 64-bit system, as far as it is not zero."""


class Frames:
    """The frames of captures, ready to be sent."""

    def __init__(self, captures: list[Path]) -> None:
        self.data = [np.fromfile(capture, np.uint8) for capture in captures]
        times, bases, lengths = (np.concatenate(parts) for parts in zip(*map(_places, self.data), strict=True))
        order = np.argsort(times, kind="stable")
        self.count = len(order)
        self.bytes = int(lengths.sum())
        self._vectors = np.zeros(self.count, IOVEC)
        self._vectors["base"], self._vectors["length"] = bases[order], lengths[order]
        self._headers = np.zeros(self.count, MMSGHDR)
        self._headers["iov"] = self._vectors.ctypes.data + np.arange(self.count, dtype=np.uint64) * IOVEC.itemsize
        self._headers["iovlen"] = 1

    @property
    def headers(self) -> int:
        """Address of the first header."""
        return self._headers.ctypes.data


def _places(data: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Time, address and length of each frame of a pcap file (little-endian, nanoseconds)."""
    times: list[int] = []
    places: list[int] = []
    lengths: list[int] = []
    content = data.data
    place = 24
    while place < len(content):
        seconds, nanoseconds, length = struct.unpack_from("<III", content, place)
        times.append(seconds * 1_000_000_000 + nanoseconds)
        places.append(place + 16)
        lengths.append(length)
        place += 16 + length
    return np.array(times, np.int64), np.array(places, np.uint64) + data.ctypes.data, np.array(lengths, np.uint64)


def send(wire: socket.socket, frames: Frames, rate: float, seconds: float) -> tuple[int, float]:
    """Send `rate` frames a second (0: as fast as it goes) for so long, or until all have gone; returns how many in what time."""
    sendmmsg = ctypes.CDLL(None, use_errno=True).sendmmsg
    sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
    sent = 0
    begin = time.monotonic()
    while sent < frames.count:
        now = time.monotonic() - begin
        if now >= seconds:
            break
        if rate and (early := sent / rate - now) > 0:
            time.sleep(early)
        done = sendmmsg(wire.fileno(), frames.headers + sent * MMSGHDR.itemsize, min(BURST, frames.count - sent), 0)
        if done < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        sent += done
    return sent, time.monotonic() - begin


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("interface")
    parser.add_argument("captures", type=Path, nargs="+")
    arguments = parser.parse_args()
    frames = Frames(arguments.captures)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
        wire.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        wire.bind((arguments.interface, 0))
        print("ready", flush=True)
        for line in sys.stdin:
            rate, limit = map(float, line.split())
            before = time.process_time()
            sent, seconds = send(wire, frames, rate, limit)
            print(json.dumps({"sent": sent, "seconds": seconds, "cpu_seconds": time.process_time() - before}), flush=True)


if __name__ == "__main__":
    main()
