"""How much of a cluster's room for shards records of other days may take, so that those of these days always find some.

A record's index follows from its time, and anybody who sends records may give them any. A cluster makes indices until it has as
many shards as it may; after that it makes none for today either, and nothing of anybody can be stored. So a day that is far from
now gets an index while the cluster is at most half full, and the days of now get theirs unasked.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, cast

from collector.store.elastic_templates import pattern

if TYPE_CHECKING:
    from collector.store.elastic_server import Server

NOW: Final = timedelta(days=3)
"""Rows of a day that is no further away have to be stored: the cluster that takes no index for them is what is wrong."""

LATE: Final = timedelta(days=14)
"""So long ago is near, too: a gateway that was cut off has kept its records. With the days of `NOW` that is to come it makes 17
days, 153 indices, which with a copy each are 306 shards of the 500 that far days leave of Elasticsearch's 1,000 a node."""

FAR_SHARE: Final = 0.5
"""The share of the cluster's room for shards that has to be enough, with all that is there, for an index of a day that is far."""

REMEMBERED_SECONDS: Final = 10.0
"""How long it is remembered which indices there are, and that there is no room for another of a day that is far."""

SHARDS_PER_NODE: Final = 1_000
"""What Elasticsearch takes where `cluster.max_shards_per_node` is not told."""


def is_of_now(index: str) -> bool:
    """Whether an index is of these days, by the day in its name."""
    age = _age(index)
    return age is not None and abs(age) < NOW


class Room:
    """Tells which indices may be made. Nothing is asked for days that are near, and little for indices that are there.

    Args:
        server: the cluster.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._known: set[str] = set()
        self._listed: float | None = None
        self._full: str | None = None
        self._counted = 0

    def refusal(self, index: str) -> str | None:
        """Why rows may not be written to an index that would be made for them; None where they may. Raises StoreError."""
        age = _age(index)
        if age is not None and -NOW < age < LATE:
            return None
        if self._listed is None or time.monotonic() - self._listed > REMEMBERED_SECONDS:
            self._known = self._there()
            self._full = None
            self._counted = 0
            self._listed = time.monotonic()
        if index in self._known:
            return None
        if self._full is None:
            # Asked for each index, since others make some at the same time; to make one costs the cluster far more.
            self._full = self._take()
        if self._full is None:
            self._known.add(index)
            return None
        return f"no index is made for {index[-10:]}: {self._full}"

    def _there(self) -> set[str]:
        """The names of all indices of records."""
        return set(self._server.ask("GET", f"/{pattern(self._server.settings.prefix)}/_alias", ignore_unavailable=True))

    def _take(self) -> str | None:
        """Count on another index of a day that is far; why the cluster has no room for it where it has none."""
        health: Any = self._server.ask("GET", "/_cluster/health")
        # Copies that have no node yet count for the limit as well, and so do indices that are being made at this moment.
        told = sum(int(health[name]) for name in ("active_shards", "initializing_shards", "unassigned_shards"))
        used = max(told, self._counted)
        limit = self._shards_per_node() * max(1, int(health["number_of_data_nodes"]))
        settings = self._server.settings
        wanted = used + settings.shards * (1 + settings.replicas)
        if wanted <= FAR_SHARE * limit:
            self._counted = wanted
            return None
        return (
            f"the cluster holds {used:,} of the {limit:,} shards that it may, and days that are far from now get no index beyond "
            f"{FAR_SHARE:.0%}; look at the sensor's clock. Where these times are right, make room (`icsight elasticsearch "
            "retain`, more nodes, a higher cluster.max_shards_per_node), then `icsight dead-letters replay`"
        )

    def _shards_per_node(self) -> int:
        name = "max_shards_per_node"
        told: Any = self._server.ask("GET", "/_cluster/settings", include_defaults=True, filter_path=f"*.cluster.{name}")
        for level in ("transient", "persistent", "defaults"):
            cluster = cast("dict[str, dict[str, Any]]", told or {}).get(level, {}).get("cluster", {})
            if name in cluster:
                return int(cluster[name])
        return SHARDS_PER_NODE


def _age(index: str) -> timedelta | None:
    """How long ago the day in an index' name began; None where there is none in it."""
    try:
        day = datetime.strptime(index[-10:], "%Y.%m.%d").replace(tzinfo=UTC)
    except ValueError:
        return None
    return datetime.now(UTC) - day
