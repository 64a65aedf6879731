"""Facts of the site and rules on their way down: versioned records on the stream `control`, each effective at a recorded place.

Detection writes down from which place in the stream of records a version of the site's facts, or of the rules, holds. Whoever
detects anew from the beginning takes each version from its own place on, and so comes to the same alerts.
"""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from collector.stream import Outgoing, Position
from detection.baseline.decisions import Decision
from detection.exceptions import Change
from detection.publish import Publisher
from detection.ruleset import Ruleset
from detection.site import Site
from sensor.control_records import EVIDENCE, PIN, SENSOR, encode, rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from collector.stream import Stream
    from detection.inbox import Entry
    from sensor.control_records import EvidenceRequest
    from sensor.packets import Statement

SITE: Final = "site"
"""Kind of a record that holds the site's facts."""

NORMAL: Final = "normal"
"""Kind of a record that holds a decision about what is normal."""

EXCEPTION: Final = "exception"
"""Kind of a record that holds a decision about an exception."""

RULES: Final = "rules"
"""Kind of a record that holds a version of the rules, whole."""

GONE: Final = "-gone"
"""What the kind of a record ends with of which the content is needed no more."""


class Waiting(Protocol):
    """People's decisions that wait: a folder (`inbox`), or a topic."""

    def waiting(self) -> Sequence[tuple[Path, Entry | None]]:
        """The decisions that wait, oldest first, with their names; None for what is no decision."""
        ...

    def refuse(self, path: Path) -> None:
        """Set aside what is no decision."""
        ...

    def done(self, path: Path) -> None:
        """The oldest decision that waits is taken up."""
        ...


class Held(Protocol):
    """Something that holds from a place in the stream of records on."""

    @property
    def position(self) -> Position:
        """The place."""
        ...


T = TypeVar("T", bound=Held)


@dataclass(frozen=True, slots=True)
class Effective:
    """A version of the site's facts, and the place in the stream of records from which it holds."""

    site: Site
    position: Position


@dataclass(frozen=True, slots=True)
class EffectiveRules:
    """A version of the rules, and the place in the stream of records from which it holds."""

    rules: Ruleset
    position: Position


D = TypeVar("D", Decision, Change)


@dataclass(frozen=True, slots=True)
class Decided(Generic[D]):
    """A person's decision, and the place in the stream of records from which it holds."""

    decision: D
    position: Position


