"""Registered assets: devices that a site is to have, as people say."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from api.database import Base, Number
from api.database.scope import KeyedByOrganisation, OfOrganisation, OfSite

Criticality = Literal["low", "medium", "high", "critical"]
CRITICALITIES: Final[tuple[Criticality, ...]] = get_args(Criticality)
"""How much the process depends on an asset, from the least; stored as the position."""

Source = Literal["people", "csv", "netbox"]
"""Where an asset was registered from."""

NAME_CHARACTERS: Final = 128

TEXT_CHARACTERS: Final = 256


class Asset(KeyedByOrganisation, OfSite, Base):
    """A registered device."""

    __tablename__ = "asset"

    id: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    version: Mapped[int]
    """Rises with each change."""
    name: Mapped[str] = mapped_column(sa.String(NAME_CHARACTERS))
    addresses: Mapped[list[Any]]
    """Network and hardware addresses, as records write them."""
    role: Mapped[str] = mapped_column(sa.String(64))
    """What it is for, as `detection.inventory` says it; empty: not told."""
    zone: Mapped[str] = mapped_column(sa.String(64))
    """Name of its zone; empty: that of its address."""
    level: Mapped[str] = mapped_column(sa.String(4))
    """Purdue level; empty: that of its zone."""
    criticality: Mapped[int] = mapped_column(sa.SmallInteger())
    """Position in `CRITICALITIES`."""
    owner: Mapped[str] = mapped_column(sa.String(TEXT_CHARACTERS))
    location: Mapped[str] = mapped_column(sa.String(TEXT_CHARACTERS))
    vendor: Mapped[str] = mapped_column(sa.String(TEXT_CHARACTERS))
    product: Mapped[str] = mapped_column(sa.String(TEXT_CHARACTERS))
    serial: Mapped[str] = mapped_column(sa.String(TEXT_CHARACTERS))
    firmware: Mapped[str] = mapped_column(sa.String(TEXT_CHARACTERS))
    note: Mapped[str] = mapped_column(sa.Text())
    source: Mapped[str] = mapped_column(sa.String(16))
    foreign_id: Mapped[str] = mapped_column(sa.String(64))
    """What its source calls it; empty where people registered it."""
    made_at: Mapped[int]
    changed_at: Mapped[int]
    changed_by: Mapped[str] = mapped_column(sa.String(64))

    __table_args__ = (sa.Index("ix_asset_organisation_name_id", "organisation", "name", "id"),)


class AssetAddress(OfOrganisation, OfSite, Base):
    """An address of a registered asset: at a site it belongs to one."""

    __tablename__ = "asset_address"

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    address: Mapped[str] = mapped_column(sa.String(45))
    asset_id: Mapped[str] = mapped_column(sa.String(32))

    __table_args__ = (
        sa.UniqueConstraint("organisation", "site", "address"),
        sa.ForeignKeyConstraint(["organisation", "asset_id"], ["asset.organisation", "asset.id"]),
        sa.Index("ix_asset_address_organisation_asset_id", "organisation", "asset_id"),
    )
