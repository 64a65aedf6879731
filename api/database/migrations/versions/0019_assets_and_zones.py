"""Registered assets, plans of zones, and indices by which the plant's situation is found at once, now or at a past time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.database.migrations import one_way

revision = "0019"
down_revision = "0015"


def upgrade() -> None:
    """Make the change."""
    texts = [sa.Column(name, sa.String(256), nullable=False) for name in ("owner", "location", "vendor", "product", "serial")]
    op.create_table(
        "asset",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("site", sa.String(255).with_variant(sa.String(64), "sqlite"), nullable=False),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("addresses", sa.JSON(), nullable=False),
        sa.Column("role", sa.String(64), nullable=False),
        sa.Column("zone", sa.String(64), nullable=False),
        sa.Column("level", sa.String(4), nullable=False),
        sa.Column("criticality", sa.SmallInteger(), nullable=False),
        *texts,
        sa.Column("firmware", sa.String(256), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("foreign_id", sa.String(64), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("organisation", "id", name=op.f("pk_asset")),
    )
    op.create_index("ix_asset_organisation_name_id", "asset", ["organisation", "name", "id"])
    op.create_table(
        "asset_address",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("site", sa.String(255).with_variant(sa.String(64), "sqlite"), nullable=False),
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("address", sa.String(45), nullable=False),
        sa.Column("asset_id", sa.String(32), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation", "asset_id"], ["asset.organisation", "asset.id"], name=op.f("fk_asset_address_organisation_asset")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_asset_address")),
        sa.UniqueConstraint("organisation", "site", "address", name=op.f("uq_asset_address_organisation_site_address")),
    )
    op.create_index("ix_asset_address_organisation_asset_id", "asset_address", ["organisation", "asset_id"])
    op.create_table(
        "zone_plan",
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("site", sa.String(255).with_variant(sa.String(64), "sqlite"), nullable=False),
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.String(64), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_zone_plan")),
        sa.UniqueConstraint("organisation", "site", "number", name=op.f("uq_zone_plan_organisation_site_number")),
    )
    op.create_index("ix_alert_organisation_site", "alert", ["organisation", "site"])
    shown = sa.text("part_of IS NULL AND exception IS NULL")
    op.create_index(
        "ix_alert_shown",
        "alert",
        ["organisation", "site", "triage_state", "rank", "id", "severity"],
        sqlite_where=shown,
        postgresql_where=shown,
    )
    op.create_index("ix_alert_organisation_triage_at", "alert", ["organisation", "triage_at"])
    op.create_index("ix_alert_event_organisation_at_id", "alert_event", ["organisation", "at", "id"])


downgrade = one_way
