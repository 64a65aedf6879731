"""What records are worth to an investigation: which rows go first when a spool has no room for all.

Bulk values go first, then what was only read. Writes, calls, violations, devices, the sensor's own state, alerts and every table
that is not named here stay to the last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sensor import _core

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a table in which a column (a choice or a flag) holds one of these values, unless another column holds any."""

    column: str
    values: tuple[str, ...]
    unless: str | None = None


ALL: Final = None
"""All rows of a table."""


@dataclass(frozen=True, slots=True)
class Value:
    """A class of value: which rows of which tables belong to it."""

    name: str
    tables: Mapping[str, Rows | None]

    def dropped_from(self, table: str, data: bytes) -> tuple[bytes, int]:
        """A batch without the rows of this class, and how many rows are left; without bytes where none are.

        Raises ValueError where the bytes are no batch of the table.
        """
        rows = self.tables[table]
        if rows is None:
            return b"", 0
        thinned, left = _core.without(data, rows.column, list(rows.values), rows.unless)
        return (thinned, left) if left else (b"", 0)


BULK: Final = Value(
    "values",
    {
        "point": ALL,
        "pubsub": ALL,
        "flow": Rows("flow.final", ("false",)),
        "opcua_item": Rows("opcua.service", ("Read", "HistoryRead", "Publish", "Republish"), unless="opcua.event_severity"),
    },
)
"""Values of process points, and the state of conversations each minute: there are many, and they come again.

Not events of OPC UA (alarms and conditions), which come the same way as values but have a severity."""

_LOOKING: Final = (
    "Browse", "BrowseNext", "TranslateBrowsePathsToNodeIds", "RegisterNodes", "UnregisterNodes", "QueryFirst", "QueryNext",
)  # fmt: skip

READS: Final = Value(
    "reads",
    {
        "modbus": Rows("modbus.access", ("read",)),
        "opcua": Rows("opcua.service", ("Read", "HistoryRead", "Publish", "Republish", *_LOOKING)),
        "opcua_item": Rows("opcua.service", _LOOKING),
    },
)
"""Requests that change nothing."""

ORDER: Final = (BULK, READS)
"""What goes first, and what next. The rest goes last, whole segments of it."""
