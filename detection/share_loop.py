"""A share of a site that is split: all that is found in the records of some of its sensors, and what is remembered of it.

What is found in a run depends on that run alone (`pipeline`), so that sensors can be worked on anywhere. What is told of it rests
on all of the site, and is the teller's (`teller_loop`), which gets what became of each cut. Nothing here does input or output.
"""

from __future__ import annotations

import json
import secrets
import time
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from collector.records import decode
from collector.stream import Outgoing, Position
from detection.checkpoint import Checkpoint
from detection.cuts import Cut, together
from detection.followed import Followed
from detection.kept import pack, unpack
from detection.loop import Counters
from detection.outcomes import Found
from detection.parcels import Parcel, Pieces, no_beginning, pieces, unpacked
from detection.pipeline import RUNS, RunState, State
from detection.sitewide import growing
from detection.timing import added
from sensor import tracing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detection.changelog import ChangelogCheckpoints

_CONTROL: Final = "control/"
_WAITING: Final = "waiting/"


class ShareLoop:
    """Detection in the records of some sensors of a site.

    Args:
        partition: the partition that its messages are in.
        checkpoints: what is remembered of it.

    Raises:
        CheckpointError: what is remembered cannot be used.
    """

    def __init__(self, partition: int, checkpoints: ChangelogCheckpoints) -> None:
        kept = checkpoints.read() or Checkpoint(Position(), State(), secrets.token_hex(16), {}, ended=True)
        beside = checkpoints.beside()
        self.counters: Final = Counters()
        self.changed = False
        """Whether there is something that is not in the checkpoint."""
        self.state = kept.state
        """What is remembered of its runs."""
        self._written: State | None = None
        """The state of the checkpoint that this loop wrote last."""
        self._epoch = kept.epoch
        self._where = checkpoints.name
        self._partition = partition
        self._split = str(kept.order.get("split", ""))
        """Of which split of the site it is; what comes of another is none of its own."""
        self._passing = 0.0
        """Since when all that comes is passed over; 0 where it is not."""
        self.lost = str(kept.order.get("lost", ""))
        """Why it does not go on until the site is forgotten; empty where it does."""
        self._teller: dict[str, Any] = dict(kept.order.get("teller", {}))
        """Partition and key of the teller."""
        self._followed = Followed(unpack(beside[name]) for name in sorted(beside) if name.startswith(_CONTROL))
        self._pieces = Pieces(beside)
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

    def take(self, parcel: Parcel) -> int:
        """Take a message in; nothing is changed where that raises.

        Returns:
            Bytes of records, unpacked, that are whole with it.

        Raises:
            CheckpointError: what is handed over is of a version that is not read, or of rules that this version does not know.
            LostError: what came before it is missing.
            Undecodable, KeyError, ValueError, TypeError, BadZipFile: it is none of its worker's.
        """
        if parcel.begins and parcel.split != self._split:
            self._begin(parcel.split)
        if parcel.split != self._split or self.lost:
            self.counters.passed_over += 1
            self._passing = self._passing or time.monotonic()
            return 0
        self._passing = 0.0
        content = self._pieces.joined(parcel)
        unpacked_bytes = 0 if content is None else self._take_whole(parcel, content)
        self._pieces.take(parcel)
        self.changed = True
        return unpacked_bytes

    def _take_whole(self, parcel: Parcel, content: bytes) -> int:
        """Take in what is whole; bytes of records, unpacked, that are whole with it."""
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
        """Begin with what is handed over, and nothing else: the site is split, for the first time or after it was forgotten."""
        self._split, self.lost, self.state = split, "", State()
        self._followed, self._pieces = Followed(()), Pieces({})
        self._waiting, self._done, self.gathered, self._sent = [], [], 0, []

    def end(self, reason: str) -> None:
        """Go on no more, and let the teller know: what this share finds would not be all."""
        self.lost, self.changed = reason, True
        self._waiting, self._done, self.gathered, self._pieces = [], [], 0, Pieces({})
        if self._teller:
            partition, key = self._place
            self._sent.append(Parcel(partition, key, "lost", reason.encode(), {}))

    @property
    def stuck(self) -> str:
        """Why it stands still; empty where it does not. Safe from any thread."""
        return no_beginning(time.monotonic() - self._passing if self._passing else 0.0)

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
        beside = {f"{_CONTROL}{number:08d}": pack(batch) for number, batch in enumerate(self._followed.batches)}
        beside |= {f"{_WAITING}{number:08d}": pack(batch) for number, batch in enumerate(self._waiting)}
        order = {"teller": self._teller, "split": self._split, "lost": self.lost}
        checkpoint = Checkpoint(Position(), self.state, self._epoch, order, ended=True)
        checkpoints.write(checkpoint, beside | self._pieces.beside(), self._written)
        self._written = self.state
        self.changed = False


def _renewed(state: State, cut: Cut, after: RunState, *, changed: bool) -> State:
    """What is remembered after cuts of a run, the run that was quiet longest first; of too many runs it is forgotten."""
    runs = {run: held for run, held in state.runs.items() if run != cut.run} | {cut.run: after}
    if changed:
        of_sensor = growing({run: held.alerts for run, held in runs.items() if run[0] == cut.run[0]})
        runs |= {run: replace(runs[run], alerts=alerts) for run, alerts in of_sensor.items()}
    over = max(0, len(runs) - RUNS)
    return State(dict(list(runs.items())[over:]), {}, state.forgotten + over)
