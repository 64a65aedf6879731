"""What API tokens look like in JSON."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from api.security.permissions import Permission
from api.users.schemas import Input, Name

DAYS_MOST = 366
"""Longest life of a token, in days."""


class TokenInput(Input):
    """Makes a token."""

    name: Name = Field(examples=["history server"])
    """What it is for."""
    permissions: list[Permission] = Field(min_length=1, max_length=100, examples=[["alert.read", "records.read"]])
    """What it may do: permissions of the caller's, none that only a person has."""
    days: int = Field(default=90, ge=1, le=DAYS_MOST, examples=[90])
    """After how many days it ends."""


class TokenOutput(BaseModel):
    """A token in a list."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str = Field(examples=["5f0c1d2e3a4b"])
    user: str = Field(examples=["lin.wei"])
    """The account that it acts for."""
    name: str = Field(examples=["history server"])
    permissions: list[str] = Field(examples=[["alert.read", "records.read"]])
    """What it was given. It may do what its owner may do, too."""
    created_at: str = Field(examples=["2026-11-23T08:00:00.000000000Z"])
    expires_at: str = Field(examples=["2027-02-21T08:00:00.000000000Z"])
    used_at: str | None = Field(examples=["2026-11-23T09:12:00.000000000Z"])
    """Last use, to the minute; null for never."""


class NewToken(TokenOutput):
    """A token that was made. The token itself is told this once."""

    token: str = Field(examples=["icsight_nq2m3PpG0r9zq0o0T0mVb1V0cJc5u3fU6kq1mJx0a4E"])
    """To be sent as `Authorization: Bearer …`."""
