"""Who may do what: every operation of the document × every role, callers of other sites and of other organisations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, get_args

import pytest
import sqlalchemy as sa
from fastapi import Depends, FastAPI

from api.alerts import upserts
from api.alerts.models import Alert
from api.audit import service as audit
from api.audit.verification import verify
from api.baseline import service as baseline
from api.enrolment.models import EnrolledSensor
from api.problems import Problem
from api.security.access import Caller, UnguardedError, needs, permissions_of_routes
from api.security.permissions import OPEN, ROLES, TABLE, Permission, Role, permissions_of, table
from api.services import Services, services
from api.site import service as sites
from api.users import service as users
from detection.baseline.decisions import Decision
from detection.site import Site
from tests.api.alerts import upsert
from tests.api.authenticator import Authenticator
from tests.api.conftest import ANY, PASSWORD, SQLITE_ONLY, Running, on_server, running
from tests.api.openapi import Operation, example, operations
from tests.api.test_exceptions import MADE
from tests.api.test_live import listening
from tests.api.test_records import store
from tests.api.test_windows import window
from tests.batches import sample

if TYPE_CHECKING:
    import httpx

    from tests.services.postgres import Postgres

LIN: Final = audit.Actor("lin")

DOCS: Final = Path(__file__).parents[2] / "deploy" / "docs" / "accounts.md"

READING: Final[tuple[Role, ...]] = ("viewer", "city_regulator", "province_regulator", "auditor")
"""Roles that change nothing."""

UNKNOWN: Final = {
    "alert_id": "x",
    "table": "modbus",
    "session_id": "x",
    "user_id": "999999",
    "name": "x",
    "sensor": "x",
    "number": "9",
    "token_id": "x",
    "passkey_id": "x",
    "identity": "9",
    "key": "x",
    "asset_id": "x",
}
"""For each parameter of a path, what is nobody's. An operation with another parameter has to say it here."""


def documented(served: Running) -> list[Operation]:
    return operations(served.client().get("/api/openapi.json").json())


def ask(client: httpx.Client, operation: Operation, values: dict[str, str]) -> tuple[int, str]:
    """The status of an answer, and its text; of one without an end, what it says until it has begun."""
    body = example(operation.body) if operation.body else None
    headers = {"If-Match": "*", "Last-Event-ID": "0"}
    asked = [each for each in operation.parameters if each["in"] == "query" and each["required"]]
    query = {each["name"]: example(each["schema"]) for each in asked}
    path = operation.path.format(**values)
    if "text/event-stream" in operation.said["responses"].get("200", {}).get("content", {}):
        with client.stream(operation.method, path, headers=headers) as answer:
            return answer.status_code, answer.read().decode() if answer.status_code != 200 else ""
    answer = client.request(operation.method, path, headers=headers, params=query, json=body)
    return answer.status_code, answer.text


def assert_let_in(operation: Operation, status: int, said: str) -> None:
    """The answer is the operation's own, whatever it is."""
    refused = status == 401 or any(f"urn:icsight:problem:{code}" in said for code in ("forbidden", "cross_site"))
    assert not refused, (operation[:2], status, said)


def test_every_operation_names_a_permission_of_the_table_or_is_open(system_running: Running) -> None:
    for operation in documented(system_running):
        named = operation.said.get("x-permission")
        assert (named in TABLE) != ((operation.method.upper(), operation.path) in OPEN), operation[:2]
    assert set(TABLE) == set(get_args(Permission))
    assert set(ROLES) == set(get_args(Role))


def test_a_route_that_says_nothing_of_its_caller_is_no_route() -> None:
    def nobody() -> None: ...

    def past(caller: Annotated[Caller, needs("alert.read")], provided: Annotated[Services, Depends(services)]) -> None: ...

    def twice(one: Annotated[Caller, needs("alert.read")], two: Annotated[Caller, needs("user.read")]) -> None: ...

    for route, said in ((nobody, "names 0"), (twice, "names 2"), (past, "past its caller's sites")):
        app = FastAPI()
        app.add_api_route("/api/new", route)
        with pytest.raises(UnguardedError, match=said):
            permissions_of_routes(app.routes)


