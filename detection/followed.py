"""What holds at each place of the topic of records, for who has a part of a site: as who has its records wrote it down."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from collector.stream import Outgoing, Position, StreamError
from detection.changelog import FORGET
from detection.checkpoint import CheckpointError
from detection.control import RULES, SITE, Control, let_go
from detection.in_force import InForce, LiveRules
from detection.kept import KeptStream
from detection.parcels import LostError
from detection.pipeline import Pipeline
from detection.sigma.proof import sound
from sensor.control_records import rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from collections.abc import Set as AbstractSet

    from detection.baseline.decisions import Decision
    from detection.ruleset import Ruleset


class Followed:
    """Versions and decisions in the order in which they took effect.

    Args:
        batches: those that came before.
    """

    def __init__(self, batches: Iterable[Outgoing]) -> None:
        self._stream = KeptStream(batches)
        self._in_force: InForce | None = None
        held = self._stream.batches
        versions = (held[: number + 1] for number, batch in enumerate(held) if is_version(batch))
        self._names = {name for version in versions for name in in_use(version)}

    @property
    def batches(self) -> Sequence[Outgoing]:
        """All that came."""
        return self._stream.batches

    @property
    def names(self) -> AbstractSet[str]:
        """The names of all rules that were in use at some place."""
        return self._names

    def take(self, batch: Outgoing, rules: Sequence[str], partition: str, since: int) -> None:
        """Take in what took effect, with the place from which it holds; nothing is asked for that is before a place any more.

        Args:
            batch: a version or a decision.
            rules: with a version, the names of the rules that are in use with it where it was written down.
            partition: the partition of records.
            since: the place in it.

        Raises:
            CheckpointError: one of these rules is not known here: a newer version knows it.
            LostError: something that took effect before it did not come.
            ValueError, TypeError, KeyError: it cannot be read.
        """
        alone = Control(KeptStream([Outgoing(replace(batch.header, sequence=0), batch.data)]))
        alone.decisions()
        alone.changes()
        try:
            mine = in_use([*self._stream.batches, batch]) if is_version(batch) else []
            if unknown := sorted({*rules}.difference(mine)):
                raise CheckpointError(f"rules that this version cannot use: {', '.join(unknown)}: update icsight here")
            self._stream.publish([batch])
        except StreamError as error:
            raise LostError(f"what took effect before is missing ({error}): {FORGET}") from error
        self._names.update(mine)
        self._in_force = None
        if is_version(batch):
            let_go(self._stream.batches, partition, since, len(self._stream.batches))

    def at(self, partition: str, offset: int) -> tuple[Pipeline, list[Decision] | None]:
        """As `InForce.at`."""
        if self._in_force is None:
            control = Control(self._stream)
            facts, ruleset = control.sites()[-1].site, control.rulesets()[-1].rules
            pipeline = Pipeline.of(sound(ruleset.rules, facts)[0], facts)
            live = LiveRules(_Fixed(ruleset), ruleset)
            self._in_force = InForce(pipeline, (Position(), Position()), control, live, None)
        return self._in_force.at(partition, offset)


def is_version(batch: Outgoing) -> bool:
    """Whether facts or rules took effect, and not a decision."""
    return any(row["kind"] in {SITE, RULES} for row in rows_of(bytes(batch.data)))


def in_use(batches: Sequence[Outgoing]) -> list[str]:
    """The names of the rules that are in use where these took effect; none where there are no rules or facts yet.

    Raises ValueError, TypeError, KeyError: they cannot be read. StreamError: one is missing.
    """
    control = Control(KeptStream(batches))
    sites, rulesets = control.sites(), control.rulesets()
    return [rule.name for rule in sound(rulesets[-1].rules.rules, sites[-1].site)[0]] if sites and rulesets else []


class _Fixed:
    """Rules that change only with what is followed."""

    def __init__(self, ruleset: Ruleset) -> None:
        self._ruleset = ruleset

    def settled(self) -> bool:
        """Nothing is looked at."""
        return False

    def read(self) -> Ruleset:
        """The rules."""
        return self._ruleset
