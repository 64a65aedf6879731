"""Alerts as the API keeps them: what detection said, what people decided, and the history of each.

Both kinds of columns lie in one row, so that any filter and any order is one index. They never meet: an upsert from the stream
writes the columns of `DETECTED` and no other, a decision writes the columns named `triage_…`.
"""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Mapped, mapped_column

from api.database import Base, Number
from api.database.scope import SITE_CHARACTERS, KeyedByOrganisation, OfOrganisation, OfSite
from api.times import now
from detection.alerts import RULE_CHARACTERS, TECHNIQUE_CHARACTERS

Severity = Literal["informational", "low", "medium", "high", "critical"]
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)
"""All severities, from the least to the most; stored as the position."""

State = Literal["new", "triaging", "escalated", "closed"]
STATES: Final[tuple[State, ...]] = get_args(State)
"""The states of an alert: new → triaging → escalated │ closed, and back to triaging when it recurs."""

Disposition = Literal[
    "true_positive_impact",
    "true_positive_no_impact",
    "authorised_work",
    "false_positive",
    "duplicate",
    "insufficient_information",
]
DISPOSITIONS: Final[tuple[Disposition, ...]] = get_args(Disposition)
"""What an alert turned out to be."""

ADDRESS_CHARACTERS: Final = 45
"""Longest text of an address: IPv6 with an IPv4 address at its end."""


_SHOWN: Final = "part_of IS NULL AND exception IS NULL AND suppressed_by IS NULL AND drill IS NULL"


