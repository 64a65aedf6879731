"""Playbooks: those of the product, CACAO out and in, tasks of incidents and what stands against closing."""

from __future__ import annotations

import base64
import copy
import json
import re
import uuid
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
import yaml

from api.alerts import upserts
from api.incidents import categories
from api.playbooks import cacao, service
from api.playbooks.content import built_in, fit
from api.texts import LANGUAGES
from api.times import NANOSECONDS, parse
from api.users.models import User
from tests.api.alerts import upsert
from tests.api.conftest import SQLITE_ONLY
from tests.api.looks import tick
from tests.api.test_incidents import CLOSE, PHONE, act, alert_id, declare, done, kinds, lines, refused

if TYPE_CHECKING:
    import httpx

    from tests.api.conftest import Running

RULES = Path(__file__).parents[2] / "rules"


@pytest.fixture(autouse=True)
def _one_site(request: pytest.FixtureRequest) -> None:
    if "system_running" in request.fixturenames:
        system_running: Running = request.getfixturevalue("system_running")
        system_running.alerts(upsert(900, rule="posture"))


def names_of_rules() -> set[str]:
    return {path.stem for path in RULES.glob("*/*.yml")}


def test_what_comes_with_the_product_is_whole_in_both_languages_and_names_rules_that_there_are() -> None:
    known = built_in()
    assert len(known) >= 12
    rules = names_of_rules()
    for key, playbook in known.items():
        assert key == playbook.key
        for text in (playbook.title, playbook.summary, *(text for task in playbook.tasks for text in (task.title, task.text))):
            assert text.en.strip()
            assert re.search("[一-鿿]", text.zh)
            assert not re.search("[一-鿿]", text.en)
        for pattern in playbook.rules:
            assert [name for name in rules if fnmatchcase(name, pattern)], (key, pattern)
        assert all(categories.known(category) for category in playbook.categories)
        assert any(task.mandatory for task in playbook.tasks)
    wanted = {
        "unauthorised_write", "controller_stopped", "program_downloaded", "network_scanned", "rogue_device", "remote_access",
        "denial_of_service", "loss_of_view", "opcua_trust_broken", "malware_spreads", "data_theft", "mistake_or_insider",
        "sensor_blind",
    }  # fmt: skip
    assert wanted <= set(known)


def test_the_playbook_whose_rules_the_alerts_are_of_comes_first() -> None:
    every = built_in().values()
    for rules, category, first in (
        ({"write_by_unauthorised_client": 3, "host_sweep": 1}, None, "unauthorised_write"),
        ({"host_sweep": 4}, "network_attack.scan", "network_scanned"),
        ({}, "malicious_program.worm", "malware_spreads"),
        ({"umas_controller_stop": 1}, None, "controller_stopped"),
    ):
        assert fit(every, rules, category)[0][0].key == first
    assert fit(every, {"posture": 5}, None) == []


ALLOWED = {
    "playbook": "type spec_version id name description playbook_types playbook_activities created_by created modified revoked "
    "labels workflow_start workflow playbook_extensions agent_definitions extension_definitions",
    "start": "type name description on_completion",
    "end": "type name description",
    "action": "type name description on_completion commands agent targets in_args out_args step_extensions",
    "manual": "type command command_b64 description version playbook_activity external_references",
    "group": "type name description contact location",
    "extension-definition": "type name description created_by schema version external_references",
}
"""Properties that the standard has for what goes out: it allows no others (CACAO 2.0, sections 3, 4, 5, 7, 8)."""


