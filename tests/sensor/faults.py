"""Faults for a program that is started with a library preloaded (faults.c), and a capture in parts to record around them."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path
from typing import Final


class Faults:
    """What is wrong with the disk and the clock of programs that are started with `environment`.

    Args:
        folder: where the library and what it looks at lie.
        disk: folder that can be made read-only.
    """

    def __init__(self, folder: Path, disk: Path) -> None:
        library = folder / "faults.so"
        source = Path(__file__).with_name("faults.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
        self._file = folder / "faults"
        self._clock_ns = 0
        self._read_only = 0
        self._file.write_bytes(bytes(16))
        self.environment: Final = {"LD_PRELOAD": str(library), "FAULTS": str(self._file), "FAULTS_FOLDER": str(disk)}

    def set(self, *, clock_ns: int | None = None, read_only: bool | None = None) -> None:
        """Set the date wrong by so much; make the disk take nothing, or all again."""
        self._clock_ns = self._clock_ns if clock_ns is None else clock_ns
        self._read_only = self._read_only if read_only is None else int(read_only)
        with self._file.open("r+b") as file:
            file.write(struct.pack("<qq", self._clock_ns, self._read_only))


def parts_of(capture: Path, count: int) -> list[Path]:
    """A pcap file in so many files, one behind the other: what is sent twice would be taken for repeated segments."""
    whole = capture.read_bytes()
    frames = [whole[:24]]
    place = 24
    while place < len(whole):
        (length,) = struct.unpack_from("<I", whole, place + 8)
        frames.append(whole[place : place + 16 + length])
        place += 16 + length
    head, *packets = frames
    share = -(-len(packets) // count)
    parts: list[Path] = []
    for number in range(count):
        parts.append(capture.with_name(f"part-{number}.pcap"))
        parts[-1].write_bytes(head + b"".join(packets[number * share : (number + 1) * share]))
    return parts