class Alert(KeyedByOrganisation, OfSite, Base):
    """One alert."""

    __tablename__ = "alert"

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    revision: Mapped[int]
    """Rises with each upsert from detection."""
    rule: Mapped[str] = mapped_column(sa.String(RULE_CHARACTERS))
    severity: Mapped[int] = mapped_column(sa.SmallInteger(), active_history=True)
    """Position in `SEVERITIES`."""
    confidence: Mapped[float]
    rank: Mapped[float]
    """Severity × confidence × criticality: what a person should look at first."""
    first_seen: Mapped[int]
    last_seen: Mapped[int]
    count: Mapped[int]
    client_ip: Mapped[str | None] = mapped_column(sa.String(ADDRESS_CHARACTERS))
    server_ip: Mapped[str | None] = mapped_column(sa.String(ADDRESS_CHARACTERS))
    part_of: Mapped[str | None] = mapped_column(sa.String(64), active_history=True)
    """The stronger alert that tells this one too."""
    exception: Mapped[str | None] = mapped_column(sa.String(64), active_history=True)
    """Name of the site's exception that hides it."""
    body: Mapped[dict[str, Any]]
    """The whole alert as detection wrote it, texts in all languages included."""

    change: Mapped[int] = mapped_column(sa.BigInteger())
    """Rises over all alerts of the organisation with every upsert and every decision: the identity of a live event."""

    updated_at: Mapped[int] = mapped_column(server_default="0")
    """When `change` was written last."""

    triage_state: Mapped[str] = mapped_column(sa.String(16), default="new", active_history=True)
    triage_version: Mapped[int] = mapped_column(default=0)
    """Rises with each decision and each recurrence."""
    triage_by: Mapped[str | None] = mapped_column(sa.String(64))
    """Who has taken it on, or closed it."""
    triage_at: Mapped[int | None]
    triage_note: Mapped[str | None] = mapped_column(sa.Text())
    triage_disposition: Mapped[str | None] = mapped_column(sa.String(32))
    triage_permit: Mapped[str | None] = mapped_column(sa.String(64))
    triage_count: Mapped[int | None]
    """`count` when it was closed: more than that is a recurrence."""
    triage_incident: Mapped[int | None]
    """Number of the incident that it belongs to, or that it was closed with."""

    snoozed_until: Mapped[int | None] = mapped_column(active_history=True)
    """Until when it is laid aside at the latest; null where it is not."""
    snooze: Mapped[dict[str, Any] | None]
    """Who laid it aside, why, what ends that before, and what the alert was then: as `api.alerts.snoozing` writes it."""
    snooze_revision: Mapped[int | None]
    """The revision up to which was looked whether the snooze ends."""
    suppressed_by: Mapped[int | None] = mapped_column(active_history=True)
    """Number of the maintenance window that hides it now."""

    merged_into: Mapped[str | None] = mapped_column(sa.String(64), active_history=True)
    """The alert that a person let tell this one too; `part_of` names it then, whatever detection says."""
    detached_from: Mapped[str | None] = mapped_column(sa.String(64))
    """The alert that a person took it out of; `part_of` is null then, whatever detection says."""
    own_severity: Mapped[int | None] = mapped_column(sa.SmallInteger())
    """Its severity as detection says it, where it took others in: `severity` is then the highest of all."""
    own_rank: Mapped[float | None]
    """Its rank as detection says it, likewise."""
    drill: Mapped[int | None]
    """Number of the drill that it is of: nothing of it happened. Null: it is real."""

    __table_args__ = (
        sa.UniqueConstraint("organisation", "change"),
        sa.Index("ix_alert_organisation_rank_id", "organisation", "rank", "id"),
        sa.Index("ix_alert_organisation_last_seen_id", "organisation", "last_seen", "id"),
        sa.Index("ix_alert_organisation_first_seen_id", "organisation", "first_seen", "id"),
        sa.Index("ix_alert_organisation_count_id", "organisation", "count", "id"),
        sa.Index("ix_alert_organisation_updated_at_id", "organisation", "updated_at", "id"),
        sa.Index("ix_alert_organisation_triage_state_rank_id", "organisation", "triage_state", "rank", "id"),
        sa.Index("ix_alert_organisation_triage_state_last_seen_id", "organisation", "triage_state", "last_seen", "id"),
        sa.Index("ix_alert_organisation_severity_rank_id", "organisation", "severity", "rank", "id"),
        sa.Index("ix_alert_organisation_site", "organisation", "site"),
        # What the situation looks at: alerts that stand for themselves, without those that nobody will ever look at.
        sa.Index(
            "ix_alert_shown",
            "organisation",
            "site",
            "triage_state",
            "rank",
            "id",
            "severity",
            sqlite_where=sa.text(_SHOWN),
            postgresql_where=sa.text(_SHOWN),
        ),
        # Of a million alerts next to none have these: an index of all of them looks to a database as if it told none apart.
        *(
            sa.Index(
                f"ix_alert_organisation_{name}",
                "organisation",
                name,
                sqlite_where=sa.text(f"{name} IS NOT NULL"),
                postgresql_where=sa.text(f"{name} IS NOT NULL"),
            )
            for name in ("snoozed_until", "suppressed_by", "merged_into")
        ),
        sa.Index("ix_alert_organisation_rule_rank_id", "organisation", "rule", "rank", "id"),
        sa.Index("ix_alert_organisation_client_ip_rank_id", "organisation", "client_ip", "rank", "id"),
        sa.Index("ix_alert_organisation_server_ip_rank_id", "organisation", "server_ip", "rank", "id"),
        sa.Index("ix_alert_organisation_triage_at", "organisation", "triage_at"),
        sa.Index(
            "ix_alert_of_assignee",
            "organisation",
            "triage_by",
            "rank",
            "id",
            "triage_state",
            sqlite_where=sa.text("triage_by IS NOT NULL"),
            postgresql_where=sa.text("triage_by IS NOT NULL"),
        ),
        # How alerts ended that are like one, those decided last first.
        *(
            sa.Index(
                f"ix_alert_decided_{name}",
                "organisation",
                name,
                "triage_at",
                sqlite_where=sa.text("triage_at IS NOT NULL"),
                postgresql_where=sa.text("triage_at IS NOT NULL"),
            )
            for name in ("rule", "client_ip", "server_ip")
        ),
        # What was ever closed as right: previews look whether it would be hidden.
        sa.Index(
            "ix_alert_disposition",
            "organisation",
            "triage_disposition",
            "first_seen",
            sqlite_where=sa.text("triage_disposition IS NOT NULL"),
            postgresql_where=sa.text("triage_disposition IS NOT NULL"),
        ),
        # Of those of drills alone: all others have nothing there, and no question is to look for them by it.
        sa.Index(
            "ix_alert_of_drill",
            "organisation",
            "drill",
            sqlite_where=sa.text("drill IS NOT NULL"),
            postgresql_where=sa.text("drill IS NOT NULL"),
        ),
    )


DETECTED: Final = (
    "revision", "rule", "severity", "confidence", "rank", "first_seen", "last_seen", "count", "client_ip", "server_ip", "part_of",
    "exception", "body", "change",
)  # fmt: skip
"""The columns that an upsert from the stream writes; what people merged or detached goes before."""


_latest = 0


@event.listens_for(Alert.change, "set")
def _updated(alert: Alert, *_given: object) -> None:
    """Whatever changes an alert says when; a clock that is set back does not bring later changes before earlier ones."""
    global _latest  # noqa: PLW0603  one clock of the process
    _latest = alert.updated_at = max(_latest, now())