def of_standard(kind: str, given: dict[str, Any], *needed: str) -> None:
    assert set(given) <= set(ALLOWED[kind].split()), kind
    assert set(needed) <= set(given), kind
    assert given["type"] == kind


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("key", sorted(built_in()))
def test_what_goes_out_is_cacao_and_comes_back_as_it_was(key: str, language: str) -> None:
    playbook = built_in()[key]
    written: dict[str, Any] = json.loads(json.dumps(cacao.write(playbook, language)))
    needed = ("spec_version", "id", "name", "created_by", "created", "modified", "workflow_start", "workflow")
    of_standard("playbook", written, *needed)
    assert written["name"] == playbook.title.text(language)
    identities = [written["id"], *written["workflow"], *written["agent_definitions"], *written["extension_definitions"]]
    numbers = [uuid.UUID(identity.split("--")[1]) for identity in identities]
    assert len(set(numbers)) == len(numbers), "the number of one object is no other's"
    for name, step in written["workflow"].items():
        of_standard(name.split("--")[0], step)
        assert uuid.UUID(name.split("--")[1]).version == 4
        for command in step.get("commands", ()):
            of_standard("manual", command, "command", "playbook_activity")
            assert command["playbook_activity"] in written["playbook_activities"]
        assert step.get("agent") is None or step["agent"] in written["agent_definitions"]
    for agent in written["agent_definitions"].values():
        of_standard("group", agent, "name")
    (extension,) = written["extension_definitions"].values()
    of_standard("extension-definition", extension, "name", "created_by", "schema", "version")
    reached, name = list[str](), written["workflow_start"]
    while name is not None:
        reached.append(name)
        name = written["workflow"][name].get("on_completion")
    assert len(reached) == len(written["workflow"]) == len(playbook.tasks) + 2
    assert cacao.read(written) == playbook


def identity(kind: str, number: int) -> str:
    return f"{kind}--{uuid.UUID(int=number << 8 | 0x4000 << 64 | 0x8 << 60, version=4)}"


START, LOOK, ASK, BLOCK, TELL, END, WHO = (
    identity(kind, number)
    for number, kind in enumerate(("start", "action", "if-condition", "action", "action", "end", "individual"), start=1)
)
OF_OTHERS: dict[str, Any] = {
    "type": "playbook", "spec_version": "cacao-2.0", "id": identity("playbook", 77), "name": "Block & tell",
    "description": "Of somebody else.", "created_by": identity("identity", 78), "created": "2026-01-01T00:00:00.000Z",
    "modified": "2026-01-01T00:00:00.000Z", "priority": 3, "workflow_start": START,
    "workflow": {
        START: {"type": "start", "on_completion": LOOK},
        LOOK: {
            "type": "action", "name": "Look", "on_completion": ASK, "agent": WHO,
            "commands": [{"type": "bash", "command": "rm -rf /", "playbook_activity": "analyze-collected-data"}],
        },
        ASK: {"type": "if-condition", "condition": "$$bad$$ = true", "on_true": BLOCK, "on_completion": TELL},
        BLOCK: {
            "type": "action", "name": "Block", "agent": WHO, "on_completion": END,
            "commands": [
                {
                    "type": "manual", "command_b64": base64.b64encode("关闭端口 4".encode()).decode(),
                    "playbook_activity": "disconnect-system",
                }
            ],
        },
        TELL: {
            "type": "action", "name": "Tell", "agent": WHO, "on_success": END,
            "commands": [{"type": "manual", "command": "Tell."}],
        },
        END: {"type": "end"},
    },
    "agent_definitions": {WHO: {"type": "individual", "name": "Li"}},
}  # fmt: skip


