"""One run: a sensor records, a fault happens when the seed says, and what came of it is held against the reference."""

from __future__ import annotations

import re
import shutil
import time
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import psycopg
from kafka.errors import KafkaError

from collector.store import StoreError
from tests.faults import database, stream
from tests.faults.system import NotReached, shipped, until

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Generator
    from pathlib import Path

    from collector.stream import Outgoing
    from tests.faults.disk import Disk
    from tests.faults.system import Command, System

PACE_SECONDS: Final = 0.12
"""What a sensor waits after each part: as long as the way of one part to the end takes, so that faults meet work everywhere."""

SPAN_SECONDS: Final = 2.0
"""Faults happen within so long of the first packet."""

PATIENCE_SECONDS: Final = 300.0
"""After this, what has not come does not come."""

LOOK_SECONDS: Final = 0.2
"""How often is looked whether it has come."""


@dataclass(slots=True)
class Outcome:
    """What came of a run.

    Attributes:
        kind: which fault.
        seed: what chose its moment.
        what: what was done and when, in words.
        met_work: whether it met work that was not done.
        records: records of the sensor.
        lost: records that are in neither place they should be in, of both stores together, without those in `told`.
        doubled: records or batches of alerts that are there more than once.
        changed: records that say something else.
        told: batches that are lost and of which the system says so.
        restarts: times that a process ended by itself and was started again, as a service manager does.
        alerts: alerts of the reference.
        alerts_equal: whether detection told the same, to the byte.
        trouble: what else went wrong, in one line.
        seconds: how long it took.
    """

    kind: str
    seed: int
    what: str = ""
    met_work: bool = False
    records: int = 0
    lost: int = 0
    doubled: int = 0
    changed: int = 0
    told: int = 0
    restarts: int = 0
    alerts: int = 0
    alerts_equal: bool = False
    trouble: str = ""
    seconds: float = 0.0

    @property
    def held(self) -> bool:
        """Whether the promise held: nothing lost, doubled or changed, the same alerts."""
        return not (self.lost or self.doubled or self.changed or self.trouble) and self.alerts_equal

    def line(self) -> dict[str, Any]:
        """As an object of JSON."""
        return {**asdict(self), "held": self.held}


