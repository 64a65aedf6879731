"""What rules cover of the ATT&CK for ICS matrix: as a table, as JSON, and as a layer for the ATT&CK Navigator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from detection import attack

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from detection.sigma.rule import Rule

LAYER: Final = {"attack": "19", "navigator": "5.1.0", "layer": "4.5"}
"""Versions that a layer names: of ATT&CK, of the Navigator, of the layer's format."""


def coverage(rules: Sequence[Rule]) -> Mapping[str, Mapping[str, list[str]]]:
    """The ATT&CK for ICS matrix: tactic → technique → rules that cover it."""
    matrix: dict[str, dict[str, list[str]]] = {}
    for technique in attack.techniques().values():
        covering = sorted(rule.name for rule in rules if rule.alerts and technique.id in rule.techniques)
        for tactic in technique.tactics:
            matrix.setdefault(tactic, {})[technique.id] = covering
    return matrix


def table(matrix: Mapping[str, Mapping[str, list[str]]]) -> Iterator[str]:
    """A line for each technique, under its tactic: identifier, what it was called before, name, and how many rules cover it."""
    for tactic, techniques in matrix.items():
        covered = sum(bool(names) for names in techniques.values())
        yield f"{attack.tactics()[tactic]}: {covered} of {len(techniques)} techniques"
        for name, rules in techniques.items():
            known = attack.techniques()[name]
            earlier = f" ({', '.join(known.aliases)})" if known.aliases else ""
            yield f"  {len(rules):>3}  {name + earlier:<20} {known.name}" + (f": {', '.join(rules)}" if rules else "")


def fields(matrix: Mapping[str, Mapping[str, list[str]]]) -> list[dict[str, Any]]:
    """The matrix for machines: one entry for each technique of each tactic."""
    return [
        {
            "tactic": tactic,
            "technique": name,
            "name": attack.techniques()[name].name,
            "aliases": list(attack.techniques()[name].aliases),
            "rules": rules,
        }
        for tactic, techniques in matrix.items()
        for name, rules in techniques.items()
    ]


def layer(matrix: Mapping[str, Mapping[str, list[str]]]) -> dict[str, Any]:
    """The matrix as a layer of the ATT&CK Navigator (layer format 4.5): the score of a technique is the number of its rules."""
    entries = fields(matrix)
    most = max((len(entry["rules"]) for entry in entries), default=0)
    return {
        "name": "icsight",
        "versions": LAYER,
        "domain": "ics-attack",
        "description": "Techniques of ATT&CK for ICS that the rules of this installation name.",
        "sorting": 3,
        "hideDisabled": False,
        "gradient": {"colors": ["#ffffff", "#2f7ed8"], "minValue": 0, "maxValue": max(1, most)},
        "techniques": [
            {
                "techniqueID": entry["technique"],
                "tactic": entry["tactic"],
                "score": len(entry["rules"]),
                "comment": ", ".join(entry["rules"]),
                "enabled": True,
                "metadata": [{"name": "earlier identifier", "value": alias} for alias in entry["aliases"]],
                "showSubtechniques": True,
            }
            for entry in entries
        ],
    }