def test_a_playbook_of_others_becomes_tasks_in_the_order_of_its_workflow() -> None:
    playbook = cacao.read(OF_OTHERS)
    assert [task.title.en for task in playbook.tasks] == ["Look", "if-condition", "Block", "Tell"]
    assert [task.phase for task in playbook.tasks] == ["analysing", "analysing", "containing", "analysing"]
    assert "关闭端口 4" in playbook.tasks[2].text.zh
    assert playbook.tasks[0].text.en == "rm -rf /\n(Li)", "shown to a person, never run"
    assert re.fullmatch(r"block-tell-[0-9a-f]{8}", playbook.key)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("spec_version",), "cacao-1.1", "spec_version"),
        (("workflow_start",), LOOK, "no start step"),
        (("workflow", LOOK, "on_completion"), identity("action", 99), "not there"),
        (("workflow", LOOK, "agent"), identity("individual", 99), "not defined"),
        (("workflow", LOOK, "commands"), [], "commands and an agent"),
        (("workflow", TELL, "on_completion"), END, "one or the others"),
        (("workflow", BLOCK, "commands"), [{"type": "manual", "command_b64": "%%"}], "base64"),
        (("workflow", BLOCK, "type"), "end", "of type end"),
        (("created",), "yesterday", "created"),
        (("revoked",), True, "revoked"),
        (("id",), "playbook--1", "id"),
    ],
)
def test_what_is_no_playbook_is_refused_with_its_place(path: tuple[str, ...], value: Any, said: str) -> None:
    given = copy.deepcopy(OF_OTHERS)
    inner = given
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    with pytest.raises(cacao.CacaoError, match=said):
        cacao.read(given)


def step(client: httpx.Client, identity: int, what: str, body: dict[str, Any], method: str = "POST") -> httpx.Response:
    path = f"/api/tasks/{identity}"
    return client.request(method, f"{path}/{what}", json=body, headers={"If-Match": client.get(path).headers["ETag"]})


def test_tasks_of_a_playbook_gate_closing_until_they_are_done_or_overridden(system_running: Running) -> None:
    system_running.alerts(upsert(1, rule="write_by_unauthorised_client"), upsert(2, rule="host_sweep"))
    client = system_running.signed_in("responder", name="lin")
    system_running.signed_in("operator", "wu")
    number = declare(client, alerts=[alert_id(1), alert_id(2)], category="improper_operation.unauthorised_use")["number"]
    offered = client.get(f"/api/incidents/{number}/playbooks", params={"language": "zh-CN"}).json()
    assert (offered[0]["key"], offered[0]["title"], offered[0]["begun"]) == ("unauthorised_write", "未授权写入", False)
    body = {"playbook": "unauthorised_write", "reason": "as proposed"}
    tasks = done(client.post(f"/api/incidents/{number}/playbooks", json=body), 201)
    assert len(tasks) == len(built_in()["unauthorised_write"].tasks)
    assert refused(client.post(f"/api/incidents/{number}/playbooks", json=body)) == "playbook_begun"
    assert refused(client.post(f"/api/incidents/{number}/playbooks", json={**body, "playbook": "none"})) == "playbook_unknown"
    assert client.get(f"/api/incidents/{number}/playbooks").json()[0]["begun"]
    first = tasks[0]
    assert (first["title"], first["state"], first["mandatory"], first["overdue"]) == (
        "Ask the shift what is going on",
        "open",
        True,
        False,
    )
    answer = act(client, number, "close", CLOSE)
    assert (refused(answer), "Ask the shift" in answer.json()["detail"]) == ("incident_gate", True)
    doing = done(step(client, first["id"], "move", {"to": "doing", "note": "calling"}))
    assert (doing["owner"], doing["state"]) == ("lin", "doing")
    assert refused(step(client, first["id"], "move", {"to": "doing", "note": "x"})) == "task_state"
    due = "2030-01-01T00:00:00Z"
    assert done(step(client, first["id"], "assignment", {"owner": "wu", "due_at": due}, "PUT"))["owner"] == "wu"
    for task in tasks:
        to = "done" if task["mandatory"] else "left_out"
        ended = done(step(client, task["id"], "move", {"to": to, "note": "as it should be"}))
        assert (ended["done_by"], ended["note"]) == ("lin", "as it should be")
    assert refused(step(client, first["id"], "assignment", {"owner": "wu", "due_at": None}, "PUT")) == "task_state"
    extra = {"title": "Photograph the cabinet", "mandatory": True, "due_at": due}
    by_hand = done(client.post(f"/api/incidents/{number}/tasks", json=extra), 201)
    done(step(client, by_hand["id"], "move", {"to": "left_out", "note": "not possible"}))
    gated = act(client, number, "close", CLOSE)
    assert (refused(gated), "Photograph" in gated.json()["detail"]) == ("incident_gate", True), "left out is not done"
    override = CLOSE | {"override": "The cabinet burnt."}
    assert refused(act(client, number, "close", override)) == "forbidden"
    done(act(system_running.signed_in("administrator"), number, "close", override))
    told = [line for line in lines(client, number) if line["kind"] == "gate_overridden"]
    (kept,) = told[0]["detail"]["open"]
    assert (told[0]["note"], kept["kind"], kept["title"]["en"], kept["state"]) == (
        "The cabinet burnt.", "task", "Photograph the cabinet", "left_out",
    )  # fmt: skip
    assert refused(step(client, first["id"], "move", {"to": "open", "note": "x"})) == "incident_closed"
    done_line = next(line for line in lines(client, number, "zh-CN") if line["kind"] == "task_done")
    assert done_line["text"] == "任务完成：询问当班人员"


