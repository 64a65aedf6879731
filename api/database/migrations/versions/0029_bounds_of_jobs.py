"""Jobs know who made them and up to which step of alerts, windows how far they were looked at; indexes of what was decided."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from api.database.migrations import one_way

revision = "0029"
down_revision = "0036"


def upgrade() -> None:
    """Make the change."""
    with op.batch_alter_table("job") as batch:
        batch.add_column(sa.Column("ids", sa.JSON(), nullable=True))
        batch.add_column(sa.Column("token", sa.String(length=12), nullable=True))
        batch.alter_column("change", new_column_name="event", existing_type=sa.BigInteger(), existing_nullable=False)
    op.create_index("ix_job_organisation_ended_at", "job", ["organisation", "ended_at"])
    # What is open goes on from what there is now.
    op.execute("UPDATE job SET event = (SELECT COALESCE(MAX(id), 0) FROM alert_event)")
    job = sa.table(
        "job", sa.column("organisation"), sa.column("number"), sa.column("content", sa.JSON()), sa.column("ids", sa.JSON())
    )
    for organisation, number, said in op.get_bind().execute(sa.select(job.c.organisation, job.c.number, job.c.content)).all():
        if "ids" in said:
            named = said.pop("ids")
            of_it = sa.and_(job.c.organisation == organisation, job.c.number == number)
            op.execute(sa.update(job).where(of_it).values(content=said, ids=named))
    op.add_column("maintenance_window", sa.Column("reviewed_to", sa.String(length=64), nullable=True))
    for name in ("rule", "client_ip", "server_ip"):
        _index(f"ix_alert_decided_{name}", ["organisation", name, "triage_at"], "triage_at IS NOT NULL")
    _index("ix_alert_disposition", ["organisation", "triage_disposition", "first_seen"], "triage_disposition IS NOT NULL")


def _index(name: str, columns: list[str], where: str) -> None:
    op.create_index(name, "alert", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


downgrade = one_way
