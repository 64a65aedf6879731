"""Who may call, and how a hostile page, a guesser or an old cookie is turned away."""

from __future__ import annotations

import json
import re
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import httpx
import pytest
from click.testing import CliRunner

from api import system
from api.cli import icsight
from api.pages import write_cursor
from api.problems import Problem
from api.security import passwords
from api.security.guard import is_text
from api.settings import Settings
from api.times import NANOSECONDS, now
from api.users import lockout
from api.users import service as users
from tests.api.alerts import upsert
from tests.api.conftest import ANY, PASSWORD, SQLITE_ONLY, both_back_ends, running
from tests.sensor.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from api.settings import DatabaseSettings
    from tests.api.conftest import Running


def code(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


def setup_token(served: Running) -> str:
    link = system.setup_link(served.services, served.url)
    assert link is not None
    return link.partition("#token=")[2]


def test_the_setup_link_makes_the_first_account_once(system_running: Running) -> None:
    token = setup_token(system_running)
    client = system_running.client()
    assert client.get("/api/setup").json() == {"needed": True}
    answer = client.post("/api/setup", json={"token": token, "name": " Lin.Wei ", "password": PASSWORD})
    assert answer.status_code == 201
    assert answer.json()["role"] == "administrator"
    assert client.get("/api/session").json()["name"] == "lin.wei"
    again = system_running.client().post("/api/setup", json={"token": token, "name": "eve", "password": PASSWORD})
    assert code(again) == (409, "setup_done")
    assert system.setup_link(system_running.services, system_running.url) is None


def test_only_the_newest_unexpired_setup_link_works(start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch) -> None:
    served = start(setup_link_seconds=60)
    old, new = setup_token(served), setup_token(served)
    body = {"name": "eve", "password": PASSWORD}
    assert code(served.client().post("/api/setup", json={"token": old, **body})) == (403, "setup_link_invalid")
    later = time.time_ns() + 61 * 1_000_000_000
    monkeypatch.setattr("api.users.service.now", lambda: later)
    assert code(served.client().post("/api/setup", json={"token": new, **body})) == (403, "setup_link_invalid")


def test_the_setup_token_is_not_stored_in_the_clear(system_running: Running) -> None:
    token = setup_token(system_running)
    held = b"".join(path.read_bytes() for path in system_running.services.settings.data.glob("icsight.db*"))
    assert token.encode() not in held


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaaaaaaaa", "lin.wei lin.wei", "icsight 4 the plant"])
def test_a_weak_password_is_refused(system_running: Running, password: str) -> None:
    answer = system_running.client().post(
        "/api/setup", json={"token": setup_token(system_running), "name": "lin.wei", "password": password}
    )
    assert code(answer) == (422, "password_weak")


@pytest.mark.parametrize("password", ["waterworks pumps 7", "pumps of the WaterWorks", "lock no. 4 of CHANGJIANG"])
def test_words_of_the_plant_are_in_no_password(start: Callable[..., Running], password: str) -> None:
    served = start(password_words=("Waterworks", "changjiang"))
    made = served.signed_in("administrator").post("/api/users", json={"name": "chen", "role": "viewer"}).json()
    client, token = served.client(), parse_qs(made["link"]["path"].partition("#")[2])["token"][0]
    assert code(client.post("/api/password", json={"token": token, "password": password})) == (422, "password_weak")
    assert client.post("/api/password", json={"token": token, "password": PASSWORD}).status_code == 200


def test_a_word_that_is_part_of_many_others_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="characters or more"):
        Settings(data=tmp_path, password_words=("ab",))


def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(system_running: Running) -> None:
    system_running.signed_in(name="lin")
    wrong = system_running.client().post("/api/session", json={"name": "lin", "password": "wrong"})
    unknown = system_running.client().post("/api/session", json={"name": "nobody", "password": "wrong"})
    assert code(wrong) == (401, "sign_in_failed")
    assert wrong.json() == unknown.json()


