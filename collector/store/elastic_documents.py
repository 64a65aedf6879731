"""Records as documents and documents as records, in whole columns.

A document has the columns of its table that are not null, under their own names, `ts` as `@timestamp`; its identifier is the
record's identity. Bytes are hexadecimal, times other than `ts` and durations are nanoseconds.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from collector.records import IDENTITY_TYPES
from collector.store import QueryTimeoutError, StoreError
from collector.store.elastic_templates import IDENTITY_FIELDS, NOT_FINITE, PRESENT, TIME
from collector.store.query import kinds
from sensor.output import printable
from sensor.tables import polars_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polars._typing import PolarsDataType

    from collector.store import Identity
    from sensor.tables import Kind

TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%S%.9fZ"

IDENTIFIER_BYTES: Final = 480
"""A run whose name is longer than this is named by its hash: Elasticsearch takes identifiers of 512 bytes."""

DAYS_PER_BATCH: Final = 32
"""Rows of a batch of more days than these go to the index of its last day: wild clocks must not make an index a row."""


def run_identifier(sensor: str, epoch: str) -> str:
    """What the identifiers of all records of a run begin with."""
    text = f"{sensor}/{epoch}"
    return text if len(text.encode()) <= IDENTIFIER_BYTES else f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def identifier(identity: Identity) -> str:
    """The identifier of a record's document."""
    return f"{run_identifier(identity.sensor, identity.epoch)}/{identity.sequence}/{identity.row}"


def days(rows: pl.DataFrame, batch: pl.Series) -> pl.Series:
    """For each row the day whose index it belongs to; `batch` tells which rows are of one batch."""
    found = rows["ts"].dt.date().alias("day")
    if found.n_unique() <= DAYS_PER_BATCH:
        return found
    day = pl.col("day")
    kept = pl.when(day.n_unique().over("batch") > DAYS_PER_BATCH).then(day.max().over("batch")).otherwise(day)
    return pl.DataFrame({"day": found, "batch": batch}).select(kept).to_series()


def documents(rows: pl.DataFrame, runs: pl.Series) -> pl.Series:
    """Rows with their identities as lines of a bulk request: action, line break, document, line break.

    `runs` is what `run_identifier` calls the run of each row.
    """
    names = runs.unique()
    quoted = runs.replace_strict(names, pl.Series([_quoted(name).removesuffix('"') for name in names.to_list()]))
    identity = pl.concat_str(pl.lit('{"create":{"_id":'), pl.lit(quoted), pl.lit("/"), "sequence", pl.lit("/"), "row")
    members = [_member(column, kind) for column, kind in rows.schema.items() if rows[column].null_count() < rows.height]
    told = [name for name, kind in rows.schema.items() if isinstance(kind, (pl.List, pl.Binary))]
    if told:
        members.append(_listing(PRESENT, [pl.when(pl.col(name).is_not_null()).then(pl.lit(_inside(name))) for name in told]))
    if numbers := [name for name, kind in rows.schema.items() if kind == pl.Float64()]:
        members.append(_listing(NOT_FINITE, [_special(name) for name in numbers]))
    source = pl.concat_str(members, separator=",", ignore_nulls=True)
    line = pl.concat_str(identity, pl.lit('"}}\n{'), source, pl.lit("}\n"))
    return printable_nested(rows).select(line.alias("line")).to_series()