def test_tasks_and_lessons_are_of_who_may_work_on_incidents_of_the_site_and_of_nobody_else(system_running: Running) -> None:
    with system_running.services.database.write() as session:
        upserts.apply(session, [upsert(1)], "north")
    lin = system_running.signed_in("responder", name="lin")
    system_running.signed_in("engineer", "wang", frozenset({"north"}))
    system_running.signed_in("operator", "zhao", frozenset({"south"}))
    system_running.signed_in("viewer", "qian")
    system_running.signed_in("operator", "sun")
    with system_running.services.database.write() as session:
        session.execute(sa.update(User).where(User.name == "sun").values(disabled_at=1))
    number = declare(lin, alerts=[alert_id(1)], lead="wang")["number"]
    path, due = f"/api/incidents/{number}", "2030-01-01T00:00:00Z"
    assert lin.get(f"{path}/assignees").json() == ["lin", "wang"]
    begun = done(lin.post(f"{path}/playbooks", json={"playbook": "network_scanned", "reason": "x"}), 201)
    assert {each["owner"] for each in begun} == {None}
    made = done(lin.post(f"{path}/tasks", json={"title": "Look", "owner": " Wang "}), 201)
    assert made["owner"] == "wang"
    before = lines(lin, number)
    for name in ("zhao", "qian", "sun", "wu.jnu"):
        by_hand = lin.post(f"{path}/tasks", json={"title": "Look", "owner": name})
        given = step(lin, made["id"], "assignment", {"owner": name, "due_at": due}, "PUT")
        assert [(answer.status_code, refused(answer)) for answer in (by_hand, given)] == [(422, "assignee_unfit")] * 2, name
    assert lines(lin, number) == before
    assert done(step(lin, made["id"], "assignment", {"owner": "LIN", "due_at": due}, "PUT"))["owner"] == "lin"
    assert done(step(lin, made["id"], "assignment", {"owner": None, "due_at": due}, "PUT"))["owner"] is None
    assert refused(system_running.signed_in("viewer").get(f"{path}/assignees")) == "forbidden"


