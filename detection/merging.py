"""Cuts of several sensors of one site in one order, whatever the order in which they come: by event time, sensor and sequence.

Each run goes on in its own order, and says with each cut up to which event time it is known. A cut is let through when no other
run of its site can bring one that comes before it: when all have come as far. A run that is further behind the foremost than the
allowance is not waited for. What it brings when later cuts are through already is let through at once: nothing is lost, but it is
out of order, and that is counted, and told where it is more than the allowance. Whose times never were near any other's (a
capture of last year beside today's traffic) goes by its own clock, and is not late.

A run ends the one before it of the same sensor: nobody waits for that any more, so that a sensor alone never waits.

What comes out follows from the order of the stream alone, not from how it is read; but for what waits when nothing comes for as
long as the allowance, which the caller lets through (`all`), and remembers where.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collector.stream import Run

WAITING_CUTS: Final = 1_000
"""Cuts of one site that wait for other sensors; beyond that the first is let through, and counted as hurried."""

KEPT_BY: Final[tuple[str, ...]] = ()
"""Columns by which orders are kept apart: there are none, for all sensors of a site wait for one another."""

RUNS: Final = 1_000
"""Runs whose clocks are remembered, over all sites; beyond that those that were quiet longest are forgotten."""


class Placed(Protocol):
    """What is put in order."""

    @property
    def run(self) -> Run:
        """The run that it is of."""
        ...

    @property
    def site(self) -> str:
        """The site of its sensor."""
        ...

    @property
    def sequence(self) -> int:
        """Its place in the run."""
        ...

    @property
    def known_until(self) -> int:
        """Event time up to which its run is known with it, nanoseconds since 1970; it never goes back in a run."""
        ...


@dataclass(slots=True)
class _Clock:
    """How far a run is known."""

    site: str
    until: int
    together: bool = False
    """Whether it was within the allowance of another run."""


@dataclass(slots=True)
class Lateness:
    """What was out of order.

    Attributes:
        late: cuts that came when later ones were through.
        hurried: cuts that did not wait for others because too many waited.
        forgotten: runs whose clocks were forgotten because there were more than `RUNS`, since this was made.
    """

    late: int = 0
    hurried: int = 0
    forgotten: int = 0


Cut = TypeVar("Cut", bound=Placed)


@dataclass(slots=True)
class Merge(Generic[Cut]):
    """Puts cuts in order.

    Attributes:
        allowance_ns: how far a run may be behind the foremost of its site to be waited for.
        counted: what was out of order so far.
        behind: how far the last cut of each run was behind the foremost that was more than the allowance, nanoseconds; whoever
            tells it empties it.
    """

    allowance_ns: int
    counted: Lateness = field(default_factory=Lateness)
    behind: dict[Run, int] = field(default_factory=dict["Run", int])
    _clocks: dict[Run, _Clock] = field(default_factory=dict["Run", _Clock])
    _through: dict[str, tuple[int, Run]] = field(default_factory=dict[str, "tuple[int, Run]"])
    """The last that was let through, by site; of the sites of these runs."""
    _waiting: dict[str, list[tuple[int, Run, int, Cut]]] = field(default_factory=dict[str, "list[tuple[int, Run, int, Cut]]"])

    def take(self, cut: Cut) -> list[Cut]:
        """Take one cut in; those that need not wait any more, in order."""
        moved = self._leave_site(cut)
        clock = self._advance(cut)
        foremost = max(each.until for each in self._clocks.values() if each.site == cut.site)
        behind = foremost - clock.until
        own_clock = behind > self.allowance_ns and not clock.together
        if own_clock or (cut.known_until, cut.run) < self._through.get(cut.site, (0, cut.run)):
            self.counted.late += not own_clock
            if behind > self.allowance_ns and clock.together:
                self.behind[cut.run] = behind
            return [*moved, *self._let_through(cut.site, foremost), cut]
        waiting = self._waiting.setdefault(cut.site, [])
        heapq.heappush(waiting, (cut.known_until, cut.run, cut.sequence, cut))
        released = [*moved, *self._let_through(cut.site, foremost)]
        while len(waiting) > WAITING_CUTS:
            self.counted.hurried += 1
            released.append(self._next(cut.site))
        return released

    def all(self) -> list[Cut]:
        """All that wait, in order: nothing more comes, or nothing came for as long as the allowance."""
        return [self._next(site) for site, waiting in self._waiting.items() for _ in range(len(waiting))]

    def first(self) -> list[Cut]:
        """The first that waits, of the site of which most do: it waits no longer."""
        site = max(self._waiting, key=lambda each: len(self._waiting[each]), default=None)
        return [] if site is None or not self._waiting[site] else [self._next(site)]

    def _next(self, site: str) -> Cut:
        """Let the first through that waits."""
        *_, cut = heapq.heappop(self._waiting[site])
        self._through[site] = max(self._through.get(site, (0, cut.run)), (cut.known_until, cut.run))
        return cut

    @property
    def is_waiting(self) -> bool:
        """Whether something waits."""
        return any(self._waiting.values())

    @property
    def waiting(self) -> list[Cut]:
        """What waits, in any order."""
        return [entry[-1] for waiting in self._waiting.values() for entry in waiting]

    def _leave_site(self, cut: Cut) -> list[Cut]:
        """Where its run was at another site before, all that waits there: what a run brings stays in its order."""
        clock = self._clocks.get(cut.run)
        if clock is None or clock.site == cut.site:
            return []
        del self._clocks[cut.run]
        return [self._next(clock.site) for _ in range(len(self._waiting.get(clock.site, ())))]

    def _advance(self, cut: Cut) -> _Clock:
        """Set the clock of a cut's run, which ends any other of its sensor at its site."""
        if begins := cut.run not in self._clocks:
            self._forget(cut.site, cut.run[0])
        clock = self._clocks.pop(cut.run, None) or _Clock(cut.site, cut.known_until)
        clock.until = max(clock.until, cut.known_until)
        self._clocks[cut.run] = clock
        if len(self._clocks) > RUNS:
            del self._clocks[next(iter(self._clocks))]
            self.counted.forgotten += 1
        if begins:
            sites = {each.site for each in self._clocks.values()}
            self._through = {site: last for site, last in self._through.items() if site in sites}
            self._waiting = {site: waiting for site, waiting in self._waiting.items() if waiting or site in sites}
        for run, other in self._clocks.items():
            if run != cut.run and other.site == cut.site and abs(other.until - clock.until) <= self.allowance_ns:
                clock.together = other.together = True
        return clock

    def _forget(self, site: str, sensor: str) -> None:
        """Go by no run of this sensor any more."""
        for run in [run for run, clock in self._clocks.items() if run[0] == sensor and clock.site == site]:
            del self._clocks[run]
        if site in self._through and self._through[site][1][0] == sensor:
            del self._through[site]

    def _let_through(self, site: str, foremost: int) -> list[Cut]:
        """The cuts that come before all that a run which is waited for can bring, in order."""
        waiting = self._waiting.get(site, [])
        waited_for = (
            (clock.until, run)
            for run, clock in self._clocks.items()
            if clock.site == site and foremost - clock.until <= self.allowance_ns
        )
        horizon = min(waited_for)
        released: list[Cut] = []
        while waiting and waiting[0][:2] <= horizon:
            released.append(self._next(site))
        return released

    def to_json(self) -> dict[str, Any]:
        """What must be remembered beside what waits, which comes again."""
        clocks = [[*run, clock.site, clock.until, clock.together] for run, clock in self._clocks.items()]
        through = [[site, until, *run] for site, (until, run) in self._through.items()]
        return {"late": self.counted.late, "hurried": self.counted.hurried, "clocks": clocks, "through": through}

    @classmethod
    def from_json(cls, allowance_ns: int, content: Mapping[str, Any]) -> Self:
        """What `to_json` gave. Raises KeyError, TypeError or ValueError for anything else."""
        clocks = {
            (str(sensor), str(epoch)): _Clock(str(site), int(until), bool(together))
            for sensor, epoch, site, until, together in content["clocks"]
        }
        through = {str(site): (int(until), (str(sensor), str(epoch))) for site, until, sensor, epoch in content["through"]}
        return cls(allowance_ns, Lateness(int(content["late"]), int(content["hurried"])), _clocks=clocks, _through=through)
