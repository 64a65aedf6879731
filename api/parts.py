"""The parts of a system, each in a thread of its own, started, watched and stopped together."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from api.status import Status

_OWN: Final = frozenset({"sensor", "collector", "detection", "api"})

_log = logging.getLogger(__name__)


class Parts:
    """Runs work in threads. A part that fails wakes whoever waits; the others go on until they are stopped."""

    def __init__(self, status: Status) -> None:
        self._status = status
        self._threads: dict[str, threading.Thread] = {}
        self._stop = threading.Event()
        self.woken = threading.Event()
        """Set when a part fails."""

    def start(self, name: str, work: Callable[[threading.Event], None]) -> None:
        """Begin a part: `work` runs until it is done or the event that it is given is set."""
        self._status.tell(name)
        thread = threading.Thread(target=self._run, args=(name, work), name=name, daemon=True)
        self._threads[name] = thread
        thread.start()

    def done(self, name: str) -> bool:
        """Whether a part has ended by itself or has failed."""
        return not self._threads[name].is_alive()

    def end(self) -> None:
        """Ask all parts to end."""
        self._stop.set()

    def stop(self, timeout_seconds: float) -> list[str]:
        """Ask all parts to end and wait for them; returns the names of those that have not."""
        self.end()
        deadline = time.monotonic() + timeout_seconds
        for thread in self._threads.values():
            thread.join(max(0.0, deadline - time.monotonic()))
        return [name for name, thread in self._threads.items() if thread.is_alive()]

    def _run(self, name: str, work: Callable[[threading.Event], None]) -> None:
        try:
            work(self._stop)
        except Exception as error:  # noqa: BLE001  a part may fail in any way, and the process must hear of it
            self._status.tell(name, state="failed", detail=_reason(name, error))
            self.woken.set()
        else:
            self._status.tell(name, state="done")


def _reason(name: str, error: Exception) -> str:
    """Why a part failed, in one line. What none of the product's own errors foresaw is a fault in it: the log gets the trace."""
    line = " ".join(str(error).split())
    if type(error).__module__.split(".")[0] in _OWN:
        return line
    _log.error("%s failed", name, exc_info=error)
    return f"{type(error).__name__}: {line}"
