"""The live stream: what changes arrives, what was missed is brought again, who is signed out hears nothing more."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.alerts import upserts
from api.alerts.models import Alert
from api.alerts.service import changed_since
from api.live.feed import Place, Seen
from api.problems import Problem
from api.sensors.service import health
from api.times import iso, now
from tests.api.alerts import part_of, upsert
from tests.api.conftest import both_back_ends

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    import httpx
    from sqlalchemy.orm import Session

    from api.sensors.schemas import Health
    from api.services import Services
    from detection.alerts import Alert as Revision
    from tests.api.conftest import Running

HOUR = 3600 * 10**9

Event = tuple[str, str, Any]


@contextmanager
def listening(
    client: httpx.Client, last: int | str | None = None, language: str = "en", without: str = "sensors"
) -> Generator[Iterator[Event]]:
    """The events of a stream, without those of one kind: name, id, data."""
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    with client.stream("GET", f"/api/live?language={language}", headers=headers) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        yield events(answer.iter_lines(), without)


def events(lines: Iterator[str], without: str) -> Iterator[Event]:
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "event" in fields:
            if fields["event"] != without:
                yield fields["event"], fields.get("id", ""), json.loads(fields["data"])
            fields = {}
        else:
            fields = {}


def change(identity: str) -> int:
    """The change of an alert that an event's identifier names."""
    return int(identity.partition("-")[0])


def test_an_alert_arrives_as_it_is_raised_and_as_it_changes(system_running: Running) -> None:
    client = system_running.signed_in()
    with listening(client, language="zh-CN") as stream:
        assert next(stream)[0] == "hello"
        system_running.alerts(upsert(1))
        name, identity, alert = next(stream)
        assert (name, change(identity), alert["title"]) == ("alert", 1, "告警 1")
        path = f"/api/alerts/{1:032x}"
        client.post(f"{path}/acknowledge", json={"note": "x"}, headers={"If-Match": client.get(path).headers["ETag"]})
        assert next(stream)[2]["triage"]["state"] == "triaging"


def test_a_listener_hears_that_a_stronger_alert_tells_one_now(system_running: Running) -> None:
    system_running.alerts(upsert(1), upsert(2))
    with listening(system_running.signed_in()) as stream:
        assert next(stream)[0] == "hello"
        system_running.alerts(part_of(1, stronger=2))
        name, _, alert = next(stream)
        assert (name, int(alert["id"], 16), alert["part_of"]) == ("alert", 1, f"{2:032x}")


def test_a_listener_hears_which_incidents_of_his_sites_have_changed(system_running: Running) -> None:
    responder = system_running.signed_in("responder")

    def declared(site: str) -> int:
        body = {"title": "x", "reported_by": "Shift B", "site": site}
        return responder.post("/api/incidents", json=body).json()["number"]

    with system_running.services.database.write() as session:
        upserts.apply(session, [upsert(1)], "pumps")
        upserts.apply(session, [upsert(2)], "tanks")
    before = declared("pumps")
    with listening(system_running.signed_in("viewer", sites=frozenset({"pumps"}))) as stream:
        assert next(stream)[0] == "hello"
        declared("tanks")
        number = declared("pumps")
        name, _, told = next(stream)
        assert (name, told) == ("incidents", {"numbers": [number]})
        # What belongs to one is told as a change of it, and each change once.
        line = {"at": "-1m", "text": "x", "source": "y"}
        assert responder.post(f"/api/incidents/{before}/timeline", json=line).status_code == 201
        assert next(stream)[2] == {"numbers": [before]}


def raised(served: Running, *given: Revision) -> None:
    """Alerts of the site "pumps" as the stream would bring them."""
    with served.services.database.write() as session:
        upserts.apply(session, given, "pumps")
    served.services.hub.notify()


def with_token(served: Running, *permissions: str) -> httpx.Client:
    """A program that may do so much."""
    asked = {"name": "history server", "permissions": permissions, "days": 1}
    answer = served.signed_in("responder").post("/api/tokens", json=asked)
    assert answer.status_code == 201, answer.text
    client = served.client()
    client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
    return client


