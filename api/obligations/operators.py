"""What the operator of a site is taken for, and which kinds of operator of the rules that makes it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from api.obligations.schemas import OperatorInput

if TYPE_CHECKING:
    from api.obligations.rules import Operator

ASSUMED: Final = OperatorInput(name="–", cii=False, data_processor=True, nis2="none")
"""What an operator is taken for of which nobody has said anything."""


def kinds(said: OperatorInput) -> frozenset[Operator]:
    """The kinds of operator that one is, in the words of the rules: it may be several, and reports as each of them."""
    found: set[Operator] = set()
    if said.china:
        if said.cii:
            found.add("cii")
        if said.state_body:
            found.add("state_body")
        if not found:
            found.add("other")
        if said.served:
            found.add("served")
        if said.industrial:
            found.add("industrial")
    if said.data_processor:
        found.add("data_processor")
    if said.nis2 != "none":
        found.add("nis2_essential" if said.nis2 == "essential" else "nis2_important")
    return frozenset(found)