def test_an_overdue_task_is_told_once_and_again_when_it_has_another_time(system_running: Running) -> None:
    client = system_running.signed_in("responder", name="lin")
    system_running.signed_in("operator", "wu")
    number = declare(client, **PHONE)["number"]
    due = parse("2030-01-01T00:00:00Z")
    made = done(client.post(f"/api/incidents/{number}/tasks", json={"title": "Look", "due_at": "2030-01-01T00:00:00Z"}), 201)
    services = system_running.services
    assert [tick(services, due + late) for late in (-1, 0, 5, -1, 9)] == [0, 1, 0, 0, 0]
    done(step(client, made["id"], "assignment", {"owner": "wu", "due_at": "2031-01-01T00:00:00Z"}, "PUT"))
    assert tick(services, due + 366 * 86_400 * NANOSECONDS) == 1
    assert kinds(client, number).count("task_overdue") == 2
    done(client.post(f"/api/incidents/{number}/tasks", json={"title": "Late", "due_at": "2031-01-01T00:00:00Z"}), 201)
    done(act(client, number, "close", CLOSE | {"disposition": "false_positive"}))
    assert [tick(services, due + 366 * 86_400 * NANOSECONDS) for _ in range(2)] == [0, 0], (
        "nothing is to be done about what is over"
    )
    assert kinds(client, number).count("task_overdue") == 2
    done(act(system_running.signed_in("administrator"), number, "reopen", {"reason": "it goes on"}))
    assert [tick(services, due + 366 * 86_400 * NANOSECONDS) for _ in range(2)] == [2, 0], "and now it is to be done"
    assert kinds(client, number).count("task_overdue") == 4
    assert refused(client.get("/api/tasks/999")) == "task_unknown"
    assert (
        refused(client.put(f"/api/tasks/{made['id']}/assignment", json={"owner": None, "due_at": None}))
        == "precondition_required"
    )
    assert refused(step(system_running.signed_in("viewer"), made["id"], "move", {"to": "done", "note": "x"})) == "forbidden"


def test_a_playbook_goes_out_and_in_through_the_api_and_replaces_the_one_of_its_key(system_running: Running) -> None:
    client = system_running.signed_in("responder", name="lin")
    out = client.get("/api/playbooks/sensor_blind/cacao").json()
    assert client.get("/api/playbooks/sensor_blind").json()["origin"] == "product"
    out["playbook_extensions"][cacao.EXTENSION]["playbook"]["title"]["en"] = "Sensor blind, as we do it"
    assert refused(client.post("/api/playbooks", json={"playbook": out})) == "precondition_required"
    seen = {"If-Match": client.get("/api/playbooks/sensor_blind").headers["ETag"]}
    answer = client.post("/api/playbooks", json={"playbook": out}, headers=seen)
    taken = done(answer, 201)
    assert (taken["origin"], taken["version"], taken["title"]) == ("site", 2, "Sensor blind, as we do it")
    taken_etag = answer.headers["ETag"]
    assert refused(client.post("/api/playbooks", json={"playbook": out}, headers=seen)) == "precondition_failed"
    assert client.get("/api/playbooks/sensor_blind").headers["ETag"] == answer.headers["ETag"]
    listed = {each["key"]: each for each in client.get("/api/playbooks").json()}
    assert (len(listed), listed["sensor_blind"]["version"]) == (len(built_in()), 2)
    other = done(client.post("/api/playbooks", json={"playbook": OF_OTHERS}), 201)
    assert client.get(f"/api/playbooks/{other['key']}").json()["tasks"][2]["phase"] == "containing"
    answer = client.post("/api/playbooks", json={"playbook": {"type": "playbook"}})
    assert refused(answer) == "playbook_unfit"
    assert refused(system_running.signed_in("operator").post("/api/playbooks", json={"playbook": out})) == "forbidden"
    number = declare(client, **PHONE)["number"]
    begun = done(client.post(f"/api/incidents/{number}/playbooks", json={"playbook": other["key"], "reason": "x"}), 201)
    assert [task["title"] for task in begun] == ["Look", "if-condition", "Block", "Tell"]
    # What was brought in can be taken out, and is in the audit trail.
    assert refused(client.delete("/api/playbooks/sensor_blind")) == "precondition_required"
    assert refused(client.delete("/api/playbooks/data_theft", headers={"If-Match": "*"})) == "playbook_of_product"
    for key, etag in (("sensor_blind", taken_etag), (other["key"], '"1"')):
        assert client.delete(f"/api/playbooks/{key}", headers={"If-Match": etag}).status_code == 204
    assert client.get("/api/playbooks/sensor_blind").json()["origin"] == "product"
    # What somebody saw of one is never the next, which nobody saw.
    taken = done(client.post("/api/playbooks", json={"playbook": OF_OTHERS}), 201)
    assert refused(client.delete(f"/api/playbooks/{other['key']}", headers={"If-Match": '"1"'})) == "precondition_failed"
    assert client.delete(f"/api/playbooks/{other['key']}", headers={"If-Match": f'"{taken["version"]}"'}).status_code == 204
    assert len(client.get("/api/playbooks").json()) == len(built_in())
    assert refused(client.get(f"/api/playbooks/{other['key']}")) == "playbook_unknown"
    assert client.get(f"/api/incidents/{number}/tasks").json() == begun
    asked = {"action": "playbook.bring_in", "subject": "sensor_blind"}
    trail = system_running.signed_in("administrator").get("/api/audit", params=asked).json()["items"]
    assert trail[-1]["detail"]["content"]["title"]["en"] == "Sensor blind, as we do it"