class Control:
    """The stream of control records.

    Args:
        stream: the stream.
        inbox: people's decisions that wait until it is known from which place each holds; None where nobody decides.
    """

    def __init__(self, stream: Stream, inbox: Waiting | None = None) -> None:
        self.inbox = inbox
        self._stream = stream
        self._publisher = Publisher(stream, SENSOR, secrets.token_hex(16), "control")
        self._turn = threading.Lock()

    def sites(self) -> list[Effective]:
        """All versions of the site's facts so far, in the order in which they took effect. Raises StreamError."""
        rows = self._rows(SITE)
        return [Effective(Site.model_validate_json(row["content"]), Position.from_json(row["position"])) for row in rows]

    def rulesets(self) -> list[EffectiveRules]:
        """All versions of the rules so far, in the order in which they took effect. Raises StreamError."""
        rows = self._rows(RULES)
        return [EffectiveRules(Ruleset.from_text(row["content"]), Position.from_json(row["position"])) for row in rows]

    def decisions(self) -> list[Decided[Decision]]:
        """All decisions about what is normal so far, in the order in which they took effect. Raises StreamError."""
        rows = self._rows(NORMAL)
        return [Decided(Decision.from_json(row["content"]), Position.from_json(row["position"])) for row in rows]

    def changes(self) -> list[Decided[Change]]:
        """All decisions about exceptions so far, in the order in which they took effect. Raises StreamError."""
        rows = self._rows(EXCEPTION)
        return [Decided(Change.from_json(row["content"]), Position.from_json(row["position"])) for row in rows]

    def changes_since(self, start: Position) -> tuple[list[Change], Position]:
        """The decisions about exceptions written down from a place of this stream on, and the place behind them.

        Raises StreamError.
        """
        found: list[Change] = []
        with self._stream.subscribe(f"{SENSOR}-reader", start) as consumer:
            while deliveries := consumer.poll(0):
                rows = [row for delivery in deliveries for row in rows_of(delivery.data)]
                found += [Change.from_json(row["content"]) for row in rows if row["kind"] == EXCEPTION]
            return found, consumer.position

    def decide(self, decided: Decided[D]) -> None:
        """Write down that a decision holds from a place on; durable on return. Raises StreamError."""
        kind = EXCEPTION if isinstance(decided.decision, Change) else NORMAL
        self._publish(kind, decided.decision.id, decided.position, decided.decision.to_json(), "")

    def publish_rules(self, effective: EffectiveRules, site: str) -> None:
        """Write down that a version of the rules holds from a place on; durable on return. Raises StreamError."""
        self._publish(RULES, effective.rules.version, effective.position, effective.rules.to_text(), site)

    def _rows(self, kind: str) -> list[dict[str, Any]]:
        """All records of a kind so far."""
        found: list[dict[str, Any]] = []
        with self._stream.subscribe(f"{SENSOR}-reader", Position()) as consumer:
            while deliveries := consumer.poll(0):
                found += [row for delivery in deliveries for row in rows_of(delivery.data) if row["kind"] == kind]
        return found

    def publish(self, effective: Effective) -> None:
        """Write down that a version holds from a place on; durable on return. Raises StreamError."""
        self._publish(SITE, effective.site.version, effective.position, effective.site.to_text(), effective.site.site)

    def pin(self, statement: Statement) -> None:
        """Ask the sensors to pin the packets of an alert; durable on return. Raises StreamError."""
        self._publish(PIN, statement.alert or "", Position(), statement.to_json(), "")

    def ask(self, request: EvidenceRequest) -> None:
        """Ask a sensor for packets; durable on return. Raises StreamError."""
        self._publish(EVIDENCE, request.id, Position(), request.to_json(), "")

    def _publish(self, kind: str, version: str, position: Position, content: str, site: str) -> None:
        with self._turn:
            self._append(kind, version, position, content, site)

    def _append(self, kind: str, version: str, position: Position, content: str, site: str) -> None:
        now = time.time_ns()
        data = encode(now, kind, content, version=version, position=position.to_json())
        self._publisher.publish(data, 1, site, (now, now))


def later(one: Position, other: Position) -> Position:
    """The later of two places in a stream, partition by partition."""
    partitions = {*one.offsets, *other.offsets}
    return Position({name: max(one.offsets.get(name, 0), other.offsets.get(name, 0)) for name in sorted(partitions)})


def at(schedule: Sequence[T], partition: str, offset: int) -> T | None:
    """What holds for the batch at this place; None where nothing is written down for it."""
    held = [effective for effective in schedule if offset >= effective.position.offsets.get(partition, 0)]
    return held[-1] if held else None


def let_go(batches: list[Outgoing], partition: str, offset: int, told: int) -> None:
    """Keep no content of versions that hold for nothing from this place on; that they were stays.

    Args:
        batches: batches of this stream in their order, which are changed.
        partition: partition of the stream of records.
        offset: the place in it.
        told: so many batches from the first one on may lose their content.
    """
    last: set[str] = set()
    for number in reversed(range(len(batches))):
        batch = batches[number]
        (row,) = rows_of(bytes(batch.data))
        kind = row["kind"]
        if kind not in {SITE, RULES} or Position.from_json(row["position"]).offsets.get(partition, 0) > offset:
            continue
        if kind in last and number < told:
            gone = encode(row["ts"], f"{kind}{GONE}", "", version=row["version"], position=row["position"])
            batches[number] = Outgoing(batch.header, gone)
        last.add(kind)
