"""The states of an action in the plant and which step leads where. Pure: no database, no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

State = Literal[
    "proposed", "security_approved", "operations_approved", "executing", "verified", "failed", "rolled_back", "rejected",
    "expired",
]  # fmt: skip

STATES: Final[tuple[State, ...]] = get_args(State)

Step = Literal["approve_security", "approve_operations", "reject", "withdraw", "execute", "verify", "fail", "roll_back", "expire"]

STEPS: Final[Mapping[Step, Mapping[State, State]]] = {
    "approve_security": {"proposed": "security_approved"},
    "approve_operations": {"security_approved": "operations_approved"},
    "reject": {"proposed": "rejected", "security_approved": "rejected"},
    "withdraw": {"proposed": "rejected", "security_approved": "rejected", "operations_approved": "rejected"},
    "execute": {"operations_approved": "executing"},
    "verify": {"executing": "verified"},
    "fail": {"executing": "failed", "verified": "failed"},
    "roll_back": {"executing": "rolled_back", "verified": "rolled_back", "failed": "rolled_back"},
    "expire": {"proposed": "expired", "security_approved": "expired", "operations_approved": "expired"},
}
"""For each step, where it leads from each state in which it can be taken. Nothing is carried out that both did not approve."""

WAITING: Final[tuple[State, ...]] = ("proposed", "security_approved", "operations_approved")
"""States in which an action expires when its window is over."""

UNDONE: Final[tuple[State, ...]] = (*WAITING, "executing")
"""States that stand against closing the incident."""


def after(state: State, step: Step) -> State | None:
    """Where a step leads; None where it cannot be taken."""
    return STEPS[step].get(state)
