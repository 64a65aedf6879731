"""The OpenAPI document, its examples, the problems, the probes: what the API says of itself is so."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from api.problems import CODES
from api.texts import LANGUAGES, catalogue
from api.users import service as users
from tests.api.alerts import upsert
from tests.api.conftest import SQLITE_ONLY
from tests.api.openapi import Operation, example, operations

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from api.database import Database
    from tests.api.conftest import Running

UNFUZZED = {
    ("/api/live", "get"),
    ("/api/session", "delete"),
    ("/api/session", "post"),
    ("/api/setup", "post"),
}
"""Without an end, ending the test's own session, or hashing a password each time."""

CHECKS = ("status_code_conformance", "content_type_conformance", "response_headers_conformance", "response_schema_conformance")
"""What the document says of answers. What it cannot say (that an address is taken, a time past) is refused rightly."""

KNOWN = st.sampled_from(["", *(f"{number:032x}" for number in range(2)), "modbus", "sensor", "en", "1"])
"""What there is, in place of what is made up; or nothing, which leaves that."""

SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]

TRIES = 4
"""Inputs as the document says, and as many otherwise, of each operation."""

PARTS = 4
"""Parts of the operations, tried beside each other."""


def documented(served: Running) -> list[Operation]:
    return operations(served.client().get("/api/openapi.json").json())


def test_every_example_is_what_its_schema_allows(system_running: Running) -> None:
    for operation in documented(system_running):
        assert operation.said["summary"], operation
        assert operation.said["description"], operation
        if operation.body is not None:
            jsonschema.validate(example(operation.body), operation.body)
        for parameter in operation.parameters:
            for shown in [*parameter["schema"].get("examples", ()), *parameter.get("examples", ())]:
                jsonschema.validate(shown, parameter["schema"])
        for status, answer in operation.said["responses"].items():
            for content in answer.get("content", {}).values():
                schema: dict[str, Any] = content.get("schema", {})
                for shown in content.get("examples", {}).values():
                    jsonschema.validate(shown["value"], schema)
                if status == "200" and schema.get("properties"):
                    jsonschema.validate(example(schema), schema)


def test_the_document_tells_problems_in_the_language_that_is_asked_for(system_running: Running) -> None:
    client = system_running.client()
    found = {language: client.get("/api/openapi.json", headers={"Accept-Language": language}) for language in LANGUAGES}
    assert client.get("/api/openapi.json?language=zh-CN").json() == found["zh-CN"].json()
    shown: dict[str, Any] = {}
    for language, answer in found.items():
        assert answer.headers["Content-Language"] == language
        said = answer.json()["paths"]["/api/alerts/{alert_id}/close"]["post"]["responses"]["409"]
        shown[language] = said["content"]["application/problem+json"]["examples"]["alert_escalated"]["value"]
        title, detail = (catalogue(language)[f"problem.alert_escalated.{part}"] for part in ("title", "detail"))
        assert (shown[language]["title"], shown[language]["detail"]) == (title, detail)
        assert title in said["description"]
    assert shown["en"] != shown["zh-CN"]

    def without_words(document: dict[str, Any]) -> dict[str, Any]:
        for path in document["paths"].values():
            for operation in path.values():
                for status in operation["responses"]:
                    operation["responses"][status] = sorted(operation["responses"][status].get("content", ()))
        return document

    one, other = (without_words(answer.json()) for answer in found.values())
    assert one == other


@pytest.mark.parametrize("part", range(PARTS))
def test_no_input_gets_an_answer_that_the_document_does_not_name(system_running: Running, part: int) -> None:
    """What a generator makes of the document is answered as the document says, and never with a fault of the server."""
    system_running.alerts(*(upsert(number) for number in range(5)))
    document = system_running.client().get("/api/openapi.json").json()
    schema: Any = schemathesis.openapi.from_dict(document)
    targets = [found.ok() for found in schema.get_all_operations()]
    faults: list[str] = []
    for operation in [each for each in targets if (each.path, each.method) not in UNFUZZED][part::PARTS]:
        # An account for each: what is tried may end the session, or change its account.
        faults += answered_otherwise(system_running, operation)
    assert not faults, "\n".join(faults)


