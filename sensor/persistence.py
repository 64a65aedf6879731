"""Work beside the shipping of records that is tried again whatever happens to it, and what keeps it from being done.

A thread that ends without a word would be missed by nobody: a sensor would ship on and hear nothing that is asked of it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from sensor.kafka_client import KafkaUnusable
from sensor.kafka_message import MessageError
from sensor.spool_format import SpoolError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

TOLD_CHARACTERS: Final = 200
"""Most of an error's own words that is told where nobody wrote them for people."""

_log: Final = logging.getLogger(__name__)


class Persistence:
    """Does work again and again until it is stopped.

    Args:
        say: is called with one line when the work cannot be done, once for each reason until it has gone well.
        retry_seconds: how long to wait after a try that failed.
        is_worth_telling: whether it is said now; where not it is said later, if it then is still so.
    """

    def __init__(
        self, say: Callable[[str], None], retry_seconds: float, is_worth_telling: Callable[[], bool] = lambda: True
    ) -> None:
        self.trouble = ""
        """Why the work cannot be done, in one line; empty where it can, or has not been tried."""
        self._said = ""
        self._say: Final = say
        self._retry_seconds: Final = retry_seconds
        self._is_worth_telling: Final = is_worth_telling

    def run(self, work: Callable[[threading.Event], None], stop: threading.Event) -> None:
        """Call `work` until `stop` is set, whatever it raises. It calls `went_well` each time that something has been done."""
        while not stop.is_set():
            try:
                work(stop)
            except (KafkaUnusable, MessageError, SpoolError) as error:
                self._fail(str(error))
            except OSError as error:
                self._fail(f"{error.filename}: {error.strerror or error}" if error.filename else str(error))
            except Exception as error:  # noqa: BLE001  whatever it is, the next try may go well
                _log.debug("work beside shipping failed", exc_info=True)
                self._fail(f"{type(error).__name__}: {str(error)[:TOLD_CHARACTERS]}")
            else:
                continue
            stop.wait(self._retry_seconds)

    def went_well(self) -> None:
        """There is no trouble any more."""
        self.trouble = self._said = ""

    def _fail(self, trouble: str) -> None:
        self.trouble = trouble
        if trouble != self._said and self._is_worth_telling():
            self._said = trouble
            self._say(trouble)
