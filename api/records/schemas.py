"""What records look like in JSON, and how a list of them is asked for."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.filters import Time
from api.pages import CURSOR_CHARACTERS, PAGE_ROWS, PAGE_ROWS_MOST


class RecordQuery(BaseModel):
    """Which records of a table, in which order.

    `where=COLUMN OPERATOR VALUE`, repeated: all must hold. Operators: `=`, `!=`, `<`, `<=`, `>`, `>=`, `in` (values with commas
    between), `contains`, `starts_with`, `is_null`, `is_not_null`.
    """

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    where: list[str] = Field(
        default_factory=list[str], max_length=20, examples=[["modbus.function_code = 16", "client.ip = 192.0.2.17"]]
    )
    """Conditions on columns."""
    since: Time = None
    """Records from this time on."""
    until: Time = None
    """Records before this time."""
    sort: str = Field(default="-ts", max_length=64, pattern=r"^-?[a-z][a-z_.0-9]*$", examples=["-ts"])
    """Column to sort by; with `-` the most first. The record's identity breaks ties."""
    cursor: str | None = Field(default=None, max_length=CURSOR_CHARACTERS)
    """`next` of the page before; everything else must be asked as it was then."""
    limit: int = Field(default=PAGE_ROWS, ge=1, le=PAGE_ROWS_MOST)
    """Most records on the page."""
    language: Literal["en", "zh-CN"] | None = None
    """Language of problems; without it, that of `Accept-Language`."""


class RecordPage(BaseModel):
    """A page of records: one object per record, columns by name, `record` is its identity."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    items: list[dict[str, Any]] = Field(
        examples=[
            [
                {
                    "record": "local/5f0c1d2e3a4b5c6d7e8f90a1b2c3d4e5/12/881",
                    "ts": "2026-11-23T08:12:31.104000000Z",
                    "client.ip": "192.0.2.17",
                    "server.ip": "192.0.2.40",
                    "modbus.function": "write_multiple_registers",
                    "modbus.address": 100,
                    "modbus.values": [250, 251],
                }
            ]
        ]
    )
    limited: bool = Field(examples=[True])
    """Whether more records match than this page holds: whoever needs all of them asks on with `next`."""
    next: str | None = None
    """`cursor` of the next page; null on the last."""


class TableRecords(BaseModel):
    """Records of one table."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    table: str = Field(examples=["modbus"])
    columns: list[str] = Field(examples=[["record", "ts", "client.ip", "server.ip", "modbus.function"]])
    """Columns that hold something here, those that matter for the table first."""
    items: list[dict[str, Any]]


class AlertRecords(BaseModel):
    """The records behind an alert."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    tables: list[TableRecords]
    missing: list[str]
    """Identities that are not stored (not yet, or no longer)."""


class StoredTable(BaseModel):
    """What is stored of a table. How much is null for whoever is limited to some of the sites."""

    table: str = Field(examples=["modbus"])
    meaning: str = Field(examples=["one request with its response"])
    rows: int | None = Field(examples=[120_000])
    bytes: int | None = Field(examples=[4_100_000])
    first: str | None = Field(examples=["2026-11-23T00:00:00.000000000Z"])
    last: str | None = Field(examples=["2026-11-23T08:00:00.000000000Z"])
    columns: list[str] = Field(examples=[["ts", "client.ip"]])
