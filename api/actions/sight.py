"""Whether traffic shows that somebody has been silent. Pure: what records say in, verdict out.

That nothing was recorded proves nothing by itself: silence of a sensor is not silence of whoever it watches. So silence counts
only where the sensors that saw the acts before have watched all the time since: without a pause, without a loss, with traffic
coming to them, of what can be read. Where any of this is not so, the answer is that nobody can tell, and why.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, cast

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

PAUSE_NANOSECONDS: Final = 30_000_000_000
"""Longest time between two reports of a sensor that counts as watching; it reports every 10 s, also when nothing comes."""

DEAF_NANOSECONDS: Final = 120_000_000_000
"""A sensor to which no packet came for longer has not watched: something else is wrong than that one host is silent."""

LATE_NANOSECONDS: Final = 120_000_000_000
"""How far the newest report may lie from now: records take a while to come, and clocks differ."""

Verdict = Literal["silent", "broken", "too_early", "blind"]
"""silent: it was, and the sensors watched. broken: it was not. too_early: not long enough yet. blind: nobody can tell."""

Reason = Literal[
    "never_seen", "behind", "ahead", "paused", "restarted", "lost", "deaf", "out_of_sight", "unreadable",
]  # fmt: skip
"""Why nobody can tell; the catalogue says it in words, under `proof.REASON`."""

REPORTS: Final = pl.Schema(
    {"at": pl.Int64(), "epoch": pl.String(), "sequence": pl.Int64(), "packets": pl.Int64(), "lost": pl.Int64()}
)
"""Reports of a sensor: when (nanoseconds since 1970), its run and the number of the batch, and what it counted since it began:
packets taken in, and what it missed."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why nobody can tell: of a sensor, where it is about one."""

    reason: Reason
    sensor: str | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What records say.

    Attributes:
        acts: identities of the records that show what should not be, from `since` of the window on.
        reports: what each sensor that saw the acts before said of itself, as `REPORTS`, in order of time.
        lossy: those of them of which batches are missing in the store.
        out_of_sight: whether the other side is known and nothing at all of it was seen.
        unreadable: identities of conversations and calls of which nobody can read whether they are acts.
    """

    acts: Sequence[str] = ()
    reports: Mapping[str, pl.DataFrame] = field(default_factory=dict[str, pl.DataFrame])
    lossy: Collection[str] = ()
    out_of_sight: bool = False
    unreadable: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """The time that is looked at: from `since` to `until`, nanoseconds since 1970."""

    since: int
    until: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """What traffic shows.

    Attributes:
        verdict: whether it was silent.
        window: of which time this is said.
        seen: what it was judged by.
        doubts: why nobody can tell; none unless the verdict is `blind`.
    """

    verdict: Verdict
    window: Window
    seen: Seen
    doubts: Sequence[Doubt] = ()


def window(reports: Mapping[str, pl.DataFrame], executed: int, now: int, span: int) -> Window:
    """The latest time of this length of which all sensors have told, not before the action was carried out.

    Without reports, up to now.
    """
    ends = [cast("int", frame["at"].max()) for frame in reports.values() if frame.height]
    until = max(executed, min([now, *ends]))
    return Window(max(executed, until - span), until)


def judge(seen: Seen, executed: int, now: int, span: int) -> Judgement:
    """Whether it was silent for so long.

    Args:
        seen: what records say of the window.
        executed: when the action was carried out, nanoseconds since 1970.
        now: when was looked.
        span: how long it must be silent, nanoseconds.
    """
    looked = window(seen.reports, executed, now, span)
    if seen.acts:
        return Judgement("broken", looked, seen)
    if now - executed < span:
        return Judgement("too_early", looked, seen)
    doubts = _doubts(seen, looked, now)
    if doubts:
        return Judgement("blind", looked, seen, doubts)
    return Judgement("silent" if looked.until - looked.since >= span else "too_early", looked, seen)


def _doubts(seen: Seen, looked: Window, now: int) -> list[Doubt]:
    if not seen.reports:
        return [Doubt("never_seen")]
    found = [Doubt(reason, name) for name, frame in sorted(seen.reports.items()) for reason in _of_sensor(frame, looked, now)]
    found += [Doubt("lost", name) for name in sorted(seen.lossy) if Doubt("lost", name) not in found]
    if seen.out_of_sight:
        found.append(Doubt("out_of_sight"))
    if seen.unreadable:
        found.append(Doubt("unreadable"))
    return found


def _of_sensor(frame: pl.DataFrame, looked: Window, now: int) -> list[Reason]:
    """Why a sensor has not watched all the time of a window."""
    last = cast("int | None", frame["at"].max())
    if last is None or last < now - LATE_NANOSECONDS:
        return ["behind"]
    if last > now + LATE_NANOSECONDS:
        return ["ahead"]
    watched = covering(frame, looked.since)
    found: list[Reason] = []
    if longest(watched["at"], looked) > PAUSE_NANOSECONDS:
        found.append("paused")
    if watched["epoch"].n_unique() > 1:
        # What it counts begins anew, and while it was away it saw nothing.
        return [*found, "restarted"]
    if watched["lost"].item(-1) > watched["lost"].item(0):
        found.append("lost")
    heard = watched.filter(pl.col("packets") > pl.col("packets").shift(1))["at"]
    if longest(heard, looked) > DEAF_NANOSECONDS:
        found.append("deaf")
    return found


def covering(frame: pl.DataFrame, since: int) -> pl.DataFrame:
    """The reports from a time on, and the last one before: that one says where the counters stood."""
    before = frame.filter(pl.col("at") <= since)
    return pl.concat([before.tail(1), frame.filter(pl.col("at") > since)])


def longest(times: pl.Series, looked: Window) -> int:
    """The longest part of a window in which none of these times is, nanoseconds."""
    inside = times.filter((times >= looked.since) & (times <= looked.until)).sort()
    marks = pl.concat([pl.Series([looked.since], dtype=pl.Int64), inside, pl.Series([looked.until], dtype=pl.Int64)])
    return cast("int", marks.diff().max())
