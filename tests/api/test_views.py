"""Saved views of the list of alerts: whose they are, who sees them, and which one an account begins with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.views import service
from tests.api.alerts import upsert
from tests.api.conftest import ANY
from tests.api.test_alerts import ids

if TYPE_CHECKING:
    import httpx
    import pytest

    from tests.api.conftest import Running

HIGH = {"name": "Grave", "filter": {"severity": "high,critical", "server.ip": "10.0.1.1", "since": "-24h"}, "sort": "-last_seen"}


def names(client: httpx.Client) -> list[str]:
    return [view["name"] for view in client.get("/api/views").json()["items"]]


def made(client: httpx.Client, **said: Any) -> dict[str, Any]:
    answer = client.post("/api/views", json={**HIGH, **said})
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_view_keeps_a_filter_as_the_list_is_asked_for_it(system_running: Running) -> None:
    system_running.alerts(upsert(1, severity="low"), upsert(2), upsert(3, server_ip="10.0.1.2"))
    client = system_running.signed_in(name="lin")
    view = made(client, filter={"severity": "high,critical", "server.ip": "10.0.1.1"})
    assert ids(client.get("/api/alerts", params={**view["filter"], "sort": view["sort"]})) == [2]
    relative = made(client)
    assert relative["filter"] == HIGH["filter"]
    for wrong in ({"filter": {"colour": "red"}}, {"sort": "id"}, {"shared": "site"}, {"site": "north"}, {"name": " "}):
        assert client.post("/api/views", json={**HIGH, **wrong}).status_code == 422, wrong
    path = f"/api/views/{view['number']}"
    assert client.put(path, json=HIGH).json()["code"] == "precondition_required"
    answer = client.put(path, json={**HIGH, "name": "Graver"}, headers={"If-Match": client.get(path).headers["ETag"]})
    assert (answer.json()["version"], answer.headers["ETag"], answer.json()["name"]) == (2, '"2"', "Graver")
    assert client.put(path, json=HIGH, headers={"If-Match": '"1"'}).json()["code"] == "precondition_failed"
    assert client.delete(path, headers={"If-Match": '"2"'}).status_code == 204
    assert (names(client), client.get(path).json()["code"]) == (["Grave"], "view_unknown")
    audited = system_running.signed_in("administrator").get("/api/audit", params={"subject": str(view["number"])}).json()
    assert [entry["action"] for entry in audited["items"] if entry["action"].startswith("view.")] == [
        "view.remove", "view.change", "view.make",
    ]  # fmt: skip


def test_views_are_seen_by_whom_they_are_shared_with_and_changed_by_their_owners(system_running: Running) -> None:
    lin = system_running.signed_in(name="lin")
    north, south = (system_running.signed_in(name=site, sites=frozenset({site})) for site in ("north", "south"))
    own, local, whole = made(lin, name="own"), made(lin, name="local", shared="site", site="north"), made(
        lin, name="whole", shared="organisation"
    )  # fmt: skip
    assert [names(each) for each in (lin, north, south)] == [["own", "local", "whole"], ["local", "whole"], ["whole"]]
    assert names(system_running.signed_in("viewer")) == ["local", "whole"]
    assert south.get(f"/api/views/{local['number']}").status_code == 404
    assert south.post("/api/views", json={**HIGH, "shared": "site", "site": "north"}).json()["code"] == "site_unknown"
    path = f"/api/views/{whole['number']}"
    assert north.put(path, json=HIGH, headers=ANY).json()["code"] == "forbidden"
    assert north.delete(path, headers=ANY).json()["code"] == "forbidden"
    # One view to begin with, each for himself; where it is seen no more, none.
    assert north.put("/api/account/default-view", json={"view": own["number"]}, headers=ANY).json()["code"] == "view_unknown"
    for number in (local["number"], whole["number"]):
        assert north.put("/api/account/default-view", json={"view": number}, headers=ANY).status_code == 204
    assert [view["default"] for view in north.get("/api/views").json()["items"]] == [False, True]
    assert not any(view["default"] for view in lin.get("/api/views").json()["items"])
    chen = system_running.signed_in("administrator")
    assert chen.put(path, json={**HIGH, "shared": "nobody"}, headers=ANY).json()["owner"] == "lin"
    assert not any(view["default"] for view in north.get("/api/views").json()["items"])
    assert chen.get(path).status_code == 404
    assert lin.put("/api/account/default-view", json={"view": whole["number"]}, headers=ANY).status_code == 204
    assert lin.put("/api/account/default-view", json={"view": None}, headers=ANY).status_code == 204
    assert not any(view["default"] for view in lin.get("/api/views").json()["items"])


def test_views_are_paged_and_bounded(system_running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    client = system_running.signed_in()
    for number in range(3):
        made(client, name=str(number))
    first = client.get("/api/views", params={"limit": 2}).json()
    second = client.get("/api/views", params={"limit": 2, "cursor": first["next"]}).json()
    assert [view["name"] for page in (first, second) for view in page["items"]] == ["0", "1", "2"]
    assert second["next"] is None
    monkeypatch.setattr(service, "MOST", 3)
    assert client.post("/api/views", json=HIGH).json()["code"] == "views_full"
