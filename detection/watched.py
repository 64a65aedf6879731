"""Files that are looked at again and again while detection runs: whether they have changed since they were read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Signature = tuple[tuple[str, int, int], ...]
"""Path, time of change and size of each file."""


class Watched:
    """Files and folders of which changes are noticed.

    Args:
        paths: files, or folders whose files `*.yml` are meant.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = list(paths)
        self._read: Signature = ()
        self._seen: Signature = ()

    def mark(self) -> int:
        """Note how they are now, before they are read; when the newest was written, nanoseconds since 1970, 0 for none."""
        self._read = self._seen = self._signature()
        return max((changed for _, changed, _ in self._read), default=0)

    def settled(self) -> bool:
        """Whether they have changed since they were read, and not since the last look: nobody is writing them."""
        now = self._signature()
        before, self._seen = self._seen, now
        return now != self._read and now == before

    def _signature(self) -> Signature:
        found: list[tuple[str, int, int]] = []
        for path in self._paths:
            for file in path.rglob("*.yml") if path.is_dir() else [path]:
                try:
                    stat = file.stat()
                except OSError:
                    continue
                found.append((str(file), stat.st_mtime_ns, stat.st_size))
        return tuple(sorted(found))
