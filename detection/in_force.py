"""What holds at a place in the stream of records: facts of the site, rules, exceptions, decisions about what is normal.

Each version and each decision is written down on the stream `control` with the place from which it holds, before it holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from collector.stream import Position
from detection.baseline.decisions import Decision
from detection.control import D, Decided, Effective, EffectiveRules, at, later
from detection.exceptions import held
from detection.own_alerts import not_reloaded, site_not_reloaded
from detection.pipeline import Pipeline
from detection.sigma.proof import sound
from detection.sigma.rule import Fault, RuleError
from detection.site import Site, SiteError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detection.alerts import Alert
    from detection.control import Control, Held
    from detection.exceptions import Change
    from detection.inbox import Entry
    from detection.ruleset import Ruleset

K = TypeVar("K")
H = TypeVar("H", Effective, EffectiveRules)

KEPT: Final = 8
"""Versions of rules and facts, and sets of exceptions, for which detectors are kept; others are made again where they hold."""


class RuleSource(Protocol):
    """Where rules come from: files, or versions that are published."""

    def settled(self) -> bool:
        """Whether there are others than were read."""
        ...

    def read(self) -> Ruleset:
        """The rules. Raises RuleError."""
        ...


class SiteSource(Protocol):
    """Where the facts of a site come from: a file, or versions that are published."""

    @property
    def path(self) -> Path:
        """Its name in alerts about it."""
        ...

    @property
    def changed(self) -> int:
        """When that was written which was read last, nanoseconds since 1970."""
        ...

    def settled(self) -> bool:
        """Whether there are others than were read."""
        ...

    def read(self) -> Site:
        """The facts. Raises SiteError."""
        ...


@dataclass(frozen=True, slots=True)
class LiveRules:
    """Rules that may change while the loop runs."""

    files: RuleSource
    ruleset: Ruleset
    """The version that the loop begins with."""
    told: Sequence[Alert] = ()
    """What is to be told of it: rules that are not in use."""


class InForce:
    """What holds at each place.

    Args:
        pipeline: the detectors, with the facts and the rules that are to hold for what comes.
        places: the place that detection stands at, and that up to which it may have looked at records before a crash: a version
            that is new holds from there on; the first of all from where detection stands.
        control: where versions and decisions are written down; without it the pipeline's own hold throughout.
        rules: where the rules come from; None: they never change.
        site_file: where the facts come from, likewise.
    """

    def __init__(
        self, pipeline: Pipeline, places: tuple[Position, Position], control: Control | None, rules: LiveRules | None,
        site_file: SiteSource | None,
    ) -> None:  # fmt: skip
        self.reloads = 0
        """Versions that were taken over since."""
        self.refused = 0
        """Files among the decisions that wait which are none, and were set aside."""
        self._pipeline = pipeline
        self._control = control
        self._live = rules
        self._site_file = site_file
        self._sites = [] if control is None else self._scheduled(control, *places)
        self._rules = [] if control is None or rules is None else self._scheduled_rules(control, rules, *places)
        version = self._rules[-1].rules.version if self._rules else ""
        self._pipelines = {(pipeline.site.version, version): pipeline}
        self._excepted: dict[tuple[str, str, int], Pipeline] = {}
        self._decided = [] if control is None else control.decisions()
        self._changed = [] if control is None else control.changes()
        self._known = {(type(each.decision), each.decision.id) for each in (*self._decided, *self._changed)}

    @property
    def decisions(self) -> Sequence[Decision]:
        """All decisions about what is normal that were taken up, in order."""
        return [each.decision for each in self._decided]

    @property
    def facts(self) -> Site:
        """The facts of the site's file that hold for what comes."""
        return self._sites[-1].site if self._sites else self._pipeline.site

    @property
    def site(self) -> Site:
        """The facts that hold for what comes, the exceptions that people made among them."""
        site = self.facts
        return site.model_copy(update={"exceptions": held(site.exceptions, [each.decision for each in self._changed])})

    def at(self, partition: str, offset: int) -> tuple[Pipeline, list[Decision] | None]:
        """The detectors, and the decisions about what is normal (None where nothing is learned), for the batch at this place."""
        facts, rules = at(self._sites, partition, offset), at(self._rules, partition, offset)
        site = self._pipeline.site if facts is None else facts.site
        version = (site.version, self._rules[0].rules.version if rules is None and self._rules else "")
        if rules is not None:
            version = (site.version, rules.rules.version)
        if version not in self._pipelines:
            usable = self._pipeline.rules if rules is None else rules.rules.rules
            _keep(self._pipelines, version, Pipeline.of(sound(usable, site)[0], site))
        pipeline = self._excepting(self._pipelines[version], version, _until(self._changed, partition, offset))
        return pipeline, None if self._control is None else _until(self._decided, partition, offset)

    def let_go(self, partition: str, offset: int) -> bool:
        """Forget versions that hold for nothing from this place on; whether there were any.

        Nothing before it is asked for again.
        """
        before = len(self._sites) + len(self._rules)
        self._sites, self._rules = _needed(self._sites, partition, offset), _needed(self._rules, partition, offset)
        return len(self._sites) + len(self._rules) < before

    def take_up(self, reached: Mapping[str, int]) -> None:
        """Write down that the decisions which people took since hold from the next batch on."""
        if self._control is None or self._control.inbox is None:
            return
        for path, decision in self._control.inbox.waiting():
            if decision is None:
                self._control.inbox.refuse(path)
                self.refused += 1
            else:
                self._decide(self._control, decision, reached)
                self._control.inbox.done(path)

    def look_at_files(self, reached: Mapping[str, int]) -> list[Alert]:
        """Take rules and facts over whose files have changed, from the next batch on; what is to be told of that."""
        told: list[Alert] = []
        if self._control is not None and self._live is not None and self._live.files.settled():
            told += self._reload_rules(self._control, self._live, reached)
        if self._control is not None and self._site_file is not None and self._site_file.settled():
            told += self._reload_site(self._control, self._site_file, reached)
        return told

    def _scheduled(self, control: Control, position: Position, end: Position) -> list[Effective]:
        """The versions of the site's facts; the pipeline's own is written down where it is new."""
        schedule = control.sites()
        if not schedule or schedule[-1].site.version != self._pipeline.site.version:
            schedule.append(Effective(self._pipeline.site, _from(schedule, position, end)))
            control.publish(schedule[-1])
        return schedule

    def _scheduled_rules(self, control: Control, live: LiveRules, position: Position, end: Position) -> list[EffectiveRules]:
        """The versions of the rules; the pipeline's own is written down where it is new."""
        schedule = control.rulesets()
        if not schedule or schedule[-1].rules.version != live.ruleset.version:
            schedule.append(EffectiveRules(live.ruleset, _from(schedule, position, end)))
            control.publish_rules(schedule[-1], self._pipeline.site.site)
        return schedule

    def _excepting(self, pipeline: Pipeline, version: tuple[str, str], changes: Sequence[Change]) -> Pipeline:
        """The detectors with what people decided about exceptions."""
        if not changes:
            return pipeline
        known = (*version, len(changes))
        if known not in self._excepted:
            site = pipeline.site.model_copy(update={"exceptions": held(pipeline.site.exceptions, changes)})
            _keep(self._excepted, known, pipeline.at_site(site))
        return self._excepted[known]

    def _reload_rules(self, control: Control, live: LiveRules, reached: Mapping[str, int]) -> list[Alert]:
        try:
            fresh = live.files.read()
        except RuleError as error:
            return [not_reloaded([Fault(Path("rules"), "", str(error))], live.ruleset.changed)]
        if fresh.version == self._rules[-1].rules.version and not fresh.unreadable:
            # What is wrong with them was told when they took effect.
            return []
        site = self._sites[-1].site
        faults = fresh.faults or sound(fresh.rules, site)[1]
        if faults:
            return [not_reloaded(faults, fresh.changed)]
        pipeline, told = Pipeline.proved(fresh, site)
        effective = EffectiveRules(fresh, later(Position(dict(reached)), self._rules[-1].position))
        control.publish_rules(effective, site.site)
        self._rules.append(effective)
        _keep(self._pipelines, (site.version, fresh.version), pipeline)
        self.reloads += 1
        return told

    def _reload_site(self, control: Control, file: SiteSource, reached: Mapping[str, int]) -> list[Alert]:
        before = self._sites[-1]
        try:
            fresh = _named(file.read(), before.site.site)
            if fresh.version == before.site.version:
                return []
            version, pipeline, told = self._proved(fresh)
        except (SiteError, RuleError) as error:
            return [site_not_reloaded(Fault(file.path, "", str(error)), file.changed)]
        effective = Effective(fresh, later(Position(dict(reached)), before.position))
        control.publish(effective)
        self._sites.append(effective)
        _keep(self._pipelines, (fresh.version, version), pipeline)
        self.reloads += 1
        return told

    def _proved(self, site: Site) -> tuple[str, Pipeline, list[Alert]]:
        """The version of the rules that hold, the detectors with them at other facts, and what is to be told of it."""
        if not self._rules:
            return "", Pipeline.of(sound(self._pipeline.rules, site)[0], site), []
        ruleset = self._rules[-1].rules
        return ruleset.version, *Pipeline.proved(ruleset, site)

    def _decide(self, control: Control, decision: Entry, reached: Mapping[str, int]) -> None:
        """Write down from which place a decision holds, unless that is written down already."""
        known = type(decision), decision.id
        if known in self._known:
            return
        self._known.add(known)
        if isinstance(decision, Decision):
            _append(control, self._decided, decision, reached)
        else:
            _append(control, self._changed, decision, reached)


