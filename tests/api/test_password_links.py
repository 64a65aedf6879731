"""One-time links by which owners of accounts choose their passwords: nobody else knows, chooses or guesses one."""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import sqlalchemy as sa

from api.database import Database
from api.oidc.models import Identity
from api.settings import Settings
from api.users import lockout
from api.users.models import PasswordLink, User
from tests.api.authenticator import Authenticator
from tests.api.conftest import ANY, PASSWORD
from tests.api.test_incidents import done, refused

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx
    import pytest

    from tests.api.conftest import Running

OTHER = "eight valves, one spare"


def token_of(link: dict[str, Any]) -> str:
    page, _, said = link["path"].partition("#")
    assert page == "/password"
    return parse_qs(said)["token"][0]


def invited(chief: httpx.Client, name: str = "chen") -> tuple[int, str]:
    """A new account: its id, and the token of its link."""
    made = done(chief.post("/api/users", json={"name": name, "role": "viewer"}), 201)
    return made["id"], token_of(made["link"])


def choose(served: Running, token: str, password: str = PASSWORD) -> httpx.Response:
    return served.client().post("/api/password", json={"token": token, "password": password})


def sign_in(served: Running, name: str, password: str = PASSWORD) -> int:
    return served.client().post("/api/session", json={"name": name, "password": password}).status_code


def shown(chief: httpx.Client, name: str) -> dict[str, Any]:
    (found,) = [each for each in chief.get("/api/users").json() if each["name"] == name]
    return found


def told(chief: httpx.Client, *actions: str) -> list[tuple[str, str, Any]]:
    items = chief.get("/api/audit", params={"limit": 500}).json()["items"]
    return [(each["actor"], each["subject"], each["detail"]) for each in reversed(items) if each["action"] in actions]


def test_the_owner_of_a_new_account_chooses_its_password_and_nobody_else_does(system_running: Running) -> None:
    chief = system_running.signed_in("administrator", name="wu")
    password = {"name": "chen", "role": "viewer", "password": PASSWORD}
    assert refused(chief.post("/api/users", json=password)) == "input_invalid", "nobody chooses it for another"
    answer = chief.post("/api/users", json={"name": "Chen", "role": "viewer"})
    assert answer.headers["Cache-Control"] == "no-store"
    made = done(answer, 201)
    assert parse_qs(made["link"]["path"].partition("#")[2])["name"] == ["chen"]
    before = shown(chief, "chen")
    assert (before["password"], before["provider"], before["link_until"]) == (False, False, made["link"]["expires_at"])
    assert (sign_in(system_running, "chen"), sign_in(system_running, "chen", "!")) == (401, 401), "there is no password yet"
    token = token_of(made["link"])
    weak = choose(system_running, token, "chen chen chen")
    assert refused(weak) == "password_weak"
    used = choose(system_running, token)
    assert (done(used), "set-cookie" in used.headers) == ({"name": "chen"}, False)
    assert sign_in(system_running, "chen") == 201
    after = shown(chief, "chen")
    assert (after["password"], after["link_until"]) == (True, None)
    assert told(chief, "user.link", "user.link_use", "user.password") == [
        ("wu", "chen", {"expires_seconds": 86_400, "first": True}), ("chen", "chen", {}), ("chen", "chen", {}),
    ]  # fmt: skip
    assert token not in chief.get("/api/audit", params={"limit": 500}).text


def test_a_link_works_once_and_only_the_newest_in_time(start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch) -> None:
    served = start(password_link_seconds=300)
    chief = served.signed_in("administrator", name="wu")
    identity, first = invited(chief)
    second, third = (token_of(done(chief.post(f"/api/users/{identity}/link"), 201)) for _ in range(2))
    assert [refused(choose(served, token)) for token in (first, second)] == ["password_link_invalid"] * 2
    assert choose(served, third).status_code == 200
    assert refused(choose(served, third, OTHER)) == "password_link_invalid"
    assert sign_in(served, "chen", OTHER) == 401
    late = token_of(done(chief.post(f"/api/users/{identity}/link"), 201))
    with monkeypatch.context() as patch:
        patch.setattr("api.users.links.now", lambda: time.time_ns() + 301 * 1_000_000_000)
        assert refused(choose(served, late, OTHER)) == "password_link_invalid"
    assert choose(served, late, OTHER).status_code == 200


def test_of_many_who_use_a_link_at_once_one_chooses_the_password(system_running: Running) -> None:
    _, token = invited(system_running.signed_in("administrator"))
    passwords = [f"{number} valves, one spare" for number in ("two", "three", "four", "five")]
    with ThreadPoolExecutor(4) as pool:
        chosen = [pool.submit(choose, system_running, token, password) for password in passwords]
        answers = [each.result().status_code for each in chosen]
    assert sorted(answers) == [200, 403, 403, 403]
    assert [sign_in(system_running, "chen", each) for each in passwords] == [201 if each == 200 else 401 for each in answers]


