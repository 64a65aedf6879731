"""Saved views in JSON."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from api.alerts.schemas import AlertFilter, Sort
from api.pages import CURSOR_CHARACTERS, PAGE_ROWS, PAGE_ROWS_MOST
from api.records.span import SiteName
from api.unfit import Unfit
from api.views.models import NAME_CHARACTERS, Shared


class ViewInput(BaseModel):
    """A filter and an order of alerts under a name."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    name: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=NAME_CHARACTERS, pattern=r"^[^\x00]*$")
    ] = Field(examples=["Night shift, line 4"])
    filter: AlertFilter = Field(default_factory=AlertFilter, examples=[{"severity": "high,critical", "state": "!closed"}])
    """Which alerts, as a list of them is asked for; times such as `-24h` are so long before each look."""
    sort: Sort = "-rank"
    """In which order."""
    shared: Shared = Field(default="nobody", examples=["organisation"])
    """Who sees it besides its owner: all of a site, or of the organisation."""
    site: SiteName | None = Field(default=None, examples=[None])
    """The site that it is shared with; needed for, and only for, `site`."""

    @model_validator(mode="after")
    def _site_where_shared_with_one(self) -> Self:
        if (self.shared == "site") != (self.site is not None):
            raise Unfit("view_site")
        return self


class ViewOutput(BaseModel):
    """A saved view."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    number: int = Field(examples=[2])
    version: int = Field(examples=[1])
    """Rises with each change; the ETag that a change must bring."""
    owner: str = Field(examples=["lin.wei"])
    name: str = Field(examples=["Night shift, line 4"])
    filter: dict[str, Any] = Field(examples=[{"severity": "high,critical", "state": "!closed"}])
    """As parameters of `GET /api/alerts`."""
    sort: Sort = Field(examples=["-rank"])
    shared: Shared = Field(examples=["organisation"])
    site: str | None = Field(default=None, examples=[None])
    default: bool = Field(examples=[False])
    """Whether the caller begins with it."""
    changed_by: str = Field(examples=["lin.wei"])
    changed_at: str = Field(examples=["2026-11-23T08:14:02.000000000Z"])


class ViewPage(BaseModel):
    """Views, the first made first."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    items: list[ViewOutput]
    next: str | None = None
    """`cursor` of the next page; null on the last."""


class ViewQuery(BaseModel):
    """Which views."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    cursor: str | None = Field(default=None, max_length=CURSOR_CHARACTERS)
    """`next` of the page before."""
    limit: int = Field(default=PAGE_ROWS, ge=1, le=PAGE_ROWS_MOST)
    """Most views on the page."""
    language: Literal["en", "zh-CN"] | None = None
    """Language of problems; without it, that of `Accept-Language`."""


class DefaultInput(BaseModel):
    """The view that the caller begins with."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    view: int | None = Field(ge=1, le=2**63 - 1, examples=[2])
    """Its number; null for none."""


class DefaultOutput(BaseModel):
    """The view that the caller begins with."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    view: int | None = Field(examples=[2])
    """Its number; null for none, also where it is no longer shared with him."""