TRIAGED: Final = (
    "triage_state", "triage_by", "triage_at", "triage_note", "triage_disposition", "triage_permit", "triage_count",
    "triage_incident", "snoozed_until", "snooze", "snooze_revision",
)  # fmt: skip
"""The columns that say what people decided, but its version."""


class AlertTally(KeyedByOrganisation, OfSite, Base):
    """How many alerts of a site are told by themselves, by severity and state: `api.alerts.tally` keeps it."""

    __tablename__ = "alert_tally"

    site: Mapped[str] = mapped_column(
        sa.String(SITE_CHARACTERS).with_variant(sa.String(64), "sqlite"), primary_key=True, sort_order=-1
    )
    """Name of the site; empty where it has none."""
    severity: Mapped[int] = mapped_column(sa.SmallInteger(), primary_key=True, autoincrement=False)
    """Position in `SEVERITIES`."""
    triage_state: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    count: Mapped[int]


class AlertTechnique(KeyedByOrganisation, Base):
    """An ATT&CK technique of an alert, to filter by."""

    __tablename__ = "alert_technique"

    technique: Mapped[str] = mapped_column(sa.String(TECHNIQUE_CHARACTERS), primary_key=True)
    alert_id: Mapped[str] = mapped_column(sa.String(64), primary_key=True, index=True)

    __table_args__ = (sa.ForeignKeyConstraint(["organisation", "alert_id"], ["alert.organisation", "alert.id"]),)


class AlertEvent(OfOrganisation, Base):
    """One step in the life of an alert: raised, acknowledged, assigned, commented, snoozed, closed, recurred."""

    __tablename__ = "alert_event"

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    alert_id: Mapped[str] = mapped_column(sa.String(64), index=True)
    at: Mapped[int]
    kind: Mapped[str] = mapped_column(sa.String(16))
    actor: Mapped[str] = mapped_column(sa.String(64))
    note: Mapped[str | None] = mapped_column(sa.Text())
    disposition: Mapped[str | None] = mapped_column(sa.String(32))
    permit: Mapped[str | None] = mapped_column(sa.String(64))
    count: Mapped[int]
    """`count` of the alert at this step."""
    other: Mapped[str | None] = mapped_column(sa.String(64))
    """The account that it was given to, or the other alert of a merge."""

    __table_args__ = (
        sa.ForeignKeyConstraint(["organisation", "alert_id"], ["alert.organisation", "alert.id"]),
        sa.Index("ix_alert_event_organisation_at_id", "organisation", "at", "id"),
    )


MergeKind = Literal["merge", "detach"]
"""What a person did: let one alert tell others, or let one be told by itself."""


class AlertMerge(KeyedByOrganisation, OfSite, Base):
    """That alerts were merged, or one was detached, and what was so before."""

    __tablename__ = "alert_merge"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """From 1 in each organisation."""
    kind: Mapped[str] = mapped_column(sa.String(16))
    alert_id: Mapped[str] = mapped_column(sa.String(64))
    """The alert that took others in, or that one was taken out of."""
    note: Mapped[str] = mapped_column(sa.Text())
    made_by: Mapped[str] = mapped_column(sa.String(64))
    at: Mapped[int]
    before: Mapped[dict[str, Any] | None]
    """What people had decided about the alert that took others in."""
    after: Mapped[dict[str, Any] | None]
    """What that was once they were merged."""
    undone_by: Mapped[str | None] = mapped_column(sa.String(64))
    undone_at: Mapped[int | None]

    __table_args__ = (sa.Index("ix_alert_merge_organisation_alert_id", "organisation", "alert_id"),)


class AlertMergePart(KeyedByOrganisation, Base):
    """An alert that was taken in or out, and what told it before."""

    __tablename__ = "alert_merge_part"

    merge_number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    alert_id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    merged_into: Mapped[str | None] = mapped_column(sa.String(64))
    detached_from: Mapped[str | None] = mapped_column(sa.String(64))

    __table_args__ = (sa.Index("ix_alert_merge_part_organisation_alert_id", "organisation", "alert_id"),)


class StreamPosition(KeyedByOrganisation, Base):
    """How far a stream has been applied, stored in the transaction that applied it."""

    __tablename__ = "stream_position"

    consumer: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    position: Mapped[str] = mapped_column(sa.Text())
    """`collector.stream.Position` as JSON."""
