"""Alerts made by hand, as detection would hand them over."""

from __future__ import annotations

from typing import Any

from detection.alerts import Alert

START = 1_764_000_000_000_000_000
"""First packet time, nanoseconds since 1970."""


def upsert(number: int, revision: int = 1, **changes: Any) -> Alert:
    """Revision `revision` of alert `number`, with other values where they are given."""
    texts = {
        "title": f"Alert {number}",
        "summary": f"10.0.0.{number % 200} wrote to 10.0.1.1",
        "expected": "no writes",
        "observed": "a write",
        "next_steps": ["Ask the shift."],
    }
    chinese = {
        "title": f"告警 {number}",
        "summary": "写入",
        "expected": "无写入",
        "observed": "写入",
        "next_steps": ["询问当班人员。"],
    }
    values: dict[str, Any] = {
        "id": f"{number:032x}",
        "revision": revision,
        "rule": "modbus_write",
        "severity": "high",
        "confidence": 0.9,
        "rank": 50.0 + number,
        "first_seen": START + number * 1_000_000_000,
        "last_seen": START + number * 1_000_000_000 + revision,
        "count": revision,
        "client_ip": f"10.0.0.{number % 200}",
        "server_ip": "10.0.1.1",
        "body": {
            "texts": {"en": texts, "zh-CN": chinese},
            "techniques": ["T0836"],
            "technique_aliases": ["T0855"],
            "records": [],
            "related": [],
            "part_of": None,
        },
    }
    values.update(changes)
    return Alert(**values)


def part_of(number: int, stronger: int, revision: int = 2) -> Alert:
    """Alert `number` once a stronger one tells it too."""
    return upsert(number, revision, body={**upsert(number).body, "part_of": f"{stronger:032x}"})


def with_related(
    number: int, revision: int = 2, count: int = 12, records: tuple[str, ...] = (), *, rule: str = "sweep", severity: str = "low"
) -> Alert:  # fmt: skip
    """Alert `number` with findings of another rule that belong to it."""
    finding = {
        "rule": rule,
        "title": {"en": "A sweep", "zh-CN": "扫描"},
        "severity": severity,
        "count": count,
        "first_seen": START,
        "last_seen": START + 5,
        "records": list(records),
    }
    return upsert(number, revision, body={**upsert(number).body, "related": [finding]})