def test_guessing_has_to_wait_longer_and_longer(start: Callable[..., Running]) -> None:
    served = start(sign_in_attempts=2, sign_in_wait_seconds=0.2)
    served.signed_in(name="lin").close()
    client = served.client()

    def guess(password: str = "wrong") -> httpx.Response:
        return client.post("/api/session", json={"name": "lin", "password": password})

    assert [guess().status_code for _ in range(2)] == [401, 401]
    answer = guess(PASSWORD)
    assert code(answer) == (429, "sign_in_wait")
    assert int(answer.headers["Retry-After"]) >= 1
    first = served.services.attempts.wait_seconds("address:127.0.0.1")
    served.services.attempts.failed("address:127.0.0.1")
    assert served.services.attempts.wait_seconds("address:127.0.0.1") > first


def elsewhere(served: Running) -> None:
    """The next caller comes from another address."""
    served.services.attempts.succeeded("address:127.0.0.1")


@pytest.mark.parametrize("name", ["lin", "nobody"])
def test_a_name_has_to_wait_wherever_the_guesses_come_from_and_after_a_restart(
    tmp_path: Path, database_settings: DatabaseSettings, name: str
) -> None:
    how = {"database": database_settings, "sign_in_attempts": 2, "sign_in_wait_seconds": 30}
    with running(tmp_path / "started", **how) as served:
        served.signed_in(name="lin").close()
        for password in ("wrong", "wrong"):
            assert served.client().post("/api/session", json={"name": name, "password": password}).status_code == 401
            elsewhere(served)
    with running(tmp_path / "started", **how) as served:
        answer = served.client().post("/api/session", json={"name": name, "password": PASSWORD})
        assert (*code(answer), answer.headers["Retry-After"]) in {(429, "sign_in_wait", str(left)) for left in range(20, 31)}
        administrator = served.signed_in("administrator", name="chen")
        users = {user["name"]: user for user in administrator.get("/api/users").json()}
        assert users["chen"]["locked_until"] is None
        assert users["lin"]["locked_until"] is not None if name == "lin" else users["lin"]["locked_until"] is None
        assert administrator.delete(f"/api/users/{users['lin']['id']}/lock", headers=ANY).status_code == 204
        assert served.client().post("/api/session", json={"name": "lin", "password": PASSWORD}).status_code == 201
        told = [entry["action"] for entry in administrator.get("/api/audit").json()["items"]]
        assert told.count("session.refuse") == told.count("user.unlock") * 2 == (2 if name == "lin" else 0)


@SQLITE_ONLY
def test_an_administrator_lets_in_who_mistyped_also_from_where_it_was(start: Callable[..., Running]) -> None:
    served = start(sign_in_attempts=2, sign_in_wait_seconds=30)
    administrator = served.signed_in("administrator", name="chen")
    served.signed_in(name="lin").close()
    for _ in range(3):
        served.client().post("/api/session", json={"name": "lin", "password": "wrong"})
    assert code(served.client().post("/api/session", json={"name": "lin", "password": PASSWORD})) == (429, "sign_in_wait")
    (lin,) = [user["id"] for user in administrator.get("/api/users").json() if user["name"] == "lin"]
    assert administrator.delete(f"/api/users/{lin}/lock", headers=ANY).status_code == 204
    served.sign_in("lin")
    assert administrator.delete(f"/api/users/{lin}/lock", headers=ANY).status_code == 204
    told = [entry["detail"] for entry in administrator.get("/api/audit").json()["items"] if entry["action"] == "user.unlock"]
    assert told == [{"addresses": ["127.0.0.1"]}] * 2, "those of addresses end also where the name has none left"


