"""What is normal, through the API: shown in few lines, decided about on what was looked at."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from api.times import iso
from detection.anomaly.drift import Drift
from detection.anomaly.promise import promise_of
from detection.baseline.decisions import Decision
from tests.api.test_exceptions import audited, sent
from tests.detection.test_anomaly import LEARNED, MANY, anomalies
from tests.detection.test_anomaly import polls as values
from tests.detection.test_live_learning import APPROVED, RUN, live, polls, request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from detection.anomaly.state import AnomalyState
    from detection.baseline.detector import BaselineState
    from detection.remembered import Learned
    from tests.api.conftest import Running


def standing(baseline: BaselineState, models: AnomalyState | None = None) -> Callable[[], dict[str, list[Learned]]]:
    """What was learned as the API sees it, of states that a test made."""
    return lambda: {"": [(RUN, baseline, promise_of(models))]}


@pytest.fixture(scope="module")
def proposed() -> BaselineState:
    writes = [request(1.5 * 3600, client="10.0.0.66", function=6, address=10, values=[1])]
    busy = [request(n * 60 + 7, client="10.0.0.3", function=6, address=10, values=[1]) for n in range(300)]
    return live([*polls(0, 6), *writes, *busy])[0]


def test_what_is_learned_is_shown_in_few_lines(system_running: Running, proposed: BaselineState) -> None:
    client = system_running.signed_in("viewer")
    assert client.get("/api/baseline").json() == []
    system_running.services.learned = standing(proposed)
    (shown,) = client.get("/api/baseline").json()
    assert (shown["sensor"], shown["epoch"], shown["phase"], shown["learning"]) == (*RUN, "proposed", False)
    assert shown["heard_hours"] == 3
    assert len(shown["normal"]["lines"]) <= 10
    assert [(line["kind"], line["client"]) for line in shown["rare"]["lines"]] == [("writer", "10.0.0.66")]
    assert {count["kind"]: count["facts"] for count in shown["counts"]}["writer"] == 2
    assert shown["learned_until"] == iso(proposed.normal.until)
    system_running.services.learned = standing(live(polls(0, 2))[0])
    (shown,) = client.get("/api/baseline").json()
    assert (shown["learning"], shown["phase"], shown["heard_hours"]) == (True, "provisional", 1)


def test_what_models_promise_is_shown_beside_what_is_measured(system_running: Running, proposed: BaselineState) -> None:
    client = system_running.signed_in("viewer")
    models, found = anomalies(values(2 * LEARNED, of=lambda turn: 900 if turn == LEARNED // 10 + 50 else 400 + turn % 5))
    system_running.services.learned = standing(proposed, models)
    promise = client.get("/api/baseline").json()[0]["promise"]
    minutes = found.get_column("ts").dt.truncate("1m").n_unique()
    assert (promise["promised"], promise["minutes"], promise["measured"]) == (MANY, minutes, 12 * minutes)
    assert (promise["history_hours"], promise["heard_hours"], promise["hours"]) == (1.0, 2.0, 0)
    assert (promise["holds"], promise["broken_since"]) == (True, None)
    system_running.services.learned = standing(proposed, replace(models, drift=Drift(hours=40, alarms=12, broken=490_000)))
    promise = client.get("/api/baseline").json()[0]["promise"]
    assert (promise["holds"], promise["broken_since"], promise["alarmed_hours"]) == (False, iso(490_000 * 3_600 * 10**9), 12)
    system_running.services.learned = standing(proposed)
    assert client.get("/api/baseline").json()[0]["promise"] is None


def test_nobody_waits_to_write_while_what_was_learned_is_read(system_running: Running, proposed: BaselineState) -> None:
    client, services = system_running.signed_in(name="li"), system_running.services

    def write() -> bool:
        with services.database.write():
            return True

    def learned() -> dict[str, list[Learned]]:
        # Another's transaction, while this is read: it would never come to its turn.
        with ThreadPoolExecutor(1) as other:
            written.append(other.submit(write).result(timeout=20))
        return standing(proposed)()

    written: list[bool] = []
    services.learned = learned
    asked = {"choice": "approve", "reason": "as built", "sensor": RUN[0], "epoch": RUN[1], "with_rare": True}
    answer = client.post("/api/baseline/decisions", json={**asked, "learned_until": iso(proposed.normal.until)})
    assert (answer.status_code, written) == (202, [True])


def test_only_what_was_looked_at_is_approved(system_running: Running, proposed: BaselineState) -> None:
    client = system_running.signed_in(name="li")
    asked = {"choice": "approve", "reason": "as built", "sensor": RUN[0], "epoch": RUN[1], "with_rare": True}
    asked["learned_until"] = iso(proposed.normal.until)
    assert client.post("/api/baseline/decisions", json=asked).json()["code"] == "baseline_unknown"
    system_running.services.learned = standing(proposed)
    for other in ({"learned_until": iso(7)}, {"choice": "propose"}):
        answer = client.post("/api/baseline/decisions", json={**asked, **other})
        assert (answer.status_code, answer.json()["code"]) == (409, "baseline_changed")
    answer = client.post("/api/baseline/decisions", json=asked)
    assert (answer.status_code, answer.json()["waiting"]) == (202, True), answer.text
    (decision,) = sent(system_running)
    assert isinstance(decision, Decision)
    said = (decision.choice, decision.by, decision.run, decision.until, decision.with_rare)
    assert said == ("approve", "li", RUN, proposed.normal.until, True)
    assert ("baseline.approve", "li", decision.id) in audited(system_running)
    # Once it is approved there is nothing to approve.
    system_running.services.learned = standing(live(polls(0, 6), [(5, APPROVED)])[0])
    assert client.post("/api/baseline/decisions", json=asked).json()["code"] == "baseline_changed"


@pytest.mark.parametrize(
    ("asked", "fields"),
    [
        (
            {"choice": "relearn", "server": "10.0.0.9", "since": "2025-11-24T21:00:00Z", "hours": 4},
            {"server": "10.0.0.9", "since": 1_764_018_000_000_000_000, "hours": 4},
        ),
        ({"choice": "merge", "parties": ["10.0.0.1", "2001:DB8::1"]}, {"parties": ("10.0.0.1", "2001:db8::1")}),
        (
            {"choice": "accept", "client": "10.0.0.66", "kind": "writer", "point": "holding:1"},
            {"client": "10.0.0.66", "kind": "writer", "point": "holding:1"},
        ),
    ],
    ids=lambda each: str(each.get("choice", "")),
)
def test_a_decision_is_the_same_as_that_of_the_command(
    system_running: Running, asked: dict[str, Any], fields: Mapping[str, Any]
) -> None:
    client = system_running.signed_in()
    assert client.post("/api/baseline/decisions", json={**asked, "reason": "planned"}).status_code == 202
    (decision,) = sent(system_running)
    assert {name: getattr(decision, name) for name in fields} == fields
    (made,) = client.get("/api/baseline/decisions").json()
    assert (made["choice"], made["reason"], made["waiting"]) == (asked["choice"], "planned", True)


@pytest.mark.parametrize(
    "broken",
    [
        {"choice": "drop"},
        {"choice": "approve", "sensor": "a", "epoch": "b"},
        {"choice": "propose"},
        {"choice": "accept"},
        {"choice": "accept", "client": "somebody"},
        {"choice": "accept", "client": "10.0.0.1", "kind": "rumour"},
        {"choice": "relearn", "server": "10.0.0.9"},
        {"choice": "relearn", "server": "10.0.0.9", "since": "yesterday"},
        {"choice": "merge", "parties": ["10.0.0.1", "10.0.0.1"]},
        {"choice": "accept", "client": "10.0.0.1", "reason": ""},
        {"choice": "accept", "client": "10.0.0.1", "by": "somebody"},
    ],
    ids=str,
)
def test_a_decision_that_makes_no_sense_is_refused(system_running: Running, broken: dict[str, Any]) -> None:
    answer = system_running.signed_in().post("/api/baseline/decisions", json={"reason": "x", **broken})
    assert (answer.status_code, answer.json()["code"]) == (422, "input_invalid"), answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert sent(system_running) == []


def test_a_viewer_decides_nothing(system_running: Running) -> None:
    asked = {"choice": "merge", "parties": ["10.0.0.1", "10.0.0.2"], "reason": "a pair"}
    assert system_running.signed_in("viewer").post("/api/baseline/decisions", json=asked).status_code == 403
