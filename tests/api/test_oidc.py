"""Signing in through an OpenID provider that runs beside: what it says counts, who brings it, and once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import Mock
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa

from api.configuration.services import openid
from api.oidc import service
from api.oidc.models import Identity, SignInBegun
from api.oidc.provider import Provider
from api.times import NANOSECONDS, now
from api.users.models import User
from sensor.configuration import ConfigurationError
from tests.api.conftest import ANY, PASSWORD, SQLITE_ONLY, Running
from tests.services.openid_provider import OTHER_CLIENT, OpenIdProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import httpx

PEOPLE: Final[dict[str, dict[str, Any]]] = {
    "lin": {"sub": "1001", "preferred_username": "Lin.Wei", "groups": ["shift"], "sites": ["ww"]},
    "chen": {"sub": "1002", "groups": ["office"], "sites": ["ww", "pp"]},
    "guest": {"sub": "1003", "groups": ["visitors"], "sites": ["ww"]},
    "root": {"sub": "1004", "groups": ["root"], "sites": ["hq"]},
}


@pytest.fixture
def served(start: Callable[..., Running], openid_provider: OpenIdProvider) -> Running:
    """A system that has been set up, and signs people in through the provider."""
    return begun(start, openid_provider)


def begun(start: Callable[..., Running], provider: OpenIdProvider, **given: Any) -> Running:
    opened = start(oidc=provider.settings(**given))
    provider.serves(opened.url, PEOPLE)
    opened.signed_in("administrator", name="owner")
    return opened


def begin(client: httpx.Client, place: str = "") -> str:
    """Where the provider is asked."""
    answer = client.post("/api/oidc/sign-in", json={"place": place})
    assert answer.status_code == 201, answer.text
    return answer.json()["address"]


def finish(client: httpx.Client, brought: Mapping[str, str | None]) -> tuple[int, dict[str, Any]]:
    answer = client.post("/api/oidc/session", json=brought)
    if answer.status_code == 201:
        client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
    return answer.status_code, answer.json()


def through(served: Running, provider: OpenIdProvider, name: str) -> tuple[int, dict[str, Any], httpx.Client]:
    """Sign in by name; the answer, and the caller."""
    client = served.client()
    return *finish(client, provider.sign_in(begin(client), name)), client


def code_of(served: Running, provider: OpenIdProvider, name: str) -> str:
    """What comes of a sign-in that is refused."""
    return through(served, provider, name)[1]["code"]


def refused(answer: tuple[int, dict[str, Any]]) -> str:
    """Why the provider refused."""
    status, body = answer
    assert (status, body["code"]) == (403, "oidc_refused"), body
    return reason(body)


def untrusted(answer: tuple[int, dict[str, Any]]) -> str:
    """Why an answer of the provider was not trusted."""
    status, body = answer
    assert (status, body["code"]) == (502, "oidc_untrusted"), body
    return reason(body)


def reason(body: dict[str, Any]) -> str:
    """What a problem's detail has in brackets."""
    return body["detail"].partition(" (")[2].partition("). ")[0]


def told(served: Running, *actions: str) -> list[tuple[str, str, str, dict[str, Any]]]:
    """What the audit trail tells, oldest first."""
    entries = served.sign_in("owner").get("/api/audit", params={"sort": "number", "limit": 200}).json()["items"]
    return [(each["actor"], each["action"], each["subject"], each["detail"]) for each in entries if each["action"] in actions]