def printable_nested(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with bytes, wherever they are, as hexadecimal text; other columns as they are."""
    nested = [name for name, kind in rows.schema.items() if isinstance(kind, (pl.List, pl.Binary))]
    return rows.with_columns(printable(rows.select(nested))) if nested else rows


@dataclass(frozen=True, slots=True)
class Hits:
    """What a search has found.

    Attributes:
        rows: the documents as rows of their table, in the types that it declares, names and choices as text.
        total: how many there are in all, where that was asked.
        last: what the last of them is sorted by, of a search in the order of the index.
        point: the point in time to go on with.
    """

    rows: pl.DataFrame
    total: int | None
    last: int | None
    point: str | None


def source(columns: Sequence[str]) -> list[str]:
    """The fields that hold these columns."""
    return [*map(_field, columns), NOT_FINITE]


def read(answer: bytes, table: str, columns: Sequence[str]) -> Hits:
    """The documents of a search's answer. Raises QueryTimeoutError, StoreError where the search was cut short."""
    known = kinds(table)
    fields = {_field(name): _json_type(name, known[name]) for name in columns}
    hit = pl.Struct({"_source": pl.Struct({**fields, NOT_FINITE: pl.List(pl.String())}), "sort": pl.List(pl.String())})
    total = pl.Struct({"value": pl.Int64()})
    whole = pl.Struct(
        {
            "timed_out": pl.Boolean(),
            "_shards": pl.Struct({"failed": pl.Int64()}),
            "pit_id": pl.String(),
            "hits": pl.Struct({"total": total, "hits": pl.List(hit)}),
        }
    )
    told = pl.Series([answer.decode()]).str.json_decode(whole).struct.unnest()
    if told["timed_out"].item():
        raise QueryTimeoutError("the search took longer than it may: ask for less, or raise ICSIGHT_STORE_QUERY_SECONDS")
    if told["_shards"].struct.field("failed").item():
        raise StoreError("a part of the records cannot be searched: look at the cluster's health (a shard has failed)")
    found = told["hits"].struct.unnest()
    hits = found["hits"].explode(empty_as_null=False, keep_nulls=False)
    last = hits.struct.field("sort").list.first()
    rows = hits.struct.field("_source").struct.unnest().select(_restored(name, known[name]) for name in columns)
    ordinal = last.tail(1).cast(pl.Int64(), strict=False)
    return Hits(rows, found["total"].struct.field("value").item(), ordinal.item() if hits.len() else None, told["pit_id"].item())


def _field(column: str) -> str:
    """The field of a column."""
    return TIME if column == "ts" else IDENTITY_FIELDS.get(column, column)


def _member(column: str, kind: PolarsDataType) -> pl.Expr:
    """A column as a member of its document; null where it is null."""
    name = _quoted(_field(column))
    value = pl.col(column)
    if column == "ts":
        return pl.concat_str(pl.lit(f'{name}:"'), value.dt.strftime(TIME_FORMAT), pl.lit('"'))
    if isinstance(kind, pl.Datetime):
        value = value.dt.epoch("ns")
    elif isinstance(kind, pl.Duration):
        value = value.dt.total_nanoseconds()
    elif kind == pl.Float64():
        value = pl.when(value.is_finite()).then(value)
    elif isinstance(kind, (pl.Categorical, pl.Enum)):
        value = value.cast(pl.String())
    if kind.is_integer() or isinstance(kind, (pl.Datetime, pl.Duration, pl.Boolean)):
        return pl.concat_str(pl.lit(f"{name}:"), value.cast(pl.String()))
    # {"name":…} without its braces.
    written = pl.struct(value.alias(_field(column))).struct.json_encode()
    return pl.when(value.is_not_null()).then(written.str.slice(1, written.str.len_chars() - 2))


def _listing(field: str, names: Sequence[pl.Expr]) -> pl.Expr:
    """A member that lists the names which are not null; null where all are."""
    joined = pl.concat_str(names, separator='","', ignore_nulls=True)
    return pl.when(joined != "").then(pl.concat_str(pl.lit(f'{_quoted(field)}:["'), joined, pl.lit('"]')))


def _special(column: str) -> pl.Expr:
    """`column=nan` and the like for numbers that are not finite, null for the others."""
    value = pl.col(column)
    told = pl.when(value.is_nan()).then(pl.lit("nan")).when(value > 0).then(pl.lit("inf")).otherwise(pl.lit("-inf"))
    return pl.when(value.is_finite().not_()).then(pl.concat_str(pl.lit(f"{_inside(column)}="), told))


def _json_type(column: str, kind: Kind) -> PolarsDataType:
    """How a column's value is read from JSON."""
    return pl.String() if column == "ts" else _plain(IDENTITY_TYPES.get(column) or polars_type(kind))


def _plain(kind: PolarsDataType) -> PolarsDataType:
    """How a value of this type is read from JSON."""
    if isinstance(kind, (pl.Categorical, pl.Binary)):
        return pl.String()
    if isinstance(kind, (pl.Datetime, pl.Duration)):
        return pl.Int64()
    if isinstance(kind, pl.List):
        return pl.List(_plain(kind.inner))
    if isinstance(kind, pl.Struct):
        return pl.Struct({name: _plain(inner) for name, inner in kind.to_schema().items()})
    return kind


def _restored(column: str, kind: Kind) -> pl.Expr:
    """A column as its table declares it, names and choices as text."""
    value = pl.col(_field(column))
    if column == "ts":
        return value.str.to_datetime(TIME_FORMAT, time_unit="ns", time_zone="UTC").alias("ts")
    wanted = IDENTITY_TYPES.get(column) or polars_type(kind)
    if kind == "f64":
        value = pl.coalesce(
            value,
            *(
                pl.when(pl.col(NOT_FINITE).list.contains(f"{column}={text}")).then(pl.lit(float(text)))
                for text in ("nan", "inf", "-inf")
            ),
        )
    return _bytes(value, wanted).alias(column)


def _bytes(value: pl.Expr, wanted: PolarsDataType) -> pl.Expr:
    """A value in the type that is wanted, with hexadecimal text as bytes wherever it is."""
    if isinstance(wanted, pl.Categorical):
        return value.cast(pl.String())
    if isinstance(wanted, pl.Binary):
        return value.str.decode("hex")
    if isinstance(wanted, pl.List) and isinstance(wanted.inner, pl.Struct):
        return value.list.eval(_bytes(pl.element(), wanted.inner))
    if isinstance(wanted, pl.Struct):
        fields = (_bytes(pl.field(name), inner).alias(name) for name, inner in wanted.to_schema().items())
        return value.struct.with_fields(*fields)
    return value.cast(wanted)


def _quoted(text: str) -> str:
    """A text as JSON writes it."""
    return json.dumps(text, ensure_ascii=False)


def _inside(text: str) -> str:
    """A text as JSON writes it between the marks that enclose it."""
    return _quoted(text)[1:-1]
