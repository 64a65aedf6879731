"""The indices that hold records: how large they are, and from when to when their records are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final, cast

from collector.store.elastic_templates import TIME, pattern
from sensor.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collector.store.elastic_server import Server

DAY: Final = 86_400 * 10**9
"""Nanoseconds of a day."""

_NAME: Final = re.compile(r"-([a-z_]+)-(\d{4})\.(\d\d)\.(\d\d)")
_MOMENT: Final = re.compile(r"(.*?)(?:\.(\d{1,9}))?Z")


@dataclass(frozen=True, slots=True)
class Index:
    """An index of records.

    Attributes:
        name: its name.
        table: record table.
        day: day (UTC) on which its records happened.
        rows: records.
        bytes: size on disk of its primary shards.
    """

    name: str
    table: str
    day: date
    rows: int
    bytes: int

    @property
    def begins(self) -> int:
        """Start of its day, nanoseconds since 1970."""
        return int(datetime(self.day.year, self.day.month, self.day.day, tzinfo=UTC).timestamp()) * 10**9

    @property
    def ends(self) -> int:
        """End of its day, nanoseconds since 1970: all its records are before it."""
        return self.begins + DAY


def indices(server: Server) -> list[Index]:
    """All indices of records that follow the naming of the store. Raises StoreError."""
    prefix = server.settings.prefix
    told = server.ask(
        "GET",
        f"/_cat/indices/{pattern(prefix)}",
        format="json",
        bytes="b",
        h="index,docs.count,pri.store.size",
        expand_wildcards="open",
    )
    found: list[Index] = []
    for line in cast("list[dict[str, str | None]]", told):
        name = str(line["index"])
        match = _NAME.fullmatch(name.removeprefix(prefix))
        if match is None or match[1] not in TABLES:
            continue
        day = date(int(match[2]), int(match[3]), int(match[4]))
        found.append(Index(name, match[1], day, int(line["docs.count"] or 0), int(line["pri.store.size"] or 0)))
    return found


def moments(server: Server) -> dict[str, tuple[int | None, int | None]]:
    """By table the time of its earliest and of its latest record. Raises StoreError."""
    searches = [(pattern(server.settings.prefix, table), order) for table in TABLES for order in ("asc", "desc")]
    answers = server.ask_several([(index, _edge(order)) for index, order in searches])
    edges = [_moment(answer) for answer in answers]
    return {table: (edges[2 * number], edges[2 * number + 1]) for number, table in enumerate(TABLES)}


def last_moment(server: Server, index: Index) -> int:
    """The time of the latest record of an index; its begin where it has none. Raises StoreError."""
    (answer,) = server.ask_several([(index.name, _edge("desc"))])
    found = _moment(answer)
    return index.begins if found is None else found


def _edge(order: str) -> dict[str, Any]:
    """The search for the earliest or latest record. An aggregation would round the time to milliseconds."""
    by = {"order": order, "format": "strict_date_optional_time_nanos", "unmapped_type": "date_nanos"}
    return {"size": 1, "_source": False, "track_total_hits": False, "sort": [{TIME: by}]}


def _moment(answer: Mapping[str, Any]) -> int | None:
    hits = answer["hits"]["hits"]
    match = _MOMENT.fullmatch(str(hits[0]["sort"][0])) if hits else None
    if match is None:
        return None
    seconds = int(datetime.fromisoformat(match[1]).replace(tzinfo=UTC).timestamp())
    return seconds * 10**9 + int((match[2] or "").ljust(9, "0"))
