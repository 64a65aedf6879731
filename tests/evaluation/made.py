"""Events, alerts and captures made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from detection.evaluation.events import Event
from detection.evaluation.matching import TOLERANCE_SECONDS, judge
from detection.evaluation.metrics import Result
from detection.evaluation.observation import Observation, Sighting

if TYPE_CHECKING:
    from collections.abc import Iterable

    from detection.evaluation.events import Shown

SECOND = 1_000_000_000
HMI, PLC, STRANGER = "10.0.0.1", "10.0.0.2", "10.0.0.9"


def event(
    start: float, end: float, *hosts: str, kind: str = "write", techniques: tuple[str, ...] = ("T0836",), shown: Shown = "records"
) -> Event:
    return Event(f"capture#{start}", kind, techniques, int(start * SECOND), int(end * SECOND), frozenset(hosts), shown, "because")


def alert(
    *moments: float,
    hosts: Iterable[str] = (HMI, PLC),
    severity: str = "medium",
    rank: float = 1.0,
    techniques: Iterable[str] = ("T0836",),
    known: float | None = None,
    rule: str = "rule",
) -> Sighting:
    times = [int(moment * SECOND) for moment in moments]
    return Sighting(
        id=f"{rule}-{moments}-{sorted(hosts)}",
        rule=rule,
        severity=severity,
        rank=rank,
        techniques=frozenset(techniques),
        first_technique=next(iter(techniques), ""),
        told=frozenset(techniques),
        hosts=frozenset(hosts),
        first=min(times),
        moments=tuple((time, time) for time in sorted(times)),
        known=max(times) if known is None else int(known * SECOND),
    )


def result(
    events: Iterable[Event],
    alerts: Iterable[Sighting],
    seconds: float = 3_600,
    pairs: Iterable[tuple[str, str]] = ((HMI, PLC),),
    tolerance_seconds: float = TOLERANCE_SECONDS,
) -> Result:
    events, alerts = tuple(events), tuple(alerts)
    seen = Observation(alerts, (), 0, int(seconds * SECOND), seconds, 1_000, frozenset(pairs), ())
    return Result("made", Path("capture.pcap"), seen, events, judge(events, alerts, tolerance_seconds), tolerance_seconds)
