"""Answers that are kept a while, because they cost something and change slowly."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T")

KEPT: Final = 64
"""Answers that are kept."""


class Kept:
    """Answers that are kept a while. Whoever asks for one that is being made waits for it, and does not make it too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: dict[Hashable, threading.Lock] = {}
        self._answers: dict[Hashable, tuple[float, object]] = {}

    def get(self, key: Hashable, seconds: float, make: Callable[[], T]) -> T:
        """The answer, made anew where it is older than so many seconds."""
        with self._lock:
            turn = self._turns.setdefault(key, threading.Lock())
        with turn:
            kept = self._answers.get(key)
            if kept is None or time.monotonic() - kept[0] > seconds:
                kept = time.monotonic(), make()
                with self._lock:
                    self._answers[key] = kept
                    while len(self._answers) > KEPT:
                        oldest = min(self._answers, key=lambda each: self._answers[each][0])
                        del self._answers[oldest]
                        self._turns.pop(oldest, None)
        return cast("T", kept[1])
