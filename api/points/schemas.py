"""Process points in JSON."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.pages import CURSOR_CHARACTERS, PAGE_ROWS
from api.records.span import SpanQuery

PAGE_POINTS_MOST: int = 200
"""Most points of a page."""


class PointQuery(SpanQuery):
    """Which points."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    server: Annotated[str, StringConstraints(max_length=64, pattern=r"^[^\x00]*$")] | None = Field(
        default=None, examples=["192.0.2.40"]
    )
    """Address of the device that has them."""
    contains: Annotated[str, StringConstraints(max_length=128, pattern=r"^[^\x00]*$")] | None = Field(
        default=None, examples=["holding:"]
    )
    """A part of their identifier."""
    protocol: Literal["modbus", "opcua"] | None = None
    """The protocol that carries them."""
    cursor: str | None = Field(default=None, max_length=CURSOR_CHARACTERS)
    """`next` of the page before; everything else must be asked as it was then."""
    limit: int = Field(default=PAGE_ROWS, ge=1, le=PAGE_POINTS_MOST)
    """Most points on the page."""

    def question(self) -> str:
        """What is asked, without where the page starts and how long it is."""
        return self.model_dump_json(exclude={"cursor", "limit", "language"})


class Writer(BaseModel):
    """Somebody who wrote a point."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    client: str | None = Field(examples=["192.0.2.17"])
    values: int = Field(examples=[12])
    """Values that it wrote: each time another one, and once a minute."""
    latest: float | None = Field(examples=[250.0])
    """What it wrote last."""
    last: str = Field(examples=["2026-11-30T07:12:00.000000000Z"])
    expected: bool | None = Field(default=None, examples=[True])
    """Whether it is normal that it writes to this device, or this unit of it; null where nothing was learned."""


class Expected(BaseModel):
    """What values a point should have."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    least: float = Field(examples=[0.0])
    greatest: float = Field(examples=[4000.0])
    origin: Literal["site", "learned"] = Field(examples=["learned"])
    """site: the site's file says so. learned: the values that it had while it was learned what is normal."""


class Point(BaseModel):
    """A process point."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    server: str | None = Field(examples=["192.0.2.40"])
    """Address of the device that has it."""
    point: str = Field(examples=["holding:100@1"])
    """Its identifier."""
    protocol: str = Field(examples=["modbus"])
    values: int = Field(examples=[1_440])
    """Values that were seen: each time another one, and once a minute."""
    first: str = Field(examples=["2026-11-23T08:00:00.000000000Z"])
    last: str = Field(examples=["2026-11-30T07:59:00.000000000Z"])
    latest: float | None = Field(examples=[251.0])
    least: float | None = Field(examples=[198.0])
    greatest: float | None = Field(examples=[262.0])
    """Null, like the two before, where no value was a number."""
    readers: int = Field(examples=[2])
    """Clients that read it, or were told it."""
    writers: list[Writer]
    """Who wrote it, the latest first, at most 20."""
    expected: Expected | None = None
    """Null where nothing says what is normal."""
    outside: bool | None = Field(default=None, examples=[False])
    """Whether a value of this time was outside of what is expected."""


class PointPage(BaseModel):
    """A page of points, by server and identifier."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    site: str = Field(examples=["waterworks"])
    since: str = Field(examples=["2026-11-23T08:00:00.000000000Z"])
    until: str = Field(examples=["2026-11-30T08:00:00.000000000Z"])
    items: list[Point]
    next: str | None = None
    """`cursor` of the next page; null on the last."""
    limited: bool = Field(examples=[False])
    """Whether there are more points than are looked at: ask for those of one server, or less time."""
