"""What holds for all lists and all callers: what changed since, filters and order, limits per rate, no other origin."""

from __future__ import annotations

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import pytest

from api.alerts import upserts
from api.alerts.service import newest_change
from api.problems import message_of
from api.texts import LANGUAGES
from api.times import iso, now
from tests.api.alerts import part_of, upsert
from tests.api.conftest import ANY, both_back_ends
from tests.api.openapi import example, operations
from tests.api.test_live import change, listening
from tests.api.test_permissions import fill

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from tests.api.conftest import Running

ORIGIN = {"Origin": "https://portal.example"}
PREFLIGHT = {**ORIGIN, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


BLIND: Final = {
    "POST /api/alerts/{alert_id}/comments": "adds a line, and changes none",
    "POST /api/users/{user_id}/link": "adds a link, which alone holds from then on; nothing of the account changes",
    "POST /api/incidents/{number}/timeline": "adds a line, and changes none",
    "POST /api/incidents/{number}/evidence": "adds a piece",
    "POST /api/incidents/{number}/evidence/packets": "adds a piece",
    "POST /api/incidents/{number}/evidence/snapshot": "adds a piece",
    "POST /api/incidents/{number}/evidence/package": "gives out what there is",
    "POST /api/incidents/{number}/evidence/{identity}/custody": "adds an entry to the chain of custody",
    "POST /api/incidents/{number}/obligations": "adds the reports that are not there yet",
    "POST /api/incidents/{number}/playbooks": "adds the tasks of a playbook once",
    "POST /api/incidents/{number}/tasks": "adds a task",
    "POST /api/incidents/{number}/actions": "adds a proposal",
    "POST /api/incidents/{number}/review/lessons": "adds a lesson",
    "POST /api/incidents/{number}/stix": "gives out what there is",
    "POST /api/stories/{alert_id}/stix": "gives out what there is",
    "POST /api/notifications/channels/{name}/test": "sends a message, and changes nothing",
    "POST /api/notifications/{number}/again": "sends anew what failed, which is refused unless it has",
    "DELETE /api/sessions/{session_id}": "ends it for good; nothing else of it can change",
    "DELETE /api/tokens/{token_id}": "ends it for good; nothing else of it can change",
    "POST /api/account/passkeys/{passkey_id}/remove": "one's own, after another proof; nothing else of it can change",
    "PUT /api/account/password": "the password that it had is told with it",
}
"""Changes of one thing that overwrite nothing, or that bring what they overwrite, and why they need no entity tag."""


FIRST: Final = frozenset({"playbook_of_product", "review_early"})
"""Codes of what cannot be changed at all yet, or ever, whoever saw it how."""


def test_a_change_of_one_thing_is_made_on_what_the_caller_saw(system_running: Running) -> None:
    """Every one says so in the document, and refuses whoever does not say what he saw; what overwrites nothing is named here."""
    document = operations(system_running.client().get("/api/openapi.json").json())
    filled = fill(system_running)
    client = system_running.sign_in("chen")
    # Nobody decides about his own account.
    (filled["user_id"],) = [str(each["id"]) for each in client.get("/api/users").json() if each["name"] == "zhao"]
    blind: set[str] = set()
    otherwise: list[tuple[str, int, str]] = []
    asked = 0
    for operation in document:
        name = f"{operation.method.upper()} {operation.path}"
        is_one = "{" in operation.path or operation.method in {"put", "patch", "delete"}
        if operation.method == "get" or not is_one or name == "DELETE /api/session":
            continue
        if not any(each["name"].lower() == "if-match" for each in operation.parameters):
            blind.add(name)
            continue
        assert {"412", "428"} <= operation.said["responses"].keys(), name
        body = example(operation.body) if operation.body else None
        query = {"site": "tanks"} if any(each["name"] == "site" for each in operation.parameters) else {}
        answer = client.request(operation.method, operation.path.format(**filled), params=query, json=body)
        # What there is none of, and what is another's to do, is not told more of.
        if answer.status_code not in {403, 404, 428} and answer.json()["code"] not in FIRST:
            otherwise.append((name, answer.status_code, answer.text))
        asked += answer.status_code == 428
    assert otherwise == []
    assert blind == set(BLIND)
    assert asked > 20


def test_who_disables_an_account_has_seen_what_it_is(system_running: Running) -> None:
    one, other = (system_running.signed_in("administrator", name=name) for name in ("lin", "chen"))
    system_running.signed_in("viewer", name="zhao")
    (seen,) = [each for each in other.get("/api/users").json() if each["name"] == "zhao"]
    path, tag = f"/api/users/{seen['id']}", {"If-Match": f'"{seen["version"]}"'}
    assert one.put(path, json={"role": "operator", "sites": None}, headers=tag).status_code == 200
    for late in (path, f"{path}/lock", f"{path}/authenticator"):
        assert other.delete(late).json()["code"] == "precondition_required"
        assert other.delete(late, headers=tag).json()["code"] == "precondition_failed"
    assert other.delete(path, headers={"If-Match": f'"{seen["version"] + 1}"'}).status_code == 204
    (shown,) = [each for each in other.get("/api/users").json() if each["name"] == "zhao"]
    assert (shown["disabled"], shown["version"]) == (True, seen["version"] + 2)


def test_the_view_to_begin_with_is_chosen_on_what_it_was(system_running: Running) -> None:
    lin = system_running.signed_in(name="lin")
    view = lin.post("/api/views", json={"name": "mine", "filter": {}}).json()["number"]
    path = "/api/account/default-view"
    first = lin.get(path)
    assert (first.json(), first.headers["ETag"]) == ({"view": None}, '"0"')
    assert lin.put(path, json={"view": view}).json()["code"] == "precondition_required"
    chosen = lin.put(path, json={"view": view}, headers={"If-Match": first.headers["ETag"]})
    assert (chosen.status_code, chosen.headers["ETag"]) == (204, f'"{view}"')
    assert lin.put(path, json={"view": None}, headers={"If-Match": first.headers["ETag"]}).status_code == 412
    assert lin.get(path).json() == {"view": view}


def listed(client: httpx.Client, **asked: Any) -> list[dict[str, Any]]:
    """All pages of a list of alerts."""
    found: list[dict[str, Any]] = []
    while True:
        answer = client.get("/api/alerts", params=asked)
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        if answer.json()["next"] is None:
            return found
        asked["cursor"] = answer.json()["next"]


def numbers(items: list[dict[str, Any]]) -> list[int]:
    return [int(item["id"], 16) for item in items]


def test_what_changed_since_a_time_is_listed_whatever_changed_it(system_running: Running) -> None:
    system_running.alerts(*(upsert(number) for number in range(1, 6)))
    client = system_running.signed_in()
    all_of_them = listed(client, sort="updated_at", limit=2)
    assert len(all_of_them) == 5
    times = [item["updated_at"] for item in all_of_them]
    assert times == sorted(times)
    client.post(f"/api/alerts/{2:032x}/acknowledge", json={"note": "x"}, headers={"If-Match": "*"})
    system_running.alerts(upsert(4, revision=2))
    system_running.alerts(part_of(1, stronger=2))
    since = times[-1]
    changed = [item for item in listed(client, updated_since=since, sort="updated_at") if item["updated_at"] > since]
    # What a stronger one tells by now too: a copy must hear of it.
    assert numbers(changed) == [2, 4, 1]
    assert changed[-1]["part_of"] == f"{2:032x}"
    assert listed(client, updated_since="2100-01-01T00:00:00Z") == []


@both_back_ends
def test_a_follower_by_time_has_a_whole_copy_while_others_write(system_running: Running) -> None:
    client, operator = system_running.signed_in(), system_running.signed_in()
    copy: dict[str, dict[str, Any]] = {}
    ended = threading.Event()

    def follow() -> None:
        since = "1970-01-01T00:00:00Z"
        while True:
            last = ended.is_set()
            for item in listed(client, updated_since=since, sort="updated_at", limit=7):
                copy[item["id"]] = item
                since = item["updated_at"]
            if last:
                return

    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(follow)
        for revision in range(1, 6):
            system_running.alerts(*(upsert(number, revision) for number in range(20)))
            path = f"/api/alerts/{revision:032x}/acknowledge"
            assert operator.post(path, json={"note": "x"}, headers={"If-Match": "*"}).status_code == 200
        ended.set()
        following.result(60)
    assert sorted(copy.values(), key=str) == sorted(listed(client), key=str)


def pages(client: httpx.Client, path: str, **asked: Any) -> list[dict[str, Any]]:
    """All pages of a list, two items on each."""
    found: list[dict[str, Any]] = []
    while True:
        answer = client.get(path, params={"limit": 2, **asked})
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        if answer.json()["next"] is None:
            return found
        asked["cursor"] = answer.json()["next"]


def incidents_with_all(served: Running, client: httpx.Client, count: int) -> list[int]:
    """Incidents with tasks and reports."""
    with served.services.database.write() as session:
        upserts.apply(session, [upsert(1)], "pumps")
    numbers: list[int] = []
    for each in range(count):
        said = {"title": f"x {each}", "reported_by": "Shift B", "site": "pumps"}
        numbers.append(client.post("/api/incidents", json=said).json()["number"])
        path = f"/api/incidents/{numbers[-1]}"
        due = {} if each == 1 else {"due_at": f"2100-01-0{1 + each % 3}T00:00:00Z"}
        assert client.post(f"{path}/tasks", json={"title": f"t {each}", **due}).status_code == 201
        grade = {"scheme": "cac-2025", "level": 1 + each % 4, "reason": "x"}
        if each != 1:
            assert client.post(f"{path}/grade", json=grade, headers=ANY).status_code == 200
    return numbers


@both_back_ends
def test_lists_of_incidents_and_what_belongs_to_them_are_sorted_and_paged_as_asked(system_running: Running) -> None:
    client = system_running.signed_in("administrator")
    incidents_with_all(system_running, client, 5)
    window = {"servers": ["10.0.1.0/24"], "work": "x", "performed_by": "y", "seen": 1000, "site": "pumps"}
    for hours in (3, 1, 2):
        said = {**window, "permit": f"WP-{hours}", "ends_at": iso(now() + hours * 3600 * 10**9)}
        assert client.post("/api/windows", json=said).status_code == 201
    for path, identity, sorts in (
        ("/api/incidents", "number", ("declared_at", "updated_at", "discovered_at", "moved_at", "grade")),
        ("/api/tasks", "id", ("due_at", "updated_at")),
        ("/api/obligations", "id", ("due_at", "updated_at")),
        ("/api/windows", "number", ("number", "starts_at", "ends_at", "updated_at")),
    ):
        expected = {item[identity] for item in pages(client, path)}
        assert len(expected) >= 3, path
        for sort in sorts:
            up, down = pages(client, path, sort=sort), pages(client, path, sort=f"-{sort}")
            assert [item[identity] for item in up] == [item[identity] for item in down][::-1], (path, sort)
            assert {item[identity] for item in up} == expected, (path, sort)
            values = [item[sort] for item in up]
            given = [value for value in values if value is not None]
            assert values == sorted(given) + [None] * (len(values) - len(given)), (path, sort)
        assert client.get(path, params={"sort": "title"}).json()["code"] == "input_invalid"
        cursor = client.get(path, params={"limit": 1}).json()["next"]
        assert client.get(path, params={"sort": "-updated_at", "cursor": cursor}).json()["code"] == "cursor_invalid"


def test_what_changed_of_incidents_tasks_reports_and_windows_is_listed(system_running: Running) -> None:
    client = system_running.signed_in("administrator")
    first, second, third = incidents_with_all(system_running, client, 3)
    window = {"servers": ["10.0.1.0/24"], "work": "x", "performed_by": "y", "seen": 1000, "site": "pumps", "permit": "WP-1"}
    made = client.post("/api/windows", json={**window, "ends_at": iso(now() + 3600 * 10**9)}).json()

    def changed(path: str, since: str, identity: str = "id") -> list[Any]:
        return [item[identity] for item in pages(client, path, updated_since=since, sort="updated_at")]

    since = iso(now())
    for path, identity in (("incidents", "number"), ("tasks", "id"), ("obligations", "id"), ("windows", "number")):
        assert changed(f"/api/{path}", since, identity) == []
    line = {"at": "-1m", "text": "x", "source": "y"}
    assert client.post(f"/api/incidents/{second}/timeline", json=line).status_code == 201
    assert client.post(f"/api/incidents/{first}/move", json={"to": "analysing", "reason": "x"}, headers=ANY).status_code == 200
    assert changed("/api/incidents", since, "number") == [second, first]
    (task,) = [each for each in pages(client, "/api/tasks") if each["incident"] == third]
    assert client.post(f"/api/tasks/{task['id']}/move", json={"to": "doing", "note": "x"}, headers=ANY).status_code == 200
    assert changed("/api/tasks", since) == [task["id"]]
    assert changed("/api/incidents", since, "number") == [second, first, third]
    report = next(each for each in pages(client, "/api/obligations") if each["incident"] == third)
    draft = client.put(f"/api/obligations/{report['id']}/draft", json={"contents": {}}, headers=ANY)
    assert draft.status_code == 200, draft.text
    assert changed("/api/obligations", since) == [report["id"]]
    assert client.post(f"/api/windows/{made['number']}/end", json={"reason": "x"}, headers=ANY).status_code == 200
    assert changed("/api/windows", since, "number") == [made["number"]]
    # What a change answers is what the list has then.
    moved = client.post(f"/api/incidents/{first}/move", json={"to": "containing", "reason": "x"}, headers=ANY).json()
    assert moved["updated_at"] == client.get(f"/api/incidents/{first}").json()["updated_at"]


def test_the_audit_trail_is_filtered_and_sorted_as_other_lists_are(system_running: Running) -> None:
    client = system_running.signed_in("administrator", "lin")
    for name in ("a", "b", "c"):
        system_running.signed_in(name=name)

    def found(**asked: Any) -> list[tuple[str, str]]:
        shown: list[tuple[str, str]] = []
        while True:
            answer = client.get("/api/audit", params={"actor": "!lin", "limit": 2, **asked})
            assert answer.status_code == 200, answer.text
            shown += [(entry["action"], entry["subject"]) for entry in answer.json()["items"]]
            if answer.json()["next"] is None:
                return shown
            asked["cursor"] = answer.json()["next"]

    made = [("user.create", name) for name in ("a", "b", "c")]
    assert found(action="user.create,user.disable", subject="!lin", sort="number") == made
    assert found(action="user.create", subject="!lin") == made[::-1]
    assert found(action="user.create", subject="b") == [made[1]]
    assert found(action="user.create", until="-1h") == []
    assert len(found(action="user.create", since="-1h")) == 4
    for wrong in ({"sort": "actor"}, {"actor": ""}, {"before": 3}, {"since": "x"}):
        assert client.get("/api/audit", params=wrong).json()["code"] == "input_invalid", wrong
    cursor = client.get("/api/audit", params={"limit": 1}).json()["next"]
    assert client.get("/api/audit", params={"limit": 1, "cursor": cursor, "actor": "lin"}).json()["code"] == "cursor_invalid"


@pytest.fixture
def _minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute that does not end while a test asks: requests are counted by this clock."""
    moment = time.time()
    monkeypatch.setattr(time, "time", lambda: moment)


@pytest.mark.usefixtures("_minute")
def test_a_caller_who_asks_too_often_waits_and_nobody_else_does(start: Callable[..., Running]) -> None:
    served = start(requests_per_minute=60)
    client, other = served.signed_in(name="lin"), served.signed_in(name="wei")
    answers = [client.get("/api/alerts/counts") for _ in range(61)]
    assert [answer.status_code for answer in answers[:60]] == [200] * 60
    assert (answers[-1].status_code, answers[-1].json()["code"]) == (429, "rate_limited")
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    # In whichever session, and changes too.
    again = served.sign_in("lin")
    assert again.delete("/api/session").json()["code"] == "rate_limited"
    assert other.get("/api/alerts/counts").status_code == 200
    assert served.client().get("/healthz").status_code == 200


@pytest.mark.usefixtures("_minute")
def test_who_is_nobody_waits_too(start: Callable[..., Running]) -> None:
    served = start(requests_per_minute=60)
    client = served.client()
    codes = [client.get("/api/alerts").json()["code"] for _ in range(61)]
    assert codes == ["signed_out"] * 60 + ["rate_limited"]


def chained(client: httpx.Client, path: str) -> list[dict[str, Any]]:
    """All pages of a plain list, one item on each, as their headers lead from one to the next."""
    found: list[dict[str, Any]] = []
    following: str | None = f"{path}?limit=1"
    while following is not None:
        answer = client.get(following)
        assert answer.status_code == 200, answer.text
        found += answer.json()
        assert len(answer.json()) <= 1
        following = answer.links.get("next", {}).get("url")
    return found


@both_back_ends
def test_plain_lists_lead_from_page_to_page(system_running: Running) -> None:
    system_running.services.site = "pumps"
    system_running.alerts(*(upsert(number) for number in range(1, 5)))
    client = system_running.signed_in("engineer")
    paths = [f"/api/alerts/{number:032x}" for number in range(1, 5)]
    for other in (2, 3, 4):
        seen = client.get(paths[other - 1]).json()["triage"]["version"]
        body = {"alerts": [{"id": f"{other:032x}", "version": seen}], "note": "x"}
        assert client.post(f"{paths[0]}/merge", json=body, headers=ANY).status_code == 200
    for client_ip in ("10.0.0.1", "10.0.0.2", "10.0.0.3"):
        asked = {"choice": "accept", "client": client_ip, "kind": "writer", "point": "holding:1", "reason": "x"}
        assert client.post("/api/baseline/decisions", json=asked).status_code == 202
    for path, least in ((f"{paths[0]}/history", 4), (f"{paths[0]}/merges", 3), ("/api/baseline/decisions", 3)):
        whole = client.get(path)
        assert "Link" not in whole.headers
        assert len(whole.json()) >= least, path
        assert chained(client, path) == whole.json(), path
    cursor = client.get(f"{paths[0]}/history?limit=1").links["next"]["url"].partition("?")[2]
    assert client.get(f"{paths[1]}/history?{cursor}").json()["code"] == "cursor_invalid"


WRONG: Final[tuple[tuple[str, str, dict[str, Any], Any], ...]] = (
    ("GET", "/api/alerts", {"limit": 0, "severity": "grave", "since": "yesterday", "sort": "title", "other": "x"}, None),
    ("GET", "/api/incidents", {"limit": 501, "grade": "1,,2", "drill": "perhaps", "since": "1066-10-14T00:00:00Z"}, None),
    ("POST", "/api/incidents", {}, {"title": "", "alerts": "x", "drill": 3, "category": "A B", "other": 1}),
    ("POST", "/api/incidents", {}, {"title": "x"}),
    ("POST", "/api/incidents", {}, []),
    ("POST", "/api/jobs", {}, {"action": "close", "note": "x", "ids": []}),
    ("POST", "/api/windows", {}, {"ends_at": 3, "servers": ["10.0.0.0/2"], "permit": "x" * 500, "work": 1, "seen": -1}),
    ("POST", "/api/assets", {}, {"name": "x", "addresses": ["nowhere"] * 3, "level": "high"}),
    ("PUT", "/api/zones", {}, {"zones": [{"name": "a"}, {"name": "a"}], "conduits": []}),
    ("POST", "/api/views", {}, {"name": "x", "filter": {"severity": 7}, "sort": 1, "shared": "site"}),
    ("POST", "/api/baseline/decisions", {}, {"choice": "approve", "reason": "x"}),
    ("POST", "/api/baseline/decisions", {}, {"choice": "nothing"}),
)
"""Requests of which the input is wrong, in many ways."""


def test_what_is_wrong_with_an_input_is_told_in_the_callers_language(system_running: Running) -> None:
    client = system_running.signed_in("administrator")
    types: set[str] = set()
    for method, path, query, body in WRONG:
        told: dict[str, list[dict[str, str]]] = {}
        for language in LANGUAGES:
            answer = client.request(method, path, params=query, json=body, headers={**ANY, "Accept-Language": language})
            assert (answer.status_code, answer.json()["code"]) == (422, "input_invalid"), (path, answer.text)
            assert answer.headers["Content-Language"] == language
            told[language] = answer.json()["errors"]
        in_english, in_chinese = (told[language] for language in LANGUAGES)
        assert [(each["place"], each["code"]) for each in in_english] == [(each["place"], each["code"]) for each in in_chinese]
        for one, other in zip(in_english, in_chinese, strict=True):
            assert one["message"].isascii(), one
            assert re.search("[\u4e00-\u9fff]", other["message"]), other
            # Nothing is left of a template, and nothing is told by its type alone that has words of its own.
            assert not re.search(r"\{[a-z_]+\}", one["message"] + other["message"]), (one, other)
            assert f"（{other['code']}）" not in other["message"], other
            types.add(one["code"])
    assert {"missing", "extra_forbidden", "value_error", "literal_error", "less_than_equal", "string_too_short"} <= types


def test_what_the_catalogue_has_no_words_for_is_told_by_its_type() -> None:
    item = {"type": "made_up", "loc": ("query", "x"), "msg": "It is wrong", "ctx": {"error": ValueError("wrong")}}
    assert message_of(item, "en") == "It is wrong"
    assert message_of(item, "zh-CN") == "无效的内容（made_up）"


def test_no_other_origin_is_let_in_unless_it_is_named(system_running: Running) -> None:
    client = system_running.client()
    for answer in (
        client.options("/api/alerts", headers=PREFLIGHT), client.get("/healthz", headers=ORIGIN),
        client.post("/api/session", json={}, headers=ORIGIN),
    ):  # fmt: skip
        assert not any(name.startswith("access-control") for name in answer.headers)
    assert answer.json()["code"] == "cross_site"


def test_a_named_origin_is_let_in_without_cookies_and_no_other_is(start: Callable[..., Running]) -> None:
    client = start(cors_origins=("https://portal.example",)).client()
    answer = client.options("/api/alerts", headers=PREFLIGHT)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, "https://portal.example")
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "authorization" in answer.headers["Access-Control-Allow-Headers"].lower()
    browser = {**ORIGIN, "Sec-Fetch-Site": "cross-site"}
    assert client.post("/api/session", json={}, headers=browser).json()["code"] == "input_invalid"
    for other in ("https://portal.example.evil", "http://portal.example", "null"):
        answer = client.options("/api/alerts", headers={**PREFLIGHT, "Origin": other})
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert client.post("/api/session", json={}, headers={"Origin": other}).json()["code"] == "cross_site"


@pytest.mark.parametrize("origin", ["*", "portal.example", "https://portal.example/", "https://portal.example/x", "null"])
def test_what_is_no_origin_is_refused(start: Callable[..., Running], origin: str) -> None:
    with pytest.raises(ValueError, match="origin"):
        start(cors_origins=(origin,))


@both_back_ends
def test_a_listener_who_comes_and_goes_misses_nothing_under_load(system_running: Running) -> None:
    """Alerts are raised and decided on by several at once while a listener hangs up after some events, again and again."""
    rounds, alerts = 12, 40
    listener = system_running.signed_in()
    operators = [system_running.signed_in() for _ in range(3)]
    known: dict[str, dict[str, Any]] = {}
    order: list[int] = []

    def listen() -> None:
        last = "0"
        for hang_up in range(1, 10_000):
            with listening(listener, last=last) as stream:
                for count, (name, identity, data) in enumerate(stream):
                    if name == "alert":
                        known[data["id"]] = data
                        order.append(change(identity))
                    last = identity or last
                    if f"{alerts:032x}" in known and change(last) == newest():
                        return
                    if count >= hang_up % 17:
                        break

    def newest() -> int:
        with system_running.services.database.read() as session:
            return newest_change(session)

    def raise_them() -> None:
        for revision in range(1, rounds + 1):
            for begin in range(0, alerts, 10):
                system_running.alerts(*(upsert(number, revision) for number in range(begin, begin + 10)))

    def decide(operator: httpx.Client, remainder: int) -> None:
        for number in range(remainder, alerts, len(operators)):
            for _ in range(100):
                path = f"/api/alerts/{number:032x}/acknowledge"
                answer = operator.post(path, json={"note": "x"}, headers={"If-Match": "*"})
                if answer.status_code == 200:
                    break
                system_running.services.hub.notify()

    with ThreadPoolExecutor(5) as pool:
        listening_to = pool.submit(listen)
        work = [pool.submit(raise_them), *(pool.submit(decide, each, at) for at, each in enumerate(operators))]
        for each in work:
            each.result(120)
        # The last of all: whoever has it has come to the end.
        system_running.alerts(upsert(alerts, 1))
        listening_to.result(120)
    assert order == sorted(order)
    stored = {item["id"]: item for item in listed(system_running.signed_in(), limit=500)}
    assert known.keys() == stored.keys()
    for identity, item in stored.items():
        assert known[identity] == item


def test_a_listener_who_knows_more_than_there_is_loads_anew(system_running: Running) -> None:
    """As after a backup was restored: the numbers of changes begin again."""
    system_running.alerts(upsert(1), upsert(2))
    with listening(system_running.signed_in(), last=1000) as stream:
        assert next(stream)[0] == "hello"
        name, identity, _ = next(stream)
        assert (name, change(identity)) == ("reload", 2)
        system_running.alerts(upsert(3))
        name, identity, _ = next(stream)
        assert (name, change(identity)) == ("alert", 3)
