"""What pipelines of scikit-learn are given to look at: minutes of conversations and of servers, and a server's values together.

All are numbers for each minute of a thing. Things are what the day that was learned shows for long enough; a conversation that
was not there is no matter of these pipelines, and none of our models: that it is new is told as such.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from detection.anomaly.extremes import WINDOW_NS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from collector.store import RecordBatch

LEAST_MINUTES: Final = 60
"""Minutes of a thing from which on it is learned."""

STEADY: Final = 0.5
"""What is heard in more of the learned minutes than this is missed when it is silent: such minutes are zeros."""

MINUTES_A_DAY: Final = 1_440
MINUTES_AN_HOUR: Final = 60

Thing = tuple[str, ...]
"""Client and server, or server."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Minutes of one thing.

    Attributes:
        windows: minutes since 1970, rising.
        numbers: a row of features for each.
    """

    windows: NDArray[np.int64]
    numbers: NDArray[np.float64]


def requests(batches: Iterable[RecordBatch]) -> pl.DataFrame:
    """All requests, sorted by time."""
    frames = [_READERS[batch.header.table](batch.rows) for batch in batches if batch.header.table in _READERS]
    return pl.concat([_REQUESTS, *frames]).filter(pl.col("client").is_not_null(), pl.col("server").is_not_null()).sort("ts")


def minutes(rows: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Minutes of each thing that `by` names: counts, times and sizes of what was asked, sorted by time."""
    pause = pl.col("ts").diff() / 1e9
    counts = ["client", "function", "address"]
    return (
        rows.group_by(*by, window=pl.col("ts") // WINDOW_NS)
        .agg(
            *(pl.col(name).n_unique().cast(pl.Float64).alias(f"{name} kinds") for name in counts if name not in by),
            requests=pl.len().cast(pl.Float64),
            writes=pl.col("writes").sum().cast(pl.Float64),
            others=pl.col("others").sum().cast(pl.Float64),
            refused=pl.col("refused").sum().cast(pl.Float64),
            unanswered=pl.col("answered").null_count().cast(pl.Float64),
            operands=pl.col("operands").sum().cast(pl.Float64),
            bytes=pl.col("bytes").sum().cast(pl.Float64),
            answered=(pl.col("answered").mean() / 1e6).fill_null(0.0),
            pause=pause.mean().fill_null(0.0),
            jitter=pause.std().fill_null(0.0),
        )
        .sort("window", *by)
    )


_REQUESTS: Final = pl.DataFrame(
    schema={
        "ts": pl.Int64(), "client": pl.String(), "server": pl.String(), "function": pl.String(), "address": pl.Int64(),
        "writes": pl.Boolean(), "others": pl.Boolean(), "refused": pl.Boolean(), "answered": pl.Int64(),
        "operands": pl.Int64(), "bytes": pl.Int64(),
    }
)  # fmt: skip


def _modbus(rows: pl.DataFrame) -> pl.DataFrame:
    access = pl.col("modbus.access").cast(pl.String)
    return _read(
        rows,
        function=pl.col("modbus.function").cast(pl.String),
        address=pl.coalesce("modbus.write_address", "modbus.address").cast(pl.Int64),
        writes=access.is_in(["write", "read_write"]),
        others=access.is_in(["diagnostic", "other"]),
        refused=pl.col("modbus.exception_code").is_not_null(),
        answered=pl.col("modbus.response_time"),
        operands=pl.col("modbus.quantity").cast(pl.Int64),
        bytes=pl.col("modbus.bytes").cast(pl.Int64),
    )


def _opcua(rows: pl.DataFrame) -> pl.DataFrame:
    service = pl.when("opcua.encrypted").then(pl.lit("encrypted")).otherwise(pl.col("opcua.service").cast(pl.String))
    return _read(
        rows.filter(pl.col("opcua.message_type").cast(pl.String).is_in(["message", "open"])),
        function=service,
        address=pl.lit(None, pl.Int64),
        writes=service.str.contains("(?i)write").fill_null(value=False),
        others=~service.str.contains("(?i)read|write|publish").fill_null(value=True),
        refused=pl.col("opcua.status").cast(pl.String).str.starts_with("Bad").fill_null(value=False),
        answered=pl.col("opcua.response_time"),
        operands=pl.col("opcua.operations").cast(pl.Int64),
        bytes=pl.col("opcua.bytes").cast(pl.Int64),
    )


def _read(rows: pl.DataFrame, **named: pl.Expr) -> pl.DataFrame:
    """Rows of requests with the columns that hold in all tables."""
    answered = named.pop("answered").dt.total_nanoseconds()
    common = {"client": pl.col("client.ip").cast(pl.String), "server": pl.col("server.ip").cast(pl.String)}
    return rows.select(ts=pl.col("ts").dt.epoch("ns"), **common, **named, answered=answered).select(_REQUESTS.columns)


_READERS: Final[Mapping[str, Callable[[pl.DataFrame], pl.DataFrame]]] = {"modbus": _modbus, "opcua": _opcua}


def values(batches: Iterable[RecordBatch]) -> pl.DataFrame:
    """The last value of each point of each server in each minute, a row for each."""
    frames = [
        batch.rows.select(
            window=pl.col("ts").dt.epoch("ns") // WINDOW_NS,
            server=pl.col("server.ip").cast(pl.String),
            point=pl.col("point.id").cast(pl.String),
            number=pl.col("point.number"),
        ).filter(pl.col("number").is_finite())
        for batch in batches
        if batch.header.table == "point"
    ]
    return pl.concat([_VALUES, *frames]).group_by("server", "window", "point", maintain_order=True).last()


_VALUES: Final = pl.DataFrame(schema={"window": pl.Int64(), "server": pl.String(), "point": pl.String(), "number": pl.Float64()})


def counts(learned: pl.DataFrame, *, by_hour: bool) -> Callable[[pl.DataFrame], Mapping[Thing, Seen]]:
    """How minutes of things are looked at, given those that are learned, with the columns of `minutes`.

    Numbers are log1p of counts, milliseconds and seconds; `by_hour` adds the hour of the day as a point of a circle, and how much
    was asked in the hour until then.
    """
    by = [name for name, kind in learned.schema.items() if kind == pl.String]
    heard = learned.get_column("window").n_unique()
    often = {_thing(key): len(part) for key, part in learned.group_by(by)}

    def features(day: pl.DataFrame) -> Mapping[Thing, Seen]:
        all_minutes = day.select("window").unique().sort("window")
        found: dict[Thing, Seen] = {}
        for key, rows in day.group_by(by, maintain_order=True):
            thing, part = _thing(key), rows.drop(by)
            if often.get(thing, 0) < LEAST_MINUTES:
                continue
            if often[thing] > STEADY * heard:
                part = all_minutes.join(part, on="window", how="left", maintain_order="left")
                part = part.with_columns(pl.col(pl.Float64).fill_null(0.0))
            if by_hour:
                turn = pl.col("window") % MINUTES_A_DAY * (2 * np.pi / MINUTES_A_DAY)
                until = pl.col("requests").rolling_sum_by("window", window_size=f"{MINUTES_AN_HOUR}i")
                part = part.with_columns(until=until, east=turn.sin() + 1, north=turn.cos() + 1)
            found[thing] = Seen(part.get_column("window").to_numpy(), np.log1p(part.drop("window").to_numpy()))
        return found

    return features


def _thing(key: Sequence[object]) -> Thing:
    return tuple(str(part) for part in key)


def processes(learned: pl.DataFrame) -> Callable[[pl.DataFrame], Mapping[Thing, Seen]]:
    """How the values of each server are looked at together, given those that are learned.

    Numbers are the points that were read in most of the learned minutes, and how far each is from the minute before. A point that
    is not read keeps its value; one that is not read at all has the mean that was learned.
    """
    read_on: dict[str, list[str]] = {}
    usual: dict[str, float] = {}
    for (server,), part in learned.group_by("server", maintain_order=True):
        heard = part.get_column("window").n_unique()
        often = part.group_by("point").agg(times=pl.len(), mean=pl.col("number").mean()).sort("point")
        often = often.filter(pl.col("times") > STEADY * heard)
        if heard >= LEAST_MINUTES and often.height >= 2:
            read_on[str(server)] = often.get_column("point").to_list()
            usual |= {f"{server} {point}": float(mean) for point, mean in often.select("point", "mean").iter_rows()}

    def features(day: pl.DataFrame) -> Mapping[Thing, Seen]:
        found: dict[Thing, Seen] = {}
        for (server,), part in day.group_by("server", maintain_order=True):
            points = read_on.get(str(server), [])
            now = part.filter(pl.col("point").is_in(points))
            if now.is_empty():
                continue
            wide = now.pivot("point", index="window", values="number").sort("window")
            missing = [pl.lit(None, pl.Float64).alias(point) for point in points if point not in wide.columns]
            wide = wide.with_columns(missing).select("window", *points)
            filled = wide.select(
                pl.col(point).forward_fill().backward_fill().fill_null(usual[f"{server} {point}"]) for point in points
            ).to_numpy()
            steps = np.diff(filled, axis=0, prepend=filled[:1])
            found[str(server),] = Seen(wide.get_column("window").to_numpy(), np.hstack([filled, steps]))
        return found

    return features