def test_a_person_changes_the_password_with_the_old_one(start: Callable[..., Running]) -> None:
    served = start(sign_in_attempts=3, sign_in_wait_seconds=30)
    lin, other = served.signed_in(name="lin"), served.sign_in("lin")
    chief = served.signed_in("administrator", name="chen")
    new = "eight valves, one spare"

    def change(password: str, new_password: str = new) -> tuple[int, str]:
        answer = lin.put("/api/account/password", json={"password": password, "new_password": new_password})
        return (answer.status_code, "") if answer.status_code == 204 else code(answer)

    assert change("wrong") == (403, "password_wrong")
    assert {change(PASSWORD, "short") for _ in range(4)} == {(422, "password_weak")}, "it was no guess"
    assert change(PASSWORD) == (204, "")
    assert (lin.get("/api/session").status_code, other.get("/api/session").status_code) == (200, 401)
    assert code(served.client().post("/api/session", json={"name": "lin", "password": PASSWORD})) == (401, "sign_in_failed")
    served.sign_in("lin", new)
    told = [entry["action"] for entry in chief.get("/api/audit").json()["items"] if "password" in entry["action"]]
    assert told == ["user.password", "user.password_refuse"]
    assert [change("wrong")[1] for _ in range(4)] == ["password_wrong"] * 3 + ["sign_in_wait"], (
        "no way around the wait of a sign-in"
    )


@both_back_ends
def test_many_guesses_at_once_are_no_way_around_the_wait(start: Callable[..., Running]) -> None:
    served = start(sign_in_attempts=3, sign_in_wait_seconds=30)
    served.signed_in(name="lin").close()

    def guess(_number: int) -> int:
        return served.client().post("/api/session", json={"name": "lin", "password": "wrong"}).status_code

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(guess, range(12)))
    assert sorted(answers) == [401] * 3 + [429] * 9


def test_the_cookie_is_kept_from_scripts_and_other_sites(system_running: Running) -> None:
    system_running.signed_in(name="lin")
    answer = system_running.client().post("/api/session", json={"name": "lin", "password": PASSWORD})
    cookie = answer.headers["Set-Cookie"].lower()
    assert cookie.startswith("icsight_session=")
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "path=/" in cookie


def test_a_change_without_the_sessions_token_is_refused(system_running: Running) -> None:
    system_running.alerts(upsert(1))
    client = system_running.signed_in()
    del client.headers["X-CSRF-Token"]
    path = f"/api/alerts/{1:032x}"
    headers = {"If-Match": client.get(path).headers["ETag"]}
    for token in ({}, {"X-CSRF-Token": "0" * 64}):
        answer = client.post(f"{path}/acknowledge", json={"note": "x"}, headers={**headers, **token})
        assert code(answer) == (403, "cross_site")


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}])
def test_a_change_from_another_site_is_refused(system_running: Running, headers: dict[str, str]) -> None:
    client = system_running.signed_in()
    assert code(client.delete("/api/session", headers=headers)) == (403, "cross_site")
    assert code(system_running.client().post("/api/session", json={}, headers=headers)) == (403, "cross_site")


@SQLITE_ONLY
@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "null"}])
def test_another_site_has_nothing_read_and_may_lead_to_the_page(system_running: Running, headers: dict[str, str]) -> None:
    client = system_running.signed_in()
    assert code(client.get("/api/session", headers=headers)) == (403, "cross_site")
    assert client.get("/", headers=headers).status_code == 200
    for own in ({"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": system_running.url}):
        assert client.get("/api/session", headers=own).status_code == 200


@SQLITE_ONLY
def test_what_is_refused_is_in_the_log_with_who_and_from_where_and_once_of_many(
    system_running: Running, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = [1000.0]
    monkeypatch.setattr("api.security.refusals.monotonic", lambda: moment[0])
    viewer = system_running.signed_in("viewer", name="lin")
    caplog.clear()
    for _ in range(3):
        assert viewer.get("/api/users").status_code == 403
    nobody = system_running.client()
    nobody.get("/api/session")  # who is not signed in yet is no attack
    nobody.get("/api/session", headers={"Authorization": "Bearer icsight_wrong"})
    nobody.get("/api/alerts%0Ax", headers={"Host": "evil.example"})
    nobody.post("/api/session", json={"name": "wei", "password": "wrong"})
    moment[0] += 60
    viewer.get("/api/users")
    told = [record.getMessage() for record in caplog.records if record.name == "api.security.refusals"]
    assert told == [
        "refused (forbidden): GET /api/users by lin from 127.0.0.1",
        "refused (signed_out): GET /api/session by nobody known from 127.0.0.1",
        "refused (host_unknown): GET /api/alerts\nx by nobody known from 127.0.0.1",
        "refused (sign_in_failed): POST /api/session by nobody known from 127.0.0.1",
        "refused (forbidden): GET /api/users by lin from 127.0.0.1; 2 more like the last one were not told",
    ]


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8420", "localhost.evil.example", "", "[::2]:8420", "localhost:x@evil.example",
        "localhost:80@evil.example", "[::1]:8420@evil.example", "[::1]evil.example", "localhost:", "localhost:" + "1" * 400,
    ],
)  # fmt: skip
def test_a_rebound_name_gets_nothing(system_running: Running, host: str) -> None:
    assert code(system_running.client().get("/healthz", headers={"Host": host})) == (421, "host_unknown")


