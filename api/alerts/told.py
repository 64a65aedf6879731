"""What an alert tells besides what its own rule found: the findings of other rules that belong to it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.alerts.models import SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Mapping


def rules(body: Mapping[str, Any]) -> set[str]:
    """Names of the other rules whose findings an alert tells."""
    return {str(each["rule"]) for each in body.get("related", ())}


def severity(own: int, body: Mapping[str, Any]) -> int:
    """The highest severity of all that an alert tells, as a position in `SEVERITIES`, as its own is."""
    return max([own, *(SEVERITIES.index(each["severity"]) for each in body.get("related", ()))])
