"""The states of an incident and which may follow which. Pure: no database, no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

Phase = Literal["declared", "analysing", "containing", "eradicating", "recovering", "monitoring", "closed"]

PHASES: Final[tuple[Phase, ...]] = get_args(Phase)
"""All states, in the order in which an incident usually goes through them."""

OPEN: Final[tuple[Phase, ...]] = PHASES[:-1]
"""The states of an incident that somebody works on."""

MOVES: Final[Mapping[Phase, tuple[Phase, ...]]] = {
    "declared": ("analysing", "containing"),
    "analysing": ("containing", "eradicating", "recovering", "monitoring"),
    "containing": ("analysing", "eradicating", "recovering"),
    "eradicating": ("analysing", "containing", "recovering"),
    "recovering": ("analysing", "containing", "eradicating", "monitoring"),
    "monitoring": ("analysing", "containing", "eradicating", "recovering"),
    "closed": (),
}
"""Where a person may move an incident. Back is allowed as long as it is open: an attack comes back, too."""

CLOSABLE: Final[tuple[Phase, ...]] = ("declared", "analysing", "monitoring")
"""Where it may be closed: when all is over, or when it turns out early to be none."""

REOPENED: Final[Phase] = "analysing"
"""Where a closed one goes that is opened again."""


def may_move(before: Phase, after: Phase) -> bool:
    """Whether a person may move an incident so."""
    return after in MOVES[before]


def may_close(phase: Phase) -> bool:
    """Whether an incident may be closed from here."""
    return phase in CLOSABLE
