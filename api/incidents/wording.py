"""What lines of the timeline keep by a key, in words: reports and their parts, grades and facts, playbooks, what was changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from api.incidents.grading import grading
from api.obligations import rules
from api.playbooks.content import built_in
from api.texts import catalogue, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from api.incidents.grading import Named


MOST_NAMED: Final = 3
"""More parts of a report, or facts, than this are counted, not named: names are long."""


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
            known = catalogue(language)
            return {"fields": _joined((known.get(f"timeline.field.{name}", name) for name in _split(detail["fields"])), language)}
        case "playbook_begun":
            return _of_playbook(detail, language)
        case _:
            return _of_report(detail, language) if kind.startswith("obligation_") else {}


def _of_playbook(detail: Mapping[str, Any], language: str) -> dict[str, str]:
    if "title" in detail:
        return {"playbook": detail["title"][language]}
    # Lines of earlier versions have no title; a site's own playbook may have a key of the product's, but never its version.
    playbook = built_in().get(detail["playbook"])
    return {"playbook": playbook.title.text(language)} if playbook and playbook.version == detail.get("version") else {}


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
    split = _split(keys)
    if len(split) > MOST_NAMED:
        return text(language, "timeline.of_many", count=len(split))
    return _joined((names[key].name(language) if key in names else key for key in split), language)


def _split(keys: str) -> list[str]:
    return [key for key in keys.split(", ") if key]


def _joined(names: Iterable[str], language: str) -> str:
    return ("；" if language == "zh-CN" else "; ").join(names) or "–"