@SQLITE_ONLY
def test_who_is_limited_to_a_site_changes_no_playbook_of_all(system_running: Running) -> None:
    limited = system_running.signed_in("responder", sites=frozenset({""}))
    assert refused(limited.post("/api/playbooks", json={"playbook": OF_OTHERS})) == "forbidden"


@SQLITE_ONLY
def test_a_long_playbook_of_others_is_taken_in(system_running: Running) -> None:
    client = system_running.signed_in("responder", name="lin")
    given = copy.deepcopy(OF_OTHERS)
    for place in (LOOK, TELL):
        given["workflow"][place]["description"] = "关" * 19_000
    assert len(json.dumps(given)) > 2 * client_limit(system_running)
    made = done(client.post("/api/playbooks", json={"playbook": given}), 201)
    out = client.get(f"/api/playbooks/{made['key']}/cacao").json()
    back = client.post("/api/playbooks", json={"playbook": out}, headers={"If-Match": "*"})
    assert done(back, 201)["tasks"] == made["tasks"]
    too_long = client.post("/api/playbooks", json={"playbook": {"type": "x" * 2_100_000}})
    assert refused(too_long) == "body_too_large"


def client_limit(system_running: Running) -> int:
    return system_running.services.settings.body_bytes


def test_a_file_of_a_playbook_is_named_for_its_key() -> None:
    for path in (Path(__file__).parents[2] / "api" / "playbooks" / "built_in").glob("*.yml"):
        assert yaml.safe_load(path.read_text("utf-8"))["key"] == path.stem


def test_a_text_that_nothing_can_hold_is_refused_wherever_it_stands_in_a_playbook() -> None:
    for place in ("title", "text"):
        written = cacao.write(built_in()["network_scanned"], "en")
        step = next(each for each in written["workflow"].values() if each["type"] == "action")
        step["step_extensions"][cacao.EXTENSION]["task"][place]["en"] = "x\ud800"
        with pytest.raises(cacao.CacaoError):
            cacao.read(written)
    for name, value in (("summary", {"en": "\ud800", "zh-CN": "x"}), ("rules", ["\ud800"]), ("categories", ["\0"])):
        written = cacao.write(built_in()["network_scanned"], "en")
        written["playbook_extensions"][cacao.EXTENSION]["playbook"][name] = value
        with pytest.raises(cacao.CacaoError):
            cacao.read(written)


def test_a_text_that_is_there_already_is_told_all_the_same(system_running: Running) -> None:
    client = system_running.signed_in("responder", name="lin")
    number = declare(client, **PHONE)["number"]
    entry = {"title": {"en": "x\ud800", "zh-CN": "x"}}
    with system_running.services.database.write() as session:
        service.audit.record(session, service.audit.Actor("lin"), "incident.task_overdue", str(number), entry)
    trail = system_running.signed_in("administrator").get("/api/audit", params={"action": "incident.task_overdue"}).json()
    assert trail["items"][0]["detail"] == {"title": {"en": "x\ufffd", "zh-CN": "x"}}
