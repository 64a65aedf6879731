"""Answers that are kept a while, because they cost something and change slowly."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T")

KEPT: Final = 256
"""Answers that are kept, where nothing else is said."""

PLANS: Final = 2048
"""Plans of zones that are kept: of more sites than one system has."""

MEANWHILE: Final = 10
"""While an answer is made anew others get the one before, if it is no older than so many times what it may be."""


class Kept:
    """Answers that are kept a while.

    Whoever asks for one that is being made does not make it too: he gets the one before, and waits only where there is none.

    Args:
        most: how many; of more those that were made longest ago are forgotten.
    """

    def __init__(self, most: int = KEPT) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._making: dict[Hashable, Future[object]] = {}
        self._answers: dict[Hashable, tuple[float, object]] = {}

    def get(self, key: Hashable, seconds: float, make: Callable[[], T]) -> T:
        """The answer, made anew where it is older than so many seconds. What `make` raises is raised to all who wait for it."""
        with self._lock:
            kept, making = self._answers.get(key), self._making.get(key)
            if kept is not None:
                age = time.monotonic() - kept[0]
                if age <= seconds or (making is not None and age <= MEANWHILE * seconds):
                    return cast("T", kept[1])
            mine = Future[object]()
            if making is None:
                self._making[key] = mine
        if making is not None:
            return cast("T", making.result())
        try:
            made = make()
        except BaseException as error:
            with self._lock:
                del self._making[key]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._making[key]
            self._answers[key] = time.monotonic(), made
            while len(self._answers) > self._most:
                del self._answers[min(self._answers, key=lambda each: self._answers[each][0])]
        mine.set_result(made)
        return made
