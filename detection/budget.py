"""The alarm budget of a site: how many alerts people can look at, and digests for those that are more. Pure.

It is one budget for all sensors of the site. A budget is one or more limits, each so many alerts in a window of event time
(windows follow one another from midnight UTC). While a window has more than its limit, its lowest ranked alerts are folded into a
digest, one for each window, which counts as one alert and names what it holds. High and critical alerts always pass; nothing is
dropped: what a digest holds is kept as it is, as part of the digest.

Alerts are weighed as they begin, by what is then fixed (level, confidence of the rule, how critical the target is), in the order
in which `sitewide` has them begin: so the same alerts are folded however records are cut. What is folded stays folded; an alert
that becomes part of a stronger one gives its place back.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, cast

from detection.alerts import Alert
from detection.phrases import phrase
from detection.sigma.rule import LANGUAGES, LEVELS
from detection.upsert import techniques_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from detection.limits import Limit
    from detection.opened import OpenAlert
    from detection.sigma.rule import Rule

DIGEST: Final = "digest"
"""What stands for the rule of a digest."""

KEPT_BY: Final[tuple[str, ...]] = ()
"""Columns by which budgets are kept apart: there are none, for a site has one."""

NAMED: Final = 100
"""Alerts that a digest names by id; all are counted."""

PASSING: Final = LEVELS.index("high")
"""Alerts of this level and above always pass."""

WINDOWS: Final = 3
"""Windows of a limit that are held, those in which an alert began last: sensors are not at one time to the nanosecond, and
records of another day may come beside today's. An alert that begins in one that is held no more begins it anew."""


@dataclass(frozen=True, slots=True)
class Window:
    """What has been spent of a limit in a window."""

    start: int
    kept: Mapping[str, float] = field(default_factory=dict[str, float])
    """Alerts that could be folded, in the order in which they began, with their weight."""
    passed: int = 0
    """Alerts that always pass."""
    digests: int = 0
    """Digests in it, its own included."""
    digest: str | None = None
    """Id of its own."""

    @property
    def size(self) -> int:
        """Alerts that people see of it."""
        return len(self.kept) + self.passed + self.digests


@dataclass(frozen=True, slots=True)
class Digest:
    """What a digest holds."""

    id: str
    limit: str
    start: int
    """Begin of its window, nanoseconds since 1970."""
    count: int = 0
    rules: Mapping[str, tuple[int, int, int]] = field(default_factory=dict[str, "tuple[int, int, int]"])
    """By rule: how many alerts, and when the first and the last of them began."""
    alerts: tuple[str, ...] = ()
    """Ids of the first of them."""
    weight: float = 0.0
    """The highest of their weights."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What has been spent of the budget of one site."""

    windows: Mapping[tuple[int, int], Window] = field(default_factory=dict[tuple[int, int], Window])
    """By length in seconds and begin; those in which an alert began last come last."""
    digests: Mapping[str, Digest] = field(default_factory=dict[str, Digest])
    """Those of these windows."""
    folded: int = 0
    """Alerts folded so far."""

    def fields(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "windows": [[seconds, asdict(window)] for (seconds, _), window in self.windows.items()],
            "digests": [asdict(digest) for digest in self.digests.values()],
            "folded": self.folded,
        }

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Spent:
        """What `fields` wrote."""
        held = [(int(seconds), Window(**window)) for seconds, window in fields["windows"]]
        windows = {(seconds, window.start): window for seconds, window in held}
        digests: dict[str, Digest] = {}
        for each in cast("list[dict[str, Any]]", fields["digests"]):
            rules = {str(name): (int(count), int(first), int(last)) for name, (count, first, last) in each["rules"].items()}
            whole: dict[str, Any] = {**each, "rules": rules, "alerts": tuple(map(str, each["alerts"]))}
            digests[each["id"]] = Digest(**whole)
        return cls(windows, digests, int(fields["folded"]))


