"""Requests that were sent with a key, and what was answered."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from api.database import Base
from api.database.scope import KeyedByOrganisation


class KeyedRequest(KeyedByOrganisation, Base):
    """A request with a key, from when it was taken up until it is forgotten."""

    __tablename__ = "keyed_request"

    caller: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    """Name of the account: another's key is another key."""
    key_hash: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    """SHA-256 of the key."""
    request_hash: Mapped[str] = mapped_column(sa.String(64))
    """SHA-256 of method, address and body."""
    holder: Mapped[str] = mapped_column(sa.String(32))
    """Who carries it out: drawn anew whenever it is taken up."""
    at: Mapped[int] = mapped_column(index=True)
    """When it was first taken up."""
    held_until: Mapped[int]
    """Until when nobody else takes it up."""
    committed_at: Mapped[int | None]
    """When its change was written, in the transaction of the change."""
    status: Mapped[int | None] = mapped_column(sa.Integer())
    """Status of the answer; null until there is one."""
    headers: Mapped[dict[str, Any] | None]
    """Headers of the answer that belong to it."""
    answer: Mapped[str | None] = mapped_column(sa.Text())
    """Body of the answer, AES-256-GCM with a key that follows from the request's own key, base64."""
