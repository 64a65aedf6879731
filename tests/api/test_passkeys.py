"""Passkeys: made after the password, asked for behind it, good alone where they verify their holder, for this name and once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from pyotp.totp import TOTP

from api.passkeys.models import PasskeyChallenge
from api.passkeys.service import CHALLENGE_SECONDS, PASSKEYS_PER_USER
from api.times import NANOSECONDS, now
from tests.api.authenticator import PRESENT, VERIFIED, Authenticator, written
from tests.api.conftest import ANY, PASSWORD, SQLITE_ONLY, Running

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx
    import pytest

PATH: Final = "/api/account/passkeys"


def begun(client: httpx.Client, **shown: Any) -> dict[str, Any]:
    answer = client.post(f"{PATH}/begin", json={"password": PASSWORD, **shown})
    assert answer.status_code == 201, answer.text
    return answer.json()["options"]


def added(served: Running, client: httpx.Client, **shown: Any) -> Authenticator:
    """Give the caller's account a passkey."""
    device = Authenticator(served.url)
    answer = client.post(PATH, json=device.make(begun(client, **shown)))
    assert answer.status_code == 201, answer.text
    return device


def asked(browser: httpx.Client, *, alone: bool = True) -> dict[str, Any]:
    answer = browser.post("/api/passkeys/begin", json={"alone": alone})
    assert answer.status_code == 201, answer.text
    return answer.json()["options"]


def alone(browser: httpx.Client, signed: dict[str, Any]) -> tuple[int, str]:
    answer = browser.post("/api/passkeys/session", json=signed)
    return answer.status_code, answer.json().get("code", answer.json().get("name", ""))


def behind(browser: httpx.Client, signed: dict[str, Any] | None, password: str = PASSWORD, **given: Any) -> tuple[int, str]:
    body = {"name": "lin", "password": password, "passkey": signed, **given}
    answer = browser.post("/api/session", json=body)
    return answer.status_code, answer.json().get("code", "")


def as_second(browser: httpx.Client, device: Authenticator) -> dict[str, Any]:
    """What a passkey signs behind the password."""
    return device.sign(asked(browser, alone=False))


def refusals(served: Running) -> list[tuple[str, dict[str, Any]]]:
    """What the audit trail tells of sign-ins that were refused, newest first."""
    chief = served.signed_in("administrator")
    entries = chief.get("/api/audit", params={"action": "session.refuse"}).json()["items"]
    return [(entry["subject"], entry["detail"]) for entry in entries]


def test_a_passkey_is_made_after_the_password_and_lets_in_alone(system_running: Running) -> None:
    client, other = system_running.signed_in(name="lin"), system_running.sign_in("lin")
    assert client.post(f"{PATH}/begin", json={"password": "wrong"}).json()["code"] == "password_wrong"
    options = begun(client)
    assert (options["rp"]["id"], options["user"]["name"]) == ("localhost", "lin")
    device = added(system_running, client)
    assert other.get("/api/session").status_code == 401, "it had no second factor"
    (listed,) = client.get(PATH).json()
    assert (listed["name"], listed["used_at"]) == ("blue key", None)
    assert begun(client, passkey=as_second(client, device))["excludeCredentials"][0]["id"] == device.make(options)["id"]
    browser = system_running.client()
    assert alone(browser, device.sign(asked(browser))) == (201, "lin")
    assert browser.get("/api/session").json()["name"] == "lin"
    (listed,) = client.get(PATH).json()
    assert listed["used_at"] is not None
    administrator = system_running.signed_in("administrator", name="chen")
    told = [(entry["action"], entry["detail"]) for entry in administrator.get("/api/audit").json()["items"]]
    assert ("session.open", {"passkey": "blue key"}) in told
    assert ("factor.add", {"kind": "passkey", "name": "blue key"}) in told
    strong = {user["name"]: user["second_factor"] for user in administrator.get("/api/users").json()}
    assert strong == {"lin": True, "chen": False}


