"""Rules of others: what of a Sigma file can run here, what cannot and why, by file and line."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import yaml
from sigma.rule import SigmaRule

from detection.deviation import TABLES
from detection.sigma.check import site_of
from detection.sigma.proof import sound, unproved
from detection.sigma.rule import Fault, Rule, load, parse_sound, rules_folder, texts_of
from detection.site import Site

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

STATUS_FILE: Final = "import.json"
"""What became of each rule, beside the rules that were imported."""

Status = Literal["imported", "refused", "feeds", "unproved"]
"""imported: it runs and a record of its own fires it; unproved: it runs, and no record could be made that fires it; feeds: it has
no level, so that it only feeds correlations; refused: it cannot run."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one rule, or of a file that cannot be read."""

    file: str
    line: int
    """Line of the reason, or where the rule begins, from 1."""
    rule: str
    status: Status
    reason: str

    def __str__(self) -> str:
        """One line: file, line, rule, what became of it."""
        return f"{self.file}:{self.line}: {self.rule or 'the file'}: {self.status}" + (f": {self.reason}" if self.reason else "")


def import_rules(paths: Sequence[Path], folder: Path) -> list[Outcome]:
    """Put what can run into a folder, and say what became of each rule; in order of file and line.

    Raises:
        RuleError: there is no file.
        OSError: the folder cannot be written.
    """
    texts = texts_of(paths)
    rules, faults = parse_sound(texts)
    left, more = sound(_of_tables(rules, faults), Site())
    left, facts = sound(left, site_of(left))
    faults += [*more, *facts, *_taken(left)]
    gone = {(fault.path, fault.rule) for fault in faults}
    left = [rule for rule in left if (rule.path, rule.name) not in gone]
    doubts = {fault.rule: fault.text for fault in unproved(left)}
    outcomes = [Outcome(str(fault.path), _line(texts[fault.path], fault), fault.rule, "refused", fault.text) for fault in faults]
    for rule in left:
        status: Status = "unproved" if rule.name in doubts else "imported" if rule.alerts else "feeds"
        line = _line(texts[rule.path], Fault(rule.path, str(rule.sigma.title), ""))
        outcomes.append(Outcome(str(rule.path), line, rule.name, status, doubts.get(rule.name, "")))
    outcomes.sort(key=lambda outcome: (outcome.file, outcome.line, outcome.rule))
    _write(left, outcomes, folder)
    return outcomes


def _of_tables(rules: list[Rule], faults: list[Fault]) -> list[Rule]:
    """The rules for tables that there are, and correlations; for the others a fault is added."""
    kept: list[Rule] = []
    for rule in rules:
        if isinstance(rule.sigma, SigmaRule) and (rule.sigma.logsource.product != "ot" or rule.table not in TABLES):
            source = rule.sigma.logsource
            parts = (source.product, source.category, source.service)
            named = "/".join(str(part) for part in parts if part) or "nothing"
            text = f"log source {named} is not supported: product ot, service one of {', '.join(TABLES)}"
            faults.append(Fault(rule.path, rule.name, text))
        else:
            kept.append(rule)
    names = {name for rule in kept for name in (rule.name, rule.id)}
    fallen = [rule for rule in kept if set(rule.sources) - names]
    faults += [Fault(rule.path, rule.name, "rests on a rule that cannot be used") for rule in fallen]
    return [rule for rule in kept if rule not in fallen]


def _taken(rules: Sequence[Rule]) -> list[Fault]:
    """Rules whose name a rule of the product has."""
    own = {rule.name for rule in load([rules_folder()])}
    return [Fault(rule.path, rule.name, "a rule of the product has that name: rename it") for rule in rules if rule.name in own]


def _line(text: object, fault: Fault) -> int:
    """The line of a file that a fault is about: where what it names stands, in the rule that it names; else where that begins."""
    lines = text.splitlines() if isinstance(text, str) else []
    begins = [0, *(place + 1 for place, line in enumerate(lines) if line.rstrip() == "---")]
    ours = [begin for begin in begins if fault.rule and _named(lines[begin : _end(begins, begin, len(lines))], fault.rule)]
    start = ours[0] if ours else 0
    words = [word.strip(":,'\"") for word in fault.text.split()]
    named = [word for word in words if "." in word and not word.endswith(".")]
    for place in range(start, _end(begins, start, len(lines))):
        if any(word in lines[place] for word in named):
            return place + 1
    return start + 1


def _named(lines: Sequence[str], rule: str) -> bool:
    """Whether a document is the rule of that name or title."""
    heads = [line.split(":", 1)[1].strip().strip("'\"") for line in lines if line.startswith(("name:", "title:"))]
    return rule in heads or rule in {"_".join("".join(c if c.isalnum() else " " for c in head.lower()).split()) for head in heads}


def _end(begins: Sequence[int], begin: int, size: int) -> int:
    return next((place - 1 for place in begins if place > begin), size)


def _write(rules: Sequence[Rule], outcomes: Sequence[Outcome], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, list[dict[str, Any]]] = {}
    for rule in rules:
        files.setdefault(rule.path.stem, []).append(dict(rule.content))
    for name, documents in files.items():
        text = yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True, width=120)
        (folder / f"{name}.yml").write_text(text, encoding="utf-8")
    status = json.dumps([asdict(outcome) for outcome in outcomes], ensure_ascii=False, indent=1)
    (folder / STATUS_FILE).write_text(status + "\n", encoding="utf-8")
