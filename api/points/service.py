"""Asking the record store about process points."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import polars as pl

from api.pages import read_cursor, write_cursor
from api.records.span import Span, grouped
from collector.store import Filter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from api.points.schemas import PointQuery
    from collector.store import RecordStore
    from detection.remembered import Learned
    from detection.site import Site

WRITERS: Final = 20
"""Writers of a point that are told."""

_NUMBER: Final = "point.number"

_OF_POINT: Final = ("server.ip", "point.id")


@dataclass(frozen=True, slots=True)
class Found:
    """A page of points.

    points: server.ip, point.id, network.protocol, rows, first, last, least, greatest and latest of point.number.
    writers, readers: by server.ip, point.id and client.ip.
    expected: least and greatest by server.ip and point.id, as they were while it was learned what is normal.
    normal: client, server and unit of writers that are normal; None where nothing was learned.
    """

    points: pl.DataFrame
    writers: pl.DataFrame
    readers: pl.DataFrame
    expected: pl.DataFrame
    normal: pl.DataFrame | None
    cursor: str | None
    limited: bool


def find(store: RecordStore, span: Span, query: PointQuery, learned: Sequence[Learned]) -> Found:
    """The points that are asked for. Raises Problem `cursor_invalid`, and as `api.records.span.asked`."""
    filters = [
        *([Filter("server.ip", "=", query.server)] if query.server is not None else []),
        *([Filter("point.id", "contains", query.contains)] if query.contains else []),
        *([Filter("network.protocol", "=", query.protocol)] if query.protocol is not None else []),
    ]
    found, limited = grouped(store, "point", [*_OF_POINT, "network.protocol"], span, filters=filters)
    ordered = found.with_columns(pl.col("server.ip").fill_null("")).sort(*_OF_POINT, "network.protocol")
    question = query.question()
    if query.cursor is not None:
        server, point, protocol = (str(part) for part in read_cursor(question, query.cursor, (str, str, str)))
        ordered = ordered.filter(_behind([("server.ip", server), ("point.id", point), ("network.protocol", protocol)]))
    page = ordered.head(query.limit)
    cursor = None
    if ordered.height > page.height:
        cursor = write_cursor(question, *page.tail(1).select(*_OF_POINT, "network.protocol").row(0))
    return Found(*_told(store, span, page, filters, learned), cursor, limited)


def named(store: RecordStore, span: Span, server: str, names: Sequence[str], learned: Sequence[Learned]) -> Found:
    """The points of a device that have these identifiers. Raises as `api.records.span.asked`."""
    filters = [Filter("server.ip", "=", server), Filter("point.id", "in", list(names))]
    found, limited = grouped(store, "point", [*_OF_POINT, "network.protocol"], span, filters=filters)
    ordered = found.sort(*_OF_POINT, "network.protocol")
    return Found(*_told(store, span, ordered, filters, learned), None, limited)


def _behind(place: Sequence[tuple[str, str]]) -> pl.Expr:
    """Whether a row is behind a place in the order of these columns."""
    behind = pl.lit(value=False)
    same = pl.lit(value=True)
    for name, value in place:
        behind |= same & (pl.col(name) > value)
        same &= pl.col(name) == value
    return behind


def _told(
    store: RecordStore, span: Span, page: pl.DataFrame, filters: Sequence[Filter], learned: Sequence[Learned]
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame | None]:
    """What is told of the points of a page, which is asked for these points only."""
    names = page["point.id"].unique().to_list()
    servers = [server for server in page["server.ip"].unique().to_list() if server]
    of_page = [*filters, Filter("point.id", "in", names)] if names else [*filters, Filter("point.id", "is_null")]
    if servers and not page["server.ip"].is_in([""]).any():
        of_page.append(Filter("server.ip", "in", servers))
    by = [*_OF_POINT, "network.protocol"]
    values, _ = grouped(store, "point", by, span, filters=of_page, ranges=[_NUMBER])
    points = page.select(by).join(_named(values), on=by, how="left", maintain_order="left")
    writes = Filter("point.access", "=", "write")
    writers, _ = grouped(store, "point", [*_OF_POINT, "client.ip"], span, filters=[*of_page, writes], ranges=[_NUMBER])
    reads = Filter("point.access", "!=", "write")
    readers, _ = grouped(store, "point", [*_OF_POINT, "client.ip"], span, filters=[*of_page, reads])
    normal = [state.whole.normal for _, state, _ in learned]
    expected: list[pl.DataFrame] = []
    for (sensor, _), state, _ in learned:
        then = replace(span, since=state.whole.start, until=state.whole.until, sensors=(sensor,))
        if then.since < then.until:
            expected.append(_named(grouped(store, "point", _OF_POINT, then, filters=of_page, ranges=[_NUMBER])[0]))
    return points, _named(writers), _named(readers), _joined(expected), _writers(normal) if normal else None


def _named(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("server.ip").fill_null(""))


def _joined(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The least and the greatest of several sensors' learning."""
    schema = {
        "server.ip": pl.String(),
        "point.id": pl.String(),
        f"least {_NUMBER}": pl.Float64(),
        f"greatest {_NUMBER}": pl.Float64(),
    }
    whole = pl.concat([part.select(list(schema)) for part in parts]) if parts else pl.DataFrame(schema=schema)
    return (
        whole.group_by(_OF_POINT)
        .agg(pl.col(f"least {_NUMBER}").min(), pl.col(f"greatest {_NUMBER}").max())
        .drop_nulls([f"least {_NUMBER}"])
    )


def _writers(normal: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Client, server and unit of those who may write."""
    return pl.concat([facts.filter(pl.col("kind") == "writer").select("client", "server", "unit") for facts in normal]).unique()


def of_site_file(site: Site, server: str, point: str) -> tuple[float, float] | None:
    """The range that the site's file gives a point; of several the narrowest that holds for all."""
    found = [limits for ranges in site.ranges.values() for name, limits in ranges.items() if name in {point, f"{server} {point}"}]
    return (max(least for least, _ in found), min(most for _, most in found)) if found else None


def rows_by_point(rows: pl.DataFrame) -> Mapping[tuple[object, ...], pl.DataFrame]:
    """Rows by server and point."""
    return rows.partition_by(_OF_POINT, as_dict=True)


def unit_of(point: str, protocol: str) -> str | None:
    """The unit that a point is of, as facts of the baseline name it."""
    return point.rpartition("@")[2] if protocol == "modbus" else None
