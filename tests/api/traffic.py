"""Records made by hand, as a small plant would leave them: an HMI that polls two controllers, and what they say of themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from collector.records import decode
from sensor.spool_format import BatchHeader
from tests.batches import EPOCH, START, encode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collector.store import RecordStore

SECOND: Final = 1_000_000_000

HMI, PLC, OTHER = "10.0.2.5", "10.0.1.10", "10.0.1.11"

MACS: Final = {HMI: "00:0c:29:00:00:05", PLC: "00:80:f4:00:00:10", OTHER: "00:80:f4:00:00:11"}


class Recorded:
    """Writes batches into a store, one after the other."""

    def __init__(self, store: RecordStore, sensor: str = "local") -> None:
        self.store = store
        self.sensor = sensor
        self._sequence = 0

    def write(self, table: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """A batch of a table."""
        header = BatchHeader(self.sensor, EPOCH, self._sequence, table, len(columns["ts"]))
        self.store.append([decode(header, encode(header, columns))])
        self._sequence += 1


def parties(client: str, server: str, rows: int, step: int = SECOND, start: int = START) -> dict[str, Sequence[Any]]:
    """The columns that all tables have, of a client that talks to a server."""
    return {
        "ts": [start + turn * step for turn in range(rows)],
        "client.ip": [client] * rows,
        "server.ip": [server] * rows,
        "client.mac": [MACS.get(client)] * rows,
        "server.mac": [MACS.get(server)] * rows,
        "client.port": [40_000 + turn for turn in range(rows)],
        "server.port": [502] * rows,
    }


def flows(client: str, server: str, application: str | None = "modbus", rows: int = 2, **more: Any) -> dict[str, Sequence[Any]]:
    """Conversations in which both sides speak."""
    return {
        **parties(client, server, rows, **more),
        "network.transport": ["tcp"] * rows,
        "network.application": [application] * rows,
        "flow.bytes_out": [100] * rows,
        "flow.bytes_in": [200] * rows,
        "flow.packets_out": [4] * rows,
        "flow.packets_in": [4] * rows,
        "flow.state": ["established"] * rows,
    }


def requests(client: str, server: str, rows: int = 20, function: str = "read_holding_registers", **more: Any) -> dict[str, Any]:
    """Modbus requests that are answered."""
    codes = {"read_holding_registers": (3, "read"), "write_single_register": (6, "write")}
    code, access = codes[function]
    return {
        **parties(client, server, rows, **more),
        "modbus.unit_id": [1] * rows,
        "modbus.function_code": [code] * rows,
        "modbus.function": [function] * rows,
        "modbus.access": [access] * rows,
        "modbus.address": [100] * rows,
        "modbus.pairing": ["both"] * rows,
        "modbus.encapsulation": ["tcp"] * rows,
    }


def said(address: str, attribute: str, value: str, confidence: float = 0.9, at: int = START) -> dict[str, Sequence[Any]]:
    """Something that a device said of itself."""
    return {
        "ts": [at], "device.mac": [MACS[address]], "device.ip": [address], "device.attribute": [attribute],
        "device.value": [value], "device.source": ["modbus device identification"], "device.confidence": [confidence],
    }  # fmt: skip


def plant(store: RecordStore) -> Recorded:
    """The small plant."""
    recorded = Recorded(store)
    for server in (PLC, OTHER):
        recorded.write("flow", flows(HMI, server))
        recorded.write("modbus", requests(HMI, server, step=2 * SECOND))
    recorded.write("device", said(PLC, "vendor", "Schneider Electric"))
    recorded.write("device", said(PLC, "product", "BMX P34 2020"))
    return recorded
