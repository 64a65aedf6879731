"""API tokens: what they may do, how they end, and that nobody but their owner ever sees one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, get_args

import pytest

from api.security.permissions import FOR_TOKENS, OPEN, TABLE, Permission
from tests.api.alerts import upsert
from tests.api.conftest import ANY, SQLITE_ONLY
from tests.api.test_live import listening
from tests.api.test_permissions import UNKNOWN, ask, assert_let_in, documented

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from tests.api.conftest import Running


def made(client: httpx.Client, *permissions: str, days: int = 1) -> dict[str, Any]:
    answer = client.post("/api/tokens", json={"name": "history server", "permissions": permissions, "days": days})
    assert answer.status_code == 201, answer.text
    return answer.json()


def bearer(served: Running, token: str) -> httpx.Client:
    client = served.client()
    client.headers["Authorization"] = f"Bearer {token}"
    return client


@SQLITE_ONLY
def test_a_token_may_do_what_it_was_given_and_nothing_that_only_a_person_may(system_running: Running) -> None:
    owner = system_running.signed_in("administrator", name="lin")
    every = sorted(FOR_TOKENS & {each for each in get_args(Permission) if "administrator" in TABLE[each].roles})
    whole, little = (bearer(system_running, made(owner, *given)["token"]) for given in (every, ["alert.read"]))
    for operation in documented(system_running):
        if (operation.method.upper(), operation.path) in OPEN:
            continue
        needed = {operation.said["x-permission"], *operation.said.get("x-permission-instead", ())}
        for client, given in ((whole, every), (little, ["alert.read"])):
            status, said = ask(client, operation, UNKNOWN)
            if needed & set(given):
                assert_let_in(operation, status, said)
            else:
                assert (status, "urn:icsight:problem:forbidden" in said) == (403, True), (operation[:2], status, said)
    assert {"account.own", "user.manage", "action.approve_security", "action.approve_operations"} & FOR_TOKENS == set()


def test_a_change_with_a_token_needs_no_other_and_says_which_it_was(system_running: Running) -> None:
    system_running.alerts(upsert(1))
    token = made(system_running.signed_in(name="lin"), "alert.read", "alert.decide")
    client = bearer(system_running, token["token"])
    path = f"/api/alerts/{1:032x}"
    answer = client.post(f"{path}/acknowledge", json={"note": "x"}, headers={"If-Match": client.get(path).headers["ETag"]})
    assert (answer.status_code, answer.json()["triage"]["by"]) == (200, "lin")
    trail = system_running.signed_in("administrator").get("/api/audit").json()["items"]
    (entry,) = [each for each in trail if each["action"] == "alert.acknowledge"]
    assert (entry["actor"], entry["address"]) == ("lin", f"127.0.0.1 token {token['id']}")


def test_a_key_of_a_request_is_the_tokens_own(system_running: Running) -> None:
    lin = system_running.signed_in(name="lin")
    system_running.alerts(upsert(1))
    tokens = [bearer(system_running, made(lin, *given)["token"]) for given in (["alert.read", "alert.decide"], ["alert.read"])]
    path, headers = f"/api/alerts/{1:032x}/acknowledge", {"If-Match": "*", "Idempotency-Key": "k-1"}
    first, again, other = (client.post(path, json={"note": "x"}, headers=headers) for client in (tokens[0], *tokens))
    assert (first.status_code, again.status_code, again.json()) == (200, 200, first.json())
    assert (other.status_code, other.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize("wanted", ["audit.read", "account.own", "action.approve_security"])
def test_nobody_gives_a_token_what_he_does_not_have_or_may_not_give(system_running: Running, wanted: str) -> None:
    asked = {"name": "x", "permissions": ["alert.read", wanted]}
    answer = system_running.signed_in("responder").post("/api/tokens", json=asked)
    assert (answer.status_code, answer.json()["code"]) == (422, "permission_unheld")
    assert wanted in answer.json()["detail"]


def test_a_token_is_told_once_and_kept_nowhere(system_running: Running) -> None:
    client = system_running.signed_in(name="lin")
    token = made(client, "alert.read")
    (listed,) = client.get("/api/tokens").json()
    assert listed == {name: value for name, value in token.items() if name != "token"}
    with system_running.services.database.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM api_token").all()
    assert token["token"].startswith("icsight_")
    assert token["token"].removeprefix("icsight_") not in str(rows)


def test_a_token_ends_when_it_is_revoked_has_expired_or_its_owner_is_gone(
    system_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    administrator, lin = system_running.signed_in("administrator"), system_running.signed_in(name="lin")
    chen = system_running.signed_in(name="chen")
    tokens = [made(client, "alert.read") for client in (lin, lin, chen)]
    clients = [bearer(system_running, token["token"]) for token in tokens]
    assert [client.get("/api/alerts").status_code for client in clients] == [200, 200, 200]
    assert administrator.get("/api/tokens").json()[0]["used_at"] is not None
    assert chen.delete(f"/api/tokens/{tokens[0]['id']}").json()["code"] == "token_unknown"
    assert lin.delete(f"/api/tokens/{tokens[0]['id']}").status_code == 204
    assert administrator.delete(f"/api/tokens/{tokens[0]['id']}").json()["code"] == "token_unknown"
    ids = {user["name"]: user["id"] for user in administrator.get("/api/users").json()}
    assert administrator.delete(f"/api/users/{ids['chen']}", headers=ANY).status_code == 204
    answers = [client.get("/api/alerts") for client in clients]
    assert [answer.status_code for answer in answers] == [401, 200, 401]
    assert answers[0].headers["WWW-Authenticate"] == "Bearer"
    later = time.time_ns() + 86_400 * 1_000_000_000
    monkeypatch.setattr("api.tokens.service.now", lambda: later)
    assert clients[1].get("/api/alerts").status_code == 401


def test_a_token_loses_what_its_owner_loses(system_running: Running) -> None:
    system_running.alerts(upsert(1))
    administrator, lin = system_running.signed_in("administrator"), system_running.signed_in("engineer", name="lin")
    client = bearer(system_running, made(lin, "alert.read", "alert.decide")["token"])
    ids = {user["name"]: user["id"] for user in administrator.get("/api/users").json()}
    rights = {"role": "viewer", "sites": ["elsewhere"]}
    assert administrator.put(f"/api/users/{ids['lin']}", json=rights, headers={"If-Match": "*"}).status_code == 200
    assert client.get("/api/alerts").json()["items"] == []
    answer = client.post(f"/api/alerts/{1:032x}/acknowledge", json={"note": "x"}, headers={"If-Match": "*"})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_a_listener_with_a_token_hears_nothing_more_once_it_has_ended(start: Callable[..., Running]) -> None:
    served = start(live_poll_seconds=0.05)
    lin = served.signed_in(name="lin")
    token = made(lin, "alert.read")
    with listening(bearer(served, token["token"])) as stream:
        assert next(stream)[0] == "hello"
        served.alerts(upsert(1))
        assert next(stream)[0] == "alert"
        assert lin.delete(f"/api/tokens/{token['id']}").status_code == 204
        assert list(stream) == []


def test_an_account_has_a_bound_of_tokens(system_running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.tokens.service.TOKENS_PER_USER", 2)
    client = system_running.signed_in()
    for _ in range(2):
        made(client, "alert.read")
    answer = client.post("/api/tokens", json={"name": "x", "permissions": ["alert.read"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "tokens_full")
