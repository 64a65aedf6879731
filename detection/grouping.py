"""Findings that share a cause become one alert. Pure: what is open is in the state.

Findings are one alert while they share rule, client, server and target and follow one another within the rule's window. Of
alerts about the same client and server that begin within an hour of one another, the strongest tells the others: weaker findings
that come after it attach to it without an alert of their own, and weaker alerts that came before it become part of it. Findings
of other rules that are as strong and come within ten minutes attach to the first, unless the two name different targets or are
different acts; but of two that are as strong, one that says what was done tells one that only says by whom, when,
where or how it was answered, and a sweep that of what was met on its way, whichever came first. Acts are different where their
rules have no technique in common: someone who clears counters and reads out a program has done two things.

A rule that counts servers at which findings of other rules lie gathers these: what one client does anew at many servers is one
alert about the client. It takes in the alerts of the rules that it counts, if they are no stronger, and nothing else, as long as
it goes on: what else was done at one of the servers is told there. What it gathers goes on telling what it would tell by itself.
Posture (how a server is set up) stands for itself, and so does what an exception of the site hides.

An alert names the techniques of all that it tells: its rule's own, then those of what belongs to it, the gravest first.

Everything is decided in the order in which findings become known (event, sequence, row): the same records give the same alerts
to the byte, however they are grouped into steps.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from detection import attack, stories
from detection.opened import RELATED_RECORDS, OpenAlert, Part
from detection.sessions import FIRST_RECORDS, LAST_RECORDS, sessions
from detection.sigma.rule import LEVELS
from detection.upsert import WEIGHTS, breadth, criticality

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collector.stream import Run
    from detection.rules import Findings
    from detection.sessions import Session
    from detection.sigma.rule import Rule
    from detection.site import Site

TOGETHER_NS: Final = 3_600_000_000_000
"""How far apart alerts about the same client and server may begin and still be told as one: an hour."""

EQUAL_NS: Final = 600_000_000_000
"""How far apart alerts of one level about the same client, server and target may begin and still be told as one: ten minutes."""

KEPT_BY: Final = ("client.ip",)
"""Columns by which open alerts are kept apart: one about all servers of a client takes in those about one."""

MANY: Final = 2
"""`breadth` of a rule that counts different values."""


@dataclass(frozen=True, slots=True)
class AlertState:
    """Open alerts of one run by id, oldest first."""

    open: Mapping[str, OpenAlert] = field(default_factory=dict[str, OpenAlert])
    forgotten: int = 0
    """Alerts let go because there were too many."""
    findings: int = 0
    """Records in findings so far."""
    since: int = 0
    """An alert whose last change is earlier can neither grow, nor take others in, nor become part of another."""


@dataclass(frozen=True, slots=True)
class Begun:
    """An alert that began and stands for itself: what the site's stories and its alarm budget are to know of it."""

    alert: OpenAlert
    order: tuple[int, int, int, str]
    """Where in the order of all records of its run its first finding became known, as of `Session`."""
    weight: float
    """What it is ranked by when it begins."""
    taken_in: tuple[str, ...]
    """Ids of the alerts that became part of it as it began."""


@dataclass(frozen=True, slots=True)
class Grouped:
    """What became of the findings of a step over one run."""

    begun: Sequence[Begun] = ()
    """In the order in which they began."""
    changed: Mapping[str, None] = field(default_factory=dict[str, None])
    """Ids of alerts that began or changed."""


def group(state: AlertState, run: Run, findings: Findings, rules: Mapping[str, Rule], site: Site) -> tuple[AlertState, Grouped]:
    """Take findings of a run in. What is told of it, `sitewide.tell` says."""
    taken = [session for name in sorted(findings) for session in sessions(rules[name], findings[name], run, site.exceptions)]
    if not taken:
        return state, Grouped()
    taken.sort(key=lambda session: session.order)
    book = _Book(of_rules(state.open, rules), rules, site)
    for session in taken:
        book.take(session)
    findings_so_far = state.findings + sum(session.count for session in taken)
    since = max(state.since, taken[-1].order[0] - _retention_ns(rules))
    return AlertState(book.held, state.forgotten, findings_so_far, since), Grouped(book.begun, book.changed)


