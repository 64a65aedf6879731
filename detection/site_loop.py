"""One site on a worker that shares a stream with others: its loop, and all that is remembered of it, as one checkpoint.

What waits for the rest of its cut or for other sensors is kept with the checkpoint, and so is what took effect at which place
(versions, decisions), so that whoever takes the site over goes on as if nothing had been. Nothing here does any input or output:
`scaleout` hands over messages, and takes alerts and checkpoints.
"""

from __future__ import annotations

import json
import secrets
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from collector.records import Undecodable, decode
from collector.stream import Outgoing, Position
from detection import parcels
from detection.alert_batches import AlertBatches
from detection.changelog import ANEW
from detection.checkpoint import Checkpoint, CheckpointError
from detection.control import GONE, RULES, Control, let_go
from detection.followed import in_use, is_version
from detection.gaps import RUNS
from detection.in_force import InForce, LiveRules
from detection.kept import KeptStream, pack, unpack
from detection.loop import Loop
from detection.parcels import SHARE, TELLER, Ordered, controls, packed, pieces, share_of
from detection.pipeline import Pipeline, RunState, State
from detection.published import DecisionsOf, RuleVersions, SiteVersions
from detection.ruleset import RuleFiles
from detection.sigma.rule import RuleError
from detection.site import Site, SiteError
from sensor.control_records import rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.store import RecordBatch
    from collector.stream import Run
    from detection.alerts import Alert
    from detection.changelog import ChangelogCheckpoints
    from detection.control import Effective, EffectiveRules
    from detection.cuts import Cut
    from detection.loop import Counters
    from detection.parcels import Parcel
    from detection.published import Published
    from detection.ruleset import Ruleset
    from sensor.spool_format import BatchHeader

_CONTROL: Final = "control/"
_WAITING: Final = "waiting/"


T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Versions(Protocol[T_co]):
    """Versions of something."""

    def settled(self) -> bool:
        """Whether there is another than was read."""
        ...

    def read(self) -> T_co:
        """The newest."""
        ...


@dataclass(frozen=True, slots=True)
class _Held:
    """A batch that may wait."""

    offset: int
    batch: Outgoing


