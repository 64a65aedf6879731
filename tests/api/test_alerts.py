"""Alerts through the API: listed, opened, decided, raised again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from api.alerts import service, tally
from api.alerts.models import Alert
from api.times import now
from tests.api.alerts import part_of, upsert, with_related

if TYPE_CHECKING:
    import httpx

    from detection.alerts import Alert as Revision
    from tests.api.conftest import Running


def ids(answer: httpx.Response) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [int(item["id"], 16) for item in answer.json()["items"]]


def decide(client: httpx.Client, number: int, kind: str, body: dict[str, str], tag: str | None = None) -> httpx.Response:
    path = f"/api/alerts/{number:032x}"
    tag = tag or client.get(path).headers["ETag"]
    return client.post(f"{path}/{kind}", json=body, headers={"If-Match": tag})


def test_alerts_are_listed_by_rank(system_running: Running) -> None:
    system_running.alerts(upsert(1, rank=10.0), upsert(2, rank=90.0), upsert(3, rank=50.0))
    assert ids(system_running.signed_in("viewer").get("/api/alerts")) == [2, 3, 1]


def test_none_of_these_is_none_of_them_on_either_side_and_among_several(system_running: Running) -> None:
    sides = {1: ("10.0.0.1", "10.0.0.2"), 2: ("10.0.0.3", None), 3: ("10.0.0.2", "10.0.0.4")}
    techniques: dict[int, list[str]] = {1: ["T0836", "T0888"], 2: ["T0888"], 3: []}
    for number, (one, other) in sides.items():
        body = {**upsert(number).body, "techniques": techniques[number]}
        system_running.alerts(upsert(number, client_ip=one, server_ip=other, body=body))
    client = system_running.signed_in("viewer")
    for asked, found in (
        ({"ip": "!10.0.0.2"}, [2]), ({"ip": "!10.0.0.1,10.0.0.4"}, [2]), ({"ip": "10.0.0.2"}, [3, 1]),
        ({"technique": "!T0836"}, [3, 2]), ({"technique": "!T0888"}, [3]), ({"technique": "T0888"}, [2, 1]),
    ):  # fmt: skip
        assert ids(client.get("/api/alerts", params=asked)) == found, asked


def test_pages_hold_their_place_while_alerts_come_in(system_running: Running) -> None:
    system_running.alerts(*(upsert(number) for number in range(10)))
    client = system_running.signed_in()
    first = client.get("/api/alerts", params={"limit": 4}).json()
    system_running.alerts(*(upsert(number) for number in range(100, 105)))
    second = client.get("/api/alerts", params={"limit": 4, "cursor": first["next"]}).json()
    third = client.get("/api/alerts", params={"limit": 4, "cursor": second["next"]}).json()
    seen = [int(item["id"], 16) for page in (first, second, third) for item in page["items"]]
    assert seen == list(range(9, -1, -1))
    assert third["next"] is None


@pytest.mark.parametrize("sort", ["rank", "-rank", "first_seen", "-first_seen", "last_seen", "-last_seen", "count", "-count"])
def test_every_order_pages_through_all_alerts_once(system_running: Running, sort: str) -> None:
    # Equal values everywhere: only the identifier tells the rows apart.
    system_running.alerts(*(upsert(number, rank=5.5, first_seen=7, last_seen=9, count=2) for number in range(7)))
    client = system_running.signed_in()
    seen: list[int] = []
    cursor = ""
    while cursor is not None:
        page = client.get("/api/alerts", params={"limit": 3, "sort": sort, **({"cursor": cursor} if cursor else {})}).json()
        seen += [int(item["id"], 16) for item in page["items"]]
        cursor = page["next"]
    assert seen == sorted(range(7), reverse=sort.startswith("-"))


@pytest.mark.parametrize("sort", ["rank", "-rank", "-last_seen"])
@pytest.mark.parametrize("address", ["10.0.0.1", "10.0.0.1,10.0.0.4"])
def test_pages_of_an_address_hold_those_of_either_end_in_order_and_each_once(
    system_running: Running, sort: str, address: str
) -> None:
    one, other, third = "10.0.0.1", "10.0.0.2", "10.0.0.4"
    ends = [(one, other), (other, one), (one, one), (other, other), (other, None), (third, one), (third, other), (None, one)]
    made = {number: ends[number % len(ends)] for number in range(3 * len(ends))}
    system_running.alerts(
        *(
            upsert(number, rank=float(number % 5), last_seen=9 + number % 3, client_ip=client, server_ip=server)
            for number, (client, server) in made.items()
        )
    )
    wanted = [number for number, both in made.items() if {*both} & {*address.split(",")}]
    values = {"rank": 5, "last_seen": 3}[sort.removeprefix("-")]
    client, seen, cursor = system_running.signed_in(), list[int](), ""
    while cursor is not None:
        asked = {"ip": address, "limit": 4, "sort": sort, "severity": "!low", **({"cursor": cursor} if cursor else {})}
        page = client.get("/api/alerts", params=asked).json()
        seen += [int(item["id"], 16) for item in page["items"]]
        cursor = page["next"]
    assert seen == sorted(wanted, key=lambda number: (number % values, number), reverse=sort.startswith("-"))


def test_a_cursor_of_another_question_is_refused(system_running: Running) -> None:
    system_running.alerts(*(upsert(number) for number in range(5)))
    client = system_running.signed_in()
    cursor = client.get("/api/alerts", params={"limit": 2}).json()["next"]
    for params in (
        {"sort": "count", "cursor": cursor},
        {"severity": "low", "cursor": cursor},
        {"cursor": "x"},
        {"cursor": "AAAA"},
    ):
        answer = client.get("/api/alerts", params=params)
        assert (answer.status_code, answer.json()["code"]) == (422, "cursor_invalid")


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"severity": "high,critical"}, [3, 2]),
        ({"severity": "!high"}, [3, 1]),
        ({"state": "new"}, [3, 2, 1]),
        ({"state": "!new"}, []),
        ({"rule": "modbus_write"}, [2, 1]),
        ({"client.ip": "10.0.0.1"}, [1]),
        ({"server.ip": "10.0.1.1", "severity": "high"}, [2]),
        ({"ip": "10.0.1.9"}, [3]),
        ({"technique": "T0814"}, [3]),
        ({"since": "2025-11-24T16:00:03Z"}, [3]),
        ({"until": "2025-11-24T16:00:02Z"}, [1]),
        ({"disposition": "!false_positive"}, [3, 2, 1]),
    ],
)
def test_filters_find_what_they_say(system_running: Running, params: dict[str, str], found: list[int]) -> None:
    other = {**upsert(3).body, "techniques": ["T0814"]}
    system_running.alerts(
        upsert(1, severity="low"), upsert(2), upsert(3, severity="critical", rule="sweep", server_ip="10.0.1.9", body=other)
    )
    assert ids(system_running.signed_in().get("/api/alerts", params=params)) == found


@pytest.mark.parametrize(
    "params", [{"severity": "huge"}, {"colour": "red"}, {"since": "yesterday"}, {"limit": "501"}, {"state": ""}, {"sort": "id"}]
)
def test_a_filter_that_means_nothing_is_refused_with_its_place(system_running: Running, params: dict[str, str]) -> None:
    answer = system_running.signed_in().get("/api/alerts", params=params)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "input_invalid"
    assert answer.json()["errors"][0]["place"] == f"query.{next(iter(params))}"


def test_acknowledging_takes_the_alert_on_with_name_and_note(system_running: Running) -> None:
    system_running.alerts(upsert(1))
    client = system_running.signed_in(name="lin")
    answer = decide(client, 1, "acknowledge", {"note": "asking the shift"})
    assert answer.status_code == 200
    assert answer.json()["triage"] | {"at": ""} == {
        "state": "triaging", "version": 1, "by": "lin", "at": "", "note": "asking the shift", "disposition": None, "permit": None,
        "incident": None,
    }  # fmt: skip
    again = decide(client, 1, "acknowledge", {"note": "me too"})
    assert (again.status_code, again.json()["code"]) == (409, "alert_state")


def test_closing_a_new_alert_acknowledges_it_first_and_keeps_both_steps(system_running: Running) -> None:
    system_running.alerts(upsert(1))
    client = system_running.signed_in(name="lin")
    answer = decide(client, 1, "close", {"disposition": "authorised_work", "permit": "WP-7", "note": "planned"})
    assert answer.json()["triage"]["state"] == "closed"
    history = client.get(f"/api/alerts/{1:032x}/history").json()
    assert [(entry["kind"], entry["actor"], entry["permit"]) for entry in history] == [
        ("raised", "system", None),
        ("acknowledged", "lin", None),
        ("closed", "lin", "WP-7"),
    ]
    assert decide(client, 1, "close", {"disposition": "duplicate", "note": "x"}).json()["code"] == "alert_state"


@pytest.mark.parametrize(
    "body",
    [
        {"disposition": "authorised_work", "note": "no permit number"},
        {"disposition": "false_positive", "note": "permit", "permit": "WP-7"},
        {"disposition": "nothing", "note": "x"},
        {"disposition": "duplicate", "note": "   "},
        {"note": "x"},
    ],
)
def test_closing_needs_a_disposition_a_note_and_a_permit_for_authorised_work_only(
    system_running: Running, body: dict[str, str]
) -> None:
    system_running.alerts(upsert(1))
    answer = decide(system_running.signed_in(), 1, "close", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "input_invalid")


def test_a_decision_needs_the_alert_as_it_is_now(system_running: Running) -> None:
    system_running.alerts(upsert(1))
    first, second = system_running.signed_in(), system_running.signed_in()
    path = f"/api/alerts/{1:032x}"
    assert first.post(f"{path}/acknowledge", json={"note": "x"}).json()["code"] == "precondition_required"
    tag = second.get(path).headers["ETag"]
    assert decide(first, 1, "acknowledge", {"note": "mine"}, tag).status_code == 200
    stale = decide(second, 1, "close", {"disposition": "duplicate", "note": "x"}, tag)
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")


def test_an_attack_that_goes_on_is_no_conflict_with_the_decision_about_it(system_running: Running) -> None:
    system_running.alerts(upsert(1))
    client = system_running.signed_in()
    tag = client.get(f"/api/alerts/{1:032x}").headers["ETag"]
    system_running.alerts(upsert(1, revision=2))
    assert decide(client, 1, "acknowledge", {"note": "x"}, tag).status_code == 200


def test_an_unchanged_alert_is_not_sent_again_and_kept_by_no_browser(system_running: Running) -> None:
    system_running.alerts(upsert(1))
    client = system_running.signed_in()
    path = f"/api/alerts/{1:032x}"
    answer = client.get(path)
    assert answer.headers["Cache-Control"] == "no-store"
    tag = answer.headers["ETag"]
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 304
    system_running.alerts(upsert(1, revision=2))
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 200


def test_an_upsert_never_overwrites_what_people_decided(system_running: Running) -> None:
    system_running.alerts(upsert(1))
    client = system_running.signed_in(name="lin")
    decide(client, 1, "acknowledge", {"note": "mine"})
    system_running.alerts(upsert(1, revision=2, severity="critical"))
    alert = client.get(f"/api/alerts/{1:032x}").json()
    assert alert["severity"] == "critical"
    assert (alert["triage"]["state"], alert["triage"]["by"], alert["triage"]["note"]) == ("triaging", "lin", "mine")


def test_an_older_revision_changes_nothing(system_running: Running) -> None:
    system_running.alerts(upsert(1, revision=3))
    client = system_running.signed_in()
    before = client.get(f"/api/alerts/{1:032x}").json()
    system_running.alerts(upsert(1, revision=2), upsert(1, revision=3, severity="low"))
    assert client.get(f"/api/alerts/{1:032x}").json() == before


def test_a_closed_alert_that_recurs_is_open_again(system_running: Running) -> None:
    system_running.alerts(upsert(1))
    client = system_running.signed_in()
    decide(client, 1, "close", {"disposition": "false_positive", "note": "x"})
    system_running.alerts(upsert(1, revision=2, count=1, rank=1.0))
    assert client.get(f"/api/alerts/{1:032x}").json()["triage"]["state"] == "closed"
    system_running.alerts(upsert(1, revision=3, count=2))
    alert = client.get(f"/api/alerts/{1:032x}").json()
    assert (alert["triage"]["state"], alert["triage"]["disposition"]) == ("triaging", None)
    kinds = [entry["kind"] for entry in client.get(f"/api/alerts/{1:032x}/history").json()]
    assert kinds == ["raised", "acknowledged", "closed", "recurred"]


def test_what_joins_a_closed_alert_is_told_once_and_nothing_that_was_there_before(system_running: Running) -> None:
    system_running.alerts(with_related(1, 1))
    client = system_running.signed_in()

    def states(*revisions: Revision) -> list[str]:
        decide(client, 1, "close", {"disposition": "false_positive", "note": "x"})
        told: list[str] = []
        for revision in revisions:
            system_running.alerts(replace(revision, count=1))
            told.append(client.get(f"/api/alerts/{1:032x}").json()["triage"]["state"])
        return told

    critical = "write_to_critical_point"
    assert states(with_related(1, 2, count=99), with_related(1, 3, rule=critical)) == ["closed", "triaging"]
    assert states(with_related(1, 4, rule=critical)) == ["closed"]
    history = client.get(f"/api/alerts/{1:032x}/history").json()
    assert [entry["kind"] for entry in history] == ["raised", "acknowledged", "closed", "recurred", "closed"]


def test_an_alert_that_stands_for_itself_again_says_so(system_running: Running) -> None:
    system_running.alerts(part_of(1, 2, revision=1))
    client = system_running.signed_in()
    system_running.alerts(upsert(1, revision=2))
    assert [entry["kind"] for entry in client.get(f"/api/alerts/{1:032x}/history").json()] == ["raised", "alone"]


def test_texts_come_in_the_language_asked_for(system_running: Running) -> None:
    system_running.alerts(upsert(1))
    client = system_running.signed_in()
    assert client.get("/api/alerts").json()["items"][0]["title"] == "Alert 1"
    assert (
        client.get("/api/alerts", headers={"Accept-Language": "fr, zh-Hans;q=0.8, en;q=0.3"}).json()["items"][0]["title"]
        == "告警 1"
    )
    assert client.get("/api/alerts?language=zh-CN", headers={"Accept-Language": "en"}).json()["items"][0]["title"] == "告警 1"
    assert client.get("/api/alerts/nothing?language=zh-CN").json()["title"] == "告警不存在"


def test_counts_are_told_by_severity_and_state(system_running: Running) -> None:
    system_running.alerts(upsert(1), upsert(2), upsert(3, severity="low"))
    client = system_running.signed_in()
    decide(client, 1, "acknowledge", {"note": "x"})
    counts = {
        (entry["severity"], entry["state"]): entry["count"] for entry in client.get("/api/alerts/counts").json() if entry["count"]
    }
    assert counts == {("high", "new"): 1, ("high", "triaging"): 1, ("low", "new"): 1}


def test_a_viewer_may_read_and_not_decide(system_running: Running) -> None:
    system_running.alerts(upsert(1))
    answer = decide(system_running.signed_in("viewer"), 1, "acknowledge", {"note": "x"})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def counted(client: httpx.Client) -> int:
    return sum(entry["count"] for entry in client.get("/api/alerts/counts").json())


def test_an_alert_that_a_stronger_one_tells_leaves_list_and_counts(system_running: Running) -> None:
    system_running.alerts(upsert(1), upsert(2))
    client = system_running.signed_in()
    assert (ids(client.get("/api/alerts")), counted(client)) == ([2, 1], 2)
    system_running.alerts(part_of(1, stronger=2))
    for params in ({}, {"state": "new"}, {"rule": "modbus_write"}, {"client.ip": "10.0.0.1,10.0.0.2"}, {"sort": "count"}):
        assert ids(client.get("/api/alerts", params=params)) == [2], params
    assert counted(client) == 1


def test_an_alert_that_a_stronger_one_tells_can_still_be_opened(system_running: Running) -> None:
    system_running.alerts(upsert(1), upsert(2), part_of(1, stronger=2))
    alert = system_running.signed_in().get(f"/api/alerts/{1:032x}").json()
    assert (alert["title"], alert["part_of"], alert["triage"]["state"]) == ("Alert 1", f"{2:032x}", "new")


@pytest.mark.parametrize("kind", ["acknowledge", "close"])
def test_what_a_person_has_taken_on_stays_listed_when_a_stronger_alert_tells_it(system_running: Running, kind: str) -> None:
    system_running.alerts(upsert(1), upsert(2))
    client = system_running.signed_in()
    decided = {"note": "x"} if kind == "acknowledge" else {"disposition": "duplicate", "note": "x"}
    assert decide(client, 1, kind, decided).status_code == 200
    system_running.alerts(part_of(1, stronger=2))
    assert (ids(client.get("/api/alerts")), counted(client)) == ([2, 1], 2)


def test_taking_on_an_alert_that_a_stronger_one_tells_brings_it_back(system_running: Running) -> None:
    system_running.alerts(upsert(1), upsert(2), part_of(1, stronger=2))
    client = system_running.signed_in()
    assert ids(client.get("/api/alerts")) == [2]
    assert decide(client, 1, "acknowledge", {"note": "this one matters by itself"}).status_code == 200
    assert (ids(client.get("/api/alerts")), counted(client)) == ([2, 1], 2)


def test_an_alert_tells_its_story_in_the_language_asked_for(system_running: Running) -> None:
    stage = {"tactic": "discovery", "name": {"en": "Discovery", "zh-CN": "发现"}, "techniques": ["T0888"], "first_seen": 5}
    told = {
        "id": "s", "sentence": {"en": "Who, what.", "zh-CN": "谁、什么。"}, "stages": [stage], "alerts": ["a", "b"],
        "actors": ["x"], "targets": ["y"],
    }  # fmt: skip
    alone = upsert(3)
    system_running.alerts(upsert(2, body={**alone.body, "story": told}), alone)
    client = system_running.signed_in("viewer")
    story = client.get(f"/api/alerts/{2:032x}", params={"language": "zh-CN"}).json()["story"]
    assert (story["sentence"], story["stages"][0]["name"], story["alerts"]) == ("谁、什么。", "发现", ["a", "b"])
    assert client.get(f"/api/alerts/{3:032x}").json()["story"] is None


def hidden(number: int, name: str = "night-copy") -> Revision:
    """Alert `number` that an exception of the site hides."""
    known = {"name": name, "kind": "suppress", "reason": "known", "by": "lin.wei", "end": "2027-01-01T00:00:00Z"}
    return upsert(number, body={**upsert(number).body, "exception": known})


def test_what_an_exception_hides_is_found_when_asked_for_and_says_why(system_running: Running) -> None:
    system_running.alerts(upsert(1), hidden(2), hidden(3, "other"))
    client = system_running.signed_in()
    assert (ids(client.get("/api/alerts")), counted(client)) == ([1], 1)
    assert ids(client.get("/api/alerts", params={"exception": "night-copy"})) == [2]
    assert client.get(f"/api/alerts/{2:032x}").json()["exception"]["reason"] == "known"
    assert decide(client, 2, "acknowledge", {"note": "this one matters"}).status_code == 200
    assert ids(client.get("/api/alerts")) == [2, 1]


def test_a_false_positive_is_given_the_narrowest_exception_that_hides_none_that_was_right(system_running: Running) -> None:
    moment = now()
    system_running.alerts(
        *(
            upsert(number, first_seen=moment - number, server_ip=f"10.0.1.{number}", client_ip="10.0.0.1")
            for number in range(1, 5)
        ),
        upsert(9, first_seen=moment, server_ip="10.0.1.4", client_ip="10.0.0.2"),
    )
    client = system_running.signed_in()
    path = f"/api/alerts/{1:032x}/exceptions"
    (narrow,) = client.get(path).json()
    assert (narrow["clients"], narrow["servers"], narrow["hides"], narrow["undecided"]) == (["10.0.0.1"], ["10.0.1.1"], 1, 1)
    for number, disposition in ((1, "false_positive"), (2, "false_positive"), (9, "true_positive_impact")):
        assert decide(client, number, "close", {"disposition": disposition, "note": "x"}).status_code == 200
    narrow, wide = client.get(path).json()
    assert (wide["clients"], wide["servers"], wide["hides"], wide["undecided"]) == (["10.0.0.1"], [], 4, 2)
    assert client.get(f"/api/alerts/{9:032x}/exceptions").json() == []
    assert system_running.signed_in("viewer").get(path).status_code == 403


def test_an_alert_names_what_is_related_to_it_with_its_records(system_running: Running) -> None:
    records = ("local/e/0/3", "local/e/0/4")
    system_running.alerts(with_related(1, records=records))
    (related,) = system_running.signed_in().get(f"/api/alerts/{1:032x}?language=zh-CN").json()["related"]
    assert (related["rule"], related["title"], related["severity"], related["count"]) == ("sweep", "扫描", "low", 12)
    assert related["records"] == list(records)
    assert related["first_seen"] == "2025-11-24T16:00:00.000000000Z"


def test_counting_alerts_looks_at_none_of_them(system_running: Running) -> None:
    asked: list[str] = []
    database = system_running.services.database
    event.listen(database.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    with database.read() as session:
        service.counts(session)
    (statement,) = [each for each in asked if each.startswith("SELECT")]
    assert "FROM alert_tally" in statement


def test_what_writes_past_sessions_counts_anew(system_running: Running) -> None:
    database = system_running.services.database
    system_running.alerts(upsert(1), upsert(2, severity="low"))
    with database.engine.begin() as connection:
        connection.execute(sa.update(Alert).where(Alert.id == f"{1:032x}").values(triage_state="closed"))
    with database.write() as session:
        assert service.counts(session)["high", "new"] == 1
        tally.count_anew(session)
        found = service.counts(session)
    assert {key: count for key, count in found.items() if count} == {("high", "closed"): 1, ("low", "new"): 1}


def test_of_a_technique_the_same_alerts_are_found_be_they_few_or_many(
    system_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    system_running.alerts(*(upsert(number, rank=float(number % 7)) for number in range(20)))
    client = system_running.signed_in()

    def pages() -> list[dict[str, Any]]:
        query = {"technique": "T0836", "limit": "6"}
        first = client.get("/api/alerts", params=query).json()
        return [first, client.get("/api/alerts", params={**query, "cursor": first["next"]}).json()]

    few, further = pages()
    monkeypatch.setattr("api.alerts.service.FEW", 5)
    assert pages() == [few, further]
    assert len(few["items"]) == len(further["items"]) == 6
    assert client.get("/api/alerts?technique=!T0836").json()["items"] == []


def test_a_comment_is_a_line_of_the_history_and_changes_nothing_that_was_decided(system_running: Running) -> None:
    system_running.alerts(upsert(1), upsert(2))
    lin, wang = system_running.signed_in(name="lin"), system_running.signed_in("engineer", "wang")
    path = f"/api/alerts/{1:032x}"
    seen = lin.get(path)
    answer = wang.post(f"{path}/comments", json={"note": "  The laptop was in the workshop then. "})
    assert answer.status_code == 201, answer.text
    line = answer.json()
    assert (line["kind"], line["actor"], line["note"]) == ("commented", "wang", "The laptop was in the workshop then.")
    now = lin.get(path).json()
    assert now["triage"] == seen.json()["triage"]
    assert now["change"] > lin.get(f"/api/alerts/{2:032x}").json()["change"], "live streams tell it"
    # Whoever looked before it was written still decides on what he saw.
    closing = {"note": "Known.", "disposition": "false_positive"}
    assert decide(lin, 1, "close", closing, seen.headers["ETag"]).status_code == 200
    assert lin.post(f"{path}/comments", json={"note": "It was his after all."}).status_code == 201
    assert lin.get(path).json()["triage"]["state"] == "closed"
    steps = [(each["kind"], each["actor"], each["disposition"]) for each in lin.get(f"{path}/history").json()]
    assert steps == [
        ("raised", "system", None), ("commented", "wang", None), ("acknowledged", "lin", None),
        ("closed", "lin", "false_positive"), ("commented", "lin", None),
    ]  # fmt: skip
    entries = system_running.signed_in("administrator").get("/api/audit", params={"action": "alert.comment"}).json()["items"]
    told = [(entry["actor"], entry["subject"], entry["detail"]) for entry in reversed(entries)]
    assert told == [
        ("wang", f"{1:032x}", {"note": "The laptop was in the workshop then."}),
        ("lin", f"{1:032x}", {"note": "It was his after all."}),
    ]
    viewer = system_running.signed_in("viewer")
    assert viewer.post(f"{path}/comments", json={"note": "x"}).json()["code"] == "forbidden"
    assert lin.post(f"{path}/comments", json={"note": "  "}).status_code == 422
    assert lin.post("/api/alerts/none/comments", json={"note": "x"}).json()["code"] == "alert_unknown"
