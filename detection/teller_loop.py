"""The teller of a site that is split: what was found in its cuts, told in their order, with the site's stories and alarm budget.

Cuts come in the order in which they were let through, from who has the site's records; what became of each, from its shares, in
whatever order. A cut is told when all before it are. So the alerts are those of one worker. Nothing here does input or output.
"""

from __future__ import annotations

import json
import time
import zlib
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from collector.store import RecordBatch
from collector.stream import Outgoing, Position
from detection.alert_batches import AlertBatches
from detection.changelog import FORGET
from detection.checkpoint import CheckpointError
from detection.cuts import FoundCut
from detection.in_force import InForce
from detection.loop import Loop
from detection.outcomes import Found
from detection.parcels import STUCK_SECONDS, LostError, Ordered, unpacked
from detection.part_loop import PartLoop, kept_of
from detection.pipeline import Pipeline, State
from detection.site import Site

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Sized

    from collector.stream import Run
    from detection.alerts import Alert
    from detection.changelog import ChangelogCheckpoints
    from detection.loop import Counters
    from detection.parcels import Parcel

CUTS: Final = 50_000
"""Cuts that wait to be told; while there are more no records are taken of the partition that the site is in."""

SHARES: Final = 100
"""A teller remembers the runs of so many shares where its site was split by a version that did not say how many there are."""

_ORDER: Final = "order.json"
_FOUND: Final = "found.json"