@SQLITE_ONLY
@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_do_what_the_table_says_and_no_more(system_running: Running, role: Role) -> None:
    client = system_running.signed_in(role, name="lin")
    mine = permissions_of(role, None)
    for operation in documented(system_running):
        if (operation.method.upper(), operation.path) in OPEN:
            continue
        if operation[:2] == ("/api/session", "delete"):
            client = system_running.sign_in("lin")
        status, said = ask(client, operation, UNKNOWN)
        if mine.isdisjoint({operation.said["x-permission"], *operation.said.get("x-permission-instead", ())}):
            assert (status, "urn:icsight:problem:forbidden" in said) == (403, True), (operation[:2], status, said)
        else:
            assert_let_in(operation, status, said)
            if operation.method == "get" and "{" not in operation.path:
                assert status == 200, (operation[:2], status, said)
        if operation[:2] == ("/api/session", "delete"):
            client = system_running.sign_in("lin")


@SQLITE_ONLY
def test_without_a_session_nothing_but_what_is_open_answers(system_running: Running) -> None:
    for operation in documented(system_running):
        status, said = ask(system_running.client(), operation, {**UNKNOWN, "language": "en"})
        signed_out = status == 401 and "urn:icsight:problem:signed_out" in said
        assert signed_out != ((operation.method.upper(), operation.path) in OPEN), (operation[:2], status, said)


OWN: Final = ("/api/session", "/api/tokens", "/api/account/")
"""Beginnings of what everybody does with his own account."""

RAW: Final = {"records": {"records.read"}, "evidence": {"packets.read", "evidence.read", "evidence.write"}}
"""Last parts of paths behind which plain records and packets are, and what may open them."""


@SQLITE_ONLY
def test_permissions_are_named_where_they_belong(system_running: Running) -> None:
    """What the document says is compared with the paths, not with itself."""
    for operation in documented(system_running):
        if "x-permission" not in operation.said:
            continue
        named, parts = operation.said["x-permission"], operation.path.removeprefix("/api/").split("/")
        for part in {"records", "evidence"} & {parts[0], parts[-1]}:
            assert named in RAW[part], operation[:2]
        if operation.path.startswith(("/api/audit", "/api/users")):
            assert TABLE[named].whole, operation[:2]
        if operation.path.startswith(OWN):
            assert named == "account.own", operation[:2]
            continue
        for role in READING:
            if role in TABLE[named].roles:
                assert operation.method == "get" or named == "audit.checkpoint", (operation[:2], role)


def test_no_role_approves_an_action_for_both_sides_and_those_that_read_change_nothing() -> None:
    security, operations_side = TABLE["action.approve_security"].roles, TABLE["action.approve_operations"].roles
    assert (security, operations_side) == ({"responder"}, {"engineer", "administrator"})
    for role in READING:
        changing = {each for each in permissions_of(role, None) if not each.endswith(".read")}
        assert changing <= {"account.own", "audit.checkpoint"}
    for role in ("city_regulator", "province_regulator"):
        assert permissions_of(role, None) == {"account.own", "told.read"}


def test_who_is_limited_to_sites_has_nothing_to_say_about_the_organisation() -> None:
    for role in ROLES:
        whole = permissions_of(role, None) - permissions_of(role, frozenset({"pumps"}))
        assert whole == {permission for permission in permissions_of(role, None) if TABLE[permission].whole}
    assert "user.manage" not in permissions_of("administrator", frozenset({"pumps"}))


OBJECTS: Final = frozenset(
    {"alert_id", "asset_id", "identity", "name", "number", "passkey_id", "sensor", "session_id", "token_id", "user_id"}
)
"""Parameters of paths that name something of a site or of an organisation."""


