"""An open alert as what is said of it: texts, techniques, rank."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from detection import attack
from detection.alerts import Alert, Related
from detection.anomaly import accepting
from detection.anomaly.table import MODEL
from detection.baseline import kinds
from detection.deviation import DERIVED, KIND, RARE
from detection.sigma.correlate import AMOUNT
from detection.sigma.measure import MEASURES
from detection.sigma.rule import LANGUAGES, LEVELS
from detection.texts import written

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from detection.opened import OpenAlert
    from detection.sigma.rule import Rule
    from detection.site import Site
    from detection.stories import Told

WEIGHTS: Final = {level: float(2**position) for position, level in enumerate(LEVELS)}
"""Weight of a severity in the rank: each level counts twice the one below."""


def upsert(known: OpenAlert, rules: Mapping[str, Rule], site: Site, story: Told | None = None, weight: int = 0) -> Alert:
    """The alert as it stands.

    Args:
        known: what is remembered of it.
        rules: all rules by name.
        site: facts of the site.
        story: the story that it is part of, if there is one to tell.
        weight: how much of the story is known; it rises with all that changes in it.
    """
    rule = rules[known.rule]
    counted = known.sample.get("count")
    measured = dict.fromkeys(MEASURES, known.sample.get(AMOUNT))
    fields = {**known.sample, **measured, "count": known.count, "event_count": counted, "value_count": counted}
    techniques = techniques_of(rule, (rules[name] for name in known.related if name in rules))
    related = [
        Related(
            rule=name,
            title={language: rules[name].text(language).title for language in LANGUAGES},
            severity=rules[name].level,
            count=part.count,
            first_seen=part.first,
            last_seen=part.last,
            records=tuple(identity for *_, identity in part.places),
        )
        for name, part in known.related.items()
        if name in rules
    ]
    related.sort(key=lambda each: (-LEVELS.index(each.severity), each.rule))
    target = {name: fields.get(name) for name in rule.target}
    factor = max(criticality(known.server, target.values(), site), known.criticality)
    # A correlation of both derived tables has the columns of both, and the values of that of its latest record.
    sures = (known.sample.get(f"{table}.confidence") for table in DERIVED)
    confidence = rule.confidence * next((float(sure) for sure in sures if sure is not None), 1.0)
    told_elsewhere = (known.parent is not None) + (known.digest is not None)
    return Alert(
        id=known.id,
        # It rises with each finding, when the alert becomes part of another or of a digest, and with its story.
        revision=known.count + sum(part.count for part in known.related.values()) + told_elsewhere + weight,
        rule=rule.name,
        severity=rule.level,
        confidence=confidence,
        rank=round(WEIGHTS[rule.level] * confidence * factor * (1.0 if story is None else story.factor), 6),
        first_seen=known.seen[0],
        last_seen=known.seen[1],
        count=known.count,
        client_ip=known.client,
        server_ip=known.server,
        body={
            "texts": {language: written(rule.text(language), fields) for language in LANGUAGES},
            "target": target,
            "posture": rule.posture,
            "techniques": techniques,
            "technique_aliases": [alias for name in techniques for alias in attack.techniques()[name].aliases],
            "records": [*known.records_first, *known.records_last],
            "related": [asdict(each) for each in related],
            "part_of": known.parent or known.digest,
            "exception": _exception(known.exception, site),
            "story": None if story is None else story.fields(),
            "accept": _acceptable(known),
        },
    )


def _exception(name: str | None, site: Site) -> dict[str, Any] | None:
    """What the alert says of the exception that hides it; only its name where the site has it no more."""
    if name is None:
        return None
    return next((each.fields() for each in site.exceptions if each.name == name), {"name": name})


def _acceptable(known: OpenAlert) -> dict[str, Any] | None:
    """What a person would accept as normal who accepts a deviation or an anomaly, as a decision names it; None for what is none.

    What was rare while learning is named by the facts that were set apart then, and by nothing else between the same hosts.
    """
    sample = known.sample
    if sample.get(MODEL) is not None:
        return accepting.fields_of(sample, known.client, known.server)
    kind, rare = sample.get(KIND), sample.get(KIND) == RARE
    fact = str(sample.get("deviation.fact")) if rare else kind
    if fact is None or fact not in kinds.KINDS:
        return None
    client, server = kinds.scope(fact, known.client, known.server)
    if rare and fact == "conversation" and sample.get("deviation.things") != 1:
        # A sweep over servers is one row, which shows the first of them.
        server = ""
    elif known.server is None and "server" in kinds.KINDS[fact].key:
        # Of many servers none is named: to accept it would accept the same everywhere.
        return None
    if not client and not server:
        return None
    named = dict(known.target)
    operation, unit = str(sample.get("deviation.operation") or ""), named.get("modbus.unit_id") or ""
    point = next((named[name] for name in ("deviation.point", "deviation.operation") if named.get(name)), "")
    if rare:
        point = operation if "operation" in kinds.KINDS[fact].key or fact == "block" else ""
    return {
        "kind": fact, "client": client, "server": server, "point": point, "operation": operation,
        "unit": unit if rare and unit != "None" else "", "rare": rare,
    }  # fmt: skip


def criticality(server: str | None, target: Iterable[object], site: Site) -> float:
    """The highest factor of the server and of what an alert is about; 1 where the site names none."""
    return max((site.critical.get(str(name), 0.0) for name in (server, *target)), default=0.0) or 1.0


def breadth(rule: Rule) -> int:
    """How much a rule says: 0 only circumstances, 1 what was done, 2 that it was done with many values: a sweep."""
    if rule.section.about != "act":
        return 0
    sweeps = rule.correlation is not None and rule.correlation.type.name == "VALUE_COUNT" and not rule.section.newcomers
    return 2 if sweeps else 1


def techniques_of(rule: Rule, related: Iterable[Rule]) -> list[str]:
    """Techniques of an alert: its rule's own, then those of what belongs to it, graver and acts first."""
    others = sorted(related, key=lambda each: (-LEVELS.index(each.level), -breadth(each), each.name))
    named = (name for each in (rule, *others) for name in each.techniques)
    return [name for name in dict.fromkeys(named) if name in attack.techniques()]
