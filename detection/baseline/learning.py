"""How live learning goes on and ends: at full hours of event time, so that it does not depend on how records are cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from detection.baseline.normality import Normality
    from detection.site import Learning

SEED_NS: Final = 600 * 1_000_000_000
"""At the beginning of live learning nothing is told for so long: everything is new."""

STRANGER_NS: Final = 24 * 3_600 * 1_000_000_000
"""Where normality is learned live, who first talks to a server after the beginning is a stranger to it for so long: what it does
next is told as what a stranger does, whether or not an hour has ended since."""

MATURE: Final = 0.05
"""Learning may end when of each kind in `LASTING` at most this share came in the last third of learning."""

LASTING: Final = ("program", "writer", "conversation", "operation")
"""Kinds that tell whether learning is mature."""


def immaturity(normal: Normality) -> float:
    """How much of what comes is still new, 0 to 1: the most of any kind that tells."""
    novelty = normal.novelty()
    return max(novelty[kind] for kind in LASTING)


def ends(normal: Normality, heard_hours: int, limits: Learning) -> bool:
    """Whether learning ends at this hour."""
    if heard_hours >= limits.most_hours:
        return True
    return heard_hours >= limits.least_hours and immaturity(normal) <= MATURE
