"""Alerts that belong to one course of action, told in order: a story. Pure.

An alert joins a story when it begins: one of the same actor (its client acted in the story before, or was attacked in it and now
acts itself) that is no earlier stage than the one the story began with; or one about the same target by somebody else, or nobody
known, that is a further stage than the story had reached. Stages are the tactics of ATT&CK for ICS in the order of its matrix; a
rule stands for the first technique that it names, for the others are what the same may be as well.
Between one alert of a story and the next lie at most `GAP_NS`. How informational it is to know of an alert by itself decides too:
informational ones and posture are no part of stories. A story is of a site: its alerts may come of any of the site's sensors.

Which story an alert joins depends only on what is fixed when alerts begin, and they begin in the order that `sitewide` gives
them; what a story says depends only on what its alerts have come to. So the same records give the same stories, however they are
cut.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from detection import attack
from detection.alerts import moment
from detection.phrases import listed, phrase
from detection.sigma.rule import LANGUAGES
from detection.upsert import breadth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from collector.stream import Run
    from detection.opened import OpenAlert
    from detection.sigma.rule import Rule

TACTICS: Final = (
    "initial-access",
    "execution",
    "persistence",
    "privilege-escalation",
    "evasion",
    "discovery",
    "lateral-movement",
    "collection",
    "command-and-control",
    "inhibit-response-function",
    "impair-process-control",
    "impact",
)
"""Tactics in the order of the ATT&CK matrix for ICS, by short name."""

KEPT_BY: Final[tuple[str, ...]] = ()
"""Columns by which stories are kept apart: there are none, for who was a server acts as a client next."""

GAP_NS: Final = 4 * 3_600_000_000_000
"""How long after the last alert of a story began the next may begin: four hours."""

LIVE_NS: Final = 2 * GAP_NS
"""A story may go on as long as its last alert began no longer ago than that, by the clock of the run in which it began: that of
another sensor may be behind, and what is asked must not depend on what has been forgotten meanwhile."""

STORY_ALERTS: Final = 64
"""Alerts of one story; the next begins another, which is counted."""

STAGE_FACTOR: Final = 0.25
"""How much of its own rank an alert gains for each stage of its story after the first."""

MOST_FACTOR: Final = 2.0
"""How many times its own rank an alert has at most for its story."""


@dataclass(frozen=True, slots=True)
class Story:
    """What is remembered of a story."""

    id: str
    latest: int
    """When its last alert began, nanoseconds since 1970."""
    first_stage: int
    """The earliest stage of its first alert, place in `TACTICS`."""
    furthest: int
    """The furthest stage that an alert of it began with."""
    actors: tuple[str, ...]
    targets: tuple[str, ...]
    alerts: tuple[str, ...]
    """Ids, in the order in which they began."""
    run: Run = ("", "")
    """In which its last alert began."""
    told: int = 0
    """Its weight when its alerts were last told."""


@dataclass(frozen=True, slots=True)
class Stories:
    """The stories of one site that may go on."""

    open: Mapping[str, Story] = field(default_factory=dict[str, Story])
    clocks: Mapping[Run, int] = field(default_factory=dict["Run", int])
    """When the latest alert began of each run in which a story's last alert began, or of one of its sensor that came after it."""
    full: int = 0
    """Alerts that began a story of their own because the one that they belonged to had `STORY_ALERTS`."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A tactic that a story has reached."""

    tactic: str
    techniques: tuple[str, ...]
    first_seen: int
    """When the first alert with it began."""


