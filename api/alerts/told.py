"""What an alert tells besides what its own rule found: the findings of other rules that belong to it. Pure."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from api.alerts.models import SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from api.alerts.models import Alert


def rules(body: Mapping[str, Any]) -> set[str]:
    """Names of the other rules whose findings an alert tells."""
    return {str(each["rule"]) for each in body.get("related", ())}


def severity(own: int, body: Mapping[str, Any]) -> int:
    """The highest severity of all that an alert tells, as a position in `SEVERITIES`, as its own is."""
    return max([own, *(SEVERITIES.index(each["severity"]) for each in body.get("related", ()))])


def traits(alert: Alert) -> dict[str, list[str]]:
    """The addresses of an alert and of its story, and the rules whose findings belong to it."""
    story: Mapping[str, Any] = alert.body.get("story") or {}
    hosts = {alert.client_ip, alert.server_ip, *story.get("actors", ()), *story.get("targets", ())}
    return {"asset": sorted(str(each) for each in hosts if each), "rule": sorted(rules(alert.body))}


def shape(alert: Alert) -> str:
    """A short name of an alert's traits and severity: it stays while the same goes on, and changes as something joins."""
    said = json.dumps([severity(alert.severity, alert.body), traits(alert)])
    return hashlib.sha256(said.encode()).hexdigest()[:12]
