"""What Elasticsearch is told of the record tables before it takes a record: mappings, templates, and a writer's role.

All of it is derived from `sensor.tables`. Each table has an index for each day on which its records happened, `icsight-modbus-
2026.11.29`: the index and the identifier of a record follow from the record alone, so that storing it again changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from collector.store import PAGE_ROWS
from sensor.tables import COMMON, TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from collector.settings import ElasticsearchSettings
    from sensor.tables import Column, Kind

FORMAT_VERSION: Final = 1
"""Version of the documents and templates. A cluster of a newer version is refused and not touched."""

TIME: Final = "@timestamp"
"""Field of the column `ts`."""

IDENTITY_FIELDS: Final[Mapping[str, str]] = {name: f"icsight.{name}" for name in ("sensor", "epoch", "sequence", "row")}
"""Field of each column of a record's identity."""

PRESENT: Final = "icsight.present"
"""Field with the names of the columns of lists and bytes that are not null: of those it alone tells."""

NOT_FINITE: Final = "icsight.not_finite"
"""Field with `column=nan`, `column=inf` and `column=-inf` for numbers that JSON cannot write; they are left out themselves."""

ADDRESSES: Final = frozenset({"client.ip", "server.ip", "device.ip"})
"""Columns that are mapped as addresses, as ECS does; compared and sorted as text they are `<name>.text`."""

TERM_CHARACTERS: Final = 8_191
"""A longer text is kept but cannot be asked for: Lucene takes terms of 32,766 bytes. The packet core cuts at 1,024 bytes."""

_KEYWORD: Final = {"type": "keyword", "ignore_above": TERM_CHARACTERS}

_FIELDS: Final[Mapping[Kind, Mapping[str, Any]]] = {
    # Nanoseconds: the type date_nanos takes no time before 1970, and OPC UA has times from 1601 on.
    "timestamp": {"type": "long"},
    "duration": {"type": "long"},
    "choice": _KEYWORD,
    "name": _KEYWORD,
    "text": _KEYWORD,
    "bool": {"type": "boolean"},
    "u8": {"type": "short"},
    "u16": {"type": "integer"},
    "u32": {"type": "long"},
    # The type unsigned_long is not on every server. Counters do not reach 2^63; one that does is kept but cannot be asked for.
    "u64": {"type": "long", "ignore_malformed": True},
    "f64": {"type": "double"},
    "list<u16>": {"type": "integer"},
    "list<text>": _KEYWORD,
}
"""How a kind is mapped. Kinds that are not named are kept in the document and not indexed."""


def field(column: Column) -> Mapping[str, Any] | None:
    """How a column is mapped; None where it is kept only."""
    if column.name == "ts":
        return {"type": "date_nanos", "format": "strict_date_optional_time_nanos"}
    if column.name in ADDRESSES:
        return {"type": "ip", "ignore_malformed": True, "fields": {"text": _KEYWORD}}
    return _FIELDS.get(column.kind)


def properties(columns: Iterable[Column]) -> dict[str, Any]:
    """The mapping of these columns."""
    mapped = ((TIME if column.name == "ts" else column.name, field(column)) for column in columns)
    return {name: dict(how) for name, how in mapped if how is not None}


def common(settings: ElasticsearchSettings, policy: str | None = None) -> dict[str, Any]:
    """The component template that all tables share; `policy`: life cycle of the indices, where the cluster has it."""
    index: dict[str, Any] = {
        "codec": "best_compression",
        # Who appends makes records visible; this is for those that were stored by one that died before it did.
        "refresh_interval": "30s",
        "number_of_shards": settings.shards,
        "number_of_replicas": settings.replicas,
        # A page is asked for with one row more than it has, which tells whether there is another.
        "max_result_window": PAGE_ROWS + 1,
    }
    if policy is not None:
        index["lifecycle"] = {"name": policy, "parse_origination_date": True}
    identity = {
        IDENTITY_FIELDS["sensor"]: _KEYWORD,
        IDENTITY_FIELDS["epoch"]: _KEYWORD,
        IDENTITY_FIELDS["sequence"]: {"type": "long"},
        IDENTITY_FIELDS["row"]: {"type": "integer"},
        PRESENT: _KEYWORD,
        NOT_FINITE: _KEYWORD,
    }
    mappings = {"dynamic": False, "subobjects": False, "properties": {**properties(COMMON), **identity}}
    return {"template": {"settings": {"index": index}, "mappings": mappings}, "_meta": _meta("columns of all record tables")}


def requests(settings: ElasticsearchSettings, policy: str | None = None) -> dict[str, dict[str, Any]]:
    """What the cluster is to be told, by path (all are PUT), in the order in which it has to be."""
    prefix = settings.prefix
    told: dict[str, dict[str, Any]] = {}
    if policy is not None:
        told[f"/_ilm/policy/{policy}"] = lifecycle(settings)
    told[f"/_component_template/{prefix}-common"] = common(settings, policy)
    shared = {column.name for column in COMMON}
    for table in TABLES.values():
        own = properties(column for column in table.columns if column.name not in shared)
        mappings = {"dynamic": False, "subobjects": False, "properties": own}
        told[f"/_component_template/{prefix}-{table.name}"] = {"template": {"mappings": mappings}, "_meta": _meta(table.meaning)}
    for table in TABLES.values():
        told[f"/_index_template/{prefix}-{table.name}"] = {
            "index_patterns": [pattern(prefix, table.name)],
            "composed_of": [f"{prefix}-common", f"{prefix}-{table.name}"],
            "priority": 500,
            "_meta": _meta(table.meaning),
        }
    return told


def ledger(settings: ElasticsearchSettings) -> dict[str, Any]:
    """The index that tells which batches are stored and where consumers stand. Its documents are found by identifier alone."""
    return {
        "settings": {"index": {"number_of_shards": 1, "number_of_replicas": settings.replicas}},
        "mappings": {"enabled": False, "_meta": _meta("which batches are stored, and where consumers stand")},
    }


def ledger_index(prefix: str) -> str:
    """Name of that index; the pattern of the records does not match it."""
    return f"{prefix}.ledger"


def pattern(prefix: str, table: str = "") -> str:
    """What the names of a table's indices are like, or of all tables'."""
    return f"{prefix}-{table}-*" if table else ",".join(pattern(prefix, name) for name in TABLES)


def lifecycle(settings: ElasticsearchSettings) -> dict[str, Any]:
    """The policy by which the cluster removes an index, counted from the day in its name."""
    phases: dict[str, Any] = {
        "hot": {"actions": {}},
        "delete": {"min_age": f"{settings.retention_days}d", "actions": {"delete": {}}},
    }
    return {"policy": {"phases": phases, "_meta": _meta("records are removed by the day on which they happened")}}


def role(prefix: str) -> dict[str, Any]:
    """The role of a process that stores and reads records, for `PUT /_security/role/<name>`."""
    names = [f"{prefix}-*", ledger_index(prefix)]
    privileges = [
        "auto_configure",
        "create_doc",
        "index",
        "read",
        "view_index_metadata",
        "maintenance",
        "monitor",
        "delete_index",
    ]
    return {"cluster": ["monitor"], "indices": [{"names": names, "privileges": privileges}]}


def _meta(meaning: str) -> dict[str, Any]:
    return {"icsight": {"format": FORMAT_VERSION}, "meaning": meaning}
