"""What messages say: made of notices once, in the channel's language, and the same at each try. Pure.

Messages leave the site. They say that there is something, what kind of thing, how urgent, and where to look; addresses and what
people wrote are in them only where the channel says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypedDict
from zoneinfo import ZoneInfo

from api.alerts.models import SEVERITIES
from api.texts import text
from api.times import NANOSECONDS, iso

if TYPE_CHECKING:
    from collections.abc import Sequence

READ: Final = 20
"""Notices that a message for people has in full; the others it counts."""

FOR_PROGRAMS: Final = frozenset({"webhook", "syslog"})
"""Kinds of channels whose messages have all notices, for programs."""

TITLE_CHARACTERS: Final = 120

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

GRADES: Final = ("", "I", "II", "III", "IV")


class Item(TypedDict):
    """One notice as it is told. Fields that are not told are absent from `told`."""

    kind: str
    subject: str
    occasion: str
    why: str
    urgency: str
    at: str
    line: str
    told: dict[str, Any]


class Content(TypedDict):
    """What a message says."""

    title: str
    lines: list[str]
    items: list[Item]


@dataclass(frozen=True, slots=True)
class Fact:
    """What is known of a notice, before it is known to whom it goes.

    Attributes:
        kind: alert, incident or obligation.
        occasion: what happened to it.
        why: why it is told now: first, repeat, escalation.
        urgency: position in the alerts' severities.
        at: when it came up.
        named: what its text is filled with, beside what every text has.
        texts: what more it is filled with, by name and language.
        private: what more there is to say where the channel may: addresses, titles that people gave.
    """

    kind: str
    subject: str
    occasion: str
    why: str
    urgency: int
    at: int
    named: dict[str, Any]
    texts: dict[str, dict[str, str]]
    private: dict[str, str]


@dataclass(frozen=True, slots=True)
class Form:
    """How a channel wants it.

    Attributes:
        language: language of the texts.
        private: whether what is private may be told.
        programs: whether a program reads it, and wants all.
        origin: `https://NAME` by which browsers call this system; empty where that is not known: then there are no links.
        zone: the site's time zone.
    """

    language: str
    private: bool
    programs: bool
    origin: str
    zone: str


def message(form: Form, site: str, facts: Sequence[Fact], held_back: int, most_per_hour: int) -> Content:
    """The message that tells these of a site, the most urgent first."""
    ranked = sorted(facts, key=lambda fact: (-fact.urgency, fact.at))
    items = [_item(form, fact) for fact in (ranked if form.programs else ranked[:READ])]
    lines: list[str] = []
    for item in items[:READ]:
        lines += [item["line"], *([item["told"]["link"]] if "link" in item["told"] else [])]
    if len(facts) > READ:
        lines.append(text(form.language, "notice.more", count=len(facts) - READ))
    if held_back:
        lines.append(text(form.language, "notice.held_back", count=held_back, most=most_per_hour))
    named = site or text(form.language, "notice.site_unnamed")
    if len(facts) == 1:
        title = text(form.language, "notice.title.one", site=named, what=items[0]["told"]["what"])
    else:
        worst = text(form.language, f"severity.{SEVERITIES[ranked[0].urgency]}")
        title = text(form.language, "notice.title.many", site=named, count=len(facts), severity=worst)
    return {"title": one_line(title)[:TITLE_CHARACTERS], "lines": lines, "items": items}


def test(form: Form, channel: str) -> Content:
    """A message that only tries a channel."""
    return {
        "title": text(form.language, "notice.title.test"),
        "lines": [text(form.language, "notice.test", channel=channel)],
        "items": [],
    }


def _item(form: Form, fact: Fact) -> Item:
    language = form.language
    # An alert that lacks a language is told in another; that it is told matters more.
    texts = {name: told.get(language) or next(iter(told.values()), "") for name, told in fact.texts.items()}
    named: dict[str, Any] = {**fact.named, **texts}
    severity = text(language, f"severity.{SEVERITIES[fact.urgency]}")
    what = one_line(
        text(language, f"notice.what.{_kind_of_text(fact)}", **{**named, "due": local(named.get("due_at"), form.zone)})
    )
    line = text(language, f"notice.line.{fact.why}", severity=severity, what=what, at=local(fact.at, form.zone))
    told: dict[str, Any] = {**named, "what": what}
    if form.private:
        told |= fact.private
        line += "".join(f" · {one_line(value)}" for value in fact.private.values())
    if form.origin and fact.kind == "alert":
        told["link"] = f"{form.origin}/#{fact.subject}"
    return {
        "kind": fact.kind, "subject": fact.subject, "occasion": fact.occasion, "why": fact.why,
        "urgency": SEVERITIES[fact.urgency], "at": iso(fact.at), "line": line, "told": told,
    }  # fmt: skip


def _kind_of_text(fact: Fact) -> str:
    """Which text says what it is."""
    return f"{fact.kind}.{fact.occasion.partition('-')[0]}" if fact.kind != "obligation" else "obligation"


def local(moment: int | None, zone: str) -> str:
    """A time by the clock on the site's wall, to the minute, with how far that is from UTC."""
    if moment is None:
        return "–"
    there = (_EPOCH + timedelta(seconds=moment // NANOSECONDS)).astimezone(ZoneInfo(zone))
    return f"{there:%Y-%m-%d %H:%M} {there:%z}"


def one_line(told: str) -> str:
    """A text without what would break a line, a header or a frame."""
    return " ".join("".join(each if each.isprintable() else " " for each in told).split())


def fitting(lines: Sequence[str], size_bytes: int, rest: str) -> str:
    """As many lines as fit into a number of bytes; where some do not, the last says so."""
    whole = "\n".join(lines)
    if len(whole.encode()) <= size_bytes:
        return whole
    kept = list(lines)
    while kept and len("\n".join([*kept, rest]).encode()) > size_bytes:
        kept.pop()
    return "\n".join([*kept, rest])
