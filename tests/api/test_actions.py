"""Actions in the plant: two people approve, people carry out, traffic verifies."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, cast

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.actions import lifecycle, proof, routes, service, sight
from api.actions.schemas import ProposeInput, Silence
from api.audit.service import Actor
from api.incidents import service as incidents
from api.problems import Problem
from api.times import NANOSECONDS, iso, now
from api.users import service as users
from collector.records import decode
from sensor.spool_format import BatchHeader
from tests.api.alerts import upsert
from tests.api.conftest import SQLITE_ONLY
from tests.api.looks import tick
from tests.api.test_incidents import CLOSE, PHONE, act, declare, done, kinds, lines, refused
from tests.batches import EPOCH, encode, sample

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

    from api.database import Database
    from api.security.permissions import Role
    from tests.api.conftest import Running

SAFETY = {
    "process_state": "Line 4 in manual", "safety_system": "healthy", "manual_fallback": "V-401 by hand",
    "flows_to_preserve": "HMI to PLC", "rollback": "open port 12 again",
}  # fmt: skip
MINUTE = 60 * NANOSECONDS
WRITER, PLC, HMI = "10.0.0.9", "10.0.1.1", "10.0.0.5"
PROOF = {"kind": "silent_writer", "client": WRITER, "server": PLC, "minutes": 30}
NOTE = {"note": "as it should be"}


@pytest.fixture(autouse=True)
def _one_site(request: pytest.FixtureRequest) -> None:
    if "system_running" in request.fixturenames:
        system_running: Running = request.getfixturevalue("system_running")
        system_running.alerts(upsert(900, rule="posture"))


def body(**fields: Any) -> dict[str, Any]:
    window = {"window_from": "-2h", "window_until": iso(now() + 60 * MINUTE)}
    return {"title": "Close port 12", "safety": SAFETY, "reason": "it goes on writing", **window, **fields}


def step(client: httpx.Client, identity: int, what: str, given: dict[str, Any] = NOTE) -> httpx.Response:
    path = f"/api/actions/{identity}"
    return client.post(f"{path}/{what}", json=given, headers={"If-Match": client.get(path).headers["ETag"]})


def propose(client: httpx.Client, **fields: Any) -> tuple[int, int]:
    """The number of a new incident, and the id of an action that is proposed for it."""
    number = declare(client, **PHONE)["number"]
    return number, done(client.post(f"/api/incidents/{number}/actions", json=body(**fields)), 201)["id"]


def approved(system: Running, **fields: Any) -> tuple[int, int]:
    responder, engineer = system.signed_in("responder"), system.signed_in("engineer")
    number, identity = propose(responder, **fields)
    done(step(responder, identity, "security"))
    done(step(engineer, identity, "operations"))
    return number, identity


def test_nothing_is_carried_out_that_two_people_have_not_approved(system_running: Running) -> None:
    lin, wu = system_running.signed_in("responder", name="lin"), system_running.signed_in("engineer", name="wu")
    number, identity = propose(lin)
    assert refused(step(lin, identity, "execute")) == "action_state"
    assert refused(step(wu, identity, "security")) == "forbidden"
    assert refused(step(wu, identity, "operations")) == "action_state", "security comes first"
    assert done(step(lin, identity, "security"))["security_by"] == "lin"
    assert refused(step(lin, identity, "operations")) == "forbidden"
    assert refused(step(lin, identity, "execute")) == "action_state"
    ready = done(step(wu, identity, "operations"))
    assert (ready["state"], ready["operations_by"], ready["safety"]) == ("operations_approved", "wu", SAFETY)
    gated = act(lin, number, "close", CLOSE)
    assert (refused(gated), "Close port 12" in gated.json()["detail"]) == ("incident_gate", True)
    assert refused(step(lin, identity, "execute", {**NOTE, "at": "-30m"})) == "action_window", "not before it was approved"
    assert done(step(lin, identity, "execute"))["state"] == "executing"
    assert refused(step(lin, identity, "verify")) == "verifier_executed", "traffic cannot show it: another person says so"
    assert done(step(wu, identity, "verify"))["moves"][-1]["by"] == "wu"
    ended = done(step(lin, identity, "roll-back"))
    assert [(move["state"], move["by"], move["note"]) for move in ended["moves"]] == [
        ("proposed", "lin", "it goes on writing"), ("security_approved", "lin", NOTE["note"]),
        ("operations_approved", "wu", NOTE["note"]), ("executing", "lin", NOTE["note"]), ("verified", "wu", NOTE["note"]),
        ("rolled_back", "lin", NOTE["note"]),
    ]  # fmt: skip
    assert refused(lin.post(f"/api/actions/{identity}/fail", json=NOTE)) == "precondition_required"
    assert refused(lin.post(f"/api/actions/{identity}/fail", json=NOTE, headers={"If-Match": '"1"'})) == "precondition_failed"
    told = [kind for kind in kinds(lin, number) if kind.startswith("action_")]
    steps = ["proposed", "security_approved", "operations_approved", "executing", "verified", "rolled_back"]
    assert told == [f"action_{each}" for each in steps]
    assert lines(lin, number, "zh-CN")[1]["text"] == "提出动作：Close port 12"
    audited = system_running.signed_in("administrator").get("/api/audit", params={"limit": 500}).json()["items"]
    assert {f"incident.action_{each}" for each in steps} <= {entry["action"] for entry in audited}
    assert refused(lin.get("/api/actions/999")) == "action_unknown"


def test_whoever_is_limited_to_another_site_meets_no_action(system_running: Running) -> None:
    number, identity = propose(system_running.signed_in("responder"))
    stranger = system_running.signed_in("responder", sites=frozenset({"elsewhere"}))
    assert refused(stranger.get(f"/api/actions/{identity}")) == "action_unknown"
    assert refused(stranger.get(f"/api/incidents/{number}/actions")) == "incident_unknown"
    answer = stranger.post(f"/api/actions/{identity}/security", json=NOTE, headers={"If-Match": "*"})
    assert refused(answer) == "action_unknown"


def test_one_person_who_changes_the_role_is_still_one_person(system_running: Running) -> None:
    system_running.signed_in("administrator")
    lin, wu = system_running.signed_in("responder", name="lin"), system_running.signed_in("engineer", name="wu")
    _, identity = propose(lin)
    done(step(lin, identity, "security"))
    give(system_running, "lin", "engineer")
    assert refused(step(system_running.sign_in("lin"), identity, "operations")) == "approver_same"
    lapsed = step(wu, identity, "operations")
    assert (refused(lapsed), "lin" in lapsed.json()["detail"]) == ("approval_lapsed", True)
    assert done(step(wu, identity, "withdraw"))["state"] == "rejected"


def test_an_approval_does_not_outlive_the_right_to_give_it(system_running: Running) -> None:
    system_running.signed_in("administrator")
    _, identity = approved(system_running)
    chen = system_running.signed_in("operator", name="chen")
    told = chen.get(f"/api/actions/{identity}").json()
    give(system_running, told["operations_by"], "engineer", frozenset({"elsewhere"}))
    assert refused(step(chen, identity, "execute")) == "approval_lapsed"
    give(system_running, told["operations_by"], "administrator")
    disable(system_running, told["security_by"])
    assert refused(step(chen, identity, "execute")) == "approval_lapsed"
    assert chen.get(f"/api/actions/{identity}").json()["state"] == "operations_approved"


def give(system: Running, name: str, role: Role, sites: frozenset[str] | None = None) -> None:
    with system.services.database.write() as session:
        user = users.account(session, name)
        assert user is not None
        users.change(session, Actor("test"), user.id, users.Rights(role, sites), "*")


def disable(system: Running, name: str) -> None:
    with system.services.database.write() as session:
        user = users.account(session, name)
        assert user is not None
        users.disable(session, Actor("test"), user.id, "*")


def test_an_action_needs_all_of_its_safety_context_and_a_window(system_running: Running) -> None:
    client = system_running.signed_in("responder")
    number = declare(client, **PHONE)["number"]
    path = f"/api/incidents/{number}/actions"
    for name in SAFETY:
        for value in (None, " "):
            assert refused(client.post(path, json=body(safety={**SAFETY, name: value}))) == "input_invalid"
    assert refused(client.post(path, json=body(window_until="-1h"))) == "action_window"
    assert refused(client.post(path, json=body(window_from="-1h", window_until="-2h"))) == "input_invalid"
    assert refused(client.post(path, json=body(proof={**PROOF, "client": "somebody"}))) == "input_invalid"
    assert refused(system_running.signed_in("viewer").post(path, json=body())) == "forbidden"


def test_an_action_is_rejected_by_whom_it_waits_for_taken_back_or_expires(system_running: Running) -> None:
    lin, wu = system_running.signed_in("responder", name="lin"), system_running.signed_in("engineer", name="wu")
    number, identity = propose(lin)
    assert refused(step(system_running.signed_in("operator"), identity, "reject")) == "forbidden"
    assert done(step(wu, identity, "reject"))["state"] == "rejected"
    for what in ("security", "withdraw", "execute", "verify", "fail", "roll-back"):
        assert refused(step(lin, identity, what)) == "action_state"
    _, other = approved(system_running)
    assert done(step(lin, other, "withdraw"))["state"] == "rejected"
    _, third = approved(system_running)
    services = system_running.services
    _, fourth = propose(lin)
    late = 60 + service.TOLD_SECONDS // 60
    # What both approved may have been carried out in its window, and is told until then.
    assert [tick(services, now() + after * MINUTE) for after in (50, 70, 70, late - 1, late + 1)] == [0, 1, 0, 0, 1]
    assert [lin.get(f"/api/actions/{each}").json()["state"] for each in (third, fourth)] == ["expired", "expired"]
    assert refused(step(lin, third, "execute")) == "action_state"
    done(act(lin, number, "close", CLOSE))


def test_what_was_done_in_its_window_can_be_told_after_it_whatever_the_clock_said_at_the_approval(
    system_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    lin = system_running.signed_in("operator")
    _, ahead = approved(system_running)
    _, identity = approved(system_running)
    in_time = now()
    with system_running.services.database.write() as session:
        for each in (ahead, identity):
            found, _ = service.get(session, each)
            found.operations_at = in_time + 400 * MINUTE if each == ahead else in_time - MINUTE
    assert done(step(lin, ahead, "execute"))["state"] == "executing"
    monkeypatch.setattr(service, "now", lambda: in_time + 63 * MINUTE)
    assert tick(system_running.services, in_time + 63 * MINUTE) == 0
    assert refused(step(lin, identity, "execute")) == "action_window"
    told = done(step(lin, identity, "execute", {**NOTE, "at": iso(in_time)}))
    assert (told["state"], told["executed_at"]) == ("executing", iso(in_time))


def test_nothing_is_approved_or_carried_out_in_a_closed_incident(system_running: Running) -> None:
    lin = system_running.signed_in("responder", name="lin")
    number, waiting = propose(lin)
    ready = done(lin.post(f"/api/incidents/{number}/actions", json=body()), 201)["id"]
    done(step(lin, ready, "security"))
    done(step(system_running.signed_in("engineer"), ready, "operations"))
    boss = system_running.signed_in("administrator")
    done(act(boss, number, "close", {**CLOSE, "override": "the plant stands still"}))
    assert refused(step(lin, waiting, "security")) == "incident_closed"
    assert refused(step(lin, ready, "execute")) == "incident_closed"
    assert done(step(lin, ready, "withdraw"))["state"] == "rejected"


PEOPLE: Final[dict[str, Role]] = {"lin": "responder", "wu": "engineer", "chen": "administrator", "zhao": "operator"}
DEEDS: Final[tuple[str, ...]] = (
    "approve_security", "approve_operations", "reject", "withdraw", "execute", "verify", "fail", "roll_back", "expire",
    "responder", "engineer", "administrator", "operator", "disable",
)  # fmt: skip


SOME: Final = st.lists(st.tuples(st.sampled_from(list[str](DEEDS)), st.sampled_from(list(PEOPLE))), max_size=3)
WAY: Final[tuple[str, ...]] = ("approve_security", "approve_operations", "execute")


@st.composite
def what_happens(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Deeds of people: the way to an action that is carried out, or parts of it, whoever goes it, and whatever comes between."""
    found: list[tuple[str, str]] = draw(SOME)
    for deed in WAY:
        found += [(deed, draw(st.sampled_from(list(PEOPLE)))), *draw(SOME)]
    return found


