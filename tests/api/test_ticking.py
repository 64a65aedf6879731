"""What happens by itself: one thing that cannot be done holds up no other, and clocks that stand still are told."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from api.alerts import snoozing
from api.incidents import timeline
from api.ticking import Looks, Ticking, ticking
from api.times import parse
from tests.api.alerts import upsert
from tests.api.conftest import SQLITE_ONLY, both_back_ends
from tests.api.looks import tick
from tests.api.test_incidents import PHONE, act, declare, done, kinds

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.api.conftest import Running


@pytest.fixture(autouse=True)
def _one_site(request: pytest.FixtureRequest) -> None:
    system_running: Running = request.getfixturevalue("system_running")
    system_running.alerts(upsert(900, rule="posture"))


@both_back_ends
def test_what_cannot_be_told_of_one_task_holds_up_no_other_clock(
    system_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    client = system_running.signed_in("responder", name="lin")
    number = declare(client, **PHONE)["number"]
    due = parse("2030-01-01T00:00:00Z")
    bad, _ = (
        done(client.post(f"/api/incidents/{number}/tasks", json={"title": title, "due_at": "2030-01-01T00:00:00Z"}), 201)["id"]
        for title in ("Bad", "Good")
    )
    done(act(client, number, "hold", {"until": "2029-12-31T00:00:00Z", "reason": "x"}))
    write = timeline.write

    def broken(session: Any, incident: int, actor: Any, kind: str, **values: Any) -> Any:
        if values["detail"].get("task") == bad:
            raise ValueError("what nobody foresaw")
        return write(session, incident, actor, kind, **values)

    monkeypatch.setattr(timeline, "write", broken)
    services = system_running.services
    assert [tick(services, due), tick(services, due)] == [2, 0]
    assert (kinds(client, number).count("task_overdue"), kinds(client, number).count("woken")) == (1, 1)
    told = next(part for part in services.status.parts() if part.name == "clocks")
    assert (told.state, told.detail) == ("working", f"task {bad} cannot be done (ValueError)")
    assert "icsight_clocks_passed_over 1.0" in client.get("/metrics").text
    monkeypatch.undo()
    assert tick(services, due) == 1
    assert next(part.detail for part in services.status.parts() if part.name == "clocks") == ""


def test_what_cannot_be_looked_at_holds_up_no_other_clock(system_running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    client, services = system_running.signed_in("responder", name="lin"), system_running.services
    number = declare(client, **PHONE)["number"]
    done(act(client, number, "hold", {"until": "2029-12-31T00:00:00Z", "reason": "x"}))

    def broken(*given: object) -> Any:
        raise ValueError("what nobody foresaw")

    monkeypatch.setattr(snoozing.Snoozed, "due", broken)
    assert tick(services, parse("2030-01-01T00:00:00Z")) == 1
    told = next(part for part in services.status.parts() if part.name == "clocks")
    assert (told.state, told.detail) == ("working", "any snoozed alert cannot be done (ValueError)")


@SQLITE_ONLY
def test_clocks_run_on_whatever_a_look_comes_to_and_it_is_told_where_they_do_not(
    system_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    services, looks = system_running.services, list[int]()

    def fails(self: Looks, *args: object) -> int:
        looks.append(1)
        raise ValueError("what nobody foresaw")

    monkeypatch.setattr(Looks, "look", fails)
    client = system_running.client()
    with ticking(services, 0.01):
        until(lambda: len(looks) > 2)
        assert client.get("/readyz").json()["failures"] == {"clocks": "ValueError"}
        monkeypatch.undo()
        until(lambda: client.get("/readyz").status_code == 200)
    still = Ticking(services)
    assert still.failures(), "a thread that does not run"
    assert services.watched == [], "what has ended is watched no more"


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