@dataclass(frozen=True, slots=True)
class Told:
    """A story as its alerts tell it."""

    id: str
    sentence: Mapping[str, str]
    """By language: who, against whom, in which stages, how far it got."""
    stages: tuple[Stage, ...]
    """In the order of the matrix."""
    alerts: tuple[str, ...]
    """Ids of its alerts that stand for themselves, in the order in which they began."""
    actors: tuple[str, ...]
    targets: tuple[str, ...]

    @property
    def factor(self) -> float:
        """How many times its own rank an alert has for its story."""
        return min(MOST_FACTOR, 1.0 + STAGE_FACTOR * (len(self.stages) - 1))

    def fields(self) -> dict[str, Any]:
        """The story as an alert carries it."""
        return {
            "id": self.id,
            "sentence": dict(self.sentence),
            "stages": [
                {
                    "tactic": stage.tactic,
                    "name": {language: phrase(language, f"tactic.{stage.tactic}") for language in LANGUAGES},
                    "techniques": list(stage.techniques),
                    "first_seen": stage.first_seen,
                }
                for stage in self.stages
            ],
            "alerts": list(self.alerts),
            "actors": list(self.actors),
            "targets": list(self.targets),
        }


class Teller:
    """The stories while alerts begin.

    Args:
        stories: those that may go on.
    """

    def __init__(self, stories: Stories) -> None:
        self._open = dict(stories.open)
        self._clocks = dict(stories.clocks)
        self._full = stories.full
        self._of_host: dict[str, dict[str, None]] = {}
        for story in self._open.values():
            self._enter(story)

    def begin(self, alert: OpenAlert, rule: Rule, at: int, run: Run) -> str | None:
        """The id of the story that an alert which begins at this time is part of; None where it is of no story's kind."""
        self._clocks[run] = max(self._clocks.get(run, at), at)
        for other, clock in self._clocks.items():
            # A sensor's run ends the one before it, whose clock would stand still.
            if other[0] == run[0]:
                self._clocks[other] = max(clock, at)
        stages = [place for name in rule.techniques[:1] for place in _places(name)]
        if not stages or rule.posture or rule.level == "informational" or (alert.client is None and alert.server is None):
            return None
        hosts = [host for host in (alert.client, alert.server) if host is not None]
        near = (self._open[name] for name in {name: None for host in hosts for name in self._of_host.get(host, ())})
        near = (story for story in near if abs(at - story.latest) <= GAP_NS and self.is_live(story))
        going = [story for story in near if _goes_on(story, alert, stages)]
        room = [story for story in going if len(story.alerts) < STORY_ALERTS]
        self._full += bool(going) and not room
        story = max(room, key=lambda each: (alert.client in each.actors, each.latest, each.id), default=None)
        if story is None:
            story = Story(alert.id, at, min(stages), max(stages), (), (), ())
        story = replace(
            story,
            latest=max(story.latest, at),
            run=run if at >= story.latest else story.run,
            furthest=max(story.furthest, *stages),
            actors=_with(story.actors, alert.client),
            targets=_with(story.targets, alert.server),
            alerts=(*story.alerts, alert.id),
        )
        self._open[story.id] = story
        self._enter(story)
        return story.id

    def is_live(self, story: Story) -> bool:
        """Whether it may go on."""
        return story.latest >= self._clocks.get(story.run, story.latest) - LIVE_NS

    def grown(
        self, names: Iterable[str], find: Callable[[str], OpenAlert | None], rules: Mapping[str, Rule]
    ) -> tuple[dict[str, tuple[Told | None, int]], list[str]]:
        """What these stories say now, with their weights, and alerts that are to be told anew because of them."""
        said: dict[str, tuple[Told | None, int]] = {}
        anew: list[str] = []
        for name in names:
            story = self._open.get(name)
            if story is None:
                continue
            found = (find(each) for each in story.alerts)
            alerts = [alert for alert in found if alert is not None and alert.rule in rules]
            weight = _weight(alerts, rules) if len(story.alerts) > 1 else 0
            said[story.id] = told(story, alerts, rules), weight
            if weight != story.told:
                anew += [alert.id for alert in alerts]
                self._open[story.id] = replace(story, told=weight)
        return said, anew

    @property
    def live(self) -> set[str]:
        """Ids of the stories that may go on."""
        return {name for name, story in self._open.items() if self.is_live(story)}

    def kept(self, alive: AbstractSet[str]) -> Stories:
        """What is remembered where these stories have an alert that is still open."""
        kept = {name: story for name, story in self._open.items() if name in alive}
        runs = {story.run for story in kept.values()}
        return Stories(kept, {run: clock for run, clock in self._clocks.items() if run in runs}, self._full)

    def _enter(self, story: Story) -> None:
        for host in (*story.actors, *story.targets):
            self._of_host.setdefault(host, {})[story.id] = None