def test_somebody_signs_in_gets_what_the_mapping_says_and_comes_back_as_himself(
    served: Running, openid_provider: OpenIdProvider
) -> None:
    client = served.client()
    assert client.get("/api/oidc").json() == {"name": "localhost"}
    address = begin(client, "#/account")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    assert (asked["response_type"], asked["code_challenge_method"], asked["client_id"]) == ("code", "S256", "icsight")
    assert asked["redirect_uri"] == f"{served.url}/sign-in/oidc"
    assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3
    status, state = finish(client, openid_provider.sign_in(address, "lin"))
    assert (status, state["name"], state["role"], state["sites"], state["place"]) == (
        201,
        "lin.wei",
        "operator",
        None,
        "#/account",
    )
    assert client.get("/api/session").json()["name"] == "lin.wei"
    assert client.get("/api/account/authenticator").json() == {"password": False, "authenticator": False, "recovery_codes": 0}
    assert client.delete("/api/session").status_code == 204
    assert client.get("/api/session").status_code == 401
    assert through(served, openid_provider, "lin")[1]["name"] == "lin.wei"
    owner = served.sign_in("owner")
    shown = [(user["name"], user["role"], user["password"]) for user in owner.get("/api/users").json()]
    assert shown == [("lin.wei", "operator", False), ("owner", "administrator", True)]
    issuer = openid_provider.issuer
    assert [each for each in told(served, "user.create", "identity.add") if each[2] == "lin.wei"] == [
        ("lin.wei", "user.create", "lin.wei", {"role": "operator", "sites": None}),
        ("lin.wei", "identity.add", "lin.wei", {"issuer": issuer, "subject": "1001"}),
    ]
    assert [each[3] for each in told(served, "session.open") if each[0] == "lin.wei"] == [{"issuer": issuer}] * 2
    assert owner.get("/api/audit/verification").json()["intact"] is True


@SQLITE_ONLY
def test_the_account_is_the_subject_s_whatever_else_the_provider_says(served: Running, openid_provider: OpenIdProvider) -> None:
    """Neither a name nor a mail leads to an account that is there; and a new name leads to no other."""
    owner = {"sub": "6666", "preferred_username": "OWNER", "email": "owner@plant.example", "groups": ["root"]}
    openid_provider.serves(served.url, {**PEOPLE, "impostor": owner})
    assert code_of(served, openid_provider, "impostor") == "name_taken"
    assert through(served, openid_provider, "lin")[1]["name"] == "lin.wei"
    renamed = {**PEOPLE["lin"], "preferred_username": "owner", "email": "owner@plant.example"}
    reused = {**PEOPLE["chen"], "preferred_username": "lin.wei"}
    openid_provider.serves(served.url, {"lin": renamed, "chen": reused})
    assert through(served, openid_provider, "lin")[1]["name"] == "lin.wei"
    assert code_of(served, openid_provider, "chen") == "name_taken"
    with served.services.database.read() as session:
        (identity,) = session.scalars(sa.select(Identity))
    assert (identity.issuer, identity.subject) == (openid_provider.issuer, "1001")
    entries = [(each[0], each[2], each[3]["subject"], each[3]["reason"]) for each in told(served, "session.refuse")]
    assert entries == [("system", "", "6666", "name_taken"), ("system", "", "1002", "name_taken")]


def test_rights_follow_the_provider_with_each_sign_in(start: Callable[..., Running], openid_provider: OpenIdProvider) -> None:
    sites = {"ww": "waterworks", "pp": "power", "hq": "*"}
    served = begun(start, openid_provider, site_claim="sites", sites=sites)
    assert code_of(served, openid_provider, "guest") == "oidc_role_none"
    assert "guest" not in served.names()
    assert through(served, openid_provider, "root")[1]["sites"] is None
    _, state, before = through(served, openid_provider, "chen")
    assert (state["role"], state["sites"]) == ("viewer", ["power", "waterworks"])
    openid_provider.serves(served.url, {"chen": {"sub": "1002", "groups": ["shift"], "sites": ["ww"]}})
    _, state, after = through(served, openid_provider, "chen")
    assert (state["role"], state["sites"]) == ("operator", ["waterworks"])
    assert before.get("/api/session").status_code == 401, "what had other rights has ended"
    (change,) = told(served, "user.change")
    assert change[0] == "system"
    assert change[3]["before"] == {"role": "viewer", "sites": ["power", "waterworks"]}
    # Who has no role any more does not come in, and does not stay in either, nor does a program in his name.
    made = after.post("/api/tokens", json={"name": "script", "permissions": ["alert.read"], "days": 9}).json()
    program = served.client()
    program.headers["Authorization"] = f"Bearer {made['token']}"
    assert program.get("/api/alerts").status_code == 200
    openid_provider.serves(served.url, {"chen": {"sub": "1002", "groups": [], "sites": ["ww"]}})
    assert code_of(served, openid_provider, "chen") == "oidc_role_none"
    assert after.get("/api/session").status_code == 401
    assert program.get("/api/alerts").status_code == 401
    assert told(served, "session.refuse")[-1][3]["tokens"] == [made["id"]]
    openid_provider.serves(served.url, {"chen": {"sub": "1002", "groups": ["shift"], "sites": ["elsewhere"]}})
    assert code_of(served, openid_provider, "chen") == "oidc_site_none"