def answered_otherwise(served: Running, operation: Any) -> list[str]:
    """What answers of one operation had that the document does not name, with the commands that show it."""
    client = served.signed_in("administrator")
    headers = {
        "X-CSRF-Token": client.headers["X-CSRF-Token"],
        "Cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items()),
    }
    faults: list[str] = []

    def tried(case: Any, names: list[str]) -> None:
        for name, known in zip(case.path_parameters, names, strict=False):
            if known:
                case.path_parameters[name] = known
        answer = case.call(base_url=served.url, headers=headers)
        try:
            case.validate_response(answer, checks=checks)
        except BaseExceptionGroup as found:
            faults.extend(f"{case.as_curl_command()}: {fault}" for fault in found.exceptions)

    # Their types have parameters that Schemathesis does not export, as those of its operations have.
    of_openapi: Any = import_module("schemathesis.specs.openapi.checks")
    checks = [getattr(of_openapi, name) for name in CHECKS]
    has_input = operation.definition.raw.get("parameters") or "requestBody" in operation.definition.raw
    for mode in GenerationMode if has_input else (GenerationMode.POSITIVE,):
        search = settings(max_examples=TRIES, deadline=None, derandomize=True, database=None, suppress_health_check=SLOW)
        search(given(operation.as_strategy(generation_mode=mode), st.lists(KNOWN, min_size=3, max_size=3))(tried))()
    return faults


@pytest.mark.parametrize(
    ("request_line", "status", "code"),
    [
        ("GET /nothing", 404, "not_found"),
        ("GET /api/nothing", 404, "not_found"),
        ("DELETE /api/alerts", 405, "method_not_allowed"),
        ("PUT /healthz", 405, "method_not_allowed"),
        ("POST /api/session", 422, "input_invalid"),
    ],
)
def test_every_error_is_a_problem_with_a_stable_code(system_running: Running, request_line: str, status: int, code: str) -> None:
    method, path = request_line.split()
    answer = system_running.client().request(method, path)
    problem = answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert problem["type"] == f"urn:icsight:problem:{code}"
    assert problem["instance"] == path


def test_a_body_that_is_not_json_is_a_problem(system_running: Running) -> None:
    answer = system_running.client().post("/api/session", content=b"{", headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_fault_of_the_server_tells_nothing_of_itself(system_running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("api.alerts.service.counts", fail)
    answer = system_running.signed_in().get("/api/alerts/counts")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret detail" not in answer.text
    assert answer.headers["Content-Security-Policy"]


@SQLITE_ONLY
@pytest.mark.parametrize("path", ["/api/alerts", f"/api/alerts/{7:032x}/history", "/api/audit", "/api/users"])
def test_a_query_that_takes_too_long_is_given_up(system_running: Running, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    system_running.alerts(*(upsert(number) for number in range(300)))
    client = system_running.signed_in("administrator")
    assert client.get(path).status_code == 200
    database = system_running.services.database
    monkeypatch.setattr("api.database.sqlite._PROGRESS_STEPS", 1)
    monkeypatch.setattr("api.security.access.users.session_of", unbounded(database, users.session_of))
    monkeypatch.setattr(database, "query_seconds", 0.0)
    answer = client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (503, "query_too_long")


def unbounded(database: Database, look_up: Callable[..., Any]) -> Callable[..., Any]:
    """The same look-up in a session that nothing limits: what is given up is then the route's own query."""

    def looked_up(_session: Session, *given: Any) -> Any:
        with database.read(unlimited=True) as session:
            return look_up(session, *given)

    return looked_up


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_text_with_the_same_placeholders(language: str) -> None:
    ours, first = catalogue(language), catalogue(LANGUAGES[0])
    assert ours.keys() == first.keys()
    for key, text in ours.items():
        assert text.strip() == text != "", key
        placeholders = {part.split("}")[0] for part in text.split("{")[1:]}
        assert placeholders == {part.split("}")[0] for part in first[key].split("{")[1:]}, key
    assert {f"problem.{code}.{part}" for code in CODES for part in ("title", "detail")} <= ours.keys()


def test_the_probes_tell_whether_the_system_works(system_running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    client = system_running.client()
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready", "failures": {}}
    system_running.services.status.tell("detection", state="failed", detail="no memory")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"status": "failing", "failures": {"detection": "no memory"}})

    def elsewhere(_request: object) -> str:
        return "192.0.2.7"

    monkeypatch.setattr("api.probes.address_of", elsewhere)
    answer = client.get("/readyz")
    assert (answer.status_code, list(answer.json()["failures"])) == (503, ["detection"])
    assert "memory" not in answer.text, "other machines are told what does not work, and not why"
