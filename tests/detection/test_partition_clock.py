"""Whether a sensor is silent follows from the topic: the alerts are alike whenever a worker looks or takes over."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import pytest

from detection.alerts import decode_alerts
from detection.changelog import ChangelogCheckpoints
from detection.partition_clock import MARGIN_MS, PartitionClock
from detection.ruleset import RuleFiles
from detection.site_loop import SiteLoop
from tests.detection.test_grouping import mixed_rules
from tests.detection.test_merging import of_sensor, texts
from tests.detection.test_worker import outgoing
from tests.detection.traffic import cuts, request

if TYPE_CHECKING:
    from collector.store import RecordBatch
    from collector.stream import Outgoing
    from detection.alerts import Alert
    from detection.inbox import Entry
    from detection.published import Published

ALLOWANCE_MS: Final = 5_000
NAME: Final = "works"


class Rules:
    """Rules that are in force from the beginning, and no decisions."""

    def __init__(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            mixed_rules(Path(folder))
            self._text = RuleFiles([Path(folder)]).read().to_text()

    def newest(self, site: str, kind: str) -> tuple[int, str] | None:
        return (1, self._text) if (site, kind) == (NAME, "rules") else None

    def decisions(self, site: str) -> list[Entry]:
        del site
        return []


class Memory:
    """A store that holds."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}

    def get_bytes(self, key: str) -> bytes | None:
        return self.held.get(key)

    def set_bytes(self, key: str, value: bytes) -> None:
        self.held[key] = value

    def delete(self, key: str) -> None:
        del self.held[key]

    @property
    def keys(self) -> list[str]:
        """The keys of what is held."""
        return sorted(self.held)

    @property
    def size(self) -> int:
        """Bytes of what is held."""
        return sum(map(len, self.held.values()))


def minute(number: int) -> list[list[RecordBatch]]:
    """Cuts of a sensor over the same two minutes as those of the others, about hosts that they see too."""
    source = random.Random(number)
    moment, records = 0.0, list[dict[str, Any]]()
    for _ in range(60):
        moment += source.choice([0.5, 1, 2, 4])
        client, server = f"10.0.0.{source.randint(1, 3)}", f"10.0.0.{source.randint(2, 4)}"
        records.append(request(moment, client, server, source.choice([3, 6, 8, 16]), address=source.randint(0, 5)))
    return of_sensor(f"sensor-{number}", cuts(records, list(range(4, 60, 4))))


def sent(seed: int) -> list[tuple[int, Outgoing]]:
    """The batches of three sensors, with the times at which they came to the topic: mostly soon one after another."""
    source = random.Random(seed)
    delayed: list[tuple[float, int, list[RecordBatch]]] = []
    for number in range(3):
        at = 0.0
        for cut in minute(number):
            at = max(at, cut[0].header.cut_end + source.uniform(0, 0.8) * ALLOWANCE_MS * 1_000_000)
            delayed.append((at, number, cut))
    came, made = 1_700_000_000_000, list[tuple[int, "Outgoing"]]()
    for _, _, cut in sorted(delayed, key=lambda each: each[:2]):
        came += source.choice([1, 20, 500, 2_000, 2_000, ALLOWANCE_MS, ALLOWANCE_MS + 1])
        made += [(came, outgoing(batch)) for batch in cut]
    return made


def look(topic: list[tuple[int, Outgoing]], rules: Rules, moments: random.Random | None) -> tuple[list[str], int]:
    """The alerts of workers that look at a topic, and how many cuts came too late to be in order.

    They look as it is filled, each until it is killed; or one looks when it is full.
    """
    store, told = Memory(), list["Alert"]()
    now = topic[0][0] if moments else topic[-1][0]
    taken = committed = 0

    def begin() -> tuple[SiteLoop, PartitionClock]:
        kept = ChangelogCheckpoints(store, "test")
        site = SiteLoop(NAME, NAME, 0, kept, cast("Published", rules), ALLOWANCE_MS * 1_000_000)
        return site, PartitionClock(taken, site.heard_ms, now / 1_000)

    def end() -> int:
        return sum(came <= now for came, _ in topic)

    site, clock = begin()
    finished = topic[-1][0] + 2 * ALLOWANCE_MS + 2 * MARGIN_MS
    while now < finished or taken < len(topic) or site.waits:
        if moments:
            now += moments.choice([0, 0, 0, 0, 1, 300, 2 * ALLOWANCE_MS, 4 * ALLOWANCE_MS])
        if taken < end() and (moments is None or moments.random() < 0.5):
            came, batch = topic[taken]
            clock.take(taken, came, now / 1_000)
            site.take(batch.header, bytes(batch.data), taken, came)
            taken += 1
        elif moments is None:
            now = finished + ALLOWANCE_MS
        if site.waits and clock.is_past(site.silent_ms, now / 1_000, end):
            site.let_through()
        if moments is None or moments.random() < 0.2:
            site.detect()
            told += [
                alert for each in site.take_told() if each.header.table == "alert" for alert in decode_alerts(bytes(each.data))
            ]
            site.write(ChangelogCheckpoints(store, "test"))
            committed = taken
        if moments and moments.random() < 0.03:
            # What was not committed is lost with the worker.
            taken = committed
            site, clock = begin()
    site.detect()
    told += [alert for each in site.take_told() if each.header.table == "alert" for alert in decode_alerts(bytes(each.data))]
    return texts(told), int(site.loop.order["late"])


@pytest.mark.parametrize("seed", [1, 2])
def test_whenever_a_worker_looks_the_alerts_are_those_of_the_topic(seed: int) -> None:
    topic, rules = sent(seed), Rules()
    wanted = look(topic, rules, None)
    assert wanted[1], "no order but one"
    assert look(topic, rules, random.Random(seed)) == wanted


def test_a_moment_is_past_when_a_later_message_is_taken() -> None:
    clock = PartitionClock(next=0, came_ms=0, seconds=100.0)
    clock.take(4, 5_001, 100.0)
    assert clock.next == 5
    assert clock.is_past(5_000, 100.0, lambda: 9)
    assert not clock.is_past(5_001, 100.0, lambda: 9)


def test_without_a_message_a_moment_is_past_when_time_has_gone_by_and_nothing_lies_in_the_partition() -> None:
    clock = PartitionClock(next=5, came_ms=5_000, seconds=100.0)
    long_after = 100.0 + (10_000 + MARGIN_MS) / 1_000 + 0.001
    assert clock.is_past(15_000, long_after, lambda: 5)
    assert not clock.is_past(15_000, long_after, lambda: 6), "a message waits that may have come before"
    assert not clock.is_past(15_000, long_after, lambda: None), "brokers cannot be reached"
    assert not clock.is_past(15_000, long_after - 0.01, lambda: 5)