class Purse:
    """The budget while alerts begin.

    Args:
        spent: what has been spent of it.
        limits: the limits, longest window first.
        site: name of the site.
        open_: whether an alert is still open: one that is not has been told as it is, and stays so.
    """

    def __init__(self, spent: Spent, limits: Sequence[Limit], site: str, open_: Callable[[str], bool]) -> None:
        self._limits = limits
        self._site = site
        self._is_open = open_
        lengths = {limit.seconds for limit in limits}
        self._windows = {key: window for key, window in spent.windows.items() if key[0] in lengths}
        self._digests = dict(spent.digests)
        self._folded = spent.folded
        self.changed: dict[str, Digest] = {}

    def begin(self, name: str, level: int, weight: float, at: int) -> Iterator[tuple[str, str]]:
        """Spend on an alert that begins at this time; the alerts that are folded for it, each with its digest."""
        there = [(limit, (limit.seconds, at - at % limit.window_ns)) for limit in self._limits]
        for _, key in there:
            window = self._windows.pop(key, None) or Window(key[1])
            if level >= PASSING:
                window = replace(window, passed=window.passed + 1)
            else:
                window = replace(window, kept={**window.kept, name: weight})
            self._windows[key] = window
            for oldest in [each for each in self._windows if each[0] == key[0]][:-WINDOWS]:
                del self._windows[oldest]
        while (over := self._over(there)) is not None:
            limit, key = over
            window = self._windows[key]
            # The lowest ranked, of those the last.
            lowest = min(filter(self._is_open, reversed(list(window.kept))), key=lambda each: window.kept[each])
            digest = window.digest or self._open(limit, there, lowest)
            self._digests[digest] = replace(self._digests[digest], weight=max(self._digests[digest].weight, window.kept[lowest]))
            self.release(lowest)
            self._folded += 1
            yield lowest, digest

    def hold(self, digest: str, alert: OpenAlert) -> None:
        """Write down in a digest that it holds this alert."""
        known = self._digests[digest]
        count, first, last = known.rules.get(alert.rule, (0, alert.first, alert.first))
        rules = {**known.rules, alert.rule: (count + 1, min(first, alert.first), max(last, alert.first))}
        alerts = (*known.alerts, alert.id)[:NAMED]
        self._digests[digest] = self.changed[digest] = replace(known, count=known.count + 1, rules=rules, alerts=alerts)

    def release(self, name: str) -> None:
        """Give back the place of an alert that people do not see any more."""
        for key, window in self._windows.items():
            if name in window.kept:
                self._windows[key] = replace(window, kept={each: way for each, way in window.kept.items() if each != name})

    @property
    def kept(self) -> set[str]:
        """Alerts that may still be folded."""
        return {name for window in self._windows.values() for name in window.kept}

    def spent(self) -> Spent:
        """What has been spent now."""
        going = {window.digest for window in self._windows.values()}
        return Spent(self._windows, {name: each for name, each in self._digests.items() if name in going}, self._folded)

    def _over(self, there: Sequence[tuple[Limit, tuple[int, int]]]) -> tuple[Limit, tuple[int, int]] | None:
        """Of these windows the longest that has more than its limit, and something that can be folded."""
        for limit, key in there:
            window = self._windows[key]
            if window.size > limit.alerts and any(map(self._is_open, window.kept)):
                return limit, key
        return None

    def _open(self, limit: Limit, there: Sequence[tuple[Limit, tuple[int, int]]], first: str) -> str:
        """Begin the digest of the one of these windows that has this limit; it counts in that and in longer ones."""
        start = next(key[1] for each, key in there if each == limit)
        cause = (self._site, DIGEST, str(limit), str(start), first)
        name = hashlib.blake2b("\x1f".join(cause).encode(), digest_size=16).hexdigest()
        self._digests[name] = Digest(name, str(limit), start)
        for each, key in there:
            window = self._windows[key]
            if each == limit:
                window = replace(window, digest=name)
            if each.seconds >= limit.seconds:
                window = replace(window, digests=window.digests + 1)
            self._windows[key] = window
        return name


def digest_alert(digest: Digest, rules: Mapping[str, Rule]) -> Alert:
    """A digest as an alert."""
    held = sorted(
        (name for name in digest.rules if name in rules),
        key=lambda name: (-LEVELS.index(rules[name].level), -digest.rules[name][0], name),
    )
    return Alert(
        id=digest.id,
        revision=digest.count,
        rule=DIGEST,
        severity=rules[held[0]].level if held else LEVELS[0],
        confidence=1.0,
        rank=round(digest.weight, 6),
        first_seen=min((first for _, first, _ in digest.rules.values()), default=digest.start),
        last_seen=max((last for *_, last in digest.rules.values()), default=digest.start),
        count=max(1, digest.count),
        client_ip=None,
        server_ip=None,
        body={
            "texts": {language: _texts(digest, [rules[name] for name in held], language) for language in LANGUAGES},
            "target": {},
            "posture": False,
            "techniques": list(dict.fromkeys(each for name in held for each in techniques_of(rules[name], ()))),
            "technique_aliases": [],
            "records": [],
            "related": [],
            "part_of": None,
            "exception": None,
            "story": None,
            "accept": None,
            "holds": list(digest.alerts),
        },
    )


def _texts(digest: Digest, held: Sequence[Rule], language: str) -> dict[str, Any]:
    kinds = phrase(language, "and").join(
        phrase(language, "digest.kind", title=rule.text(language).title, count=digest.rules[rule.name][0]) for rule in held
    )
    said = {"count": digest.count, "limit": digest.limit, "kinds": kinds}
    texts = {name: phrase(language, f"digest.{name}", **said) for name in ("title", "summary", "expected", "observed")}
    return {**texts, "next_steps": [phrase(language, "digest.next_1"), phrase(language, "digest.next_2")]}
