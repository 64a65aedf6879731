"""The topology as the API shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.assets.models import CRITICALITIES
from api.times import iso
from api.topology.collapsed import AGREEMENTS, OPERATIONS
from api.topology.schemas import Topology

if TYPE_CHECKING:
    from api.records.span import Span
    from api.topology.collapsed import Collapsed


def output(site: str, span: Span, found: Collapsed, *, limited: bool) -> Topology:
    """Nodes and edges."""
    done: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in found.operations.iter_rows(named=True):
        some = done.setdefault((row["from"], row["to"], row["protocol"]), [])
        if len(some) < OPERATIONS:
            some.append({name: row[name] for name in ("operation", "changes", "records")})
    talk: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in found.talk.iter_rows(named=True):
        pair = row["from"], row["to"]
        said = {name: row[name] for name in ("protocol", "records", "bytes")}
        talk.setdefault(pair, []).append({**said, "operations": done.get((*pair, row["protocol"]), [])})
    return Topology.model_validate(
        {
            "site": site,
            "since": iso(span.since),
            "until": iso(span.until),
            "by": found.grain,
            "nodes": [
                {**row, "criticality": None if row["criticality"] is None else CRITICALITIES[row["criticality"]]}
                for row in found.nodes.iter_rows(named=True)
            ],
            "edges": [
                {
                    **{name: row[name] for name in ("records", "bytes", "pairs")},
                    "client": row["from"],
                    "server": row["to"],
                    "talk": talk[row["from"], row["to"]],
                    "first": iso(row["first"]),
                    "last": iso(row["last"]),
                    "agreement": AGREEMENTS[row["agreement"]],
                }
                for row in found.edges.iter_rows(named=True)
            ],
            "more_edges": found.more_edges,
            "limited": limited,
        }
    )