def fill(served: Running) -> dict[str, str]:
    """Give a system of several sites something of each; what is of the site "tanks", by parameter of a path."""
    served.services.site = None
    with served.services.database.write() as session:
        for number, site in enumerate(("pumps", "tanks"), start=1):
            sites.take_over(session, Site(site=site), site)
            upserts.apply(session, [upsert(number)], site)
            session.add(EnrolledSensor(name=f"gateway-{site}", site=site, generation=1, enrolled_at=1, revoked_at=None))
            baseline.leave(session, Decision("relearn", "lin", f"the {site} are new", server="10.0.0.1", hours=1), site, LIN)
    administrator = served.signed_in("administrator", name="chen")
    numbers: list[str] = []
    assets: list[str] = []
    for sequence, site in enumerate(("pumps", "tanks")):
        store(served, "modbus", dict(sample("modbus", 5)), sequence, f"gateway-{site}")
        store(served, "sensor", dict(sample("sensor", 1)), sequence, f"gateway-{site}")
        made = administrator.post("/api/exceptions", json={**MADE, "name": f"{site}-copy", "site": site})
        assert made.status_code == 201, made.text
        declared = administrator.post("/api/incidents", json={"title": f"{site} overflow", "site": site, "reported_by": "phone"})
        assert declared.status_code == 201, declared.text
        numbers.append(str(declared.json()["number"]))
        planned = window(site=site, permit=f"{site}-WP")
        assert administrator.post("/api/windows", json=planned).json()["number"] == declared.json()["number"]
        grade = {"scheme": "cac-2025", "level": 3, "reason": "x"}
        graded = administrator.post(f"/api/incidents/{numbers[-1]}/grade", json=grade, headers={"If-Match": "*"})
        assert graded.status_code == 200, graded.text
        registered = administrator.post("/api/assets", json={"name": f"PLC of {site}", "addresses": ["10.0.1.1"], "site": site})
        assert registered.status_code == 201, registered.text
        assets.append(registered.json()["id"])
    reports = administrator.get(f"/api/incidents/{numbers[-1]}/obligations").json()
    token = administrator.post("/api/tokens", json={"name": "tanks", "permissions": ["alert.read"]}).json()
    device = Authenticator(served.url)
    holder = served.signed_in("operator", name="zhao")
    options = holder.post("/api/account/passkeys/begin", json={"password": PASSWORD}).json()["options"]
    passkey = holder.post("/api/account/passkeys", json=device.make(options)).json()
    users = {user["name"]: str(user["id"]) for user in administrator.get("/api/users").json()}
    return {
        "passkey_id": passkey["id"],
        "alert_id": f"{2:032x}", "name": "tanks-copy", "session_id": administrator.get("/api/sessions").json()[0]["id"],
        "user_id": users["chen"], "token_id": token["id"], "number": numbers[-1], "sensor": "gateway-tanks", "table": "modbus",
        "identity": str(reports[0]["id"]), "key": "sensor_blind", "asset_id": assets[-1],
    }  # fmt: skip


@SQLITE_ONLY
@pytest.mark.parametrize("role", ROLES)
def test_who_is_limited_to_a_site_meets_nothing_of_another(system_running: Running, role: Role) -> None:
    values = fill(system_running)
    client = system_running.signed_in(role, name="lin", sites=frozenset({"pumps"}))
    found = ""
    for operation in documented(system_running):
        if "x-permission" not in operation.said or operation[:2] == ("/api/session", "delete"):
            continue
        status, said = ask(client, operation, values)
        if {parameter["name"] for parameter in operation.parameters if parameter["in"] == "path"} & OBJECTS:
            assert status in {403, 404}, (operation[:2], status, said)
        elif operation.method == "get":
            assert "tanks" not in said, (operation[:2], status, said)
            found += said
        else:
            assert status < 500, (operation[:2], status, said)
    if role in {"viewer", "operator", "responder", "engineer", "administrator"}:
        for own in ("pumps-copy", "gateway-pumps", "the pumps are new", f"{1:032x}", "PLC of pumps", "pumps-WP"):
            assert own in found
    assert system_running.sign_in("chen").get(f"/api/alerts/{2:032x}").json()["triage"]["state"] == "new"


def test_decisions_of_who_is_limited_to_a_site_are_about_that_site(system_running: Running) -> None:
    fill(system_running)
    client = system_running.signed_in(name="lin", sites=frozenset({"pumps"}))
    refused = client.post("/api/exceptions", json={**MADE, "name": "mine", "site": "tanks"})
    assert (refused.status_code, refused.json()["code"]) == (404, "site_unknown")
    assert client.post("/api/exceptions", json={**MADE, "name": "mine"}).json()["site"] == "pumps"
    taken = client.post("/api/exceptions", json={**MADE, "name": "tanks-copy"})
    assert (taken.status_code, taken.json()["code"]) == (409, "exception_taken")
    assert system_running.sign_in("chen").get("/api/exceptions/tanks-copy").json()["version"] == 1


def test_a_listener_who_is_limited_to_a_site_hears_of_no_other(system_running: Running) -> None:
    fill(system_running)
    with listening(system_running.signed_in(sites=frozenset({"pumps"})), last=0) as stream:
        assert next(stream)[0] == "hello"
        assert int(next(stream)[2]["id"], 16) == 1
        with system_running.services.database.write() as session:
            upserts.apply(session, [upsert(4)], "tanks")
            upserts.apply(session, [upsert(3)], "pumps")
        system_running.services.hub.notify()
        assert int(next(stream)[2]["id"], 16) == 3


