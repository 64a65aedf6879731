"""The sites that decisions can be about, as each caller may see them, and of which one a decision is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.times import iso
from tests.api.test_baseline import standing
from tests.api.test_permissions import fill
from tests.detection.test_live_learning import RUN, live, polls

if TYPE_CHECKING:
    import httpx

    from tests.api.conftest import Running


def told(client: httpx.Client) -> list[str]:
    return [each["name"] for each in client.get("/api/sites").json()]


def test_each_caller_is_told_the_sites_that_he_may_decide_about(system_running: Running) -> None:
    fill(system_running)
    whole = system_running.signed_in()
    pumps, tanks = (system_running.signed_in(sites=frozenset({site})) for site in ("pumps", "tanks"))
    assert [told(client) for client in (whole, pumps, tanks)] == [["pumps", "tanks"], ["pumps"], ["tanks"]]
    # A system of one site has no other, whatever its database held before, for whoever may see that one.
    system_running.services.site = "pumps"
    assert [told(client) for client in (whole, pumps, tanks)] == [["pumps"], ["pumps"], ["tanks"]]


def test_a_decision_about_what_is_normal_is_told_with_its_site(system_running: Running) -> None:
    fill(system_running)
    client = system_running.signed_in()
    asked = {"choice": "accept", "client": "10.0.0.66", "reason": "new"}
    refused = client.post("/api/baseline/decisions", json=asked)
    assert (refused.status_code, refused.json()["code"]) == (422, "site_missing")
    made = client.post("/api/baseline/decisions", json={**asked, "site": "tanks"})
    assert (made.status_code, made.json()["site"]) == (202, "tanks")
    found = client.get("/api/baseline/decisions").json()
    assert [each["site"] for each in found if each["reason"] == "new"] == ["tanks"]
    assert {each["site"] for each in found if each["choice"] == "relearn"} == {"pumps", "tanks"}


def test_of_sites_that_have_read_the_same_capture_the_one_that_was_looked_at_is_meant(system_running: Running) -> None:
    state = live(polls(0, 6))[0]
    (learned,) = standing(state)().values()
    system_running.services.site = None
    system_running.services.learned = lambda: {"pumps": learned, "tanks": learned}
    client = system_running.signed_in()
    asked = {"choice": "approve", "reason": "as built", "sensor": RUN[0], "epoch": RUN[1]}
    asked["learned_until"] = iso(state.normal.until)
    answers = [client.post("/api/baseline/decisions", json={**asked, "site": site}) for site in ("pumps", "tanks", "north")]
    assert [answer.json().get("site", answer.status_code) for answer in answers] == ["pumps", "tanks", 404]


def test_what_was_learned_makes_a_site_known(system_running: Running) -> None:
    (learned,) = standing(live(polls(0, 6))[0])().values()
    system_running.services.site = None
    system_running.services.learned = lambda: {"tanks": learned}
    asked = {"choice": "merge", "parties": ["10.0.0.1", "10.0.0.2"], "reason": "a pair"}
    pumps, whole = system_running.signed_in(sites=frozenset({"pumps"})), system_running.signed_in()
    for client, site, said in ((pumps, "tanks", "site_unknown"), (whole, "north", "site_unknown"), (whole, "tanks", None)):
        answer = client.post("/api/baseline/decisions", json={**asked, "site": site})
        assert answer.json().get("code") == said, answer.text
    (made,) = whole.get("/api/baseline/decisions").json()
    assert (made["site"], made["about"]) == ("tanks", {"parties": "10.0.0.1, 10.0.0.2"})
