"""Maintenance windows as the API shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.times import iso
from api.windows.schemas import WindowOutput

if TYPE_CHECKING:
    from api.windows.models import MaintenanceWindow

_NAMES = (
    "number", "version", "site", "state", "permit", "work", "performed_by", "made_by", "changed_by", "end_reason", "report",
)  # fmt: skip
_TIMES = ("starts_at", "ends_at", "made_at", "changed_at", "updated_at")


def output(window: MaintenanceWindow) -> WindowOutput:
    """One window."""
    return WindowOutput.model_validate(
        {
            **window.said,
            **{name: getattr(window, name) for name in _NAMES},
            **{name: iso(getattr(window, name)) for name in _TIMES},
            "ended_at": None if window.ended_at is None else iso(window.ended_at),
        }
    )
