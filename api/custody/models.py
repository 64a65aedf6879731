"""Evidence of incidents, and through whose hands each piece went."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from api.database import Base, Number
from api.database.scope import OfOrganisation
from sensor.names import NAME_BYTES

EvidenceKind = Literal["file", "packets", "snapshot"]
"""file: somebody brought it; packets: those of an alert; snapshot: what was known of the incident then."""

EVIDENCE_KINDS: Final[tuple[EvidenceKind, ...]] = get_args(EvidenceKind)

CustodyKind = Literal["taken", "handed", "moved", "exported"]
"""moved: its incident was merged into another; exported: it was given out in a package."""

CUSTODY_KINDS: Final[tuple[CustodyKind, ...]] = get_args(CustodyKind)


GIVER_CHARACTERS: Final = len("sensor ") + NAME_BYTES
"""Longest name of whom or what a piece comes from: a sensor may be called by so many bytes."""

_HANDS: Final = sa.String(GIVER_CHARACTERS).with_variant(sa.String(200), "sqlite")


class EvidenceItem(OfOrganisation, Base):
    """One piece of evidence. Only ever added; the database refuses to change or remove one."""

    __tablename__ = "evidence_item"

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    incident: Mapped[int] = mapped_column(index=True)
    """The incident that it was taken for."""
    kind: Mapped[str] = mapped_column(sa.String(16))
    name: Mapped[str] = mapped_column(sa.String(255))
    """What whoever brought it calls it; no path is ever made of it."""
    media_type: Mapped[str] = mapped_column(sa.String(127))
    description: Mapped[str] = mapped_column(sa.Text())
    size: Mapped[int]
    sha256: Mapped[str] = mapped_column(sa.String(64))
    sm3: Mapped[str] = mapped_column(sa.String(64))
    taken_at: Mapped[int]
    taken_by: Mapped[str] = mapped_column(sa.String(64))
    origin: Mapped[dict[str, Any]]
    """What it was taken from: alert, sensor and manifest of packets; what a snapshot holds."""
    file: Mapped[str] = mapped_column(sa.String(32), unique=True)
    """Name of its file in the folder of evidence, drawn at random."""


class CustodyEntry(OfOrganisation, Base):
    """Who gave a piece of evidence to whom, and why. Only ever added; the database refuses to change or remove one."""

    __tablename__ = "evidence_custody"

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    evidence: Mapped[int]
    number: Mapped[int]
    """From 1 for each piece, without gaps."""
    kind: Mapped[str] = mapped_column(sa.String(16))
    at: Mapped[int]
    actor: Mapped[str] = mapped_column(sa.String(64))
    """Who wrote the entry."""
    giver: Mapped[str] = mapped_column(_HANDS)
    receiver: Mapped[str] = mapped_column(_HANDS)
    reason: Mapped[str] = mapped_column(sa.Text())
    previous_hash: Mapped[str] = mapped_column(sa.String(64))
    """`hash` of the entry before; of the first, that of the piece itself."""
    hash: Mapped[str] = mapped_column(sa.String(64))
    """SHA-256 over all other columns, as `api.custody.chain` writes them."""

    __table_args__ = (sa.UniqueConstraint("evidence", "number"),)
