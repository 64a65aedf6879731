"""What lines of the timeline keep by a key, in words: reports and their parts, grades and facts, playbooks, what was changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.incidents.grading import grading
from api.obligations import rules
from api.playbooks.content import built_in
from api.texts import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from api.incidents.grading import Named


def words(kind: str, detail: Mapping[str, Any], language: str) -> dict[str, str]:
    """What is said in place of details of a line. What has no name, as what an earlier version knew, is told by its key.

    Args:
        kind: kind of the line.
        detail: what the line keeps.
        language: of the words.
    """
    match kind:
        case "graded":
            return _graded(detail, language)
        case "facts":
            return {"fields": _in_a_row(detail["fields"], {each.key: each for each in grading().metrics}, language)}
        case "changed" | "review_written":
            names = (text(language, f"timeline.field.{name}") if name != "–" else name for name in _split(detail["fields"]))
            return {"fields": _joined(names, language)}
        case "playbook_begun":
            playbook = built_in().get(detail["playbook"])
            return {} if playbook is None else {"playbook": playbook.title.text(language)}
        case _:
            return _of_report(detail, language) if kind.startswith("obligation_") else {}


def _graded(detail: Mapping[str, Any], language: str) -> dict[str, str]:
    scheme = next((each.name(language) for each in grading().schemes if each.key == detail["scheme"]), detail["scheme"])
    levels = {name: detail[name] for name in ("before", "after", "proposed")}
    return {
        "scheme": scheme,
        **{name: str(level) if level == "–" else text(language, f"grade.{level}") for name, level in levels.items()},
    }


def _of_report(detail: Mapping[str, Any], language: str) -> dict[str, str]:
    versions = (rules.rule_set(), *rules.kept())
    named = next((each for version in versions for each in version.rules if each.key == detail["rule"]), None)
    told = {} if named is None else {"rule": named.name(language)}
    if "fields" in detail:
        contents = {each.key: each for version in reversed(versions) for each in version.contents}
        told["fields"] = _in_a_row(detail["fields"], contents, language)
    return told


def _in_a_row(keys: str, names: Mapping[str, Named], language: str) -> str:
    return _joined((names[key].name(language) if key in names else key for key in _split(keys)), language)


def _split(keys: str) -> list[str]:
    return [key for key in keys.split(", ") if key]


def _joined(names: Iterable[str], language: str) -> str:
    return ("、" if language == "zh-CN" else "; ").join(names)