class SiteLoop:
    """Detection of one site.

    Args:
        name: the key of its messages: its name, or its sensor's where it has none.
        site: its name.
        partition: the partition that its messages are in.
        checkpoints: what is remembered of it.
        published: versions and decisions.
        allowance_ns: how far a sensor may be behind the others of its site to be waited for.

    Raises:
        CheckpointError: what is remembered cannot be used, what took effect among it.
        RuleError: the rules cannot be used.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - one caller wires it
        self, name: str, site: str, partition: int, checkpoints: ChangelogCheckpoints, published: Published, allowance_ns: int,
    ) -> None:  # fmt: skip
        self.site: Final = site
        """Its name."""
        self._name = name
        self._partition = str(partition)
        self._allowance_ns = allowance_ns
        self._held: dict[tuple[Run, int], _Held] = {}
        before = checkpoints.read()
        beside = checkpoints.beside()
        self._control = KeptStream(unpack(beside[each]) for each in sorted(beside) if each.startswith(_CONTROL))
        self._effective = sum(map(_is_told, self._control.batches))
        """Batches of what took effect that were told."""
        self._looked_at = len(self._control.batches)
        """Batches of what took effect that were there then."""
        kept = before or Checkpoint(Position(), State(), secrets.token_hex(16), {}, ended=True)
        self._epoch = kept.epoch
        self._written: State | None = None
        """The state of the checkpoint that this loop wrote last."""
        self._alerts = AlertBatches(kept.epoch, int(kept.order.get("published", 0)))
        self.shares = int(kept.order.get("shares", 0))
        """So many shares it is split into; 0 where it is whole."""
        self._told_shares = int(kept.order.get("told_shares", 0))
        """Batches of what took effect that its shares were told."""
        self._sent: list[Parcel] = []
        self._seen = dict(kept.position.seen)
        self._heard_ms = int(kept.order.get("heard_ms", 0))
        """When its last message came to the topic, milliseconds since 1970."""
        self._next = kept.position.offsets.get(self._partition, 0)
        """Place behind the last message that was taken."""
        in_force, told, is_newer = self._holding(site, published, kept.position)
        self.loop = Loop(kept.state, kept.order, in_force, self._publish, allowance_ns)
        if before is None or is_newer:
            self.loop.publish(told)
        for each in sorted(beside):
            if each.startswith(_WAITING):
                offset, batch = int(each.removeprefix(_WAITING)), unpack(beside[each])
                self._hand_over(batch.header, bytes(batch.data), offset)
        self.changed = before is None
        """Whether there is something that is not in the checkpoint."""

    @property
    def counters(self) -> Counters:
        """What was done here."""
        return self.loop.counters

    @property
    def done(self) -> Counters:
        """As `Loop.done`."""
        return self.loop.done

    @property
    def heard_ms(self) -> int:
        """When its last message came to the topic, milliseconds since 1970."""
        return self._heard_ms

    @property
    def silent_ms(self) -> float:
        """Until when another must come to the topic, milliseconds since 1970; later nothing waits for silent sensors any more."""
        return self._heard_ms + self._allowance_ns / 1e6

    @property
    def waits(self) -> bool:
        """Whether something waits for other sensors, which may have nothing to say."""
        return self.loop.waits_for_others

    def take(self, header: BatchHeader, data: bytes, offset: int, came_ms: int) -> int:
        """Take the message at this place in, which came to the topic then; it counts for nothing where its batch came before.

        Returns:
            Bytes of its records, unpacked.
        """
        if self.waits and came_ms > self.silent_ms:
            self.loop.let_through()
        self._heard_ms = max(self._heard_ms, came_ms)
        self._next = offset + 1
        self.changed = True
        seen = self._seen.pop(header.run, -1)
        self._seen[header.run] = max(seen, header.sequence)
        if len(self._seen) > RUNS:
            del self._seen[next(iter(self._seen))]
        if header.sequence <= seen:
            return 0
        in_force, here = self.loop.in_force, {self._partition: offset}
        self.loop.publish(in_force.look_at_files(here))
        in_force.take_up(here)
        self.counters.reloads = in_force.reloads
        batch = self._hand_over(header, data, offset)
        self.counters.damaged += batch is None
        return 0 if batch is None else batch.size

    def detect(self) -> None:
        """Look at what has gathered, or send it to the shares of a site that is split."""
        if self.shares:
            self._send(self.loop.released())
        else:
            self.loop.detect()
        waiting: dict[Run, int] = {}
        for run, _, sequence in self.loop.waiting():
            waiting[run] = min(waiting.get(run, sequence), sequence)
        self._held = {key: held for key, held in self._held.items() if key[0] in waiting and key[1] >= waiting[key[0]]}

    @property
    def is_to_be_split(self) -> bool:
        """Whether its facts say that it shall be, and it is not yet."""
        return not self.shares and self.loop.in_force.facts.split

    def split(self, shares: int) -> None:
        """Hand what is remembered over to so many shares and to the teller; whatever comes goes there from now on."""
        self.loop.detect()
        state, self.shares = self.loop.state, shares
        self.loop.begin(State())
        partition, key = self._teller
        teller = {"partition": partition, "key": key.decode()}
        told = {run: RunState(alerts=held.alerts, site=held.site) for run, held in state.runs.items()}
        whole = packed(State(told, state.sites, state.forgotten))
        self._sent += pieces("state", whole, self._teller, self._sender, shares=shares)
        for share in range(shares):
            runs = {run: held for run, held in state.runs.items() if share_of(run[0], shares) == share}
            place = share, self._share
            self._sent += pieces("state", packed(State(runs)), place, self._sender, teller=teller)
        self.changed = True

    def take_sent(self) -> list[Parcel]:
        """The messages that are to be sent to its shares and its teller."""
        sent, self._sent = self._sent, []
        return [each.of_split(self._epoch) for each in sent]

    @property
    def teller(self) -> tuple[int, str]:
        """Partition and key of the teller of a site that is split."""
        partition, key = self._teller
        return partition, key.decode()

    @property
    def _teller(self) -> tuple[int, bytes]:
        """Partition and key of the teller; where partitions are as many, the worker that has the records has it too."""
        return int(self._partition) % self.shares, TELLER + self._name.encode()

    @property
    def _sender(self) -> int:
        """What tells its pieces from those of shares."""
        return self.shares + int(self._partition)

    @property
    def _share(self) -> bytes:
        """Key of its shares."""
        return SHARE + self._name.encode()

    def _send(self, cuts: Sequence[Cut]) -> None:
        """Send what took effect since, and cuts, to where each is looked at, and their order to the teller."""
        told = self._control.batches
        numbers = range(self._told_shares, len(told))
        fresh = [(told[each], in_use(told[: each + 1]) if is_version(told[each]) else []) for each in numbers]
        self._told_shares = len(told)
        since = self._partition, min([self._since, *(cut.last[1] for cut in cuts)])
        places = [self._teller, *((share, self._share) for share in range(self.shares))]
        self._sent += controls(fresh, places, since, self._sender)
        for cut in cuts:
            batches = [Outgoing(batch.header, batch.data) for batch in cut.batches]
            place = share_of(cut.run[0], self.shares), self._share
            self._sent += parcels.batches(batches, cut.last, place, self._sender)
        if cuts:
            order = [Ordered(cut.sequence, cut.last, cut.batches[-1].header).to_json() for cut in cuts]
            content = zlib.compress(json.dumps(order, ensure_ascii=False).encode(), 1)
            self._sent += pieces("order", content, self._teller, self._sender)

    def let_through(self) -> None:
        """Look at what waits for other sensors: nothing came to the topic for as long as the allowance (`silent_ms`)."""
        self.loop.let_through()
        self.detect()
        self.changed = True

    def take_told(self) -> list[Outgoing]:
        """The batches that are to be published: of alerts, and before them of what took effect (facts of the site, decisions)."""
        effective = [batch for batch in self._control.batches[self._looked_at :] if _is_told(batch)]
        self._looked_at = len(self._control.batches)
        alerts = self._alerts.take()
        told: list[Outgoing] = []
        for batch in effective:
            # Numbered anew, as one run of the site: a run of its own for each start would never end.
            header = replace(batch.header, epoch=self._epoch, sequence=self._effective, cut=self._effective, site=self._called)
            told.append(Outgoing(header, batch.data))
            self._effective += 1
        return told + alerts

    def _let_go(self) -> None:
        """Keep no content of versions that hold for nothing any more; that they were, and which of them were told, stays."""
        if self.loop.in_force.let_go(self._partition, self._since):
            told = min(self._looked_at, self._told_shares) if self.shares else self._looked_at
            let_go(self._control.batches, self._partition, self._since, told)

    @property
    def _since(self) -> int:
        """The earliest place of what waits here or is still to come."""
        return min([self._next, *(offset for _, (_, offset), _ in self.loop.waiting())])

    def write(self, checkpoints: ChangelogCheckpoints) -> None:
        """Keep all that is remembered."""
        self._let_go()
        order = {**self.loop.order, "published": self._alerts.told, "heard_ms": self._heard_ms}
        if self.shares:
            order |= {"shares": self.shares, "told_shares": self._told_shares}
        version = self.loop.in_force.facts.version
        position = Position({self._partition: self._next}, self._seen)
        beside = {f"{_CONTROL}{number:08d}": pack(batch) for number, batch in enumerate(self._control.batches)}
        beside |= {f"{_WAITING}{held.offset:020d}": pack(held.batch) for held in self._held.values()}
        checkpoint = Checkpoint(position, self.loop.state, self._epoch, order, ended=True, site=version)
        checkpoints.write(checkpoint, beside, self._written)
        self._written = checkpoint.state
        self.changed = False

    def _hand_over(self, header: BatchHeader, data: bytes, offset: int) -> RecordBatch | None:
        """Hand a batch to the loop; None where it cannot be read."""
        try:
            batch = decode(header, data)
        except Undecodable:
            batch = None
        self._held[header.run, header.sequence] = _Held(offset, Outgoing(header, data))
        self.loop.take(header, batch, (self._partition, offset))
        return batch

    def _holding(self, site: str, published: Published, position: Position) -> tuple[InForce, Sequence[Alert], bool]:
        """What holds at each place, what is to be told of the rules, and whether others hold than did before.

        Where none are published those of the product hold: of the version that runs, as on one machine after an upgrade.
        """
        control = Control(self._control, DecisionsOf(published, self._name))
        rule_versions, site_versions = RuleVersions(published, self._name), SiteVersions(published, self._name)
        sites, rulesets = self._effective_here(control)
        facts = sites[-1].site if sites else self._first(SiteVersions(published, self._name), Site(site=site))
        rules: Ruleset | None = None
        if rule_versions.newest() is not None:
            rules = rulesets[-1].rules if rulesets else self._first(RuleVersions(published, self._name), None)
        ruleset = rules or RuleFiles().read()
        is_newer = bool(rulesets) and rulesets[-1].rules.version != ruleset.version
        pipeline, told = Pipeline.proved(ruleset, facts)
        live = LiveRules(rule_versions, ruleset, told)
        return InForce(pipeline, (position, position), control, live, site_versions), told, is_newer

    def _effective_here(self, control: Control) -> tuple[Sequence[Effective], Sequence[EffectiveRules]]:
        """The facts and rules that took effect so far. Raises CheckpointError where something that did is not read here."""
        try:
            # These are read once more where they are put in force.
            _ = control.decisions(), control.changes()
            return control.sites(), control.rulesets()
        except (ValueError, TypeError, LookupError) as error:
            reason = " ".join(str(error).split())[:200]
            raise CheckpointError(f"site {self._name!r}: what took effect is not of this version ({reason}): {ANEW}") from error

    @staticmethod
    def _first(versions: Versions[T], otherwise: T) -> T:
        """What a site begins with; why a version cannot be used is told when it is looked at again."""
        try:
            return versions.read() if versions.settled() else otherwise
        except (SiteError, RuleError):
            return otherwise

    @property
    def _called(self) -> str:
        """What the site is called in what is published: the key of its messages where it has no name."""
        return self.loop.in_force.facts.site or self._name

    def _publish(self, upserts: Sequence[Alert]) -> None:
        self._alerts.put(self._called, upserts)
        self.changed = True


def _is_told(batch: Outgoing) -> bool:
    """Whether a batch of what took effect is published: rules are not, which are large, and in the topic of versions already."""
    return all(row["kind"] not in {RULES, f"{RULES}{GONE}"} for row in rows_of(bytes(batch.data)))