def test_what_was_signed_is_taken_once_in_its_browser_in_time_and_for_what_it_was_asked_for(
    start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    served = start(sign_in_attempts=100)
    client, browser = served.signed_in(name="lin"), served.client()
    device = added(served, client)
    signed = device.sign(asked(browser))
    stranger = served.client()
    asked(stranger)
    for caller in (served.client(), stranger):
        assert alone(caller, signed) == (403, "passkey_refused"), "it was begun in another browser"
    assert alone(browser, signed)[0] == 201
    device.count = 0
    assert alone(browser, signed) == (403, "passkey_refused")
    assert alone(browser, device.sign(asked(browser))) == (403, "passkey_refused"), "it has counted back"
    assert refusals(served)[0] == ("lin", {"passkey": "blue key", "reason": "passkey_refused"})
    device.count = 10
    assert alone(browser, as_second(browser, device)) == (403, "passkey_refused")
    assert alone(browser, device.sign(begun(client, passkey=as_second(client, device)))) == (403, "passkey_refused")
    assert alone(browser, device.sign({"challenge": "AAAA"})) == (403, "passkey_refused")
    # What was wrong is used up too.
    right = device.sign(asked(browser))
    for given in (right | {"signature": "AAAA"}, right):
        assert alone(browser, given) == (403, "passkey_refused")
    late = device.sign(asked(browser))
    later = now() + (CHALLENGE_SECONDS + 1) * NANOSECONDS
    with monkeypatch.context() as patch:
        patch.setattr("api.passkeys.service.now", lambda: later)
        assert alone(browser, late) == (403, "passkey_refused")
        asked(browser)
    with served.services.database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(PasskeyChallenge)) == 1, "those from before are forgotten"


@SQLITE_ONLY
def test_what_was_signed_for_another_name_or_by_another_key_is_refused(start: Callable[..., Running]) -> None:
    served = start(sign_in_attempts=100)
    device, browser = added(served, served.signed_in(name="lin")), served.client()
    for changed in (
        {"origin": "https://evil.example"},
        {"origin": served.url.replace("http", "https")},
        {"party": "evil.example"},
        {"told": {"crossOrigin": True}},
    ):
        before = {name: getattr(device, name) for name in changed}
        for name, value in changed.items():
            setattr(device, name, value)
        assert alone(browser, device.sign(asked(browser))) == (403, "passkey_refused"), changed
        for name, value in before.items():
            setattr(device, name, value)
    stranger = Authenticator(served.url)
    assert alone(browser, stranger.sign(asked(browser))) == (403, "passkey_refused")
    forged = stranger.sign(asked(browser)) | {"id": device.sign({"challenge": "AAAA"})["id"]}
    assert alone(browser, forged) == (403, "passkey_refused")
    device.flags = PRESENT
    assert alone(browser, device.sign(asked(browser))) == (403, "passkey_refused"), "nobody was verified"
    device.flags = PRESENT | VERIFIED
    for name in ("client_data", "authenticator_data", "signature", "id"):
        for junk in ("AAAA", "A", written(b"[" * 9000), written(b"\xff\x00")):
            assert alone(browser, device.sign(asked(browser)) | {name: junk}) == (403, "passkey_refused"), name
    assert alone(browser, device.sign(asked(browser)))[0] == 201


@SQLITE_ONLY
def test_who_keeps_showing_what_is_not_taken_has_to_wait(start: Callable[..., Running]) -> None:
    served = start(sign_in_attempts=2, sign_in_wait_seconds=30)
    device, browser = Authenticator(served.url), served.client()
    answers = [alone(browser, device.sign(asked(browser)))[0] for _ in range(3)]
    assert answers == [403, 403, 429]


@SQLITE_ONLY
def test_behind_a_password_a_passkey_is_asked_for_and_need_not_verify(system_running: Running) -> None:
    device, browser = added(system_running, system_running.signed_in(name="lin")), system_running.client()
    device.flags = PRESENT
    for _ in range(6):
        assert behind(browser, None) == (401, "passkey_needed"), "no guess"
    assert behind(browser, None, password="wrong") == (401, "sign_in_failed")
    assert behind(browser, None, code="000000") == (403, "code_wrong")
    signed = as_second(browser, device)
    assert behind(browser, signed, password="wrong") == (401, "sign_in_failed")
    assert behind(browser, signed) == (201, "")
    assert behind(browser, signed) == (403, "passkey_refused")
    # Another account's passkey is none of this one's, and is not used by it.
    stranger = system_running.signed_in(name="chen")
    other = added(system_running, stranger)
    assert behind(browser, as_second(browser, other)) == (403, "passkey_refused")
    assert stranger.get(PATH).json()[0]["used_at"] is None


@SQLITE_ONLY
def test_either_of_two_factors_does(system_running: Running) -> None:
    client, browser = system_running.signed_in(name="lin"), system_running.client()
    secret = client.post("/api/account/authenticator", json={"password": PASSWORD}).json()["secret"]
    codes = client.post("/api/account/authenticator/confirm", json={"code": TOTP(secret).now()}).json()["codes"]
    device = added(system_running, client, code=codes[1])
    assert behind(browser, None) == (401, "code_needed")
    assert behind(browser, None, code=codes[0])[0] == 201
    assert behind(browser, as_second(browser, device))[0] == 201


