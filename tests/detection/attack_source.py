"""`detection/attack.json`, made of what MITRE published: `python -m tests.detection.attack_source` writes it.

`attack-ics.json` beside this file holds the techniques of release 18.1, and what release 19 renamed and added. A technique that
was renamed keeps its tactics and its old identifier as an alias; the technique above it serves the tactics of all below it, and
one that is new serves those of the technique above it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

SOURCE: Final = Path(__file__).with_name("attack-ics.json")
MADE: Final = Path(__file__).resolve().parents[2] / "detection" / "attack.json"


def made() -> str:
    """The content of `detection/attack.json`."""
    source = json.loads(SOURCE.read_text(encoding="utf-8"))
    techniques: dict[str, dict[str, Any]] = {}
    for each in source["techniques"]:
        renamed = source["renamed_in_19"].get(each["id"])
        new = each if renamed is None else renamed
        aliases = [] if renamed is None else [each["id"]]
        techniques[new["id"]] = {"name": new["name"], "tactics": sorted(each["tactics"]), "aliases": aliases}
    new_ones = {each["id"]: each for each in source["new_in_19"]}
    for name, each in new_ones.items():
        below = [entry for other, entry in techniques.items() if other.startswith(f"{name}.")]
        tactics = sorted({tactic for entry in below for tactic in entry["tactics"]})
        techniques.setdefault(name, {"name": each["name"], "tactics": tactics, "aliases": []})
    for name, each in new_ones.items():
        if each["parent"] is not None and not techniques[name]["tactics"]:
            techniques[name]["tactics"] = techniques[each["parent"]]["tactics"]
    content = {
        "source": "MITRE ATT&CK for ICS, release 19 (28 April 2026). (c) The MITRE Corporation; "
        "reproduced with permission under the ATT&CK terms of use.",
        "tactics": {name: each["name"] for name, each in source["tactics"].items()},
        "techniques": {name: techniques[name] for name in sorted(techniques)},
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    MADE.write_text(made(), encoding="utf-8")
