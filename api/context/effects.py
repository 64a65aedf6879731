"""What an alert may do to the process: loss, denial and manipulation of view, of control, of safety. Pure.

ATT&CK for ICS names such effects as techniques of its tactic Impact; a rule that names one says that it is seen. Other techniques
lead to effects, by what ATT&CK says of each: those may follow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

from api.windows.scope import SAFETY_ROLE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

EffectKind = Literal[
    "loss_of_safety", "loss_of_protection", "damage_to_property", "loss_of_control", "manipulation_of_control",
    "denial_of_control", "loss_of_view", "manipulation_of_view", "denial_of_view", "loss_of_availability",
    "loss_of_productivity", "theft_of_information",
]  # fmt: skip

KINDS: Final[tuple[EffectKind, ...]] = get_args(EffectKind)
"""All effects, the gravest first."""

IMPACT: Final[Mapping[str, EffectKind]] = {
    "T0880": "loss_of_safety",
    "T0837": "loss_of_protection",
    "T0879": "damage_to_property",
    "T0827": "loss_of_control",
    "T0831": "manipulation_of_control",
    "T0813": "denial_of_control",
    "T0829": "loss_of_view",
    "T0832": "manipulation_of_view",
    "T0815": "denial_of_view",
    "T0826": "loss_of_availability",
    "T0828": "loss_of_productivity",
    "T0882": "theft_of_information",
}
"""The techniques of the tactic Impact: each is an effect."""

LEADS_TO: Final[Mapping[str, tuple[EffectKind, ...]]] = {
    "T0800": ("loss_of_control",),
    "T0806": ("manipulation_of_control",),
    "T0809": ("loss_of_availability",),
    "T0814": ("denial_of_control", "denial_of_view"),
    "T0816": ("loss_of_control", "loss_of_view"),
    "T0821": ("manipulation_of_control",),
    "T0835": ("manipulation_of_control", "manipulation_of_view"),
    "T0836": ("manipulation_of_control",),
    "T0838": ("denial_of_view", "loss_of_protection"),
    "T0843": ("manipulation_of_control",),
    "T0858": ("loss_of_control",),
    "T0878": ("denial_of_view", "loss_of_protection"),
    "T0881": ("denial_of_control", "denial_of_view"),
    "T0889": ("manipulation_of_control",),
    "T0892": ("denial_of_control",),
    "T1691": ("denial_of_control", "denial_of_view"),
    "T1691.001": ("denial_of_control",),
    "T1691.002": ("denial_of_view",),
    "T1692": ("manipulation_of_control", "manipulation_of_view"),
    "T1692.001": ("manipulation_of_control",),
    "T1692.002": ("manipulation_of_view",),
    "T1693": ("loss_of_control", "manipulation_of_control"),
    "T1695": ("denial_of_control", "denial_of_view"),
}
"""Techniques that lead to effects; a sub-technique that is not named leads to what its technique does."""

OF_CONTROL: Final = frozenset({"loss_of_control", "manipulation_of_control", "denial_of_control"})
"""On a controller that keeps people from harm these may end in loss of safety."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What an alert may do to the process.

    Attributes:
        kind: which effect.
        seen: whether the alert's rule names the effect itself; else it may follow.
        techniques: the techniques that it follows from.
        written: the process points that it follows from, which were written.
        role: the role of the server that it follows from.
    """

    kind: EffectKind
    seen: bool
    techniques: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    role: str | None = None


def effects(techniques: Sequence[str], written: Collection[str], role: str | None) -> list[Effect]:
    """The effects of an alert, the gravest first.

    Args:
        techniques: those that it shows.
        written: process points that its client wrote on its server.
        role: that of the server, as it is registered; None where it is not.
    """
    named: dict[EffectKind, list[str]] = {}
    for name in techniques:
        for kind in _kinds(name):
            named.setdefault(kind, []).append(name)
    points = tuple(sorted(written))
    if points:
        named.setdefault("manipulation_of_control", [])
    if role == SAFETY_ROLE and OF_CONTROL & named.keys():
        named.setdefault("loss_of_safety", [])
    return [
        Effect(
            kind,
            seen=any(IMPACT.get(name) == kind for name in named[kind]),
            techniques=tuple(named[kind]),
            written=points if kind == "manipulation_of_control" else (),
            role=SAFETY_ROLE if kind == "loss_of_safety" and role == SAFETY_ROLE else None,
        )
        for kind in KINDS
        if kind in named
    ]


def _kinds(technique: str) -> Iterator[EffectKind]:
    if technique in IMPACT:
        yield IMPACT[technique]
        return
    yield from LEADS_TO.get(technique) or LEADS_TO.get(technique.partition(".")[0], ())