class _Book:
    """The open alerts while findings are taken in."""

    def __init__(self, held: dict[str, OpenAlert], rules: Mapping[str, Rule], site: Site) -> None:
        self.held = held
        self.begun: list[Begun] = []
        self._site = site
        self.changed: dict[str, None] = {}
        self._rules = rules
        self._gathered: dict[str, frozenset[str]] = {}
        self._latest: dict[tuple[str, ...], str] = {}
        self._of_client: dict[str | None, list[str]] = {}
        for alert in held.values():
            self._enter(alert)

    def take(self, session: Session) -> None:
        """Add a session to the alert of its cause, or begin one."""
        known = self.held.get(self._latest.get(session.cause, ""))
        if known is None or session.first - known.last > session.rule.window_seconds * 1_000_000_000:
            known = self._begin(session)
        grown = _grown(known, session)
        self._put(grown)
        part = Part(session.count, *session.seen, session.places[:RELATED_RECORDS])
        self._tell(grown.parent, {session.rule.name: part}, session.last, self._factor(grown))

    def _begin(self, session: Session) -> OpenAlert:
        """A new alert that takes weaker ones in, or a place at a stronger one."""
        moment = session.order[0]
        alone = session.rule.posture or session.exception is not None
        known = () if alone else self._of_client.get(session.client, ())
        near = [self.held[name] for name in known if moment - self.held[name].first <= TOGETHER_NS]
        going = [self.held[name] for name in known if self._goes_on(self.held[name], moment)]
        parents = [alert for alert in (*near, *going) if self._tells(alert, session) and _one_place(alert, session)]
        parent = min(parents, key=self._precedence, default=None)
        record = session.records_first[0]
        gathers = bool(self._gathers(session.rule.name))
        gathered = parent is not None and session.rule.name in self._gathers(parent.rule)
        begun = OpenAlert(
            id=hashlib.blake2b("\x1f".join((*session.cause, record)).encode(), digest_size=16).hexdigest(),
            cause=session.cause,
            rule=session.rule.name,
            first=session.first,
            last=session.first,
            seen=session.seen,
            count=0,
            touched=session.first,
            client=session.client,
            server=session.server,
            target=session.target,
            parent=None if parent is None else parent.id,
            raised=parent is None or gathers or gathered,
            exception=session.exception,
        )
        self.held[begun.id] = begun
        self._enter(begun)
        if parent is None:
            taken_in: list[str] = []
            for alert in near:
                if alert.raised and alert.parent is None and self._takes_in(begun, moment, alert) and _one_place(begun, alert):
                    self._put(replace(alert, parent=begun.id))
                    taken_in.append(alert.id)
                    own = Part(alert.count, *alert.seen, alert.places)
                    self._tell(begun.id, {alert.rule: own, **alert.related}, alert.touched, self._factor(alert))
            if not alone:
                weight = WEIGHTS[session.rule.level] * session.rule.confidence * self._factor(self.held[begun.id])
                self.begun.append(Begun(begun, session.order, weight, tuple(taken_in)))
        return self.held[begun.id]

    def _tells(self, alert: OpenAlert, session: Session) -> bool:
        """Whether an alert is strong enough to tell what a later session found too."""
        level, breadth = self._strength(alert.rule)
        others_level, others_breadth = self._strength(session.rule.name)
        if not alert.raised or level < others_level:
            return False
        if gathered := self._gathers(alert.rule):
            return session.rule.name in gathered
        if level > others_level:
            return True
        if breadth < others_breadth or (breadth == others_breadth and self._differ(alert.rule, session.rule.name)):
            return False
        soon = session.order[0] - alert.first <= EQUAL_NS
        return soon and alert.rule != session.rule.name and _one_matter(alert, session)

    def _takes_in(self, begun: OpenAlert, moment: int, alert: OpenAlert) -> bool:
        """Whether an alert that begins at this moment is stronger than an earlier one."""
        level, breadth = self._strength(begun.rule)
        others_level, others_breadth = self._strength(alert.rule)
        if gathered := self._gathers(begun.rule):
            return alert.rule in gathered and level >= others_level
        if level != others_level:
            return level > others_level
        return breadth > others_breadth and moment - alert.first <= EQUAL_NS and _one_matter(begun, alert)

    def _goes_on(self, alert: OpenAlert, moment: int) -> bool:
        """Whether an alert that gathers still does, though it began more than an hour ago."""
        window_ns = self._rules[alert.rule].window_seconds * 1_000_000_000
        return moment - alert.first > TOGETHER_NS and moment - alert.last <= window_ns and bool(self._gathers(alert.rule))

    def _gathers(self, name: str) -> frozenset[str]:
        """Names of the rules whose alerts a rule gathers: those that it counts servers of, for one client; of most rules none."""
        if name not in self._gathered:
            self._gathered[name] = _gathered(self._rules[name], self._rules)
        return self._gathered[name]

    def _factor(self, alert: OpenAlert) -> float:
        """How critical the server and the target of an alert are, and the servers of what belongs to it."""
        return max(criticality(alert.server, dict(alert.target).values(), self._site), alert.criticality)

    def _tell(self, parent: str | None, grown: Mapping[str, Part], moment: int, factor: float) -> None:
        """Add findings to the alerts that they belong to, up to the strongest."""
        while parent is not None:
            alert = self.held[parent]
            related = dict(alert.related)
            for name, part in grown.items():
                related[name] = related[name].with_more(part) if name in related else part
            # An alert about several servers is as critical as the most critical of them.
            most = max(alert.criticality, factor) if alert.server is None else alert.criticality
            self._put(replace(alert, related=related, touched=max(alert.touched, moment), criticality=most))
            parent = alert.parent

    def _put(self, alert: OpenAlert) -> None:
        self.held[alert.id] = alert
        self.changed[alert.id] = None

    def _enter(self, alert: OpenAlert) -> None:
        self._latest[alert.cause] = alert.id
        if alert.raised and not self._rules[alert.rule].posture and alert.exception is None:
            self._of_client.setdefault(alert.client, []).append(alert.id)

    def _strength(self, rule: str) -> tuple[int, int]:
        """Level, and how much the rule says: 0 only circumstances, 1 what was done, 2 that many things were done in a row."""
        return LEVELS.index(self._rules[rule].level), breadth(self._rules[rule])

    def _precedence(self, alert: OpenAlert) -> tuple[int, int, int, tuple[int, int, int], str]:
        """Order of alerts that could tell the same, the strongest and earliest first; no name and no hash has a say in it."""
        level, said = self._strength(alert.rule)
        return -level, -said, alert.first, alert.places[0][:3], alert.rule

    def _differ(self, one: str, other: str) -> bool:
        """Whether the rules say that different things were done: no technique of one is one of the other."""
        mine, others = self._rules[one], self._rules[other]
        if breadth(mine) == 0 or not mine.techniques or not others.techniques:
            return False
        return not any(attack.same(technique, another) for technique in mine.techniques for another in others.techniques)


