"""Conversations: how often a client asks what, in which order, and how fast a server answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from detection.anomaly import keyed
from detection.anomaly.extremes import WINDOW_NS, Scale
from detection.anomaly.rounding import divided
from detection.gathering import ENGINE, ORDER, gathered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from collector.store import RecordBatch

SCALES: Final[Mapping[str, Scale]] = {
    # What once was not asked for a quarter of an hour is no poll: people ask and write when they want to.
    "interval": Scale("upper", least=1.0, most=900.0),
    "volume": Scale("both", least=5.0, share=0.1),
    "response": Scale("upper", least=0.002),
}
"""The models of this module that have extremes."""

OPERATION: Final = ("client", "server", "unit", "function", "address")
"""What makes two requests one kind. unit: of Modbus; function: of Modbus, or service of OPC UA; address: of Modbus, from 0."""

REQUEST: Final = pl.Schema(
    {
        "event": pl.Int64(),
        "sequence": pl.Int64(),
        "row": pl.Int64(),
        "ts": pl.Int64(),
        "client": pl.Categorical(),
        "server": pl.Categorical(),
        "unit": pl.UInt8(),
        "function": pl.Categorical(),
        "address": pl.UInt16(),
        "answered": pl.Int64(),
        "talk": pl.UInt64(),
        "key": pl.UInt64(),
        "deaf": pl.Int64(),
    }
)
"""Columns of requests. answered: nanoseconds until the answer; talk: key of client and server; key: of the kind of request;
deaf: for how many nanoseconds so far no request at all was heard for longer than a minute, as where a sensor stood still."""


def rows_of(batches: Sequence[RecordBatch], last: int = 0, deaf: int = 0) -> pl.DataFrame:
    """The requests in batches of one run, in the order of time in which they could be known.

    Args:
        batches: batches of whole cuts.
        last: event time of the last request before; 0 where there was none.
        deaf: column `deaf` of that request.
    """
    frames = [
        _read(_READERS[batch.header.table](batch.rows.lazy()))
        for batch in gathered(batches)
        if batch.header.table in _READERS and batch.rows.height
    ]
    if not frames:
        return pl.DataFrame(schema=REQUEST)
    pause = pl.col("event").diff().fill_null(pl.col("event") - last if last else 0)
    return (
        pl.concat(frames)
        .sort(ORDER)
        .with_columns(deaf=deaf + pl.when(pause > WINDOW_NS).then(pause).otherwise(0).cum_sum())
        .select(list(REQUEST))
        .collect(engine=ENGINE)
    )


def _read(requests: pl.LazyFrame) -> pl.LazyFrame:
    return (
        requests.with_columns(
            ts=pl.col("ts").dt.epoch("ns"),
            answered=pl.col("answered").dt.total_nanoseconds(),
            talk=talk_key(),
        )
        .with_columns(key=operation_key())
        .filter(pl.col("client").is_not_null(), pl.col("server").is_not_null(), pl.col("function").is_not_null())
        .select([name for name in REQUEST if name != "deaf"])
    )


def talk_key() -> pl.Expr:
    """The key of client and server, for this process only."""
    return pl.col("client").hash(3) ^ pl.col("server").hash(4)


def operation_key() -> pl.Expr:
    """The key of a kind of request, for this process only."""
    place = pl.col("unit").cast(pl.Int64).fill_null(-1) * 65_537 + pl.col("address").cast(pl.Int64).fill_null(-1)
    return talk_key() ^ pl.col("function").hash(5) ^ place.hash(6)


def _modbus(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.select(
        *ORDER,
        "ts",
        client="client.ip",
        server="server.ip",
        unit="modbus.unit_id",
        function="modbus.function",
        address=pl.coalesce("modbus.write_address", "modbus.address"),
        answered="modbus.response_time",
    )


def _opcua(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Calls; what encryption hides is one operation."""
    called = pl.col("opcua.message_type").cast(pl.String).is_in(["message", "open"])
    return rows.select(
        *ORDER,
        "ts",
        client=pl.when(called).then("client.ip"),
        server="server.ip",
        unit=pl.lit(None, pl.UInt8),
        function=pl.when("opcua.encrypted")
        .then(pl.lit("encrypted"))
        .otherwise(pl.col("opcua.service").cast(pl.String))
        .cast(pl.Categorical),
        address=pl.lit(None, pl.UInt16),
        answered="opcua.response_time",
    )