def test_in_a_system_of_one_site_only_that_site_sees_records(system_running: Running) -> None:
    system_running.services.site = "pumps"
    store(system_running, "modbus", dict(sample("modbus", 5)))
    for site, rows in (("pumps", 5), ("tanks", 0)):
        client = system_running.signed_in("viewer", sites=frozenset({site}))
        assert len(client.get("/api/records/modbus").json()["items"]) == rows
        (told,) = {each["rows"] for each in client.get("/api/records").json() if each["table"] == "modbus"}
        assert told == (rows or None)


def test_another_organisation_is_met_by_no_operation(tmp_path: Path, postgres_server: Postgres) -> None:
    place = on_server(postgres_server)
    settings = [place.model_copy(update={"organisation": name}) for name in ("north", "south")]
    with running(tmp_path / "n", database=settings[0]) as north, running(tmp_path / "s", database=settings[1]) as south:
        values = fill(north)
        mine, theirs = south.signed_in("administrator"), north.sign_in("chen")
        theirs.base_url = south.url
        for operation in documented(south):
            if "x-permission" not in operation.said:
                continue
            status, said = ask(theirs, operation, values)
            assert status == 401, (operation[:2], status, said)
            if {parameter["name"] for parameter in operation.parameters if parameter["in"] == "path"} & (OBJECTS - {"sensor"}):
                status, said = ask(mine, operation, values)
                assert status in {403, 404}, (operation[:2], status, said)
        with north.services.database.read() as session:
            assert verify(session, [], {}).fault is None
            assert {row.triage_state for row in session.scalars(sa.select(Alert))} == {"new"}


def test_another_role_is_for_the_next_session(system_running: Running) -> None:
    administrator, lin = system_running.signed_in("administrator"), system_running.signed_in("viewer", name="lin")
    assert lin.get("/api/session").json()["permissions"] == sorted(permissions_of("viewer", None))
    (user,) = [each for each in administrator.get("/api/users").json() if each["name"] == "lin"]
    path, rights = f"/api/users/{user['id']}", {"role": "responder", "sites": ["pumps"]}
    for headers, said in (({}, 428), ({"If-Match": '"9"'}, 412)):
        assert administrator.put(path, json=rights, headers=headers).status_code == said
    answer = administrator.put(path, json=rights, headers={"If-Match": f'"{user["version"]}"'})
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"2"')
    assert (answer.json()["role"], answer.json()["sites"]) == ("responder", ["pumps"])
    assert lin.get("/api/session").status_code == 401
    told = system_running.sign_in("lin").get("/api/session").json()
    assert (told["role"], told["sites"]) == ("responder", ["pumps"])
    assert "action.approve_security" in told["permissions"]
    (told,) = [each for each in administrator.get("/api/audit").json()["items"] if each["action"] == "user.change"]
    assert (told["subject"], told["detail"]["before"]["role"], told["detail"]["sites"]) == ("lin", "viewer", ["pumps"])


def test_somebody_is_always_left_who_manages_accounts(system_running: Running) -> None:
    one, other = (system_running.signed_in("administrator", name=name) for name in ("lin", "chen"))
    ids = {user["name"]: user["id"] for user in one.get("/api/users").json()}
    rights, always = {"role": "administrator", "sites": ["pumps"]}, {"If-Match": "*"}
    assert one.put(f"/api/users/{ids['lin']}", json=rights, headers=always).json()["code"] == "own_account"
    assert one.delete(f"/api/users/{ids['lin']}", headers=ANY).json()["code"] == "own_account"
    # Both were let in before either lost the right.
    with system_running.services.database.write() as session:
        users.change(session, users.audit.Actor("lin"), ids["chen"], users.Rights("viewer"), "*")
    with pytest.raises(Problem, match="last_administrator"), system_running.services.database.write() as session:
        users.disable(session, users.audit.Actor("chen"), ids["lin"], "*")
    assert other.get("/api/session").status_code == 401
    assert one.get("/api/session").status_code == 200


def test_the_docs_show_the_table_as_it_is() -> None:
    assert table() in DOCS.read_text("utf-8"), "put what `python -m api.security.permissions` prints in its place"
