"""The file of a site, looked at again and again while detection runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from detection.site import load, with_budget
from detection.watched import Watched

if TYPE_CHECKING:
    from pathlib import Path

    from detection.site import Site


class SiteFile:
    """The file that the facts of a site are read from.

    Args:
        path: the file.
        budget: alarm budget in the place of the file's own; None: that of the file.
    """

    def __init__(self, path: Path, budget: str | None = None) -> None:
        self.path = path
        self.changed = 0
        """When it was written that was read last, nanoseconds since 1970."""
        self._budget = budget
        self._watched = Watched([path])

    def read(self) -> Site:
        """The facts that it holds now. Raises SiteError."""
        self.changed = self._watched.mark()
        site = load(self.path)
        return site if self._budget is None else with_budget(site, self._budget)

    def settled(self) -> bool:
        """Whether it has changed since it was read, and nobody is writing it."""
        return self._watched.settled()
