"""The teller of a site that is split: what was found in its cuts, told in their order, with the site's stories and alarm budget.

Cuts come in the order in which they were let through, from who has the site's records; what became of each, from its shares, in
whatever order. A cut is told when all before it are. So the alerts are those of one worker. Nothing here does input or output.
"""

from __future__ import annotations

import json
import secrets
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
from detection.checkpoint import Checkpoint, CheckpointError
from detection.cuts import FoundCut
from detection.followed import Followed
from detection.in_force import InForce
from detection.kept import pack, unpack
from detection.loop import Loop
from detection.outcomes import Found
from detection.parcels import STUCK_SECONDS, LostError, Ordered, Pieces, no_beginning, unpacked
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

_CONTROL: Final = "control/"
_ORDER: Final = "order.json"
_FOUND: Final = "found.json"


class TellerLoop:
    """Telling the alerts of a site whose records are looked at elsewhere.

    Args:
        name: the key of the site's records: its name, or its sensor's where it has none.
        checkpoints: what is remembered of it.

    Raises:
        CheckpointError: what is remembered cannot be used.
    """

    def __init__(self, name: str, checkpoints: ChangelogCheckpoints) -> None:
        kept = checkpoints.read() or Checkpoint(Position(), State(), secrets.token_hex(16), {}, ended=True)
        beside = checkpoints.beside()
        self.changed = False
        """Whether there is something that is not in the checkpoint."""
        self._name = name
        self._where = checkpoints.name
        self._written: State | None = None
        """The state of the checkpoint that this loop wrote last."""
        self._split = str(kept.order.get("split", ""))
        """Of which split of the site it is; what comes of another is none of its own."""
        self._passing = 0.0
        """Since when all that comes is passed over; 0 where it is not."""
        self.lost = str(kept.order.get("lost", ""))
        """Why nothing more is told until the site is forgotten; empty where it goes on."""
        self._followed = Followed(unpack(beside[each]) for each in sorted(beside) if each.startswith(_CONTROL))
        self._pieces = Pieces(beside)
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

    @property
    def counters(self) -> Counters:
        """What was done here."""
        return self._loop.counters

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
        return no_beginning(time.monotonic() - self._passing if self._passing else 0.0)

    @property
    def gathered(self) -> int:
        """Records that `detect` would look at: none are here."""
        return 0

    def take(self, parcel: Parcel) -> int:
        """Take a message in; nothing is changed where that raises.

        Returns:
            Bytes of records, unpacked, that are whole with it: none are here.

        Raises:
            CheckpointError: what is handed over is of a version that is not read, or of rules that this version does not know.
            LostError: what came before it is missing, here or in a share, or order and findings do not agree.
            KeyError, ValueError, TypeError, BadZipFile, zlib.error: it is none of a worker's.
        """
        if parcel.begins and parcel.split != self._split:
            self._begin(parcel.split)
        if parcel.split != self._split or self.lost:
            self._loop.counters.passed_over += 1
            self._passing = self._passing or time.monotonic()
            return 0
        self._passing = 0.0
        if parcel.kind == "lost":
            raise LostError(f"share {parcel.value.decode(errors='replace')}")
        content = self._pieces.joined(parcel)
        if content is not None:
            self._take_whole(parcel, content)
        self._pieces.take(parcel)
        self.changed = True
        return 0

    def _take_whole(self, parcel: Parcel, content: bytes) -> None:
        """Take in what is whole."""
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

    def _begin(self, split: str) -> None:
        """Begin with what is handed over, and nothing else: the site is split, for the first time or after it was forgotten."""
        self._split, self.lost, self._followed = split, "", Followed(())
        self._loop.begin(State())
        self._empty()

    def end(self, reason: str) -> None:
        """Tell nothing more: it would not be what one worker tells."""
        self.lost, self.changed = reason, True
        self._empty()

    def _empty(self) -> None:
        """Keep nothing of what came and is not told."""
        self._pieces = Pieces({})
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
        beside = {f"{_CONTROL}{number:08d}": pack(batch) for number, batch in enumerate(self._followed.batches)}
        found = [each.to_json() for waiting in self._found.values() for each in waiting]
        beside |= {_ORDER: _json([cut.to_json() for cut in self._order]), _FOUND: _json(found), **self._pieces.beside()}
        state = self._loop.state
        order = {"published": self._alerts.told, "split": self._split, "lost": self.lost, "shares": state.shares}
        checkpoint = Checkpoint(Position(), state, self._alerts.epoch, order, ended=True)
        checkpoints.write(checkpoint, beside, self._written)
        self._written = state
        self.changed = False

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