def test_a_further_host_name_can_be_set(start: Callable[..., Running]) -> None:
    served = start(host_names=("sight.plant.example",))
    assert served.client().get("/healthz", headers={"Host": "sight.plant.example:8420"}).status_code == 200


def test_a_revoked_session_is_over(system_running: Running) -> None:
    one, other = system_running.signed_in(name="lin"), system_running.sign_in("lin")
    sessions = one.get("/api/sessions").json()
    assert len(sessions) == 2
    target = next(item["id"] for item in sessions if not item["current"])
    assert one.delete(f"/api/sessions/{target}").status_code == 204
    assert code(other.get("/api/session")) == (401, "signed_out")
    assert code(one.delete(f"/api/sessions/{target}")) == (404, "session_unknown")


def test_nobody_but_an_administrator_ends_anothers_session(system_running: Running) -> None:
    lin, eve = system_running.signed_in(name="lin"), system_running.signed_in(name="eve")
    target = lin.get("/api/sessions").json()[0]["id"]
    assert code(eve.delete(f"/api/sessions/{target}")) == (404, "session_unknown")
    assert system_running.signed_in("administrator").delete(f"/api/sessions/{target}").status_code == 204
    assert lin.get("/api/session").status_code == 401


def test_signing_in_again_ends_the_session_that_the_browser_had(system_running: Running) -> None:
    client, elsewhere_too = system_running.signed_in(name="lin"), system_running.sign_in("lin")
    system_running.signed_in(name="eve").close()
    before = dict(client.cookies)
    # At a shared screen it is somebody else who signs in.
    assert client.post("/api/session", json={"name": "eve", "password": PASSWORD}).status_code == 201
    assert client.get("/api/session").json()["name"] == "eve"
    assert httpx.get(f"{system_running.url}/api/session", cookies=before).status_code == 401
    assert elsewhere_too.get("/api/session").status_code == 200
    assert dict(client.cookies) != before


def test_signing_out_ends_the_session(system_running: Running) -> None:
    client = system_running.signed_in()
    cookie = dict(client.cookies)
    assert client.delete("/api/session").status_code == 204
    assert httpx.get(f"{system_running.url}/api/session", cookies=cookie).status_code == 401