class UndoneError(Exception):
    """Ends a transaction that nothing is to be left of."""


@SQLITE_ONLY
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(what_happens())
def test_whatever_people_do_and_become_nothing_is_carried_out_that_two_of_them_do_not_stand_for(
    database: Database, deeds: list[tuple[str, str]]
) -> None:
    with suppress(UndoneError), database.write() as session:
        everybody: dict[str, Role] = {**PEOPLE, "root": "administrator"}
        for name, role in everybody.items():
            users.create(session, Actor("test"), name, "x", users.Rights(role))
        incident = incidents.made(session, Actor("lin"), incidents.Start("Writes", "", now()))
        made = service.propose(session, incident, ProposeInput.model_validate(body()), Actor("lin"))
        may: dict[str, str | None] = dict(PEOPLE)
        for deed, name in deeds:
            before, version = made.state, made.version
            with suppress(Problem), session.begin_nested():
                _do(session, made, incident, deed, name)
            if deed in PEOPLE.values() or deed == "disable":
                user = users.account(session, name)
                may[name] = None if user is None else user.role
            told = [move["state"] for move in made.moves]
            assert (told[-1], made.version) == (made.state, len(told))
            if made.state != before:
                assert (before, made.state) in {pair for leads in lifecycle.STEPS.values() for pair in leads.items()}
                assert made.version == version + 1
            if made.state != before and made.state.endswith("_approved"):
                assert may[name] in ({"responder"} if made.state == "security_approved" else {"engineer", "administrator"})
            if made.state == "executing" and before != "executing":
                assert told == ["proposed", "security_approved", "operations_approved", "executing"]
                first, second = (move["by"] for move in made.moves[1:3])
                assert first != second
                assert may[first] == "responder"
                assert may[second] in {"engineer", "administrator"}
        raise UndoneError