def told(story: Story, alerts: Sequence[OpenAlert], rules: Mapping[str, Rule]) -> Told | None:
    """What a story says, given its alerts in the order in which they began.

    None where less than two of them stand for themselves, or all are of one stage.
    """
    standing = [alert for alert in alerts if alert.parent is None]
    stages: dict[int, Stage] = {}
    reached, furthest = 0, (-1, "")
    for alert in standing:
        seen: list[int] = []
        for technique, rule in _acts(alert, rules).items():
            # Of the tactics that a technique serves, the next one from where the story stands.
            places = _places(technique)
            place = min((each for each in places if each >= reached), default=min(places, default=-1))
            if place < 0:
                continue
            seen.append(place)
            if place > furthest[0]:
                furthest = place, rule.name
            stage = stages.get(place, Stage(TACTICS[place], (), alert.first))
            if technique not in stage.techniques:
                stage = replace(stage, techniques=(*stage.techniques, technique))
            stages[place] = stage
        reached = max([reached, *seen])
    if len(standing) < 2 or len(stages) < 2:
        return None
    ordered = tuple(stages[place] for place in sorted(stages))
    sentence = {
        language: phrase(
            language,
            "story",
            since=f"{moment(standing[0].first)[:16].replace('T', ' ')} UTC",
            who=listed(language, story.actors, "nobody"),
            whom=listed(language, [name for name in story.targets if name not in story.actors] or story.targets, "nowhere"),
            count=len(ordered),
            stages=phrase(language, "then").join(phrase(language, f"tactic.{stage.tactic}") for stage in ordered),
            furthest=phrase(language, f"tactic.{TACTICS[furthest[0]]}"),
            title=rules[furthest[1]].text(language).title,
        )
        for language in LANGUAGES
    }
    return Told(story.id, sentence, ordered, tuple(alert.id for alert in standing), story.actors, story.targets)


def _goes_on(story: Story, alert: OpenAlert, stages: Sequence[int]) -> bool:
    """Whether an alert with these stages can be the next of a story."""
    if alert.client is not None and (alert.client in story.actors or alert.client in story.targets):
        return max(stages) >= story.first_stage
    return alert.server in story.targets and max(stages) > story.furthest


def _weight(alerts: Sequence[OpenAlert], rules: Mapping[str, Rule]) -> int:
    """Rises with each alert of a story, with each technique that one comes to name, and when one becomes part of another."""
    return sum(1 + len(_acts(alert, rules)) + (alert.parent is not None) for alert in alerts)


def _acts(alert: OpenAlert, rules: Mapping[str, Rule]) -> dict[str, Rule]:
    """What an alert adds to a story: the first technique of its rule and of each act that belongs to it, with the rule."""
    others = (rules[name] for name in sorted(alert.related) if name in rules and breadth(rules[name]) > 0)
    acts: dict[str, Rule] = {}
    for rule in (rules[alert.rule], *others):
        for technique in rule.techniques[:1]:
            acts.setdefault(technique, rule)
    return acts


def _places(technique: str) -> list[int]:
    """Places in `TACTICS` of the tactics that a technique serves."""
    known = attack.techniques().get(technique)
    return [] if known is None else [TACTICS.index(tactic) for tactic in known.tactics]


def _with(names: tuple[str, ...], name: str | None) -> tuple[str, ...]:
    return names if name is None or name in names else (*names, name)