@SQLITE_ONLY
def test_who_has_a_second_factor_shows_it_before_it_is_changed(start: Callable[..., Running]) -> None:
    served = start(sign_in_attempts=100)
    client = served.signed_in(name="lin")
    device = added(served, client)
    (listed,) = client.get(PATH).json()
    changes: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("POST", f"{PATH}/begin", {}),
        ("POST", "/api/account/authenticator", {}),
        ("PUT", "/api/account/password", {"new_password": "eight valves, one spare"}),
        ("POST", f"{PATH}/{listed['id']}/remove", {}),
    )
    stranger = Authenticator(served.url)
    for method, path, body in changes:
        for shown, said in ((None, "passkey_needed"), (as_second(client, stranger), "passkey_refused")):
            answer = client.request(method, path, json={**body, "password": PASSWORD, "passkey": shown})
            assert answer.json()["code"] == said, path
    assert client.post(f"{PATH}/begin", json={"password": PASSWORD, "code": "000000"}).json()["code"] == "code_wrong"
    password = PASSWORD
    for method, path, body in changes:
        answer = client.request(method, path, json={**body, "password": password, "passkey": as_second(client, device)})
        assert answer.is_success, (path, answer.text)
        password = body.get("new_password", password)
    assert behind(served.client(), None, password=password)[0] == 201, "the last one was taken away"


@SQLITE_ONLY
def test_a_passkey_that_was_taken_away_lets_nobody_in(system_running: Running) -> None:
    client, other = system_running.signed_in(name="lin"), system_running.signed_in(name="chen")
    device, browser = added(system_running, client), system_running.client()
    (listed,) = client.get(PATH).json()
    path = f"{PATH}/{listed['id']}/remove"
    assert other.post(path, json={"password": PASSWORD}).json()["code"] == "passkey_unknown"
    assert client.post(path, json={"password": "wrong"}).json()["code"] == "password_wrong"
    assert client.post(path, json={"password": PASSWORD, "passkey": as_second(client, device)}).status_code == 204
    assert alone(browser, device.sign(asked(browser))) == (403, "passkey_refused")
    assert behind(browser, None)[0] == 201


@SQLITE_ONLY
def test_who_has_lost_his_passkeys_is_helped_by_an_administrator_and_a_disabled_account_stays_out(
    system_running: Running,
) -> None:
    client, administrator = system_running.signed_in(name="lin"), system_running.signed_in("administrator", name="chen")
    device, browser = added(system_running, client), system_running.client()
    (user,) = [each for each in administrator.get("/api/users").json() if each["name"] == "lin"]
    assert administrator.delete(f"/api/users/{user['id']}/authenticator", headers=ANY).status_code == 204
    assert client.get("/api/session").status_code == 401
    assert alone(browser, device.sign(asked(browser))) == (403, "passkey_refused")
    device = added(system_running, system_running.sign_in("lin"))
    assert administrator.delete(f"/api/users/{user['id']}", headers=ANY).status_code == 204
    assert alone(browser, device.sign(asked(browser))) == (403, "account_disabled")


@SQLITE_ONLY
def test_what_is_made_is_made_in_this_session_and_once(start: Callable[..., Running]) -> None:
    served = start(sign_in_attempts=100)
    client, other = served.signed_in(name="lin"), served.signed_in(name="chen")
    device, again = Authenticator(served.url), served.sign_in("lin")

    def taken(caller: httpx.Client, given: dict[str, Any]) -> str:
        answer = caller.post(PATH, json=given)
        return "" if answer.status_code == 201 else answer.json()["code"]

    def more() -> dict[str, Any]:
        return begun(client, passkey=as_second(client, device))

    options = begun(client)
    for caller in (other, again):
        assert taken(caller, device.make(options)) == "passkey_refused", "it was asked for by another"
    evil = Authenticator("https://evil.example")
    for given in (evil.make(begun(client)), {**evil.make(options := begun(client)), "attestation": "AAAA"}):
        assert taken(client, given) == "passkey_refused"
    assert taken(client, device.make(options)) == "passkey_refused", "what was wrong is used up too"
    options = begun(client)
    assert taken(client, device.make(options)) == ""
    assert taken(client, device.make(options)) == "passkey_refused"
    assert taken(client, device.make(more())) == "passkey_known"
    assert taken(other, device.make(begun(other))) == "passkey_known"
    for _ in range(PASSKEYS_PER_USER - 1):
        assert taken(client, Authenticator(served.url).make(more())) == ""
    body = {"password": PASSWORD, "passkey": as_second(client, device)}
    assert client.post(f"{PATH}/begin", json=body).json()["code"] == "passkeys_full"
