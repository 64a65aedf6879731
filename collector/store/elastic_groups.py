"""Rows counted together by the cluster: composite aggregations, page after page, with the answers that SQL over files gives."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, cast

import polars as pl

from collector.store import Groups, QueryError, QueryTimeoutError, StoreError
from collector.store.elastic_query import compared, condition, iso
from collector.store.elastic_server import Refused, TooSlow
from collector.store.elastic_templates import TIME, pattern
from collector.store.groups import schema
from collector.store.query import kinds, nanoseconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collector.store import Grouping
    from collector.store.elastic_server import Server

PAGE_GROUPS: Final = 5_000
"""Groups that are asked for at once."""

PAGE_GROUPS_WITH_LATEST: Final = 500
"""The same where of each its latest row is looked up."""


def ask(server: Server, grouping: Grouping, seconds: float) -> Groups:
    """The groups. Raises QueryError, StoreError."""
    columns = schema(grouping)
    known = kinds(grouping.table)
    conditions = [condition(known, item, grouping.table) for item in grouping.filters]
    bounds = {
        sign: iso(nanoseconds(moment)) for sign, moment in (("gte", grouping.since), ("lt", grouping.until)) if moment is not None
    }
    if bounds:
        conditions.append({"range": {TIME: bounds}})
    page = PAGE_GROUPS_WITH_LATEST if grouping.ranges else PAGE_GROUPS
    composite: dict[str, Any] = {
        "size": min(page, grouping.limit + 1),
        "sources": [
            {f"by{place}": {"terms": {"field": compared(column), "missing_bucket": True}}}
            for place, column in enumerate(grouping.by)
        ],
    }
    body: dict[str, Any] = {
        "size": 0,
        "track_total_hits": False,
        "query": {"bool": {"filter": conditions}},
        "aggs": {"groups": {"composite": composite, "aggs": _measures(grouping)}},
    }
    until = time.monotonic() + seconds
    rows: list[list[Any]] = []
    while len(rows) <= grouping.limit:
        answer = _answer(server, grouping.table, body, until, seconds)
        found = cast("dict[str, Any]", answer.get("aggregations", {})).get("groups", {})
        buckets = cast("list[dict[str, Any]]", found.get("buckets", []))
        rows += [_row(bucket, grouping) for bucket in buckets]
        if "after_key" not in found or len(buckets) < composite["size"]:
            break
        composite["after"] = found["after_key"]
    told = pl.DataFrame(rows[: grouping.limit], schema=columns, orient="row")
    return Groups(told, more=len(rows) > grouping.limit)


def _measures(grouping: Grouping) -> dict[str, Any]:
    """What is asked of each group. Places stand for names: those of columns hold dots, which mean something else here."""
    measures: dict[str, Any] = {"first": {"min": {"field": TIME}}, "last": {"max": {"field": TIME}}}
    for place, column in enumerate(grouping.sums):
        measures[f"sum{place}"] = {"sum": {"field": column}}
    newest = [{TIME: "desc"}, *({f"icsight.{name}": "desc"} for name in ("sensor", "epoch", "sequence", "row"))]
    for place, column in enumerate(grouping.ranges):
        hit = {"top_hits": {"size": 1, "sort": newest, "_source": [column]}}
        measures[f"least{place}"] = {"min": {"field": column}}
        measures[f"greatest{place}"] = {"max": {"field": column}}
        measures[f"latest{place}"] = {"filter": {"exists": {"field": column}}, "aggs": {"hit": hit}}
    return measures


def _row(bucket: Mapping[str, Any], grouping: Grouping) -> list[Any]:
    """A group as the columns of the answer."""
    key = bucket["key"]
    row: list[Any] = [
        *(key[f"by{place}"] for place in range(len(grouping.by))),
        bucket["doc_count"],
        *(int(bucket[edge]["value"]) * 1_000_000 for edge in ("first", "last")),
        *(float(bucket[f"sum{place}"]["value"]) for place in range(len(grouping.sums))),
    ]
    for place, column in enumerate(grouping.ranges):
        hits: Sequence[Mapping[str, Any]] = bucket[f"latest{place}"]["hit"]["hits"]["hits"]
        latest = None if not hits else float(hits[0]["_source"][column])
        row += [bucket[f"least{place}"]["value"], bucket[f"greatest{place}"]["value"], latest]
    return row


def _answer(server: Server, table: str, body: Mapping[str, Any], until: float, seconds: float) -> dict[str, Any]:
    """One page of groups. Raises QueryError, StoreError."""
    left = until - time.monotonic()
    late = QueryTimeoutError(f"counting took longer than {seconds:g} s: ask for less, or raise ICSIGHT_STORE_QUERY_SECONDS")
    if left <= 0:
        raise late
    try:
        answer = server.ask(
            "POST",
            f"/{pattern(server.settings.prefix, table)}/_search",
            {**body, "timeout": f"{max(1, int(left * 1000))}ms"},
            seconds=left,
            ignore_unavailable=True,
            filter_path="timed_out,_shards.failed,aggregations",
        )
    except TooSlow as error:
        raise late from error
    except Refused as error:
        if error.status in {400, 429}:
            raise QueryError(f"the question is refused ({error.kind}: {error.reason})") from error
        raise
    if answer["timed_out"]:
        raise late
    if answer["_shards"]["failed"]:
        raise StoreError("a part of the records cannot be searched: look at the cluster's health (a shard has failed)")
    return cast("dict[str, Any]", answer)