def _gathered(rule: Rule, rules: Mapping[str, Rule]) -> frozenset[str]:
    """The rules whose alerts a rule gathers: it counts the servers at which a client does what they tell."""
    if breadth(rule) < MANY or rule.counted != "server.ip" or rule.cause != ["client.ip"]:
        return frozenset()
    sources = set(rule.sources)
    return frozenset(each.name for each in rules.values() if each.alerts and {each.name, each.id} & sources)


def _one_place(strong: OpenAlert, weak: OpenAlert | Session) -> bool:
    """Whether the weaker of two alerts with the same client tells of the same as the stronger: the server is the same, or all."""
    if strong.client is None:
        return strong.server is not None and strong.server == weak.server
    return strong.server in {None, weak.server}


def _one_matter(one: OpenAlert, other: OpenAlert | Session) -> bool:
    """Whether two have the same server, and targets that can be the same: one names all that the other names, alike."""
    mine, others = dict(one.target).items(), dict(other.target).items()
    return one.server == other.server and (mine <= others or others <= mine)


def _grown(known: OpenAlert, session: Session) -> OpenAlert:
    """An alert with a session's findings added."""
    sample = dict(known.sample or session.sample)
    if "count" in session.sample:
        # Texts of a correlation tell of its latest window, and of the most that it counted.
        sample = {**session.sample, "count": max(known.sample.get("count", 0), session.sample["count"])}
    first, last = known.records_first, known.records_last
    room = FIRST_RECORDS - len(first)
    first = (*first, *session.records_first[:room])
    rest = max(0, session.count - room)
    if rest:
        last = (*last, *session.records_last[-rest:])[-LAST_RECORDS:]
    return replace(
        known,
        last=max(known.last, session.last),
        seen=(min(known.seen[0], session.seen[0]), max(known.seen[1], session.seen[1])),
        touched=max(known.touched, session.last),
        count=known.count + session.count,
        places=(*known.places, *session.places)[:RELATED_RECORDS],
        records_first=first,
        records_last=last,
        sample=sample,
    )


def of_rules(held: Mapping[str, OpenAlert], rules: Mapping[str, Rule]) -> dict[str, OpenAlert]:
    """The open alerts whose rules are still there; what belonged to one that is not stands for itself, or begins anew."""
    there = {name: alert for name, alert in held.items() if alert.rule in rules}
    if len(there) == len(held):
        return there
    kept = {name: alert for name, alert in there.items() if alert.raised or _has_parents(alert, there)}
    return {
        name: alert if alert.parent in kept or alert.parent is None else replace(alert, parent=None)
        for name, alert in kept.items()
    }


def _has_parents(alert: OpenAlert, there: Mapping[str, OpenAlert]) -> bool:
    return alert.parent is not None and alert.parent in there


def _retention_ns(rules: Mapping[str, Rule]) -> int:
    """How long after its last change an alert can still grow, take others in, or become part of another."""
    windows = max((rule.window_seconds for rule in rules.values()), default=0)
    spans = max((rule.timespan_seconds for rule in rules.values()), default=0)
    return max(windows * 1_000_000_000, TOGETHER_NS, stories.GAP_NS) + spans * 1_000_000_000
