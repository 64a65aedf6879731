"""What happens at the terminal besides an ordinary day: attacks with what they are, and unusual things that are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.evaluation.terminal.plant import Terminal
    from tests.plant.frames import Host

    Steps = Callable[[Terminal, int], Iterator[int]]


@dataclass(frozen=True, slots=True)
class Attack:
    """An attack. Its steps get the terminal and a time, and give the times at which they go on."""

    name: str
    techniques: tuple[str, ...]
    """What it is; judged from the act, before any alert was seen."""
    hosts: tuple[str, ...]
    """Who takes part."""
    shown: str
    """As in `detection.evaluation.events`."""
    why: str
    steps: Steps
    held_out: bool
    """Whether it was only measured once, and nothing was changed for it."""


@dataclass(frozen=True, slots=True)
class Ordinary:
    """Something that is unusual and no attack."""

    name: str
    why: str
    steps: Steps
    minutes: float


ATTACKS: Final[dict[str, Attack]] = {}
ORDINARY: Final[dict[str, Ordinary]] = {}


def attack(
    *techniques: str, hosts: tuple[Host, ...], why: str, shown: str = "records", held_out: bool = False
) -> Callable[[Steps], Steps]:
    """Register an attack under the name of its function."""

    def register(steps: Steps) -> Steps:
        name = steps.__name__
        ATTACKS[name] = Attack(name, techniques, tuple(host.ip for host in hosts), shown, why, steps, held_out)
        return steps

    return register


def ordinary(why: str, minutes: float = 15.0) -> Callable[[Steps], Steps]:
    """Register something that is no attack under the name of its function."""

    def register(steps: Steps) -> Steps:
        ORDINARY[steps.__name__] = Ordinary(steps.__name__, why, steps, minutes)
        return steps

    return register