_READERS: Final[Mapping[str, Callable[[pl.LazyFrame], pl.LazyFrame]]] = {"modbus": _modbus, "opcua": _opcua}
"""The tables that tell of requests."""

LATEST: Final = pl.Schema({**{name: REQUEST[name] for name in ("key", *OPERATION, "ts", "deaf")}, "due": pl.Int64()})
"""Columns of the latest request of each kind. due: see `silence`."""


def intervals(carried: pl.DataFrame, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Seconds heard since the request of the same kind before, and the latest of each of these kinds afterwards.

    `carried` are the latest of all kinds, with the columns of LATEST, in order of the key.
    """
    before = keyed.rows_of(carried, rows.get_column("key").unique()).lazy().with_columns(fresh=pl.lit(value=False))
    told = pl.concat([before, rows.lazy().with_columns(fresh=pl.lit(value=True))], how="diagonal").sort(
        "key", maintain_order=True
    )
    heard = pl.col("ts") - pl.col("deaf")
    same = pl.col("key") == pl.col("key").shift()
    pause = pl.when(same).then(heard - heard.shift())
    latest = told.filter(pl.col("key").ne_missing(pl.col("key").shift(-1))).with_columns(due=pl.lit(None, pl.Int64))
    found = told.with_columns(value=divided(pause, 1e9).clip(0), begun=pl.col("ts").shift(), since=heard.shift()).filter(
        pl.col("fresh") & pl.col("value").is_not_null()
    )
    found, latest = pl.collect_all([found, latest.select(list(LATEST))], engine=ENGINE)
    return found, latest


COUNTED: Final = pl.Schema(
    {
        "talk": pl.UInt64(), "window": pl.Int64(), "client": pl.Categorical(), "server": pl.Categorical(),
        "requests": pl.Int64(), "answers": pl.Int64(), "waited": pl.Int64(),
        "sequence": pl.Int64(), "row": pl.Int64(), "ts": pl.Int64(),
    }
)  # fmt: skip
"""Columns of a conversation's minute. waited: nanoseconds until all answers together; sequence, row, ts: of its last request."""


def minutes(open_: pl.DataFrame, rows: pl.DataFrame, until: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The minutes of conversations that are over, in order, and those that are not.

    Args:
        open_: minutes that were not over before, with the columns of COUNTED.
        rows: requests.
        until: event time up to which all requests are known.
    """
    counted = (
        rows.lazy()
        .group_by("talk", window=pl.col("event") // WINDOW_NS)
        .agg(
            pl.col("client").first(),
            pl.col("server").first(),
            requests=pl.len().cast(pl.Int64),
            answers=pl.col("answered").count().cast(pl.Int64),
            waited=pl.col("answered").sum(),
            sequence=pl.col("sequence").last(),
            row=pl.col("row").last(),
            ts=pl.col("ts").last(),
        )
    )
    both = (
        pl.concat([open_.lazy(), counted.select(list(COUNTED))])
        .group_by("talk", "window", maintain_order=True)
        .agg(
            pl.col("client", "server").first(),
            pl.col("requests", "answers", "waited").sum(),
            pl.col("sequence", "row", "ts").last(),
        )
        .select(list(COUNTED))
        .collect(engine=ENGINE)
    )
    over = (both.get_column("window") + 1) * WINDOW_NS <= until
    return (both.filter(over).sort("window", "talk"), both.filter(~over)) if over.any() else (both.clear(), both)


def of_minutes(over: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """What each model of minutes is to look at."""
    if over.is_empty():
        return {}
    known = over.with_columns(key="talk", event=(pl.col("window") + 1) * WINDOW_NS)
    named = ["key", "event", "sequence", "row", "ts", "client", "server"]
    return {
        "volume": known.select(*named, value=pl.col("requests").cast(pl.Float64)),
        "response": known.filter(pl.col("answers") > 0).select(*named, value=divided(pl.col("waited"), 1e9) / pl.col("answers")),
    }
