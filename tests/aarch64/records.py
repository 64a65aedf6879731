"""`python -m tests.aarch64.records PATH…`: for each capture under the paths one line, its name and a digest of its records.

Two machines whose lines are the same make the same records, to the byte: batches as they go into the spool.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from sensor._core import CaptureError, Reader


def digest(capture: Path) -> str:
    """Of all batches of a capture, and of what is said against one that is damaged."""
    found = hashlib.blake2b(digest_size=16)
    rows = 0
    try:
        for batch in Reader(str(capture)):
            found.update(batch.ipc())
            rows += batch.rows
    except CaptureError as error:
        found.update(str(error).replace(str(capture), "").encode())
    return f"{found.hexdigest()} {rows}"


def main() -> None:
    """Every capture under the paths, in the order of their names."""
    for path in map(Path, sys.argv[1:]):
        for capture in sorted(file for file in path.rglob("*") if file.suffix in {".pcap", ".pcapng", ".cap"}):
            print(capture.relative_to(path), digest(capture))


if __name__ == "__main__":
    main()
