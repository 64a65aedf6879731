"""Checks that are made at the same time, each for a limited time, and what they found."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from api.texts import text
from collector.store import StoreError
from sensor.secrets import redacted
from sensor.terminal import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

CHECK_SECONDS: Final = 10.0
"""How long a check may take."""

PATIENCE_SECONDS: Final = 6
"""How long a service may take to answer within a check, so that it is the service's own error that is told."""

EXTRAS: Final = {"kafka": "kafka", "elastic_transport": "elasticsearch", "elasticsearch": "elasticsearch", "psycopg": "postgres"}
"""Package of Python → the extra that brings it."""

_log = logging.getLogger(__name__)

Level = Literal["ok", "warning", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    Attributes:
        subject: the setting or the table that it is about.
        level: whether something has to be done.
        key: the catalogue's text that says what, and what to do.
        values: what fills its placeholders.
    """

    subject: str
    level: Level
    key: str
    values: Mapping[str, object] = field(default_factory=dict[str, object])

    def line(self, language: str) -> str:
        """The finding in one line, without any secret that the process knows."""
        told = text(language, f"check.{self.key}", **self.values)
        return redacted(" ".join(f"{text(language, f'check.level.{self.level}')}  {self.subject}: {told}".split("\n")))


@dataclass(frozen=True, slots=True)
class Check:
    """A check of something that the configuration names."""

    subject: str
    make: Callable[[], Iterable[Finding]]


def findings(checks: Sequence[Check], seconds: float = CHECK_SECONDS) -> Iterator[Finding]:
    """What checks found, in their order. All are made, at the same time; one that takes longer than the time is given up."""
    started = [(check, *_started(check)) for check in checks]
    deadline = time.monotonic() + seconds
    for check, thread, found in started:
        thread.join(max(0.0, deadline - time.monotonic()))
        slow = thread.is_alive()
        yield from tuple(found)
        if slow:
            yield Finding(check.subject, "wrong", "slow", {"seconds": f"{seconds:g}"})


def _started(check: Check) -> tuple[threading.Thread, list[Finding]]:
    found: list[Finding] = []
    # One that hangs must not keep the process from ending.
    thread = threading.Thread(target=_make, args=(check, found), daemon=True, name=f"check {check.subject}")
    thread.start()
    return thread, found


def _make(check: Check, found: list[Finding]) -> None:
    """Make a check; whatever keeps it from being made is a finding too."""
    try:
        for finding in check.make():
            found.append(finding)  # noqa: PERF402  what was found before it hangs counts
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        found.append(wrong(check.subject, "package", package=package, extra=EXTRAS.get(package, "server")))
    except (CommandError, StoreError) as error:
        found.append(wrong(check.subject, "reason", reason=error))
    except OSError as error:
        found.append(wrong(check.subject, "reason", reason=error.strerror or type(error).__name__))
    except Exception as error:  # noqa: BLE001  other checks are made all the same
        _log.debug("a check of %s has a fault: %s", check.subject, type(error).__name__)
        found.append(wrong(check.subject, "fault", kind=type(error).__name__))


def ok(subject: str, key: str, **values: Any) -> Finding:
    """Nothing has to be done."""
    return Finding(subject, "ok", key, values)


def warning(subject: str, key: str, **values: Any) -> Finding:
    """Something will have to be done."""
    return Finding(subject, "warning", key, values)


def wrong(subject: str, key: str, **values: Any) -> Finding:
    """It does not work until something is done."""
    return Finding(subject, "wrong", key, values)
