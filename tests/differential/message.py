"""One Modbus message, as both sides of the comparison see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from sensor._core import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Message(NamedTuple):
    """A request or a response. Fields that a message of its kind does not have, or that tshark does not show, are None."""

    time_ns: int
    kind: str
    sender: str
    transaction_id: int
    unit_id: int
    function_code: int
    address: int | None = None
    quantity: int | None = None
    values: tuple[int, ...] | None = None
    exception_code: int | None = None


READS = (1, 2, 3, 4)
WRITES = (5, 6, 15, 16)


def of_records(capture: Path) -> Iterator[Message]:
    """The messages of a capture as our records tell them."""
    for batch in Reader(str(capture)):
        if batch.table == "modbus":
            yield from _of_frame(pl.DataFrame(batch))


def _of_frame(frame: pl.DataFrame) -> Iterator[Message]:
    plain = frame.with_columns(pl.col("ts").cast(pl.Int64), pl.col("modbus.response_time").cast(pl.Int64))
    for row in plain.filter(pl.col("modbus.encapsulation") == "tcp").iter_rows(named=True):
        code: int = row["modbus.function_code"]
        head = (row["modbus.transaction_id"], row["modbus.unit_id"], code)
        values = None if row["modbus.values"] is None else tuple(row["modbus.values"])
        known = code in (*READS, *WRITES)
        address, quantity = (row["modbus.address"], row["modbus.quantity"]) if known else (None, None)
        if row["modbus.pairing"] != "response":
            written = values if code in WRITES else None
            asked = None if code in (5, 6) else quantity
            yield Message(row["ts"], "request", f"{row['client.ip']}:{row['client.port']}", *head, address, asked, written)
        if row["modbus.pairing"] != "request":
            time_ns = row["ts"] + (row["modbus.response_time"] or 0)
            read = values if code in READS and row["modbus.exception_code"] is None else None
            sender = f"{row['server.ip']}:{row['server.port']}"
            yield Message(time_ns, "response", sender, *head, None, None, read, row["modbus.exception_code"])
