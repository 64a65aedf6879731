"""The audit trail: one entry per change of state and per read of what is sensitive, chained by hash."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from api.database import Base, Number
from api.database.scope import KeyedByOrganisation

SUBJECT_CHARACTERS: Final = 255
"""Longest identifier of what something was done to."""


class AuditEntry(KeyedByOrganisation, Base):
    """Who did what to what, when. Entries are only ever added; the database refuses to change or remove one."""

    __tablename__ = "audit_entry"

    number: Mapped[int] = mapped_column(Number, primary_key=True, autoincrement=False)
    """From 1 in each organisation, without gaps."""
    form: Mapped[int] = mapped_column(sa.SmallInteger(), server_default="1")
    """How it is hashed: `OLD_FORM` or `FORM` of `api.audit.chain`."""
    at: Mapped[int]
    actor: Mapped[str] = mapped_column(sa.String(64))
    """Name of the account, or `system`."""
    address: Mapped[str] = mapped_column(sa.String(64))
    """Network address of the caller; empty for the system itself."""
    action: Mapped[str] = mapped_column(sa.String(64), index=True)
    """What was done, as in `alert.acknowledge`."""
    subject: Mapped[str] = mapped_column(sa.String(SUBJECT_CHARACTERS), index=True)
    """Identifier of what it was done to."""
    detail: Mapped[dict[str, Any]]
    previous_hash: Mapped[str] = mapped_column(sa.String(64))
    """`hash` of the entry before; 64 zeros for the first."""
    hash: Mapped[str] = mapped_column(sa.String(64))
    """SHA-256 over all other columns, as `api.audit.chain.digest` writes them."""
