"""Decisions, exceptions and facts belong to sites, and a decision tells when detection has taken it up."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

from api.database.migrations import one_way

revision = "0006"
down_revision = "0005"

_TABLES: Final = ("decision", "site_exception", "site_version")


def upgrade() -> None:
    """Make the change. What was decided before is of the one site that there was; what was sent counts as taken up."""
    for table in _TABLES:
        with op.batch_alter_table(table) as batch:
            batch.add_column(sa.Column("site", sa.String(64), nullable=False, server_default=""))
    # A step of its own: what has a default for old rows must have none for new ones.
    for table in _TABLES:
        with op.batch_alter_table(table) as batch:
            batch.alter_column("site", existing_type=sa.String(64), existing_nullable=False, server_default=None)
    connection = op.get_bind()
    facts = sa.table("site_version", sa.column("id"), sa.column("organisation"), sa.column("content", sa.JSON()))
    for organisation, content in connection.execute(sa.select(facts.c.organisation, facts.c.content).order_by(facts.c.id)).all():
        # Until now the facts alone said which site it is: the last of them count.
        named = {"site": str(content.get("site", "")), "organisation": str(organisation)}
        for table in (*_TABLES, "alert"):
            connection.execute(sa.text(f"UPDATE {table} SET site = :site WHERE organisation = :organisation"), named)  # noqa: S608  names of ours
    op.add_column("decision", sa.Column("taken_at", sa.BigInteger(), nullable=True))
    op.execute("UPDATE decision SET taken_at = sent_at")


downgrade = one_way