def _keep(pipelines: dict[K, Pipeline], version: K, pipeline: Pipeline) -> None:
    """Keep detectors; those that were made first go where there are too many."""
    pipelines[version] = pipeline
    for oldest in [*pipelines][:-KEPT]:
        del pipelines[oldest]


def _from(schedule: Sequence[Held], position: Position, end: Position) -> Position:
    """The place from which a version holds that is new at a start."""
    return later(later(position, end), schedule[-1].position) if schedule else position


def _needed(schedule: list[H], partition: str, offset: int) -> list[H]:
    """Of versions those that hold for a batch at this place, or for later ones."""
    held = [number for number, each in enumerate(schedule) if each.position.offsets.get(partition, 0) <= offset]
    return schedule[held[-1] :] if held else schedule


def _append(control: Control, decided: list[Decided[D]], decision: D, reached: Mapping[str, int]) -> None:
    effective = Decided(decision, later(Position(dict(reached)), decided[-1].position if decided else Position()))
    control.decide(effective)
    decided.append(effective)


def _until(decided: Sequence[Decided[D]], partition: str, offset: int) -> list[D]:
    """The decisions that hold for the batch at this place."""
    return [each.decision for each in decided if each.position.offsets.get(partition, 0) <= offset]


def _named(site: Site, name: str) -> Site:
    """The facts, where the site's name is this. Raises SiteError: what is stored is of one site."""
    if site.site != name:
        raise SiteError(f"site: the name is {site.site!r} and is {name!r} here: facts of another name are another site's")
    return site
