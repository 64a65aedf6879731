"""A share of a site that is split: all that is found in the records of some of its sensors, and what is remembered of it.

What is found in a run depends on that run alone (`pipeline`), so that sensors can be worked on anywhere. What is told of it rests
on all of the site, and is the teller's (`teller_loop`), which gets what became of each cut. Nothing here does input or output.
"""

from __future__ import annotations

import json
import time
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from collector.records import decode
from collector.stream import Outgoing
from detection.cuts import Cut, together
from detection.kept import pack, unpack
from detection.outcomes import Found
from detection.parcels import Parcel, pieces, unpacked
from detection.part_loop import PartLoop, kept_of
from detection.pipeline import RUNS, RunState, State
from detection.sitewide import growing
from detection.timing import added
from sensor import tracing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detection.changelog import ChangelogCheckpoints
    from detection.loop import Counters

_WAITING: Final = "waiting/"


class ShareLoop(PartLoop):
    """Detection in the records of some sensors of a site.

    Args:
        partition: the partition that its messages are in.
        checkpoints: what is remembered of it.

    Raises:
        CheckpointError: what is remembered cannot be used.
    """

    def __init__(self, partition: int, checkpoints: ChangelogCheckpoints) -> None:
        kept, beside = kept_of(checkpoints)
        super().__init__(kept, beside, checkpoints.name)
        self.state = kept.state
        """What is remembered of its runs."""
        self._partition = partition
        self._teller: dict[str, Any] = dict(kept.order.get("teller", {}))
        """Partition and key of the teller."""
        self._waiting = [unpack(beside[name]) for name in sorted(beside) if name.startswith(_WAITING)]
        """Batches of a cut that is not whole."""
        self._done: list[Cut] = []
        self.gathered = 0
        """Records that `detect` would look at."""
        self._sent: list[Parcel] = []

    @property
    def done(self) -> Counters:
        """What was done here since this loop began."""
        return self.counters

    def _take_whole(self, parcel: Parcel, content: bytes) -> int:
        """As `PartLoop`."""
        if parcel.kind == "state":
            teller = dict(parcel.said["teller"])
            self.state, self._teller = unpacked(content, self._where), teller
            return 0
        batch = Outgoing(parcel.header, content)
        if parcel.kind == "control":
            partition, offset = parcel.said["since"]
            self._followed.take(batch, parcel.said["rules"], str(partition), int(offset))
        elif parcel.said["ends"]:
            partition, offset = parcel.said["place"]
            batches = [decode(each.header, bytes(each.data)) for each in (*self._waiting, batch)]
            first, place = batches[0].header, (str(partition), int(offset))
            cut = Cut(first.run, first.sequence, place, place, batches, *self._followed.at(*place))
            self._done.append(cut)
            self.gathered += cut.rows
            self._waiting = []
            return cut.size
        else:
            self._waiting.append(batch)
        return 0

    def _begin(self, split: str) -> None:
        """As `PartLoop`."""
        super()._begin(split)
        self.state, self._sent = State(), []

    def _empty(self) -> None:
        """As `PartLoop`."""
        self._waiting, self._done, self.gathered = [], [], 0

    def end(self, reason: str) -> None:
        """As `PartLoop.end`; the teller is let know: what this share finds would not be all."""
        super().end(reason)
        if self._teller:
            partition, key = self._place
            self._sent.append(Parcel(partition, key, "lost", reason.encode(), {}))

    @property
    def _place(self) -> tuple[int, bytes]:
        """Partition and key of the teller."""
        return int(self._teller["partition"]), str(self._teller["key"]).encode()

    def detect(self) -> None:
        """Look at what has gathered."""
        done, self._done, self.gathered = self._done, [], 0
        if not done:
            return
        start, limited = time.perf_counter(), self.state.limited
        found: list[Found] = []
        while done:
            # As `Loop.detect`: between the same two cuts, however many have gathered, a run ends the one before it of its sensor.
            count = self.state.together([cut.batches[-1].header for cut in done])
            found += self._look_at(done[:count])
            done = done[count:]
        self.counters.seconds += time.perf_counter() - start
        self.counters.limited += max(0, self.state.limited - limited)
        content = zlib.compress(json.dumps([each.to_json() for each in found], ensure_ascii=False).encode(), 1)
        self._sent += pieces("found", content, self._place, self._partition)

    def _look_at(self, cuts: Sequence[Cut]) -> list[Found]:
        """What becomes of each of some cuts that may be looked at together."""
        found: list[Found] = []
        for cut in together([cut.placed(place) for place, cut in enumerate(cuts)]):
            began_ns = time.time_ns()
            before = self.state.runs.get(cut.run) or RunState()
            after, outcomes, seconds = cut.pipeline.step_cuts(before, cut.batches, cut.turns, cut.decisions)
            self.state = _renewed(self.state, cut, after, changed=any(outcomes))
            found += [Found(cut.run, turn.last, outcome) for turn, outcome in zip(cut.turns, outcomes, strict=True)]
            self.counters.batches += len(cut.batches)
            self.counters.records += cut.rows
            self.counters.detectors = added(self.counters.detectors, seconds)
            tracing.record("detect", cut.headers, began_ns)
        return found

    def take_sent(self) -> list[Parcel]:
        """The messages that are to be sent."""
        sent, self._sent = self._sent, []
        return [each.of_split(self._split) for each in sent]

    def write(self, checkpoints: ChangelogCheckpoints) -> None:
        """Keep all that is remembered."""
        beside = {f"{_WAITING}{number:08d}": pack(batch) for number, batch in enumerate(self._waiting)}
        self._write(checkpoints, self.state, {"teller": self._teller}, beside)


def _renewed(state: State, cut: Cut, after: RunState, *, changed: bool) -> State:
    """What is remembered after cuts of a run, the run that was quiet longest first; of too many runs it is forgotten."""
    runs = {run: held for run, held in state.runs.items() if run != cut.run} | {cut.run: after}
    if changed:
        of_sensor = growing({run: held.alerts for run, held in runs.items() if run[0] == cut.run[0]})
        runs |= {run: replace(runs[run], alerts=alerts) for run, alerts in of_sensor.items()}
    over = max(0, len(runs) - RUNS)
    return State(dict(list(runs.items())[over:]), {}, state.forgotten + over)
