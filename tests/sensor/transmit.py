"""`python -m tests.sensor.transmit IF CAPTURE`: puts the frames of a pcap file on an interface, one behind the other.

`-` is standard input: what a plant says now goes out as it comes.
"""

from __future__ import annotations

import argparse
import socket
import struct
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator


def frames(capture: BinaryIO) -> Iterator[bytes]:
    """The frames of a little-endian pcap file."""
    capture.read(24)
    while len(head := capture.read(16)) == 16:
        yield capture.read(*struct.unpack_from("<I", head, 8))


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("interface")
    parser.add_argument("capture", type=Path)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--pause", type=float, default=0.0, help="seconds after each 100 frames")
    arguments = parser.parse_args()
    sent = 0
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((arguments.interface, 0))
        for _ in range(arguments.times):
            with sys.stdin.buffer if str(arguments.capture) == "-" else arguments.capture.open("rb") as capture:
                for frame in frames(capture):
                    wire.send(frame)
                    sent += 1
                    if arguments.pause and sent % 100 == 0:
                        time.sleep(arguments.pause)
    print(sent)


if __name__ == "__main__":
    main()