@dataclass(slots=True)
class Run:
    """A sensor at work, with what a fault may need.

    Attributes:
        system: what it shares with other runs.
        random: the seed's choices.
        site: name of its site, and of the sensor in it.
        data: data folder of the sensor.
        reference: folder of the detection without Kafka.
        parts: files that it records.
        wanted: batches that it makes of them.
        alerts: what must be told of them.
        begun: when the sensor began, on the monotonic clock.
        before: batches of alerts that were there twice, or not at all, before the run.
        stack: what must be put right at its end.
        ships: whether it has an uplink.
        serves: whether an API takes its alerts into a database, which must have them too.
        disk: what its data folder lies on, where that is of its own.
    """

    system: System
    outcome: Outcome
    random: random.Random
    parts: list[Path]
    site: str = ""
    data: Path = field(init=False)
    reference: Path = field(init=False)
    wanted: list[Outgoing] = field(init=False)
    sensor: Command = field(init=False)
    uplink: Command = field(init=False)
    alerts: list[str] = field(init=False)
    begun: float = 0.0
    before: int = 0
    stack: ExitStack = field(default_factory=ExitStack)
    ships: bool = True
    serves: bool = False
    disk: Disk | None = None

    def __post_init__(self) -> None:
        self.site = f"{self.outcome.kind.replace(' ', '-')}-{self.outcome.seed}"
        self.data = self.system.folder / self.site
        self.reference = self.system.folder / f"{self.site}-reference"
        self.before = self.system.alerts.faulty
        self.data.mkdir()
        self.reference.mkdir()
        self.wanted = stream.batches_of(self.parts, self.site, self.site)
        self.alerts = stream.alerts_of(self.wanted, self.system.ruleset, self.reference)
        self.sensor = self.system.recorder(self.data, self.site, self.site, PACE_SECONDS, self.parts)
        self.uplink = self.system.uplink(self.data)

    def begin(self) -> None:
        """Start sensor and uplink, then let the sensor begin. Raises NotReached."""
        self.sensor.start()
        if self.ships:
            self.uplink.start()
        (self.data / "go").touch()
        self.begun = time.monotonic()

    def wait_for_moment(self, least: float = 0.0, most: float = SPAN_SECONDS) -> None:
        """Wait until the moment that the seed chooses."""
        moment = self.random.uniform(least, most)
        time.sleep(max(0.0, self.begun + moment - time.monotonic()))
        self.outcome.what = f"{self.outcome.what} at {moment:.3f} s".strip()

    @property
    def shipped(self) -> int:
        """Batches that the brokers have acknowledged."""
        return shipped(self.data)[0]

    def restart(self, command: Command, *, is_at_work: bool) -> None:
        """Kill a process and start it again. Raises NotReached."""
        self.outcome.met_work |= is_at_work
        command.kill()
        command.start()

    def settle(self) -> None:
        """Wait until everything has come through, and say what did. What does not come is told in the outcome."""
        try:
            self.wait_shipped()
            self.wait_stored()
            for store in self.system.stores:
                self._take_in(stream.stored(store, self.wanted))
        except NotReached as error:
            self.outcome.trouble = " ".join(str(error).split())
        self._compare_alerts()

    def wait_shipped(self) -> None:
        """Wait until all that the sensor has recorded is shipped. Raises NotReached."""
        self._wait(lambda: "recorded" in self.sensor.said(), "the sensor has recorded all")
        count = self._recorded()
        self._wait(lambda: not self.ships or self.shipped >= count, f"{count} batches are shipped")

    def wait_stored(self) -> None:
        """Wait until both stores have all that is on the topic. Raises NotReached."""
        try:
            self._wait(self._has_stored, "all is stored")
        except NotReached as error:
            raise NotReached(f"{error}; {self._how_far()}") from error

    def _wait(self, what: Callable[[], bool], name: str) -> None:
        """Wait for something; processes that end meanwhile are started again. Raises NotReached."""

        refused: list[Exception] = []

        def there() -> bool:
            self._supervise()
            refused.clear()
            try:
                return what()
            except (StoreError, KafkaError, psycopg.Error) as error:
                # The services come back; what does not is told when patience ends.
                refused.append(error)
                return False

        try:
            until(there, PATIENCE_SECONDS, name, LOOK_SECONDS)
        except NotReached as error:
            raise NotReached(f"{error}{''.join(f' ({each})' for each in refused)}") from error

    def _supervise(self) -> None:
        """Start processes again that have ended. Raises NotReached where a service has: nobody starts that one again."""
        for service in self.system.ground.services:
            if service.process is not None and not service.process.runs():
                raise NotReached(f"{type(service).__name__} has ended by itself, having said: {service.process.tail()[-500:]}")
        own = (self.sensor, self.uplink) if self.ships else (self.sensor,)
        for command in (*own, *self.system.shared):
            if not command.runs() and "recorded" not in command.said():
                self.outcome.restarts += 1
                command.begin()

    @contextmanager
    def at_work(self) -> Generator[None]:
        """Its own processes are ended with it, and its data is removed."""
        try:
            yield
        finally:
            self.uplink.kill()
            self.sensor.kill()
            self.stack.close()
            shutil.rmtree(self.data)
            shutil.rmtree(self.reference)

    def is_stored(self) -> bool:
        """Whether all of the sensor's batches are on the topic and in both stores."""
        return self.shipped >= len(self.wanted) and self._has_stored()

    def _has_stored(self) -> bool:
        end = self.system.alerts.end(self.system.topics.records)
        return all(self.system.stored_to(store) >= end for store in self.system.stores)

    def _how_far(self) -> str:
        """How far each collector has come, and what it said last."""
        said = [f"{command.log.stem} said last: {command.said().strip()[-300:]}" for command in self.system.shared]
        try:
            stored = [f"{type(store).__name__} has {self.system.stored_to(store)}" for store in self.system.stores]
            stored.append(f"on the topic are {self.system.alerts.end(self.system.topics.records)}")
        except (StoreError, KafkaError) as error:
            stored = [f"who looks is told: {error}"]
        return "; ".join((*stored, *said))

    def has_database(self) -> bool:
        """Whether the API's database has all alerts. Raises psycopg.Error."""
        return database.alerts_of(self.system.dsn, self.site) == self.alerts

    def has_alerts(self) -> bool:
        """Whether all alerts are there."""
        return self.system.alerts.of(self.site) == self.alerts

    def _recorded(self) -> int:
        """Batches in the spool of a sensor that has ended."""
        told = re.search(r"recorded (\d+)", self.sensor.said())
        assert told is not None, "it has been waited for"
        return int(told[1])

    def _take_in(self, found: stream.Stored) -> None:
        outcome = self.outcome
        outcome.records = found.records
        outcome.lost += found.lost
        outcome.doubled += found.doubled
        outcome.changed += found.changed

    def _compare_alerts(self) -> None:
        system, outcome = self.system, self.outcome
        try:
            self._wait(self.has_alerts, f"{len(self.alerts)} alerts")
        except NotReached as error:
            outcome.trouble = outcome.trouble or f"{error}: {len(system.alerts.of(self.site))} came"
        outcome.alerts = len(self.alerts)
        outcome.alerts_equal = self.has_alerts()
        outcome.doubled += system.alerts.faulty - self.before
        if self.serves:
            self._compare_database()

    def _compare_database(self) -> None:
        """What people see must be what detection said, each alert raised once."""
        outcome, dsn = self.outcome, self.system.dsn
        try:
            self._wait(self.has_database, f"{len(self.alerts)} alerts in the database")
        except NotReached as error:
            outcome.trouble = outcome.trouble or f"{error}: {len(database.alerts_of(dsn, self.site))} are there"
        outcome.alerts_equal &= database.alerts_of(dsn, self.site) == self.alerts
        outcome.doubled += database.raised_twice(dsn, self.site)