@SQLITE_ONLY
def test_no_sign_in_takes_the_last_administrator_away(served: Running, openid_provider: OpenIdProvider) -> None:
    chief = through(served, openid_provider, "root")[2]
    users = {user["name"]: user for user in chief.get("/api/users").json()}
    owner, name = f"/api/users/{users.pop('owner')['id']}", next(iter(users))
    assert chief.delete(owner, headers=ANY).json()["code"] == "last_administrator", "the provider gives roles as it likes"
    lower = chief.put(owner, json={"role": "viewer"}, headers={"If-Match": "*"})
    assert lower.json()["code"] == "last_administrator"
    # As earlier versions let it come to.
    with served.services.database.write() as session:
        session.execute(sa.update(User).where(User.name == "owner").values(disabled_at=1))
    openid_provider.serves(served.url, {"root": {**PEOPLE["root"], "groups": ["office"]}})
    assert through(served, openid_provider, "root")[1]["role"] == "administrator"
    with served.services.database.write() as session:
        session.execute(sa.update(User).where(User.name == "owner").values(disabled_at=None))
    assert [each[1:] for each in told(served, "user.keep", "user.change")] == [
        ("user.keep", name, {"role": "viewer", "sites": None, "issuer": openid_provider.issuer})
    ]
    assert through(served, openid_provider, "root")[1]["role"] == "viewer"


@SQLITE_ONLY
def test_a_disabled_account_stays_out_and_none_is_made_in_its_place(served: Running, openid_provider: OpenIdProvider) -> None:
    client = through(served, openid_provider, "lin")[2]
    owner = served.sign_in("owner")
    (user,) = [each for each in owner.get("/api/users").json() if each["name"] == "lin.wei"]
    assert owner.delete(f"/api/users/{user['id']}", headers=ANY).status_code == 204
    assert client.get("/api/session").status_code == 401
    openid_provider.serves(served.url, {"lin": {**PEOPLE["lin"], "preferred_username": "lin.again", "groups": ["root"]}})
    assert code_of(served, openid_provider, "lin") == "account_disabled"
    assert sorted(served.names()) == ["lin.wei", "owner"]
    assert told(served, "session.refuse")[-1][3]["reason"] == "account_disabled"


@SQLITE_ONLY
@pytest.mark.usefixtures("real_passwords")
def test_no_password_opens_an_account_of_the_provider_s(served: Running, openid_provider: OpenIdProvider) -> None:
    through(served, openid_provider, "lin")
    for password in ("!", "nobody has this account", PASSWORD):
        answer = served.client().post("/api/session", json={"name": "lin.wei", "password": password})
        assert (answer.status_code, answer.json()["code"]) == (401, "sign_in_failed")


def test_a_sign_in_is_taken_once_in_its_browser_and_in_time(
    served: Running, openid_provider: OpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = served.client()
    brought = openid_provider.sign_in(begin(client), "lin")
    stranger = served.client()
    begin(stranger)
    for caller in (served.client(), stranger):
        assert finish(caller, brought)[1]["code"] == "oidc_unbegun"
    assert finish(client, {**brought, "state": "another"})[1]["code"] == "oidc_unbegun"
    assert finish(client, brought)[0] == 201
    assert finish(client, brought)[1]["code"] == "oidc_unbegun"
    late = openid_provider.sign_in(begin(client), "lin")
    later = now() + (service.BEGUN_SECONDS + 1) * NANOSECONDS
    with monkeypatch.context() as patch:
        patch.setattr("api.oidc.service.now", lambda: later)
        assert finish(client, late)[1]["code"] == "oidc_unbegun"
        begin(client)
    with served.services.database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(SignInBegun)) == 1, "those from before are forgotten"