def declare(client: httpx.Client) -> int:
    answer = client.post("/api/incidents", json={"title": "x", "reported_by": "Shift B", "site": "pumps"})
    assert answer.status_code == 201, answer.text
    return answer.json()["number"]


@both_back_ends
def test_a_client_that_comes_back_gets_each_incident_it_missed(system_running: Running) -> None:
    """Nothing is missed over a reconnect, whichever of the events came last, and whoever else listens."""
    responder = system_running.signed_in("responder")
    program = with_token(system_running, "incident.read")

    def note(number: int) -> None:
        line = {"at": "-1m", "text": "x", "source": "y"}
        assert responder.post(f"/api/incidents/{number}/timeline", json=line).status_code == 201

    raised(system_running, upsert(1))
    first = declare(responder)
    for revision, client in enumerate((responder, program), start=2):
        with listening(client) as stream:
            name, last, _ = next(stream)
            assert name == "hello"
            raised(system_running, upsert(1, revision))
            note(first)
            name, last, told = next(stream)
            if client is responder:
                assert (name, change(last)) == ("alert", 2)
                name, last, told = next(stream)
            assert (name, told) == ("incidents", {"numbers": [first]})
        second = declare(responder)
        note(first)
        raised(system_running, upsert(2, revision))
        # With and without others, who keep what was looked up.
        for _ in range(2):
            with listening(client, last=last) as stream:
                assert next(stream)[:2] == ("hello", last)
                found = [next(stream) for _ in range(2 if client is responder else 1)]
                assert [name for name, _, _ in found] == ["alert", "incidents"][-len(found) :]
                assert found[-1][2] == {"numbers": [first, second]}


@both_back_ends
@pytest.mark.parametrize("watched", [False, True])
def test_a_client_that_is_away_for_long_is_told_of_all_incidents_or_to_load_anew(
    start: Callable[..., Running], *, watched: bool
) -> None:
    """The same whether another listens meanwhile, for whom what changed is kept."""
    served = start(live_replay_rows=3)
    responder = served.signed_in("responder")
    numbers: list[int] = []
    raised(served, upsert(1))
    with ExitStack() as stack:
        if watched:
            # A stream ends with what reads it.
            heard = stack.enter_context(listening(responder))
            assert next(heard)[0] == "hello"
        with listening(responder) as stream:
            last = identity = next(stream)[1]
        for count in range(5):
            numbers.append(declare(responder))
            with listening(responder, last=last) as stream:
                assert next(stream)[0] == "hello"
                name, identity, told = next(stream)
                assert (name, told) == (("incidents", {"numbers": numbers}) if count < 3 else ("reload", {"change": 1}))
    with listening(responder, last=identity) as stream:
        assert next(stream)[:2] == ("hello", identity)
        raised(served, upsert(1, 2))
        assert next(stream)[0] == "alert"


def test_an_identifier_of_before_goes_on_with_alerts(system_running: Running) -> None:
    responder = system_running.signed_in("responder")
    raised(system_running, upsert(1), upsert(2))
    declare(responder)
    with listening(responder, last=1) as stream:
        assert next(stream)[0] == "hello"
        name, identity, alert = next(stream)
        assert (name, change(identity), int(alert["id"], 16)) == ("alert", 2, 2)
    for wrong in ("-1", "x", "1-2-3-4", "9" * 19):
        answer = responder.get("/api/live", headers={"Last-Event-ID": wrong})
        assert (answer.status_code, answer.json()["code"]) == (422, "input_invalid"), wrong


