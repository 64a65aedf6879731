"""Second factors: an authenticator is confirmed, asked for, cannot be replayed, and can be replaced by who has lost it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from pyotp.totp import TOTP

from api.factors import totp
from tests.api.conftest import ANY, PASSWORD, both_back_ends

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from tests.api.conftest import Running

PATH = "/api/account/authenticator"
SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
"""The secret of RFC 6238, appendix B, in base32."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The seconds that authenticators and the server see; a test turns it on."""
    seconds = [int(time.time()) // 30 * 30]
    monkeypatch.setattr("api.factors.service.now", lambda: seconds[0] * 1_000_000_000)
    return seconds


def enrol(client: httpx.Client, clock: list[int]) -> tuple[TOTP, list[str]]:
    """Give the caller's account an authenticator; returns it, and the recovery codes."""
    begun = client.post(PATH, json={"password": PASSWORD})
    assert begun.status_code == 201, begun.text
    device = TOTP(begun.json()["secret"])
    confirmed = client.post(f"{PATH}/confirm", json={"code": device.at(clock[0])})
    assert confirmed.status_code == 200, confirmed.text
    clock[0] += 30
    return device, confirmed.json()["codes"]


def sign_in(served: Running, code: str | None = None, password: str = PASSWORD) -> tuple[int, str]:
    answer = served.client().post("/api/session", json={"name": "lin", "password": password, "code": code})
    return answer.status_code, answer.json().get("code", "")


@pytest.mark.parametrize(
    ("at", "code"), [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")]
)
def test_codes_are_those_of_rfc_6238(at: int, code: str) -> None:
    step = at // 30
    assert [totp.step_of(SECRET, code, at + drift * 30, -1) for drift in (-2, -1, 0, 1, 2)] == [None, step, step, step, None]
    assert totp.step_of(SECRET, code, at, step) is None


def test_an_authenticator_counts_once_it_is_confirmed_and_ends_other_sessions(system_running: Running, clock: list[int]) -> None:
    client, other = system_running.signed_in(name="lin"), system_running.sign_in("lin")
    assert client.post(PATH, json={"password": "wrong"}).json()["code"] == "password_wrong"
    begun = client.post(PATH, json={"password": PASSWORD}).json()
    assert begun["address"].startswith("otpauth://totp/icsight:lin?")
    assert begun["secret"] in begun["address"]
    assert {len(row) for row in begun["picture"]} == {len(begun["picture"])}
    assert sign_in(system_running)[0] == 201, "not confirmed yet"
    assert client.post(f"{PATH}/confirm", json={"code": "000000"}).json()["code"] == "code_wrong"
    answer = client.post(f"{PATH}/confirm", json={"code": TOTP(begun["secret"]).at(clock[0])})
    codes = answer.json()["codes"]
    assert (len(set(codes)), {len(each.replace("-", "")) for each in codes}) == (10, {26}), "128 bits, in base32"
    assert client.get(PATH).json() == {"password": True, "authenticator": True, "recovery_codes": 10}
    assert other.get("/api/session").status_code == 401
    assert client.post(PATH, json={"password": PASSWORD}).json()["code"] == "authenticator_set"
    assert sign_in(system_running) == (401, "code_needed")
    assert sign_in(system_running, password="wrong") == (401, "sign_in_failed")


@both_back_ends
def test_a_code_is_taken_once_also_of_many_at_once(system_running: Running, clock: list[int]) -> None:
    device, _ = enrol(system_running.signed_in(name="lin"), clock)
    code = device.at(clock[0])

    def attempt(_number: int) -> int:
        return sign_in(system_running, code)[0]

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(attempt, range(4)))
    assert sorted(answers) == [201, 403, 403, 403]
    assert sign_in(system_running, device.at(clock[0] - 30)) == (403, "code_wrong"), "an earlier one neither"
    clock[0] += 30
    assert sign_in(system_running, device.at(clock[0]))[0] == 201


def test_a_clock_that_was_ahead_locks_nobody_out_and_lets_no_code_in_twice(system_running: Running, clock: list[int]) -> None:
    device, _ = enrol(system_running.signed_in(name="lin"), clock)
    clock[0] += 86_400
    assert sign_in(system_running, device.at(clock[0]))[0] == 201
    clock[0] -= 30
    assert sign_in(system_running, device.at(clock[0])) == (403, "code_wrong"), (
        "as far as clocks may be off an earlier one is used up"
    )
    clock[0] -= 86_400 - 90
    assert sign_in(system_running, "000000") == (403, "code_wrong")
    for expected in (201, 403):
        assert sign_in(system_running, device.at(clock[0]))[0] == expected
    told = system_running.signed_in("administrator").get("/api/audit", params={"action": "factor.clock"}).json()["items"]
    assert [(each["actor"], each["detail"]["last_step"] - each["detail"]["step"]) for each in told] == [("lin", 86_400 // 30 - 2)]


def test_another_password_needs_a_code_too(system_running: Running, clock: list[int]) -> None:
    client = system_running.signed_in(name="lin")
    device, codes = enrol(client, clock)
    body = {"password": PASSWORD, "new_password": "eight valves, one spare"}
    for code, said in (*[(None, "code_needed")] * 6, ("000000", "code_wrong"), *[(None, "code_needed")] * 6):
        assert client.put("/api/account/password", json=body | {"code": code}).json()["code"] == said
    assert client.put("/api/account/password", json=body | {"code": codes[0]}).status_code == 204
    assert sign_in(system_running, device.at(clock[0]), "eight valves, one spare")[0] == 201


def test_guessing_codes_has_to_wait(start: Callable[..., Running], clock: list[int]) -> None:
    served = start(sign_in_attempts=3, sign_in_wait_seconds=30)
    device, _ = enrol(served.signed_in(name="lin"), clock)
    answers = [sign_in(served, f"{number:06}")[0] for number in range(4)]
    assert answers == [403, 403, 403, 429]
    served.services.attempts.succeeded("address:127.0.0.1")
    assert sign_in(served, device.at(clock[0])) == (429, "sign_in_wait")


def test_a_recovery_code_takes_the_place_of_a_code_once(system_running: Running, clock: list[int]) -> None:
    client = system_running.signed_in(name="lin")
    _, codes = enrol(client, clock)
    assert sign_in(system_running, codes[0])[0] == 201
    assert sign_in(system_running, codes[0]) == (403, "code_wrong")
    assert sign_in(system_running, codes[1].upper().replace("-", " "))[0] == 201
    assert client.get(PATH).json()["recovery_codes"] == 8
    with system_running.services.database.engine.connect() as connection:
        kept = str(connection.exec_driver_sql("SELECT * FROM authenticator").all())
    assert not any(code in kept or code.replace("-", "") in kept for code in codes)


def test_recovery_codes_are_made_anew_with_password_and_code(system_running: Running, clock: list[int]) -> None:
    client = system_running.signed_in(name="lin")
    body = {"password": PASSWORD, "code": "000000"}
    assert client.post(f"{PATH}/recovery", json=body).json()["code"] == "authenticator_none"
    device, codes = enrol(client, clock)
    assert client.post(f"{PATH}/recovery", json=body).json()["code"] == "code_wrong"
    answer = client.post(f"{PATH}/recovery", json=body | {"code": device.at(clock[0])})
    new = answer.json()["codes"]
    assert (len(set(new)), set(new) & set(codes)) == (10, set())
    assert [sign_in(system_running, code)[0] for code in (codes[0], new[0])] == [403, 201]
    told = system_running.signed_in("administrator").get("/api/audit", params={"actor": "lin"}).json()["items"]
    assert {"factor.renew", "factor.refuse", "factor.recover"} <= {entry["action"] for entry in told}


def test_who_has_lost_everything_is_helped_by_an_administrator(system_running: Running, clock: list[int]) -> None:
    client, administrator = system_running.signed_in(name="lin"), system_running.signed_in("administrator", name="chen")
    device, _ = enrol(client, clock)
    for password, code, said in ((PASSWORD, "000000", "code_wrong"), ("wrong", device.at(clock[0]), "password_wrong")):
        assert client.post(f"{PATH}/remove", json={"password": password, "code": code}).json()["code"] == said
    users = {user["name"]: user for user in administrator.get("/api/users").json()}
    assert (users["lin"]["second_factor"], users["chen"]["second_factor"]) == (True, False)
    path = f"/api/users/{users['lin']['id']}/authenticator"
    assert client.delete(path).json()["code"] == "forbidden"
    assert administrator.delete(path, headers=ANY).status_code == 204
    assert administrator.delete(path, headers=ANY).json()["code"] == "authenticator_none"
    assert administrator.delete(f"/api/users/{users['chen']['id']}/authenticator", headers=ANY).json()["code"] == "own_account"
    assert client.get("/api/session").status_code == 401
    assert sign_in(system_running)[0] == 201
    again = system_running.sign_in("lin")
    clock[0] += 30
    device, _ = enrol(again, clock)
    assert again.post(f"{PATH}/remove", json={"password": PASSWORD, "code": device.at(clock[0])}).status_code == 204
    told = [entry["action"] for entry in administrator.get("/api/audit").json()["items"] if entry["action"].startswith("factor")]
    assert told == ["factor.remove", "factor.add", "factor.remove", "factor.refuse", "factor.refuse", "factor.add"]
