"""What holds at each place of the topic of records, for who has a part of a site: as who has its records wrote it down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.stream import Position, StreamError
from detection.changelog import FORGET
from detection.control import RULES, SITE, Control, let_go
from detection.in_force import InForce, LiveRules
from detection.kept import KeptStream
from detection.parcels import LostError
from detection.pipeline import Pipeline
from detection.sigma.proof import sound
from sensor.control_records import rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from collector.stream import Outgoing
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

    @property
    def batches(self) -> Sequence[Outgoing]:
        """All that came."""
        return self._stream.batches

    def take(self, batch: Outgoing, partition: str, since: int) -> None:
        """Take in what took effect, with the place from which it holds; nothing is asked for that is before a place any more.

        Raises LostError: something that took effect before it did not come.
        """
        try:
            self._stream.publish([batch])
        except StreamError as error:
            raise LostError(f"what took effect before is missing ({error}): {FORGET}") from error
        self._in_force = None
        if any(row["kind"] in {SITE, RULES} for row in rows_of(bytes(batch.data))):
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