def test_a_listener_hears_what_else_has_changed_and_hears_it_again_after_a_break(system_running: Running) -> None:
    with system_running.services.database.write() as session:
        upserts.apply(session, [upsert(1)], "pumps")
        upserts.apply(session, [upsert(2)], "tanks")
    engineer = system_running.signed_in("engineer")
    listeners = {
        "all": system_running.signed_in("viewer"),
        "pumps": system_running.signed_in("viewer", sites=frozenset({"pumps"})),
        "program": with_token(system_running, "incident.read"),
    }
    last: dict[str, str] = {}
    for name, client in listeners.items():
        with listening(client) as stream:
            last[name] = next(stream)[1]
    said = {
        "servers": ["10.9.0.0/24"],
        "permit": "WP-7",
        "work": "x",
        "performed_by": "y",
        "seen": 1000,
        "ends_at": iso(now() + HOUR),
    }
    windows = {site: engineer.post("/api/windows", json={**said, "site": site}).json()["number"] for site in ("pumps", "tanks")}
    job = engineer.post("/api/jobs", json={"action": "acknowledge", "note": "x", "ids": [f"{9:032x}"], "dry_run": True})
    assert job.status_code == 202, job.text
    note = engineer.post("/api/handovers", json={"site": "tanks"})
    assert note.status_code == 201, note.text
    told = {"windows": [str(number) for number in windows.values()], "jobs": ["1"], "handovers": [str(note.json()["id"])]}
    for name, expected in (("all", told), ("pumps", {"windows": [str(windows["pumps"])]})):
        with listening(listeners[name], last=last[name]) as stream:
            assert next(stream)[0] == "hello"
            _, identity, data = next(each for each in stream if each[0] == "changed")
            assert {kind: sorted(found) for kind, found in data.items()} == expected
        with listening(listeners[name], last=identity) as stream:
            assert next(stream)[:2] == ("hello", identity)
            raised(system_running, upsert(1, revision=2 if name == "all" else 3))
            assert next(stream)[0] == "alert"
    with listening(listeners["program"], last=last["program"]) as stream:
        assert next(stream)[0] == "hello"
        declare(system_running.signed_in("responder"))
        assert next(stream)[0] == "incidents"


@both_back_ends
def test_a_client_that_comes_back_gets_each_alert_it_missed_once_as_it_now_is(system_running: Running) -> None:
    system_running.alerts(upsert(1), upsert(2))
    system_running.alerts(upsert(1, revision=2))
    with listening(system_running.signed_in(), last=1) as stream:
        assert next(stream)[0] == "hello"
        found = [next(stream) for _ in range(2)]
    shown = [(int(alert["id"], 16), alert["revision"], change(identity)) for _, identity, alert in found]
    assert shown == [(2, 1, 2), (1, 2, 3)]


def test_a_client_that_missed_too_much_is_told_to_load_anew(start: Callable[..., Running]) -> None:
    served = start(live_replay_rows=3)
    served.alerts(*(upsert(number) for number in range(5)))
    with listening(served.signed_in(), last=0) as stream:
        assert next(stream)[0] == "hello"
        name, identity, _ = next(stream)
        assert (name, change(identity)) == ("reload", 5)