def test_an_idle_session_ends(system_running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    client = system_running.signed_in()
    later = time.time_ns() + system_running.services.settings.session_idle_seconds * 1_000_000_000
    monkeypatch.setattr("api.users.service.now", lambda: later)
    assert client.get("/api/session").status_code == 401


def test_a_disabled_account_is_out_at_once(system_running: Running) -> None:
    administrator, lin = system_running.signed_in("administrator"), system_running.signed_in(name="lin")
    users = {user["name"]: user["id"] for user in administrator.get("/api/users").json()}
    assert administrator.delete(f"/api/users/{users['lin']}", headers=ANY).status_code == 204
    assert lin.get("/api/session").status_code == 401
    answer = system_running.client().post("/api/session", json={"name": "lin", "password": PASSWORD})
    assert code(answer) == (401, "sign_in_failed")


def test_accounts_are_made_by_administrators_only(system_running: Running) -> None:
    body = {"name": "chen", "role": "viewer"}
    assert code(system_running.signed_in().post("/api/users", json=body)) == (403, "forbidden")
    administrator = system_running.signed_in("administrator")
    assert administrator.post("/api/users", json=body).status_code == 201
    assert code(administrator.post("/api/users", json={**body, "name": "CHEN"})) == (409, "name_taken")


def test_passwords_are_kept_as_rfc_9106_recommends_where_memory_is_little(real_passwords: None) -> None:
    kept = passwords.hash_password(PASSWORD)
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert not passwords.outdated(kept)
    assert passwords.verify_password(kept, PASSWORD)
    assert not passwords.verify_password(kept, PASSWORD[:-1])
    assert passwords.outdated(kept.replace("t=3", "t=2"))


def test_a_password_is_in_no_answer(system_running: Running) -> None:
    answer = system_running.client().post("/api/session", json={"name": "x" * 65, "password": PASSWORD, "extra": PASSWORD})
    assert code(answer) == (422, "input_invalid")
    assert PASSWORD not in answer.text


@pytest.mark.parametrize("path", ["/", "/console/main.js", "/api/setup", "/nothing", "/healthz"])
def test_every_answer_carries_the_security_headers(system_running: Running, path: str) -> None:
    headers = system_running.client().get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "object-src 'none'" in policy
    assert "base-uri 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] in {"no-store", "no-cache"}
    assert "server" not in headers


@SQLITE_ONLY
@pytest.mark.parametrize("path", ["/", "/console/main.js", "/console/console.css", "/console/icon.svg", "/metrics"])
def test_every_text_says_how_it_is_written(system_running: Running, path: str) -> None:
    answer = system_running.client().get(path)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].endswith("; charset=utf-8")


@SQLITE_ONLY
def test_nothing_is_listed_and_no_request_is_traced(system_running: Running) -> None:
    client = system_running.client()
    assert {client.get(path).status_code for path in ("/console", "/console/", "/api", "/api/")} == {404}
    for path in ("/", "/console/main.js", "/api/session", "/api/alerts"):
        assert client.request("TRACE", path).status_code == 405