@SQLITE_ONLY
def test_two_sign_ins_of_one_browser_do_not_get_into_each_other_s_way(served: Running, openid_provider: OpenIdProvider) -> None:
    client = served.client()
    addresses = [begin(client, place) for place in ("#one", "#two")]
    brought = [openid_provider.sign_in(address, "lin") for address in addresses]
    assert [finish(client, each)[1]["place"] for each in reversed(brought)] == ["#two", "#one"]


@SQLITE_ONLY
def test_only_so_many_sign_ins_are_remembered(
    served: Running, openid_provider: OpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.oidc.service.BEGUN_MOST", 3)
    for _ in range(6):
        begin(served.client())
    with served.services.database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(SignInBegun)) == 3


@SQLITE_ONLY
def test_a_code_that_was_used_is_refused_by_the_provider_too(
    served: Running, openid_provider: OpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = served.client()
    brought = openid_provider.sign_in(begin(client), "lin")
    with monkeypatch.context() as patch:
        # As if what belongs to the sign-in were kept: its state, its nonce, its verifier.
        patch.setattr("sqlalchemy.orm.Session.delete", Mock())
        assert finish(client, brought)[0] == 201
        assert refused(finish(client, brought)) == "invalid_grant"


@SQLITE_ONLY
def test_what_belongs_to_another_sign_in_or_another_client_is_refused(served: Running, openid_provider: OpenIdProvider) -> None:
    client = served.client()
    # A code of another sign-in: its verifier is another.
    stolen = openid_provider.sign_in(begin(served.client()), "root")
    mine = openid_provider.sign_in(begin(client), "lin")
    assert refused(finish(client, {**mine, "code": stolen["code"]})) == "invalid_grant"
    # A code for another client of the provider.
    address = begin(client).replace("client_id=icsight", f"client_id={OTHER_CLIENT}")
    assert refused(finish(client, openid_provider.sign_in(address, "root"))) == "invalid_grant"
    # A token of another sign-in: its nonce is another.
    brought = openid_provider.sign_in(begin(client), "lin")
    with served.services.database.write() as session:
        session.execute(sa.update(SignInBegun).values(nonce="another"))
    assert untrusted(finish(client, brought)) == "nonce"
    # Another provider's answer, mixed up with this one's, and one that does not say whose it is (RFC 9207).
    for changed in ({"iss": "https://other.example"}, {"iss": None}):
        brought = openid_provider.sign_in(begin(client), "lin")
        assert untrusted(finish(client, {**brought, **changed})) == "iss"
    # Whoever turns back at the provider.
    assert refused(finish(client, openid_provider.sign_in(begin(client), "nobody"))) == "access_denied"
    assert client.get("/api/session").status_code == 401


@SQLITE_ONLY
def test_keys_may_be_new_between_two_steps_of_one_sign_in(served: Running, openid_provider: OpenIdProvider) -> None:
    assert through(served, openid_provider, "lin")[0] == 201
    client = served.client()
    address = begin(client)
    openid_provider.rotate("second")
    assert finish(client, openid_provider.sign_in(address, "lin"))[0] == 201


@SQLITE_ONLY
def test_a_token_signed_with_the_client_s_own_secret_is_not_believed(served: Running, openid_provider: OpenIdProvider) -> None:
    openid_provider.serves(served.url, PEOPLE, id_token_signed_response_alg="HS256")
    assert untrusted(through(served, openid_provider, "lin")[:2]) == "no token that is taken (unsupported_algorithm)"


@SQLITE_ONLY
def test_clocks_may_differ_by_what_is_set_and_no_more(
    served: Running, openid_provider: OpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seconds, said in ((-50, None), (-70, "iat"), (600 + 50, None), (600 + 70, "exp")):
        monkeypatch.setattr("api.oidc.provider.now", lambda seconds=seconds: now() + seconds * NANOSECONDS)
        status, answer, _ = through(served, openid_provider, "lin")
        assert (None if status == 201 else untrusted((status, answer))) == said, seconds


@SQLITE_ONLY
def test_what_the_provider_adds_must_be_about_the_same_person(
    served: Running, openid_provider: OpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = vars(Provider)["_json"]

    def another(self: Provider, client: Any, address: object, **given: Any) -> dict[str, Any]:
        return {**asked(self, client, address, **given), **({"sub": "1004"} if str(address).endswith("/me") else {})}

    monkeypatch.setattr(Provider, "_json", another)
    assert untrusted(through(served, openid_provider, "lin")[:2]) == "sub"


@SQLITE_ONLY
def test_a_provider_that_is_away_is_told_and_passwords_still_let_in(
    served: Running, openid_provider: OpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = served.client()
    brought = openid_provider.sign_in(begin(client), "lin")
    openid_provider.kill()
    try:
        answer = served.client().post("/api/oidc/sign-in", json={}, headers={"Accept-Language": "zh-CN"})
        # Its document is known yet: what fails is the exchange.
        assert answer.status_code == 201
        status, body = finish(client, brought)
        assert (status, body["code"]) == (503, "oidc_unreachable")
        assert "localhost does not answer" in body["detail"]
        monkeypatch.setattr("api.oidc.provider.KNOWN_SECONDS", 0.0)
        answer = served.client().post("/api/oidc/sign-in", json={}, headers={"Accept-Language": "zh-CN"})
        assert (answer.status_code, answer.json()["title"]) == (503, "身份提供方没有响应")
        assert served.client().get("/api/oidc").json() == {"name": "localhost"}
        assert served.sign_in("owner").get("/api/session").status_code == 200
    finally:
        openid_provider.start()
    assert through(served, openid_provider, "lin")[0] == 201


@SQLITE_ONLY
def test_an_answer_without_an_end_is_not_waited_for(
    served: Running, openid_provider: OpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("ANSWER_BYTES", 100), ("ANSWER_SECONDS", -1)):
        with monkeypatch.context() as patch:
            patch.setattr(f"api.oidc.provider.{name}", value)
            answer = served.client().post("/api/oidc/sign-in", json={})
            assert (answer.status_code, answer.json()["code"]) == (503, "oidc_unreachable"), name
    assert through(served, openid_provider, "lin")[0] == 201


@SQLITE_ONLY
def test_a_provider_that_is_silent_keeps_few_waiting(served: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.oidc.provider.WAIT_SECONDS", 0.01)
    taken = threading.BoundedSemaphore(1)
    assert taken.acquire()
    monkeypatch.setattr(served.services.provider, "_turns", taken)
    answer = served.client().post("/api/oidc/sign-in", json={})
    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (503, "oidc_busy", "5")


@SQLITE_ONLY
@pytest.mark.parametrize(
    ("given", "code"),
    [({"issuer": "https://127.0.0.1:{port}"}, "oidc_untrusted"), ({"ca_file": None}, "oidc_unreachable")],
)
def test_another_issuer_or_an_unknown_authority_is_not_spoken_with(
    start: Callable[..., Running], openid_provider: OpenIdProvider, given: dict[str, Any], code: str
) -> None:
    filled = {name: value and value.format(port=openid_provider.port) for name, value in given.items()}
    settings = openid_provider.settings(**filled)
    assert [finding.level for finding in openid(settings)] == ["wrong"]
    served = start(oidc=settings)
    assert served.client().post("/api/oidc/sign-in", json={}).json()["code"] == code


def test_a_provider_that_can_be_asked_is_told_as_well(openid_provider: OpenIdProvider) -> None:
    assert [finding.level for finding in openid(openid_provider.settings())] == ["ok"]


@SQLITE_ONLY
def test_before_the_set_up_nobody_signs_in_and_without_a_provider_nobody_does(
    start: Callable[..., Running], system_running: Running, openid_provider: OpenIdProvider
) -> None:
    served = start(oidc=openid_provider.settings())
    openid_provider.serves(served.url, PEOPLE)
    assert code_of(served, openid_provider, "root") == "setup_first"
    client = system_running.client()
    assert client.get("/api/oidc").json() == {"name": None}
    assert client.post("/api/oidc/sign-in", json={}).json()["code"] == "oidc_unset"
    assert client.post("/api/oidc/session", json={"state": "x", "code": "y"}).json()["code"] == "oidc_unset"


@SQLITE_ONLY
@pytest.mark.parametrize("place", ["//evil.example", "https://evil.example", "/sign-in", "evil", "#a\nb", "#" + "x" * 200])
def test_a_sign_in_leads_back_to_the_console_only(served: Running, place: str) -> None:
    answer = served.client().post("/api/oidc/sign-in", json={"place": place})
    assert (answer.status_code, answer.json()["code"]) == (422, "input_invalid")


@SQLITE_ONLY
def test_behind_a_proxy_the_provider_is_told_its_name(start: Callable[..., Running], openid_provider: OpenIdProvider) -> None:
    served = start(oidc=openid_provider.settings(), address="https://icsight.plant.example")
    asked = parse_qs(urlsplit(begin(served.client())).query)
    assert asked["redirect_uri"] == ["https://icsight.plant.example/sign-in/oidc"]
    hostile = served.client().post("/api/oidc/sign-in", json={}, headers={"Host": "evil.example"})
    assert hostile.json()["code"] == "host_unknown"


@SQLITE_ONLY
@pytest.mark.parametrize("anew", [True, False])
def test_at_a_shared_screen_the_provider_asks_who_is_there(
    start: Callable[..., Running], openid_provider: OpenIdProvider, anew: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = begun(start, openid_provider, sign_in_anew=anew)
    browser = openid_provider.browser()
    names: list[str] = []
    for name in ("lin", "chen"):
        client = served.client()
        names.append(finish(client, openid_provider.sign_in(begin(client), name, browser))[1]["name"])
    assert names == (["lin.wei", "chen"] if anew else ["lin.wei", "lin.wei"])
    # Whoever is at the screen may strike from the address that the provider is to ask.
    with monkeypatch.context() as patch:
        later = now() + 120 * NANOSECONDS
        patch.setattr("api.oidc.service.now", lambda: later)
        client = served.client()
        address = begin(client).replace("prompt=login", "").replace("max_age=0", "max_age=9999")
        answer = finish(client, openid_provider.sign_in(address, "root", browser))
    assert untrusted(answer) == "auth_time" if anew else answer[1]["name"] == "lin.wei"


@SQLITE_ONLY
def test_another_site_can_neither_begin_nor_end_a_sign_in(served: Running, openid_provider: OpenIdProvider) -> None:
    hostile = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    client = served.client()
    assert client.post("/api/oidc/sign-in", json={}, headers=hostile).json()["code"] == "cross_site"
    brought = openid_provider.sign_in(begin(client), "lin")
    assert client.post("/api/oidc/session", json=brought, headers=hostile).json()["code"] == "cross_site"
    assert finish(client, brought)[0] == 201


def test_a_secret_that_cannot_be_read_is_told_at_the_start(openid_provider: OpenIdProvider, tmp_path: Path) -> None:
    given: dict[str, Any] = {"client_secret": None, "client_secret_file": tmp_path / "none"}
    with pytest.raises(ConfigurationError, match=r"^oidc\.client_secret_file .*: cannot be read"):
        Provider(openid_provider.settings(**given))
    with pytest.raises(ConfigurationError, match=r"^oidc\.ca_file .*: give a PEM file"):
        Provider(openid_provider.settings(ca_file=tmp_path / "none"))