def test_what_changes_is_looked_up_once_for_all_who_listen(
    start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    served = start(live_poll_seconds=60)
    client = served.signed_in()
    looks: list[int] = []

    def counted(session: Session, after: int, limit: int) -> list[Alert]:
        looks.append(after)
        return changed_since(session, after, limit)

    with ExitStack() as stack:
        streams = [stack.enter_context(listening(client)) for _ in range(12)]
        assert {next(stream)[0] for stream in streams} == {"hello"}
        monkeypatch.setattr("api.live.feed.alerts.changed_since", counted)
        served.alerts(upsert(1))
        assert {change(next(stream)[1]) for stream in streams} == {1}
    assert len(looks) <= 2  # one may have been under way


def test_alerts_are_told_while_records_cannot_be_read(
    start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    served = start(live_poll_seconds=0.05)
    asked = threading.Semaphore(0)

    def away(provided: Services) -> Health:
        asked.release()
        raise Problem("records_missing", reason="nobody answers")

    monkeypatch.setattr("api.live.feed.sensors.health", away)
    monkeypatch.setattr("api.live.feed.HEALTH_SECONDS", 0)
    with listening(served.signed_in(), without="") as stream:
        assert next(stream)[0] == "hello"
        for number in range(1, 4):
            assert asked.acquire(timeout=30)
            served.alerts(upsert(number))
            name, identity, _ = next(stream)
            assert (name, change(identity)) == ("alert", number)
    assert [record.message for record in caplog.records if record.name == "api.live.feed"] == [
        "the sensors' health cannot be told"
    ]


def test_alerts_do_not_wait_for_the_records(start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch) -> None:
    served = start(live_poll_seconds=60)
    answered = threading.Event()

    def slowly(provided: Services) -> Health:
        assert answered.wait(60)
        return health(provided)

    monkeypatch.setattr("api.live.feed.sensors.health", slowly)
    with listening(served.signed_in(), without="") as stream:
        assert next(stream)[0] == "hello"
        served.alerts(upsert(1))
        assert next(stream)[0] == "alert"
        answered.set()
        name, _, told = next(stream)
        assert (name, told["sensors"]) == ("sensors", [])


def test_all_who_come_back_are_told_of_one_look(start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch) -> None:
    served = start(live_replay_rows=3)
    served.alerts(*(upsert(number) for number in range(5)))
    monkeypatch.setattr("api.live.routes._missed", Mock(return_value=None))
    client = served.signed_in()
    with listening(client, last=2) as one, listening(client, last=3) as other, listening(client, last=1) as behind:
        assert [change(next(one)[1]) for _ in range(4)] == [2, 3, 4, 5]
        assert [change(next(other)[1]) for _ in range(3)] == [3, 4, 5]
        assert [next(behind)[0] for _ in range(2)] == ["hello", "reload"]


@given(st.lists(st.lists(st.integers(0, 5), max_size=6), max_size=8), st.integers(1, 4), st.data())
def test_what_is_kept_for_streams_is_what_the_database_would_tell(looks: list[list[int]], most: int, data: st.DataObject) -> None:
    """Of each look the alerts that changed: whoever stood anywhere is told each that changed since, once, as it is now."""
    last: dict[str, int] = {}
    number = 0
    seen = Seen(Place(0, 0, 0), Place(0, 0, 0))
    for look in looks:
        for name in look:
            number += 1
            last[str(name)] = number
        changed = sorted((change, name) for name, change in last.items() if change > seen.place.change)
        start, changes = seen.moved([Alert(id=name, change=change) for change, name in changed], number, most)
        seen = Seen(Place(start, 0, 0), Place(number, 0, 0), changes)
    stood = data.draw(st.integers(0, number))
    told = seen.after(stood)
    expected = sorted((change, name) for name, change in last.items() if change > stood)
    if told is None:
        assert stood < seen.start.change
        assert len(seen.changes) <= most
    else:
        assert [(change.number, change.alert.id) for change in told] == expected


def test_who_signs_out_hears_nothing_more(start: Callable[..., Running]) -> None:
    served = start(live_poll_seconds=0.05)
    one, other = served.signed_in(name="lin"), served.sign_in("lin")
    with listening(one) as stream:
        assert next(stream)[0] == "hello"
        (target,) = [session["id"] for session in other.get("/api/sessions").json() if not session["current"]]
        assert other.delete(f"/api/sessions/{target}").status_code == 204
        assert list(stream) == []


def test_streams_have_a_bound(start: Callable[..., Running]) -> None:
    served = start(live_connections=1)
    client = served.signed_in()
    with listening(client) as stream:
        next(stream)
        answer = client.get("/api/live")
        assert (answer.status_code, answer.json()["code"]) == (503, "live_full")


def test_the_server_stops_while_streams_are_open(start: Callable[..., Running]) -> None:
    served = start()
    with listening(served.signed_in()) as stream:
        next(stream)
        served.server.stop()
        assert not served.server.running
