"""Whether what a process needs is there: asked from time to time by threads of its own, so that who watches waits for nothing."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

CHECK_SECONDS: Final = 3.0
"""How long between two looks."""


class Health:
    """Asks each part whether it works.

    Args:
        checks: by name of the part; each raises where it does not work, with a line that says why.
    """

    def __init__(self, checks: Mapping[str, Callable[[], object]]) -> None:
        self._checks: Final = dict(checks)
        self._failures: Final = dict.fromkeys(self._checks, "not asked yet")
        self._ended: Final = threading.Event()
        self._threads: Final = [
            threading.Thread(target=self._run, args=(name,), name=f"health-{name}", daemon=True) for name in self._checks
        ]

    def failures(self) -> Mapping[str, str]:
        """What did not work at the last look, and why."""
        return dict(self._failures)

    def _run(self, name: str) -> None:
        """Ask one part again and again; one that does not answer holds up no other."""
        check = self._checks[name]
        while True:
            try:
                check()
            except Exception as error:  # noqa: BLE001 - whatever is wrong is what is told
                self._failures[name] = " ".join(str(error).split()) or type(error).__name__
            else:
                self._failures.pop(name, None)
            if self._ended.wait(CHECK_SECONDS):
                return

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # A part that is silent is not waited for: the threads end with the process.
        self._ended.set()
