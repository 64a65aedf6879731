"""Timelines in JSON."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from api.alerts.models import Severity
from api.assets.addresses import normal
from api.filters import AnyOf, OneOf
from api.pages import CURSOR_CHARACTERS, PAGE_ROWS
from api.records.span import SpanQuery
from api.unfit import Unfit

PAGE_ENTRIES_MOST: int = 200
"""Most entries of a page."""

Kind = Literal["alert", "decision", "record"]


class TimelineQuery(SpanQuery):
    """Whose life: one of `address`, `asset` and `story`; without these that of the site."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    address: Annotated[str, StringConstraints(max_length=64, pattern=r"^[^\x00]*$"), AfterValidator(normal)] | None = Field(
        default=None, examples=["192.0.2.40"]
    )
    """A network address."""
    asset: Annotated[str, StringConstraints(min_length=1, max_length=32, pattern=r"^[^\x00]*$")] | None = Field(
        default=None, examples=["5f0c1d2e3a4b5c6d7e8f90a1b2c3d4e5"]
    )
    """A registered asset: all its network addresses."""
    story: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00]*$")] | None = Field(
        default=None, examples=["9c1f0e6a52d14f0b"]
    )
    """A story: its alerts, what was decided about them, and what its actors did to its targets."""
    kind: Annotated[AnyOf | None, OneOf(("alert", "decision", "record"), "alert,decision")] = None
    """Kinds of entries."""
    cursor: str | None = Field(default=None, max_length=CURSOR_CHARACTERS)
    """`next` of the page before; everything else must be asked as it was then."""
    limit: int = Field(default=PAGE_ROWS, ge=1, le=PAGE_ENTRIES_MOST)
    """Most entries on the page."""

    @model_validator(mode="after")
    def _one_life(self) -> Self:
        if sum(each is not None for each in (self.address, self.asset, self.story)) > 1:
            raise Unfit("timeline_one")
        return self

    def question(self) -> str:
        """What is asked, without where the page starts and how long it is."""
        return self.model_dump_json(exclude={"cursor", "limit", "language", "since", "until"})


class Entry(BaseModel):
    """Something that happened."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    at: str = Field(examples=["2026-11-23T08:12:31.104000000Z"])
    kind: Kind = Field(examples=["alert"])
    """alert: one began. decision: a person, or the system, did something about one. record: a write, a call, something about a
    device, or something that breaks a protocol."""
    text: str = Field(examples=["Write by a station that may not write"])
    """What happened: the alert's title, the step in its life, the operation."""
    alert: str | None = Field(default=None, examples=["9c1f0e6a52d14f0b"])
    """The alert that it is about."""
    severity: Severity | None = Field(default=None, examples=["high"])
    actor: str | None = Field(default=None, examples=[None])
    """Who decided."""
    note: str | None = Field(default=None, examples=[None])
    table: str | None = Field(default=None, examples=[None])
    """Table of the record."""
    record: dict[str, Any] | None = Field(default=None, examples=[None])
    """The record: its identity, and the columns that hold something. Without `records.read` only its identity, its time and its
    addresses."""


class Timeline(BaseModel):
    """A page of a life, the latest first."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    addresses: list[str] = Field(examples=[["192.0.2.40"]])
    """Whose records are looked at."""
    items: list[Entry]
    next: str | None = None
    """`cursor` of the next page; null on the last."""
