"""ATT&CK for ICS: the techniques that rules may name, release 19, with the identifiers of earlier releases as aliases."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sigma.rule import SigmaRuleTag


@dataclass(frozen=True, slots=True)
class Technique:
    """A technique of ATT&CK for ICS."""

    id: str
    """Identifier in release 19, as in T1692.001."""
    name: str
    """Name in release 19."""
    tactics: tuple[str, ...]
    """Short names of the tactics that it serves."""
    aliases: tuple[str, ...]
    """Identifiers that it had in earlier releases."""


@cache
def techniques() -> Mapping[str, Technique]:
    """All techniques by identifier."""
    content = json.loads(files("detection").joinpath("attack.json").read_text(encoding="utf-8"))
    return {
        name: Technique(name, entry["name"], tuple(entry["tactics"]), tuple(entry["aliases"]))
        for name, entry in content["techniques"].items()
    }


@cache
def tactics() -> Mapping[str, str]:
    """Names of the tactics by short name."""
    content = json.loads(files("detection").joinpath("attack.json").read_text(encoding="utf-8"))
    return content["tactics"]


def same(one: str, other: str) -> bool:
    """Whether two identifiers of release 19 name one technique, or one of them a sub-technique of the other."""
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def named_by(tags: list[SigmaRuleTag]) -> list[str]:
    """Identifiers of the techniques that a rule's tags name (`attack.t0846`), whether they exist or not."""
    return [tag.name.upper() for tag in tags if tag.namespace == "attack" and tag.name[:1] in "tT" and tag.name[1:2].isdigit()]