def test_a_forgotten_password_holds_until_its_link_is_used_and_then_all_else_ends(system_running: Running) -> None:
    chief = system_running.signed_in("administrator", name="wu")
    lin = system_running.signed_in("operator", name="lin")
    path = f"/api/users/{shown(chief, 'lin')['id']}/link"
    assert refused(system_running.signed_in("responder", name="chen").post(path)) == "forbidden"
    token = token_of(done(chief.post(path), 201))
    assert (lin.get("/api/session").status_code, sign_in(system_running, "lin")) == (200, 201)
    services = system_running.services
    with services.database.write() as session:
        for _ in range(20):
            lockout.attempt(session, services.settings.model_copy(update={"sign_in_attempts": 100}), "lin")
    assert shown(chief, "lin")["locked_until"] is not None
    done(choose(system_running, token, OTHER))
    assert lin.get("/api/session").status_code == 401
    assert shown(chief, "lin")["locked_until"] is None
    assert (sign_in(system_running, "lin"), sign_in(system_running, "lin", OTHER)) == (401, 201)


def test_a_link_ends_with_its_account_and_with_another_change_of_the_password(system_running: Running) -> None:
    chief = system_running.signed_in("administrator", name="wu")
    lin = system_running.signed_in("operator", name="lin")
    path = f"/api/users/{shown(chief, 'lin')['id']}"
    token = token_of(done(chief.post(f"{path}/link"), 201))
    assert lin.put("/api/account/password", json={"password": PASSWORD, "new_password": OTHER}).status_code == 204
    assert refused(choose(system_running, token)) == "password_link_invalid"
    token = token_of(done(chief.post(f"{path}/link"), 201))
    assert chief.delete(path, headers=ANY).status_code == 204
    assert refused(choose(system_running, token)) == "password_link_invalid"
    assert shown(chief, "lin")["link_until"] is None
    assert refused(chief.post(f"{path}/link")) == "user_unknown"


def test_nobody_makes_a_link_for_himself_or_past_a_provider(system_running: Running) -> None:
    chief = system_running.signed_in("administrator", name="wu")
    identity, _ = invited(chief)
    assert refused(chief.post(f"/api/users/{shown(chief, 'wu')['id']}/link")) == "own_account"
    with system_running.services.database.write() as session:
        session.add(Identity(issuer="https://id.plant.example", subject="1001", user_id=identity, created_at=1))
    assert refused(chief.post(f"/api/users/{identity}/link")) == "account_of_provider"
    assert shown(chief, "chen")["provider"] is True


def test_a_link_takes_no_second_factor_away(system_running: Running) -> None:
    chief = system_running.signed_in("administrator", name="wu")
    lin, device = system_running.signed_in("operator", name="lin"), Authenticator(system_running.url)
    options = lin.post("/api/account/passkeys/begin", json={"password": PASSWORD}).json()["options"]
    done(lin.post("/api/account/passkeys", json=device.make(options)), 201)
    token = token_of(done(chief.post(f"/api/users/{shown(chief, 'lin')['id']}/link"), 201))
    done(choose(system_running, token, OTHER))
    answer = system_running.client().post("/api/session", json={"name": "lin", "password": OTHER})
    assert refused(answer) == "passkey_needed"


def test_whoever_guesses_links_has_to_wait_and_only_hashes_are_kept(system_running: Running) -> None:
    chief = system_running.signed_in("administrator", name="wu")
    _, token = invited(chief)
    with system_running.services.database.read() as session:
        assert session.scalars(sa.select(PasswordLink.token_hash)).all() == [hashlib.sha256(token.encode()).hexdigest()]
        assert session.scalars(sa.select(User.password_hash).where(User.name == "chen")).one() == "!"
    codes = [refused(choose(system_running, f"guess-{number}")) for number in range(8)]
    assert codes[0] == "password_link_invalid"
    assert codes[-1] == "sign_in_wait"
    waits = choose(system_running, token)
    assert (refused(waits), int(waits.headers["Retry-After"]) > 0) == ("sign_in_wait", True)


def test_a_link_of_another_organisation_is_none(system_running: Running) -> None:
    invited(system_running.signed_in("administrator"))
    settings = system_running.services.settings
    other = Database.of(Settings(data=settings.data, database=settings.database.model_copy(update={"organisation": "another"})))
    with other.read() as session:
        assert session.scalars(sa.select(PasswordLink)).all() == []
    other.close()
