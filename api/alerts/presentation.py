"""Stored alerts as the API shows them, in the caller's language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from api.alerts.models import SEVERITIES
from api.alerts.schemas import (
    AcceptanceOutput,
    AlertItem,
    AlertOutput,
    HidingException,
    HistoryEntry,
    MergedAlert,
    MergeOutput,
    ProposedException,
    Related,
    Similar,
    SimilarAlert,
    Snooze,
    Story,
    Triage,
)
from api.times import iso
from detection.alerts import story
from detection.tuning import Exemption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from api.alerts.acceptance import Acceptance
    from api.alerts.merging import Done
    from api.alerts.models import Alert, AlertEvent
    from api.alerts.similar import Alike, Past
    from api.alerts.tuning import Seen

SHOWN: Final = 20
"""Alerts that a proposed exception names."""


def item(alert: Alert, language: str) -> AlertItem:
    """An alert as it stands in a list."""
    return AlertItem(**_item(alert, language))


def output(alert: Alert, language: str, merged: Sequence[Alert] = ()) -> AlertOutput:
    """An alert with all that is known of it, and what people merged into it."""
    texts = alert.body["texts"][language]
    told = story(alert.body.get("story"), language)
    return AlertOutput(
        **_item(alert, language),
        technique_aliases=alert.body["technique_aliases"],
        target=alert.body.get("target", {}),
        posture=bool(alert.body.get("posture")),
        expected=texts["expected"],
        observed=texts["observed"],
        next_steps=texts["next_steps"],
        records=alert.body["records"],
        related=[
            Related.model_validate(
                {
                    **finding,
                    "title": finding["title"][language],
                    "first_seen": iso(finding["first_seen"]),
                    "last_seen": iso(finding["last_seen"]),
                }
            )
            for finding in alert.body["related"]
        ],
        story=None if told is None else Story.model_validate(told),
        exception=HidingException.model_validate(hidden) if (hidden := alert.body.get("exception")) else None,
        own_severity=None if alert.own_severity is None else SEVERITIES[alert.own_severity],
        merged=[_merged(each, language) for each in merged],
        holds=alert.body.get("holds", []),
    )


def _merged(alert: Alert, language: str) -> MergedAlert:
    own = alert.severity if alert.own_severity is None else alert.own_severity
    return MergedAlert.model_validate(
        {
            "id": alert.id, "title": alert.body["texts"][language]["title"], "severity": SEVERITIES[own],
            "state": alert.triage_state, "count": alert.count, "first_seen": iso(alert.first_seen),
            "last_seen": iso(alert.last_seen),
        }
    )  # fmt: skip


def merge(done: Done) -> MergeOutput:
    """A merge, or that an alert was detached."""
    made = done.merge
    return MergeOutput.model_validate(
        {
            "number": made.number, "kind": made.kind, "alert": made.alert_id, "parts": done.parts, "note": made.note,
            "by": made.made_by, "at": iso(made.at), "undone_by": made.undone_by,
            "undone_at": None if made.undone_at is None else iso(made.undone_at),
        }
    )  # fmt: skip


def proposal(exemption: Exemption, hidden: Sequence[Seen]) -> ProposedException:
    """An exception that could be made."""
    fields = exemption.model_dump(include={"name", "kind", "rules", "clients", "servers", "target"})
    end = None if exemption.end is None else f"{exemption.end:%Y-%m-%dT%H:%M:%SZ}"
    return ProposedException.model_validate({**fields, "end": end, **_hidden(hidden)})


def accepted(found: Acceptance) -> AcceptanceOutput:
    """What accepting an alert would mean."""
    meant, hides = found.meant, found.hides.alerts
    shown = {**_hidden(hides), "right": found.hides.right, "limited": found.hides.limited}
    if isinstance(meant, Exemption):
        return AcceptanceOutput.model_validate({"exception": proposal(meant, hides), **shown})
    fact = {name: getattr(meant, name) for name in ("kind", "client", "server", "point", "unit", "rare", "observed")}
    return AcceptanceOutput.model_validate({"fact": fact, **shown})


def _hidden(alerts: Sequence[Seen]) -> dict[str, Any]:
    return {
        "hides": len(alerts),
        "undecided": sum(not alert.closed for alert in alerts),
        "alerts": [alert.id for alert in alerts[:SHOWN]],
    }


def similar(found: Past, language: str) -> Similar:
    """Alerts of the past that are like one."""
    return Similar(ended=dict(found.ended), alerts=[_similar(each, language) for each in found.alerts])


def _similar(each: Alike, language: str) -> SimilarAlert:
    alert = each.alert
    decided = ("disposition", "by", "note", "permit", "incident")
    return SimilarAlert.model_validate(
        {
            "id": alert.id, "alike": each.alike, "title": alert.body["texts"][language]["title"],
            "first_seen": iso(alert.first_seen), "at": None if alert.triage_at is None else iso(alert.triage_at),
            **{name: getattr(alert, f"triage_{name}") for name in decided},
        }
    )  # fmt: skip


def history_entry(event: AlertEvent) -> HistoryEntry:
    """A step in the life of an alert."""
    return HistoryEntry.model_validate(
        {
            "at": iso(event.at), "kind": event.kind, "actor": event.actor, "note": event.note, "disposition": event.disposition,
            "permit": event.permit, "count": event.count, "other": event.other,
        }
    )  # fmt: skip


def _snooze(alert: Alert) -> Snooze | None:
    if alert.snoozed_until is None or alert.snooze is None:
        return None
    said = {name: alert.snooze[name] for name in ("conditions", "by", "note")}
    return Snooze.model_validate({**said, "at": iso(alert.snooze["at"]), "until": iso(alert.snoozed_until)})


def _item(alert: Alert, language: str) -> dict[str, Any]:
    texts = alert.body["texts"][language]
    triage = {
        "state": alert.triage_state,
        "version": alert.triage_version,
        "by": alert.triage_by,
        "at": None if alert.triage_at is None else iso(alert.triage_at),
        "note": alert.triage_note,
        "disposition": alert.triage_disposition,
        "permit": alert.triage_permit,
        "incident": alert.triage_incident,
    }
    return {
        "id": alert.id,
        "revision": alert.revision,
        "change": alert.change,
        "updated_at": iso(alert.updated_at),
        "site": alert.site,
        "rule": alert.rule,
        "part_of": alert.part_of,
        "hidden_by": alert.exception,
        "suppressed_by": alert.suppressed_by,
        "snooze": _snooze(alert),
        "merged_into": alert.merged_into,
        "detached_from": alert.detached_from,
        "drill": alert.drill,
        "severity": SEVERITIES[alert.severity],
        "confidence": alert.confidence,
        "rank": alert.rank,
        "title": texts["title"],
        "summary": texts["summary"],
        "first_seen": iso(alert.first_seen),
        "last_seen": iso(alert.last_seen),
        "count": alert.count,
        "client_ip": alert.client_ip,
        "server_ip": alert.server_ip,
        "techniques": alert.body["techniques"],
        "triage": Triage.model_validate(triage),
    }