def _do(session: Any, made: Any, incident: Any, deed: str, name: str) -> None:
    who = Actor(name)
    user = users.account(session, name)
    if deed in PEOPLE.values():
        if user is not None:
            users.change(session, Actor("test"), user.id, users.Rights(cast("Role", deed)), "*")
    elif deed == "disable":
        if user is not None:
            users.disable(session, Actor("test"), user.id, "*")
    elif deed == "expire":
        service.expire(session, made.id, now() + 120 * MINUTE)
    elif deed == "execute":
        service.execute(session, made, incident, who, "x", None)
    elif deed == "verify":
        service.verify(session, made, who, "x", None, False, "")
    elif deed == "fail":
        service.fail(session, made, who, "x", None)
    elif deed in {"withdraw", "roll_back"}:
        getattr(service, deed)(session, made, who, "x")
    else:
        getattr(service, deed)(session, made, incident, who, "x")


class Tape:
    """What a run of a sensor records, batch by batch."""

    def __init__(self, system: Running, sensor: str = "local", writer: str = WRITER, plc: str = PLC) -> None:
        self.system, self.sensor, self.writer, self.plc = system, sensor, writer, plc
        self.epoch, self.sequence, self.packets, self.lost = EPOCH, 0, 0, 0
        self._batches: list[Any] = []

    def add(self, table: str, columns: dict[str, Any]) -> None:
        header = BatchHeader(self.sensor, self.epoch, self.sequence, table, len(columns["ts"]))
        self._batches.append(decode(header, encode(header, columns)))
        self.sequence += 1

    def watch(self, since: int, until: int, *, packets: int = 100, lost: int = 0, server: str = "") -> None:
        """The sensor reports every 10 s, and sees the operators' station talk to the controller, or another server."""
        for start in range(since, until, MINUTE):
            times = [time for time in range(start, start + MINUTE, 10 * NANOSECONDS) if time <= until]
            counts = [self.packets + packets * place for place in range(len(times))]
            self.packets = counts[-1] + packets
            drops = [{"name": "packet_truncated", "count": time // MINUTE} for time in times]
            missed = [{"name": "capture_dropped:eth0", "count": self.lost + lost}]
            self.lost += lost
            self.flow(start, HMI, server or self.plc)
            self.add("sensor", {"ts": times, "sensor.packets": counts, "sensor.drops": [[each, *missed] for each in drops]})

    def flow(self, at: int, client: str, server: str, began: int | None = None, columns: Mapping[str, Any] | None = None) -> None:
        """A conversation as it is told at a time."""
        began = at if began is None else began
        given = {
            "network.application": "modbus", "flow.state": "established", "flow.bytes_out": 10, "flow.packets_out": 1,
            "flow.packets_in": 1, "flow.duration": at - began, **(columns or {}),
        }  # fmt: skip
        told = {name: [value] for name, value in given.items()}
        self.add("flow", {"ts": [began], "client.ip": [client], "server.ip": [server], **told})

    def one(self, table: str, at: int, **columns: Any) -> None:
        """One record of what the writer does to the controller."""
        told = {name: [value] for name, value in columns.items()}
        self.add(table, {"ts": [at], "client.ip": [self.writer], "server.ip": [self.plc], **told})

    def writes(self, at: int, access: str = "write", client: str = "") -> None:
        columns = dict(sample("modbus", 3, start=at))
        columns |= {"client.ip": [client or self.writer] * 3, "server.ip": [self.plc] * 3, "modbus.access": [access] * 3}
        self.add("modbus", columns)

    def store(self) -> None:
        self.system.services.records.append(self._batches)
        self._batches = []


def _silent(tape: Tape, at: int, end: int) -> None:
    tape.watch(at, end)


def _active(tape: Tape, at: int, end: int) -> None:
    tape.watch(at, end)
    tape.writes(end - 5 * MINUTE)


def _acted_before_the_last_half_hour(tape: Tape, at: int, end: int) -> None:
    tape.watch(at, end)
    tape.writes(at + 5 * MINUTE)
    tape.writes(end - MINUTE, access="read")
    tape.writes(end - MINUTE, client="10.0.0.8")


def _calls(tape: Tape, at: int, end: int) -> None:
    tape.watch(at, end)
    tape.one("opcua_item", end - MINUTE, **{"opcua.kind": "call"})


def _stops(tape: Tape, at: int, end: int) -> None:
    tape.watch(at, end - 10 * MINUTE)


def _pauses(tape: Tape, at: int, end: int) -> None:
    tape.watch(at, end - 10 * MINUTE)
    tape.watch(end - 9 * MINUTE, end)


def _restarts(tape: Tape, at: int, end: int) -> None:
    tape.watch(at, end - 10 * MINUTE)
    tape.store()
    tape.epoch, tape.sequence, tape.packets = "f" * 32, 0, 0
    tape.watch(end - 10 * MINUTE, end)


def _drops(tape: Tape, at: int, end: int) -> None:
    tape.watch(at, end - 5 * MINUTE)
    tape.watch(end - 5 * MINUTE, end, lost=1)


def _loses_a_batch(tape: Tape, at: int, end: int) -> None:
    tape.watch(at, end - 5 * MINUTE)
    tape.sequence += 1
    tape.watch(end - 5 * MINUTE, end)


def _hears_nothing(tape: Tape, at: int, end: int) -> None:
    tape.watch(at, end - 5 * MINUTE)
    tape.watch(end - 5 * MINUTE, end, packets=0)


def _looks_elsewhere(tape: Tape, at: int, end: int) -> None:
    tape.watch(at, end, server="10.99.0.1")


def _speaks_in_secret(tape: Tape, at: int, end: int) -> None:
    tape.watch(at, end)
    tape.flow(end - 5 * MINUTE, tape.writer, tape.plc, began=at - 60 * MINUTE, columns={"network.application": "tls"})


def _speaks_encrypted(tape: Tape, at: int, end: int) -> None:
    tape.watch(at, end)
    tape.one("opcua", end - MINUTE, **{"opcua.encrypted": True})


def _speaks_the_vendors_language(tape: Tape, at: int, end: int) -> None:
    tape.watch(at, end)
    tape.writes(end - MINUTE, access="other")


SCENES: Final[dict[Callable[[Tape, int, int], None], tuple[str, ...]]] = {
    _silent: ("silent",),
    _active: ("broken",),
    _acted_before_the_last_half_hour: ("silent",),
    _calls: ("broken",),
    _stops: ("blind", "behind"),
    _pauses: ("blind", "paused"),
    _restarts: ("blind", "restarted"),
    _drops: ("blind", "lost"),
    _loses_a_batch: ("blind", "lost"),
    _hears_nothing: ("blind", "deaf"),
    _looks_elsewhere: ("blind", "out_of_sight"),
    _speaks_in_secret: ("blind", "unreadable"),
    _speaks_the_vendors_language: ("blind", "unreadable"),
    _speaks_encrypted: ("blind", "unreadable"),
}
"""What happens after an action, and what is said of it."""


def look(tape: Tape, at: int, kind: str = "silent_writer", server: str | None = None) -> tuple[str, ...]:
    """The verdict, and the reasons of doubts."""
    silence = Silence.model_validate({"kind": kind, "client": tape.writer, "server": server, "minutes": 30})
    judged = proof.look(tape.system.services, "", silence, at, now())
    return judged.verdict, *(doubt.reason for doubt in judged.doubts)


@SQLITE_ONLY
def test_silence_is_believed_only_where_the_sensor_that_saw_it_before_has_watched(system_running: Running) -> None:
    end = now() - 20 * NANOSECONDS
    at = end - 40 * MINUTE
    other = Tape(system_running, "other")
    other.watch(at - 10 * MINUTE, end)
    other.store()
    found: dict[Any, tuple[str, ...]] = {}
    for number, happens in enumerate(SCENES):
        tape = Tape(system_running, f"sensor-{number}", f"10.{number}.0.9", f"10.{number}.0.1")
        assert look(tape, at, server=tape.plc) == ("blind", "never_seen"), "that others watched says nothing"
        tape.watch(at - 10 * MINUTE, at)
        tape.writes(at - 5 * MINUTE)
        happens(tape, at, end)
        tape.store()
        found[happens] = look(tape, at, server=tape.plc)
    assert found == SCENES


@SQLITE_ONLY
def test_a_host_is_not_silent_while_a_conversation_from_before_goes_on(system_running: Running) -> None:
    end = now() - 20 * NANOSECONDS
    at = end - 40 * MINUTE
    tape = Tape(system_running)
    tape.watch(at - 10 * MINUTE, at)
    tape.flow(at - MINUTE, WRITER, "10.0.7.7", began=at - 90 * MINUTE)
    tape.watch(at, end)
    # Others go on calling it, and it does not answer.
    tape.flow(end - MINUTE, HMI, WRITER, columns={"flow.state": "attempt", "flow.packets_in": 0})
    tape.store()
    assert look(tape, at, "silent_host") == ("silent",)
    tape.flow(end - MINUTE, WRITER, "10.0.7.7", began=at - 90 * MINUTE)
    tape.store()
    assert look(tape, at, "silent_host") == ("broken",)
    assert look(tape, at, "silent_host", HMI) == ("blind", "never_seen")


def carried_out(system: Running, at: int) -> tuple[int, int, httpx.Client]:
    """Number and id of an action that was carried out at a time, and who did."""
    number, identity = approved(system, proof=PROOF)
    with system.services.database.write() as session:
        found, _ = service.get(session, identity)
        found.operations_at = at - MINUTE
    doer = system.signed_in("operator")
    done(step(doer, identity, "execute", {**NOTE, "at": iso(at)}))
    return number, identity, doer


@SQLITE_ONLY
def test_an_action_is_verified_by_traffic_and_by_nobody_against_it(system_running: Running) -> None:
    end = now() - 20 * NANOSECONDS
    at = end - 40 * MINUTE
    number, identity, doer = carried_out(system_running, at)
    other = system_running.signed_in("responder")
    path = f"/api/actions/{identity}"
    blind = step(doer, identity, "verify")
    assert (refused(blind), "no sensor saw it" in blind.json()["detail"]) == ("proof_blind", True)
    assert refused(step(doer, identity, "verify", {**NOTE, "vouched": True})) == "verifier_executed"
    tape = Tape(system_running)
    tape.watch(at - 10 * MINUTE, at)
    tape.writes(at - 5 * MINUTE)
    tape.watch(at, end)
    tape.store()
    told = done(doer.get(f"{path}/verdict", params={"language": "zh-CN"}))
    assert (told["verdict"], told["text"]) == ("silent", "已静默 30 分钟，期间 local 一直在监视。")
    assert doer.get(path).json()["verdict"] is None, "to look changes nothing"
    looked = system_running.signed_in("auditor").get("/api/audit", params={"action": "action.look"}).json()["items"]
    assert [(each["subject"], each["detail"]) for each in looked] == [(str(identity), {"verdict": "silent", "records": []})]
    verified = done(step(doer, identity, "verify"))
    assert (verified["state"], verified["verdict"]["verdict"], verified["verdict"]["sensors"]) == (
        "verified",
        "silent",
        ["local"],
    )
    assert lines(doer, number)[-1]["detail"]["verdict"]["verdict"] == "silent"
    tape.writes(end - MINUTE)
    tape.store()
    _, second, doer = carried_out(system_running, at)
    for said in (NOTE, {**NOTE, "vouched": True}):
        broken = step(other, second, "verify", said)
        assert (refused(broken), f"local/{EPOCH}/" in broken.json()["detail"]) == ("proof_broken", True)
    failed = done(step(other, second, "fail"))
    assert (failed["state"], failed["verdict"]["verdict"], len(failed["verdict"]["acts"])) == ("failed", "broken", 3)
    assert done(step(doer, second, "roll-back"))["verdict"]["verdict"] == "broken"
    _, third, doer = carried_out(system_running, now() - 10 * MINUTE)
    with system_running.services.database.write() as session:
        found, _ = service.get(session, third)
        assert found.proof is not None
        found.proof = {**found.proof, "server": "10.0.1.7"}
    assert refused(step(other, third, "verify", {**NOTE, "vouched": True})) == "proof_early"


@SQLITE_ONLY
def test_another_person_may_vouch_where_nobody_can_tell_and_that_stays_visible(
    system_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, identity, _ = carried_out(system_running, now() - 40 * MINUTE)
    verified = done(step(system_running.signed_in("responder"), identity, "verify", {**NOTE, "vouched": True}))
    assert (verified["state"], verified["verdict"]["verdict"]) == ("verified", "blind")
    # One that was carried out after somebody looked, and before he says that it holds.
    _, unseen, doer = carried_out(system_running, now() - 40 * MINUTE)

    def nothing(*given: object) -> None:
        del given

    with monkeypatch.context() as patched:
        patched.setattr(routes, "_look", nothing)
        assert refused(step(system_running.signed_in("responder"), unseen, "verify")) == "precondition_failed"
    assert doer.get(f"/api/actions/{unseen}").json()["state"] == "executing"
    assert verified["verdict"]["doubts"] == [{"reason": "never_seen", "sensor": None}]
    _, other = approved(system_running)
    assert refused(system_running.signed_in("responder").get(f"/api/actions/{other}/verdict")) == "proof_none"


def frame(minutes: list[int]) -> pl.DataFrame:
    times = sorted({minute * 10 * NANOSECONDS for minute in minutes})
    rows = {"at": times, "epoch": ["e"] * len(times), "sequence": range(len(times)), "packets": range(len(times)), "lost": 0}
    return pl.DataFrame(rows, schema_overrides=dict(sight.REPORTS)).select(sight.REPORTS.names())


@settings(deadline=None)
@given(st.lists(st.integers(0, 30), max_size=40), st.integers(0, 30), st.integers(1, 12))
def test_silence_is_told_only_of_a_time_without_a_hole(times: list[int], at: int, length: int) -> None:
    """Times in units of 10 s."""
    moment, span = 30 * 10 * NANOSECONDS, length * 10 * NANOSECONDS
    judged = sight.judge(sight.Seen((), {"one": frame(times)}), at * 10 * NANOSECONDS, moment, span)
    assert judged.verdict != "broken"
    if judged.verdict == "silent":
        last = max(times)
        assert last - length >= at
        assert last >= 30 - 12
        heard = [last - length, *sorted(each for each in set(times) if last - length <= each <= last)]
        assert all(later - earlier <= 3 for earlier, later in pairwise(heard))
    seen = sight.Seen(("x",), {"one": frame(times)})
    assert sight.judge(seen, at * 10 * NANOSECONDS, moment, span).verdict == "broken"
    assert sight.judge(sight.Seen(), 0, 31 * MINUTE, 30 * MINUTE).verdict == "blind"


def test_nothing_is_executed_but_what_both_approved() -> None:
    reached: dict[str, set[tuple[str, ...]]] = {"proposed": {()}}
    for _ in range(6):
        for state, ways in list(reached.items()):
            for name, leads in lifecycle.STEPS.items():
                after = {each: to for each, to in leads.items() if each == state}
                for to in after.values():
                    reached.setdefault(to, set()).update((*way, name) for way in ways if len(way) < 6)
    assert set(reached) == set(lifecycle.STATES)
    for way in reached["executing"]:
        assert way == ("approve_security", "approve_operations", "execute")
