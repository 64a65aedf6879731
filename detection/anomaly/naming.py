"""What keys stand for: points, operations and conversations by name, for files, checkpoints and other processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from detection.anomaly import conversations, hours, keyed, members, order, points, repeats, windows
from detection.anomaly.extremes import SCHEMA, THINGS
from detection.gathering import ENGINE

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS: Final[Mapping[str, pl.Schema]] = {
    "point": pl.Schema({"server": pl.Categorical(), "point": pl.Categorical()}),
    "operation": pl.Schema({name: conversations.REQUEST[name] for name in conversations.OPERATION}),
    "talk": pl.Schema({"client": pl.Categorical(), "server": pl.Categorical()}),
    "hour": pl.Schema({"client": pl.Categorical(), "server": pl.Categorical(), "slot": pl.Int16()}),
}
"""What the keys of models are made of."""

KIND_OF: Final = {
    **dict.fromkeys((*points.SCALES, *windows.SCALES, *repeats.SCALES, *members.MODELS), "point"),
    **dict.fromkeys(hours.SCALES, "hour"),
    "interval": "operation",
    "volume": "talk",
    "response": "talk",
}
"""What the keys of each model stand for; those of "order" stand for pairs of operations, and are named in its rows."""


_MEMBER: Final[Mapping[str, tuple[str, ...]]] = dict.fromkeys(members.MODELS, ("member",))
"""What else parts the rows of one thing."""


def with_more(
    names: Mapping[str, pl.DataFrame], values: pl.DataFrame, requests: pl.DataFrame, hourly: pl.DataFrame | None
) -> dict[str, pl.DataFrame]:
    """Names with those in rows of points, of requests and of conversations' hours."""
    fresh = {"point": (values, "key"), "operation": (requests, "key"), "talk": (requests, "talk"), "hour": (hourly, "key")}
    return {kind: _with_new(names.get(kind), rows, key, kind) for kind, (rows, key) in fresh.items()}


def _with_new(known: pl.DataFrame | None, rows: pl.DataFrame | None, key: str, kind: str) -> pl.DataFrame:
    """Names of a kind, with those in rows that have their key in a column of this name; what is known keeps its name."""
    if known is None:
        known = pl.DataFrame(schema={"key": pl.UInt64(), **KINDS[kind]})
    if rows is None or rows.is_empty():
        return known
    _, there = keyed.places(known, rows.get_column(key))
    if there.all():
        return known
    new = (
        rows.lazy().filter(~pl.Series(there)).select(pl.col(key).alias("key"), *KINDS[kind]).unique("key").collect(engine=ENGINE)
    )
    return keyed.renewed(known, new, ["key"], 2 * THINGS)[0]


def named(known: Mapping[str, pl.DataFrame], names: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """What models know, by names instead of keys, in one order for the same content."""
    told = {
        model: rows.join(names[kind], on="key", how="inner").drop("key").sort(*KINDS[kind], *_MEMBER.get(model, ()))
        for model, rows in known.items()
        if (kind := KIND_OF.get(model)) is not None and kind in names
    }
    return {**told, "order": known["order"].drop("key", "left").sort(order.KEY)}


def with_keys(told: Mapping[str, pl.DataFrame]) -> tuple[dict[str, pl.DataFrame], dict[str, pl.DataFrame]]:
    """What `named` gave, by keys again, and the names. Raises PolarsError for anything else."""
    transitions = order.with_keys(_typed(told["order"], order.SCHEMA, ("left", "key")))
    known = {"order": keyed.arranged(transitions.select(list(order.SCHEMA)))}
    names: dict[str, pl.DataFrame] = {}
    for model, kind in KIND_OF.items():
        own = members.SCHEMA if model in members.MODELS else SCHEMA
        schema = pl.Schema({**own, **KINDS[kind]})
        rows = (
            _typed(told[model], schema, ("key",)).with_columns(key=_key(kind)) if model in told else pl.DataFrame(schema=schema)
        )
        known[model] = rows.select(list(own)) if model in members.MODELS else keyed.arranged(rows.select(list(own)))
        more = rows.select("key", *KINDS[kind]).unique("key")
        names[kind] = keyed.renewed(names[kind], more, ["key"], 2 * THINGS)[0] if kind in names else keyed.arranged(more)
    return known, names


def carried(name: str, rows: pl.DataFrame) -> pl.DataFrame:
    """A frame of what is carried from step to step, with the keys of this process."""
    match name:
        case "latest_points":
            return keyed.arranged(
                _typed(rows, points.LATEST, ("key",)).with_columns(key=_key("point")).select(list(points.LATEST))
            )
        case "latest_requests":
            rows = _typed(rows, conversations.LATEST, ("key",)).with_columns(key=_key("operation"))
            return keyed.arranged(rows.select(list(conversations.LATEST)))
        case "latest_operations":
            rows = _typed(rows, order.LATEST, ("key", "operation"))
            rows = rows.with_columns(key=_key("talk"), operation=_key("operation"))
            return keyed.arranged(rows.select(list(order.LATEST)))
        case "stretches":
            rows = _typed(rows, repeats.CARRIED, ("key",)).with_columns(key=_key("point"))
            return keyed.arranged(rows.select(list(repeats.CARRIED)))
        case "minutes":
            return rows.with_columns(talk=_key("talk")).select(list(conversations.COUNTED))
        case "open_hours":
            return rows.with_columns(talk=_key("talk")).select(list(hours.OPEN))
        case "open_windows":
            return rows.with_columns(key=_key("point")).select(list(windows.OPEN))
        case "waiting":
            return rows.with_columns(key=_key("point")).select(points.ROWS.columns)
        case _:
            return rows


def _typed(rows: pl.DataFrame, schema: pl.Schema, without: tuple[str, ...]) -> pl.DataFrame:
    columns = {name: kind for name, kind in schema.items() if name not in without}
    return rows.select([*columns]).cast({**columns})


def _key(kind: str) -> pl.Expr:
    match kind:
        case "point":
            return points.point_key(pl.col("server"), pl.col("point"))
        case "operation":
            return conversations.operation_key()
        case "hour":
            return hours.keyed()
        case _:
            return conversations.talk_key()
