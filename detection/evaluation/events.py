"""Events: what the labels of a capture say was an attack, and what we judged of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from detection import attack

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Shown = Literal["records", "wire", "nothing"]
"""Where an event shows: in the record tables; in packets whose content no table holds; nowhere."""

UNJUDGED = "unjudged"
"""Kind of an event that neither label nor judgement names."""


@dataclass(frozen=True, slots=True)
class Event:
    """An attack of a capture."""

    id: str
    """Name of the capture without its suffix, `#`, and the event's name in its labels."""
    kind: str
    """What kind of attack it is, as in address_sweep."""
    techniques: tuple[str, ...]
    """Techniques of ATT&CK for ICS that it is; none where nobody says."""
    start: int
    """Its first packet, nanoseconds since 1970."""
    end: int
    """Its last packet, nanoseconds since 1970."""
    hosts: frozenset[str]
    """Addresses that take part; empty where the labels do not say."""
    shown: Shown
    why: str
    """Why it shows there, in one sentence."""


@cache
def _current() -> Mapping[str, str]:
    """Identifiers of earlier releases → those of today."""
    return {alias: technique.id for technique in attack.techniques().values() for alias in technique.aliases}


def same_technique(one: str, other: str) -> bool:
    """Whether two identifiers, of any release, name one technique, or one of them a sub-technique of the other."""
    one, other = _current().get(one, one), _current().get(other, other)
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def any_technique(said: Iterable[str], true: Iterable[str]) -> bool:
    """Whether one of the techniques that are said is one of the true ones."""
    true = tuple(true)
    return any(same_technique(one, other) for one in said for other in true)
