"""What goes into documents: plain texts by name, so that a template decides about nothing but their places. Pure.

What is not known is an empty list, or says that it is not known; nothing is made up.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast, get_args, get_origin, get_type_hints
from zoneinfo import ZoneInfo

from api.times import NANOSECONDS

_EXAMPLE: Final = "text & <text>\n文字"

NOTHING: Final = "—"
"""Stands where there is nothing to say."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class About:
    """The incident that a document is about."""

    number: str
    title: str
    summary: str
    """What happened, as people wrote it; empty where nobody has."""
    state: str
    grade: str
    category: str
    lead: str
    declared_by: str
    reported_by: str
    occurred: str
    discovered: str
    declared: str
    resolved: str
    closed: str
    disposition: str


@dataclass(frozen=True, slots=True)
class Said:
    """One thing that a report contains."""

    key: str
    name: str
    text: str
    """As it was written; says that it is missing where it is."""
    needed: bool
    missing: bool


@dataclass(frozen=True, slots=True)
class Report:
    """A report that the law asks for."""

    title: str
    regime: str
    citation: str
    operator: str
    site: str
    incident: About
    drill: bool
    approved: bool
    """Whether a second person has approved what it says."""
    to: str
    channel: str
    clause: str
    certainty: str
    """How sure the text is that the rule follows."""
    note: str
    rules_version: str
    state: str
    due: str
    late: bool
    written_by: str
    approved_by: str
    approved_at: str
    submitted_by: str
    submitted_at: str
    submitted_by_way_of: str
    receipt: str
    contents: list[Said]
    """What it contains, in the order of the rule."""
    content: dict[str, str]
    """The same by key; empty for what another report contains."""
    missing: list[str]
    """Names of what it must say and does not."""
    made_at: str
    made_by: str
    version: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class Grade:
    """What a scheme makes of the incident, and what a person decided."""

    scheme: str
    citation: str
    decided: str
    proposed: str
    reason: str
    by: str
    at: str
    met: list[str]
    """Conditions that are met, with what is known."""
    unknown: list[str]
    """What it asks for and is not known."""


@dataclass(frozen=True, slots=True)
class Due:
    """A report in a summary."""

    title: str
    regime: str
    to: str
    due: str
    state: str
    late: bool
    missing: list[str]


@dataclass(frozen=True, slots=True)
class Task:
    """A task that is not done."""

    title: str
    role: str
    owner: str
    due: str
    state: str
    mandatory: bool
    overdue: bool


@dataclass(frozen=True, slots=True)
class Touched:
    """A device that alerts of the incident are about."""

    name: str
    address: str
    zone: str
    criticality: str
    alerts: str


@dataclass(frozen=True, slots=True)
class Raised:
    """An alert of the incident."""

    at: str
    severity: str
    title: str
    client: str
    server: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the timeline."""

    at: str
    by: str
    text: str
    note: str
    source: str


@dataclass(frozen=True, slots=True)
class Summary:
    """An incident for who answers for the plant."""

    operator: str
    site: str
    incident: About
    drill: bool
    grades: list[Grade]
    obligations: list[Due]
    tasks: list[Task]
    """Those that are not done."""
    tasks_done: str
    assets: list[Touched]
    alerts: list[Raised]
    alert_count: str
    timeline: list[Line]
    gaps: list[str]
    """What is not known or was not seen."""
    made_at: str
    made_by: str
    version: str
    time_zone: str


def plain(content: Report | Summary) -> dict[str, Any]:
    """Contents as templates are filled with them."""
    return asdict(content)


def shape(kind: type[Report | Summary], keys: list[str], *, full: bool = True, many: bool = False) -> dict[str, Any]:
    """What there is in a document: a text for each text, one element in each list (`full`), or nothing anywhere.

    Args:
        kind: the document.
        keys: what `content` of a report has.
        full: whether there is something.
        many: whether there is as much as there may be: three elements in each list, and long texts.
    """
    return cast("dict[str, Any]", _example(kind, keys, (3 if many else 1) if full else 0))


def _example(kind: Any, keys: list[str], count: int) -> Any:
    said = _EXAMPLE if count == 1 else _EXAMPLE * 100 * count
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return {each.name: _example(hints[each.name], keys, count) for each in fields(kind)}
    if kind is bool:
        return count > 0
    if get_origin(kind) is list:
        return [_example(get_args(kind)[0], keys, count) for _ in range(count)]
    if get_origin(kind) is dict:
        return dict.fromkeys(keys, said)
    return said


def local(moment: int | None, zone: str) -> str:
    """A time as people of a place read it, with the distance from UTC."""
    if moment is None:
        return NOTHING
    at = (_EPOCH + timedelta(seconds=moment // NANOSECONDS)).astimezone(ZoneInfo(zone))
    return at.isoformat(sep=" ", timespec="seconds")