@SQLITE_ONLY
def test_over_tls_the_cookie_is_this_hosts_alone_and_what_is_weak_is_not_spoken(
    start: Callable[..., Running], tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("localhost")
    served = start(tls_certificate=certificate, tls_key=key)
    with served.services.database.write() as session:
        users.create(session, users.audit.Actor("test"), "lin", passwords.hash_password(PASSWORD), users.Rights("viewer"))

    def asked(context: ssl.SSLContext) -> httpx.Response:
        with httpx.Client(base_url=served.url, verify=context) as client:
            return client.post("/api/session", json={"name": "lin", "password": PASSWORD})

    answer = asked(ssl.create_default_context(cafile=authority.file))
    cookie = answer.headers["Set-Cookie"].lower()
    assert cookie.startswith("__host-icsight_session=")
    assert {"secure", "httponly", "samesite=strict", "path=/"} <= set(cookie.split("; "))
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{served.url.replace('https', 'http')}/healthz")
    for suites, is_spoken in (("ECDHE+AESGCM", True), ("ECDHE+AES:!AESGCM:!AESCCM", False)):
        context = ssl.create_default_context(cafile=authority.file)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(suites)
        if is_spoken:
            assert asked(context).status_code == 201
        else:
            with pytest.raises(httpx.ConnectError):
                asked(context)


def test_a_body_that_is_too_large_is_refused(system_running: Running) -> None:
    client = system_running.client()
    large = b"x" * (system_running.services.settings.body_bytes + 1)
    assert code(client.post("/api/session", content=large)) == (413, "body_too_large")

    def pieces() -> Iterator[bytes]:
        yield from (large[:40_000], large[:40_000])

    answer = client.post("/api/session", content=pieces(), headers={"Content-Type": "application/json"})
    assert code(answer) == (413, "body_too_large")


@pytest.mark.parametrize(("host", "said"), [("0.0.0.0", "--tls-certificate"), ("192.0.2.1", "--tls-key"), ("::", "--tls-key")])
def test_plain_http_is_for_this_machine_only(tmp_path: object, host: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Settings(data=str(tmp_path), host=host)  # pyright: ignore[reportArgumentType]  pydantic reads a path from text


def test_an_account_that_loses_its_rights_while_its_password_is_looked_at_is_not_given_them_back(
    system_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    administrator = system_running.signed_in("administrator", name="wu")
    system_running.signed_in("operator", name="lin")
    (lin,) = [each for each in administrator.get("/api/users").json() if each["name"] == "lin"]
    verify = passwords.verify_password

    def slowly(password_hash: str | None, password: str) -> bool:
        assert administrator.delete(f"/api/users/{lin['id']}", headers=ANY).status_code == 204
        return verify(password_hash, password)

    monkeypatch.setattr(passwords, "verify_password", slowly)
    answer = system_running.client().post("/api/session", json={"name": "lin", "password": PASSWORD})
    assert (answer.status_code, answer.json()["code"]) == (401, "sign_in_failed")
    monkeypatch.undo()
    (lin,) = [each for each in administrator.get("/api/users").json() if each["name"] == "lin"]
    assert lin["disabled"]


@pytest.mark.parametrize("name", ["system", " SYSTEM ", "token 0123456789ab", "\ufdfa" * 10])
def test_no_account_is_named_like_what_is_no_person_or_longer_than_is_kept(system_running: Running, name: str) -> None:
    administrator = system_running.signed_in("administrator")
    answer = administrator.post("/api/users", json={"name": name, "role": "viewer"})
    assert code(answer) == (422, "input_invalid")


@pytest.mark.parametrize("path", ["/api/alerts/%00", "/api/alerts?site=%00", "/api/incidents/1%00"])
def test_what_no_database_takes_is_refused(system_running: Running, path: str) -> None:
    assert code(system_running.signed_in("administrator").get(path)) == (422, "input_invalid")


@pytest.mark.parametrize("place", [[10**30, 1], [1, -(10**30)]])
def test_a_cursor_with_numbers_that_no_database_takes_is_refused(system_running: Running, place: list[int]) -> None:
    client = system_running.signed_in("administrator")
    forged = write_cursor("timeline 1 at", *place)
    client.post("/api/incidents", json={"title": "x", "reported_by": "y"})
    answer = client.get("/api/incidents/1/timeline", params={"cursor": forged})
    assert code(answer) == (422, "cursor_invalid")


def test_waits_end_where_the_clock_was_set_back_and_old_failures_are_forgotten(
    system_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [now()]
    monkeypatch.setattr(lockout, "now", lambda: clock[0])
    services = system_running.services

    def attempt() -> str | None:
        try:
            with services.database.write() as session:
                lockout.attempt(session, services.settings, "lin")
        except Problem as problem:
            return problem.code
        return None

    for _ in range(services.settings.sign_in_attempts + 12):
        clock[0] += int(2 * services.settings.sign_in_wait_most_seconds * NANOSECONDS)
        assert attempt() is None
    assert attempt() == "sign_in_wait"
    clock[0] -= 86_400 * NANOSECONDS
    assert attempt() is None
    assert attempt() == "sign_in_wait"
    clock[0] += int(3 * services.settings.sign_in_wait_most_seconds * NANOSECONDS)
    assert [attempt() for _ in range(services.settings.sign_in_attempts)] == [None] * services.settings.sign_in_attempts


def test_who_has_the_machine_lets_a_name_in_that_has_to_wait(
    system_running: Running, database_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    if database_settings.url:
        assert database_settings.password is not None
        monkeypatch.setenv("ICSIGHT_DATABASE_URL", database_settings.url)
        monkeypatch.setenv("ICSIGHT_DATABASE_PASSWORD", database_settings.password.get_secret_value())
    system_running.signed_in("administrator", name="wu")
    client = system_running.client()
    for _ in range(8):
        client.post("/api/session", json={"name": "wu", "password": "wrong"})
    services = system_running.services
    with services.database.read() as session:
        assert lockout.locked_until(session, services.settings, "wu") is not None
    command = ["accounts", "unlock", "wu", "--data", str(services.settings.data)]
    done = CliRunner().invoke(icsight, command, standalone_mode=False)
    assert done.output == "wu: may sign in\n", done.exception
    with services.database.read() as session:
        assert lockout.locked_until(session, services.settings, "wu") is None
    command[1] = "password"
    elsewhere(system_running)
    client = system_running.sign_in("wu")
    done = CliRunner().invoke(icsight, command, standalone_mode=False)
    assert done.output.startswith("wu: chooses a password, once and within 24 hours, at\n  /password#name=wu&token="), (
        done.exception
    )
    (token,) = re.findall(r"token=(\S+)", done.output)
    assert client.get("/api/session").status_code == 200
    body = {"token": token, "password": "eight valves, one spare"}
    assert system_running.client().post("/api/password", json=body).json() == {"name": "wu"}
    assert client.get("/api/session").status_code == 401
    system_running.sign_in("wu", "eight valves, one spare")
    command[1] = "reset"
    done = CliRunner().invoke(icsight, command, standalone_mode=False)
    assert str(done.exception) == "wu: has no authenticator"
    command[2] = "nobody"
    done = CliRunner().invoke(icsight, command, standalone_mode=False)
    assert str(done.exception) == "nobody: there is no such account, or it is disabled"


@pytest.mark.parametrize(
    "text", [rb"\ud800", rb"\uDfFf", rb"\\\ud83d", rb"\udc00\ud800", rb"\u0000", b"\xed\xa0\x80", b"\xff", rb"\ud83d\ud83d\ude00"]
)
def test_what_no_text_can_hold_is_in_no_body(text: bytes) -> None:
    assert not is_text(b'{"a": "' + text + b'"}')
    assert not is_text(b'{"' + text + b'": 1}')


@pytest.mark.parametrize("text", [rb"\ud83d\ude00", rb"\\ud800", rb"\\u0000", "中文 😀".encode(), rb"\n\"\\", rb"\ue000", b""])
def test_every_text_is_a_text(text: bytes) -> None:
    body = b'{"a": "' + text + b'"}'
    assert is_text(body)
    assert json.loads(body)["a"].encode() is not None


@SQLITE_ONLY
def test_no_route_takes_half_a_pair_or_another_encoding(system_running: Running) -> None:
    client = system_running.signed_in("administrator")
    half = b'{"title": "x\\ud800", "reported_by": "Wu"}'
    wide = '{"title": "x", "reported_by": "Wu"}'.encode("utf-16")
    for body in (half, wide):
        for headers in ({}, {"Idempotency-Key": "a"}):
            answer = client.post("/api/incidents", content=body, headers={"Content-Type": "application/json", **headers})
            assert (answer.status_code, answer.json()["code"]) == (422, "input_invalid")
    escaped = json.dumps({"playbook": {"type": "\ud800"}}).encode()
    nul = b'{"title": "x\\u0000", "reported_by": "Wu"}'
    for said in ("application/ld+json", "application/+json", "application/x y+json", "application/json;", "APPLICATION/JSON"):
        for path, body in (("/api/playbooks", escaped), ("/api/incidents", nul)):
            answer = client.post(path, content=body, headers={"Content-Type": said})
            assert (answer.status_code, answer.json()["code"]) == (422, "input_invalid"), said


@pytest.mark.parametrize("piece", [rb"\\", rb"a\n", rb"\ud83d\ude00", rb"\u00e0", b"x"])
def test_a_hostile_body_is_looked_at_about_as_fast_as_it_is_read(piece: bytes) -> None:
    body = b'"' + piece * ((4 << 20) // len(piece)) + b'"'

    def seconds(work: Callable[[bytes], object]) -> float:
        began = time.thread_time()
        work(body)
        return time.thread_time() - began

    # As long again as reading it, several times over: one object for each escape took fifty.
    assert min(seconds(is_text) for _ in range(3)) < 10 * min(seconds(json.loads) for _ in range(3)) + 0.05
