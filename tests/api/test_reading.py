"""What there is, read by every role: each operation that gives one thing gives it, or refuses whoever has not the right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from api.drills import plant
from api.drills.frames import Host
from api.drills.models import Drill
from api.notifications.models import Message, NotificationRule
from api.notifications.schemas import AlertMatch, RuleContent
from api.security.permissions import ROLES, Role, permissions_of
from tests.api.conftest import SQLITE_ONLY, Running
from tests.api.test_actions import body as action
from tests.api.test_documents import bring, word
from tests.api.test_incidents import done
from tests.api.test_obligations import SAID, reports, step
from tests.api.test_permissions import ask, documented, fill

if TYPE_CHECKING:
    import httpx

    from tests.api.openapi import Operation

OTHERWISE: Final = {
    "/api/actions/{identity}/verdict": 409,
    "/api/alerts/{alert_id}/evidence": 404,
}
"""What is not answered with 200: what traffic shows of an action that nobody has carried out yet, packets that nobody kept."""


def submitted(served: Running, approver: httpx.Client, number: str) -> str:
    """The first report of an incident, submitted with its document."""
    writer = served.signed_in("responder")
    identity = reports(writer, int(number))["cac-first"]["id"]
    done(step(writer, identity, "draft", {"contents": SAID}, "PUT"))
    done(step(approver, identity, "approve", {"note": "read"}))
    digest = writer.get(f"/api/obligations/{identity}/document").headers["X-Content-SHA256"]
    done(step(writer, identity, "submit", {"channel": "12387", "note": "x", "document": digest}))
    return str(identity)


def things(served: Running) -> dict[str, dict[str, str]]:
    """One thing of each kind; what names it, by the beginning of paths."""
    there = fill(served)
    client = served.sign_in("chen")
    incident = f"/api/incidents/{there['number']}"
    task = done(client.post(f"{incident}/tasks", json={"title": "Look", "due_at": "2030-01-01T00:00:00Z"}), 201)
    proposed = done(client.post(f"{incident}/actions", json=action()), 201)
    kept = done(client.post(f"{incident}/evidence/snapshot", json={"reason": "as it is"}), 201)
    note = done(client.post("/api/handovers", json={"site": "tanks"}), 201)
    view = done(client.post("/api/views", json={"name": "ours", "filter": {}, "shared": "organisation"}), 201)
    asked = {"action": "acknowledge", "ids": [there["alert_id"]], "note": "x", "dry_run": True}
    job = done(client.post("/api/jobs", json=asked), 202)
    done(bring(client, "report", word("{{ title }}")), 201)
    reported = submitted(served, client, there["number"])
    with served.services.database.write() as session:
        here: dict[str, Any] = {"site": "tanks", "version": 1, "title": "x", "scenario": "unauthorised_write"}
        times: dict[str, Any] = {"state": "aborted", "started_by": "lin", "started_at": 1, "ended_by": "lin", "ended_at": 2}
        plc = plant.Plant(Host("10.0.1.1", "02:00:00:00:00:01"), "", 502, 1, (), None, Host("10.0.1.2", "02:00:00:00:00:02"))
        kept_of_it: dict[str, Any] = {"participants": "", "note": "", "end_note": "x", "plant": plc.told(), "packets": ""}
        session.add(Drill(number=7, **here, **times, **kept_of_it))
        said = RuleContent(name="x", alerts=AlertMatch(), channels=["hook"]).stored()
        stored: dict[str, Any] = {"enabled": False, "changed_by": "lin", "changed_at": 1, "said": said}
        session.add(NotificationRule(number=7, site="tanks", version=1, name="x", **stored))
        sent: dict[str, Any] = {"test": False, "state": "sent", "made_at": 1, "due_at": 1, "attempts": 1, "ended_at": 1}
        told: dict[str, Any] = {"title": "x", "lines": [], "items": []}
        session.add(Message(id=7, site="tanks", key="k", channel="hook", **sent, reason=None, count=0, held_back=0, content=told))
    return {
        "/api/": there,
        "/api/actions": {"identity": str(proposed["id"])},
        "/api/drills": {"number": "7"},
        "/api/handovers": {"identity": str(note["id"])},
        "/api/incidents/{number}/evidence": {"identity": str(kept["id"])},
        "/api/jobs": {"number": str(job["number"])},
        "/api/notifications": {"number": "7"},
        "/api/report-templates": {"key": "report"},
        "/api/tasks": {"identity": str(task["id"])},
        "/api/told": {"identity": reported},
        "/api/views": {"number": str(view["number"])},
    }


def reads_one(operation: Operation) -> bool:
    named = any(parameter["in"] == "path" for parameter in operation.parameters)
    return operation.method == "get" and named and "x-permission" in operation.said


@SQLITE_ONLY
@pytest.mark.parametrize("role", ROLES)
def test_each_role_reads_what_there_is_or_is_told_that_it_may_not(system_running: Running, role: Role) -> None:
    there = things(system_running)
    client = system_running.signed_in(role, name="lin")
    mine = permissions_of(role, None)
    asked = list(filter(reads_one, documented(system_running)))
    assert {*OTHERWISE} <= {operation.path for operation in asked}
    assert all(any(operation.path.startswith(beginning) for operation in asked) for beginning in there)
    for operation in asked:
        values: dict[str, str] = {}
        for beginning, named in there.items():
            values |= named if operation.path.startswith(beginning) else {}
        status, said = ask(client, operation, values)
        if mine.isdisjoint({operation.said["x-permission"], *operation.said.get("x-permission-instead", ())}):
            assert (status, "urn:icsight:problem:forbidden" in said) == (403, True), (operation[:2], status, said)
        else:
            assert status == OTHERWISE.get(operation.path, 200), (operation[:2], status, said[:300])
