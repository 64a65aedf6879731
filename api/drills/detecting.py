"""What detection tells of a drill's traffic: the packet core and the rules of the site, on a state that nobody else has."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from api.drills.packets import as_file
from detection import captures
from detection.pipeline import Pipeline
from detection.sigma.proof import sound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detection.alerts import Alert
    from detection.ruleset import Ruleset
    from detection.site import Site


def detect(capture: bytes, ruleset: Ruleset, facts: Site) -> list[Alert]:
    """All alerts of a capture, by rules and facts of a site. What the site wants to hide it hides not: it is to be handled.

    Records are looked at and forgotten, so that alerts name none.
    """
    site = facts.model_copy(update={"exceptions": ()})
    # As detection takes over rules while it runs: those that can be compiled.
    rules, _ = sound(ruleset.rules, site)
    pipeline = Pipeline.of(rules, site)
    with as_file(capture) as path:
        found, _ = captures.detect(path, pipeline)
    return [replace(alert, body=_without_records(alert.body)) for alert in found]


def _without_records(body: Mapping[str, Any]) -> dict[str, Any]:
    related: list[dict[str, Any]] = [{**each, "records": []} for each in body["related"]]
    return {**body, "records": [], "related": related}
