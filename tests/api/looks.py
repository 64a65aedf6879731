"""What clocks would do now: one look at all that is due, without a thread that waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.ticking import Looks

if TYPE_CHECKING:
    from api.services import Services


def tick(services: Services, moment: int | None = None) -> int:
    """Look once, now or at another moment; how many things were done."""
    return Looks(services).look(moment)
