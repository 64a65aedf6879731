"""How long the detectors took, by name: measured once a step, over all of its records."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

RULES: Final = "rules"
"""Rules, over records and over what the other detectors found, correlations included."""

BASELINE: Final = "baseline"
"""What is normal: learning it, and finding what deviates from it."""

MODELS: Final = "models"
"""The models of sequence, timing, volume and values."""

GROUPING: Final = "grouping"
"""What was found, made alerts of one run."""

TELLING: Final = "telling"
"""Stories and the alarm budget of the site."""

DETECTORS: Final = (RULES, BASELINE, MODELS, GROUPING, TELLING)
"""All parts that are timed. The first three work side by side, so that their times add up to more than has gone by."""

P = ParamSpec("P")
T = TypeVar("T")


def timed(seconds: dict[str, float], name: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What the call returns; how long it took is added under the name. Each name is used by one thread at a time."""
    start = time.perf_counter()
    try:
        return call(*args, **kwargs)
    finally:
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start


def added(first: dict[str, float], second: dict[str, float]) -> dict[str, float]:
    """The sum of two of them."""
    return {name: first.get(name, 0.0) + second.get(name, 0.0) for name in {**first, **second}}