class TellerLoop(PartLoop):
    """Telling the alerts of a site whose records are looked at elsewhere.

    Args:
        name: the key of the site's records: its name, or its sensor's where it has none.
        checkpoints: what is remembered of it.

    Raises:
        CheckpointError: what is remembered cannot be used.
    """

    gathered: Final = 0
    """Records that `detect` would look at: none are here."""

    def __init__(self, name: str, checkpoints: ChangelogCheckpoints) -> None:
        kept, beside = kept_of(checkpoints)
        super().__init__(kept, beside, checkpoints.name)
        self._name = name
        self._moved = time.monotonic()
        """When a cut was told last, or came where none waited."""
        self._order = deque[Ordered]()
        """Cuts that are not told."""
        self._ordered: dict[Run, deque[int]] = {}
        """The same run by run: sequence of the last batch."""
        self._found: dict[Run, deque[Found]] = {}
        """What became of cuts that are not told."""
        self._take_order([Ordered.from_json(each) for each in json.loads(beside.get(_ORDER, b"[]"))])
        self._take_found([Found.from_json(each) for each in json.loads(beside.get(_FOUND, b"[]"))])
        self._alerts = AlertBatches(kept.epoch, int(kept.order.get("published", 0)))
        # What holds is looked up cut by cut: the loop has no records of its own.
        nothing = InForce(Pipeline.of([], Site()), (Position(), Position()), None, None, None)
        state = replace(kept.state, shares=int(kept.order.get("shares", SHARES)))
        self._loop = Loop(state, {}, nothing, self._publish, 0)
        self.counters = self._loop.counters

    @property
    def done(self) -> Counters:
        """As `Loop.done`."""
        return self._loop.done

    @property
    def untold(self) -> int:
        """Cuts of which is not known what was found, or that wait for one of these. Safe from any thread."""
        return len(self._order)

    @property
    def untold_seconds(self) -> float:
        """How long cuts have waited and none was told. Safe from any thread."""
        return time.monotonic() - self._moved if self._order else 0.0

    @property
    def stuck(self) -> str:
        """Why it stands still; empty where it does not. Safe from any thread."""
        if (seconds := self.untold_seconds) > STUCK_SECONDS:
            return f"{self.untold:,} cuts wait for what shares find, and for {seconds:.0f} s nothing was told"
        return super().stuck

    def _take_whole(self, parcel: Parcel, content: bytes) -> int:
        """As `PartLoop`; no records are here."""
        if parcel.kind == "state":
            self._loop.begin(replace(unpacked(content, self._where), shares=int(parcel.said.get("shares", SHARES))))
        elif parcel.kind == "control":
            partition, offset = parcel.said["since"]
            since = min([int(offset), *(cut.place[1] for cut in self._order)])
            self._followed.take(Outgoing(parcel.header, content), parcel.said["rules"], str(partition), since)
        elif parcel.kind == "order":
            self._take_order([Ordered.from_json(each) for each in json.loads(zlib.decompress(content))])
        else:
            self._take_found([Found.from_json(each) for each in json.loads(zlib.decompress(content))])
        return 0

    def _begin(self, split: str) -> None:
        """As `PartLoop`."""
        super()._begin(split)
        self._loop.begin(State())

    def _empty(self) -> None:
        """As `PartLoop`."""
        self._order.clear()
        self._ordered, self._found = {}, {}

    def detect(self) -> None:
        """Tell the cuts of which is known what was found, as long as nothing is missing before them."""
        ready: list[FoundCut] = []
        while self._order and (waiting := self._found.get(self._order[0].run)):
            cut, found = self._order.popleft(), waiting.popleft()
            self._ordered[cut.run].popleft()
            self._moved = time.monotonic()
            pipeline, _ = self._followed.at(*cut.place)
            batches = [RecordBatch(cut.header, pl.DataFrame())]
            ready.append(FoundCut(cut.run, cut.first, cut.place, cut.place, batches, pipeline, None, outcomes=(found.outcome,)))
        self._ordered = {run: waiting for run, waiting in self._ordered.items() if waiting}
        self._found = {run: waiting for run, waiting in self._found.items() if waiting}
        self._loop.hand(ready)
        self._loop.detect()

    def take_sent(self) -> list[Parcel]:
        """The messages that are to be sent to other workers: none."""
        return []

    def take_told(self) -> list[Outgoing]:
        """The batches of alerts that are to be published."""
        return self._alerts.take()

    def write(self, checkpoints: ChangelogCheckpoints) -> None:
        """Keep all that is remembered."""
        found = [each.to_json() for waiting in self._found.values() for each in waiting]
        beside = {_ORDER: _json([cut.to_json() for cut in self._order]), _FOUND: _json(found)}
        state = self._loop.state
        self._write(checkpoints, state, {"published": self._alerts.told, "shares": state.shares}, beside)

    def _take_order(self, cuts: Sequence[Ordered]) -> None:
        lasts = {run: [each.last for each in self._found.get(run, ())] for run in {cut.run for cut in cuts}}
        self._check([(cut.run, cut.header.sequence) for cut in cuts], self._ordered, lasts)
        if not self._order:
            self._moved = time.monotonic()
        self._order += cuts
        for cut in cuts:
            self._ordered.setdefault(cut.run, deque()).append(cut.header.sequence)

    def _take_found(self, found: Sequence[Found]) -> None:
        if unknown := sorted({name for each in found for name in each.rules} - self._followed.names):
            raise CheckpointError(f"alerts of rules that this version cannot use: {', '.join(unknown)}: update icsight here")
        self._check([(each.run, each.last) for each in found], self._found, self._ordered)
        for each in found:
            self._found.setdefault(each.run, deque()).append(each)

    def _check(
        self, fresh: Sequence[tuple[Run, int]], mine: Mapping[Run, Sized], others: Mapping[Run, Sequence[int]]
    ) -> None:  # fmt: skip
        """Hold the sequences of cuts that come behind those here against those that others tell. Raises LostError."""
        numbers: dict[Run, int] = {}
        for run, last in fresh:
            number, there = numbers.get(run, len(mine.get(run, ()))), others.get(run, ())
            if number < len(there) and there[number] != last:
                raise LostError(f"cuts {there[number]} and {last} of {run} do not agree: {FORGET}")
            numbers[run] = number + 1

    def _publish(self, upserts: Sequence[Alert]) -> None:
        # As in `SiteLoop`: a site without a name is called by the key of its messages.
        self._alerts.put(self._name, upserts)


def _json(content: Sequence[Any] | Mapping[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode()
