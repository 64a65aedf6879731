"""`python -m tests.sensor.transmit IF CAPTURE`: puts the frames of a pcap file on an interface, one behind the other."""

from __future__ import annotations

import argparse
import socket
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def frames(capture: bytes) -> Iterator[bytes]:
    """The frames of a little-endian pcap file."""
    place = 24
    while place < len(capture):
        (length,) = struct.unpack_from("<I", capture, place + 8)
        yield capture[place + 16 : place + 16 + length]
        place += 16 + length


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
            for frame in frames(arguments.capture.read_bytes()):
                wire.send(frame)
                sent += 1
                if arguments.pause and sent % 100 == 0:
                    time.sleep(arguments.pause)
    print(sent)


if __name__ == "__main__":
    main()
