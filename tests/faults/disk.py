"""A small disk of its own for a folder (root): it can be filled to the last byte, and emptied again."""

from __future__ import annotations

import errno
import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


class Disk:
    """A file system in memory of a bounded size, mounted over an empty folder. What does not fit is refused with ENOSPC."""

    def __init__(self, folder: Path, size_mib: int) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_mib}m,mode=0755", "tmpfs", str(folder)], check=True)

    def fill(self) -> None:
        """Leave no room."""
        with self._ballast.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(64 * 1024))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def empty(self) -> None:
        """Give the room back."""
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Take it away, with what is on it."""
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


@contextmanager
def disk(folder: Path, size_mib: int) -> Generator[Disk]:
    """A disk that is taken away in the end. Raises OSError where this process may not mount."""
    if os.geteuid() != 0:
        raise PermissionError(errno.EPERM, "only root can mount a small disk", str(folder))
    made = Disk(folder, size_mib)
    try:
        yield made
    finally:
        made.close()
