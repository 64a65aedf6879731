"""Notices from what happens to real receivers: what is told to whom, when, once, and what never leaves."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from api.notification_settings import NotificationSettings
from api.notifications import sending
from api.notifications.models import Message, Telling
from api.notifications.sending import Sender, wait_seconds
from api.ticking import Looks
from api.times import NANOSECONDS, iso, now, parse
from tests.api.alerts import part_of, upsert, with_related
from tests.api.looks import tick
from tests.api.notification_peers import LOCAL, Answers, collector, https
from tests.api.notification_peers import until as waited
from tests.api.test_alerts import decide
from tests.api.test_exceptions import audited
from tests.api.test_incidents import PHONE, act, declare, done, refused
from tests.api.test_windows import fresh
from tests.api.test_windows import made as window_made
from tests.services.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx

    from tests.api.conftest import Running

MINUTE = 60 * NANOSECONDS
ANY = {"If-Match": "*"}
SECRET = "a secret of the test, long enough"
ALL: dict[str, Any] = {"name": "All", "alerts": {}, "channels": ["hook"]}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def hook(authority: Authority) -> Iterator[Answers]:
    with https(authority) as answers:
        yield answers


@pytest.fixture
def served(start: Callable[..., Running], authority: Authority, hook: Answers) -> Running:
    """A system with two webhooks, `hook` and `boss`, at the same server."""
    common = {"kind": "webhook", "secret": SECRET, "ca_file": str(authority.file), "most_per_hour": 5}
    channels = {name: {**common, "address": hook.url(f"/{name}")} for name in ("hook", "boss")}
    system = start(notifications=NotificationSettings.model_validate({"channels": channels}), address="https://ics.example")
    system.alerts(upsert(900, rule="posture", severity="low"))
    return system


class Clock:
    """Goes on by hand: looks, and sends what came of it."""

    def __init__(self, served: Running, hook: Answers) -> None:
        self.services, self.hook, self.at = served.services, hook, now()
        self._looks = Looks(self.services)

    def on(self, minutes: float = 0.0) -> list[tuple[str, list[str]]]:
        """What the receiver got: by which channel, and of what."""
        self.at += round(minutes * MINUTE)
        before = len(self.hook.asked)
        self._looks.look(self.at)
        sender = Sender(self.services)
        with self.services.database.read() as session:
            waiting = sending.due(session, self.at)
        for _, number in waiting:
            sender.send(number)
        return [
            (asked.path.strip("/"), [f"{item['why']} {item['subject'][-3:]}" for item in asked.json["items"]])
            for asked in self.hook.asked[before:]
        ]


@pytest.fixture
def clock(served: Running, hook: Answers, monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock(served, hook)
    # Messages are made, and tried, at the time that the clock shows.
    monkeypatch.setattr("api.notifications.service.now", lambda: made.at)
    monkeypatch.setattr("api.notifications.sending.now", lambda: made.at)
    made.on()
    return made


def made(client: httpx.Client, **said: Any) -> int:
    return done(client.post("/api/notifications/rules", json={**ALL, **said}), 201)["number"]


def messages(client: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    return client.get("/api/notifications", params=query).json()["items"]


def test_an_alert_that_comes_up_is_told_once_with_a_link_and_nothing_that_need_not_leave(
    served: Running, clock: Clock, hook: Answers
) -> None:
    client = served.signed_in("administrator", name="lin")
    made(client, alerts={"filter": {"severity": "high,critical"}, "rules": ["modbus_*"]})
    served.alerts(upsert(1), upsert(2, severity="medium"), upsert(3, rule="opcua_x"))
    assert clock.on() == [("hook", ["first 001"])]
    served.alerts(upsert(1, 2))
    assert clock.on(2) == [], "an alert that goes on is not told again"
    (asked,) = hook.asked
    (item,) = asked.json["items"]
    assert (item["link"], item["rule"], item["urgency"]) == (f"https://ics.example/#{1:032x}", "modbus_write", "high")
    assert "10.0." not in asked.body.decode()
    (told,) = messages(client)
    assert (told["state"], told["channel"], told["count"], told["attempts"], told["reason"]) == ("sent", "hook", 1, 1, None)
    assert told["items"][0]["line"].startswith("[High] Alert 1 (")
    assert messages(client, state="failed") == []
    assert ("notification.send", "system", str(told["number"])) in audited(served)
    assert 'icsight_notifications_total{channel="hook",outcome="sent"} 1.0' in client.get("/metrics").text


def test_nothing_of_what_is_hidden_laid_aside_taken_on_or_told_by_others_is_sent(served: Running, clock: Clock) -> None:
    client = served.signed_in("administrator", name="lin")
    made(client)
    number = window_made(client, servers=["10.0.9.0/24"])["number"]
    served.alerts(*(upsert(each) for each in (1, 2, 3, 4, 5)), part_of(4, 5), fresh(6, server_ip="10.0.9.1"))
    assert decide(client, 1, "snooze", {"note": "later", "until": iso(now() + 60 * MINUTE)}).status_code == 200
    assert decide(client, 2, "acknowledge", {"note": "mine"}).status_code == 200
    (told,) = clock.on()
    assert sorted(told[1]) == ["first 003", "first 005"]
    assert clock.on(2) == []
    assert decide(client, 1, "wake", {"note": "now"}).status_code == 200
    done(client.post(f"/api/windows/{number}/end", json={"reason": "done"}, headers=ANY))
    (told,) = clock.on(2)
    assert sorted(told[1]) == ["first 001", "first 006"], "what comes back is told then"
    close = {"disposition": "false_positive", "note": "x"}
    assert decide(client, 3, "close", close).status_code == 200
    assert clock.on(2) == []
    served.alerts(upsert(3, 9))
    assert client.post(f"/api/alerts/{3:032x}/comments", json={"note": "again"}).status_code == 201
    assert clock.on(2) == [("hook", ["first 003"])], "what was closed and goes on is told, whatever somebody has to say"


def test_what_was_told_is_told_again_once_it_comes_back_for_what_joined_it(served: Running, clock: Clock) -> None:
    client = served.signed_in("administrator", name="lin")
    made(client)
    served.alerts(upsert(1), upsert(2))
    assert len(clock.on()) == 1
    for number in (1, 2):
        said: dict[str, Any] = {"note": "later", "until": iso(now() + 60 * MINUTE), "conditions": ["rule"]}
        assert decide(client, number, "snooze", said).status_code == 200
    served.alerts(with_related(1, severity="critical"))
    Looks(served.services).look(now())
    assert clock.on(2) == [("hook", ["first 001"])]
    assert clock.on(2) == []


def test_a_rule_tells_what_another_alert_tells_besides(served: Running, clock: Clock) -> None:
    made(served.signed_in("administrator", name="lin"), alerts={"rules": ["write_to_critical_point"]})
    served.alerts(with_related(1, rule="sweep"), with_related(2, rule="write_to_critical_point"))
    assert clock.on() == [("hook", ["first 002"])]


def test_what_comes_in_the_same_minute_is_one_message_and_what_is_over_the_hour_waits(served: Running, clock: Clock) -> None:
    client = served.signed_in("administrator", name="lin")
    made(client)
    served.alerts(upsert(1))
    assert clock.on() == [("hook", ["first 001"])], "the first goes at once"
    served.alerts(upsert(2))
    assert clock.on(0.2) == []
    served.alerts(upsert(3, severity="critical"))
    assert clock.on(0.3) == []
    assert clock.on(0.6) == [("hook", ["first 003", "first 002"])], "the rest of the minute comes together, the worst first"
    sent = 2
    for number in range(10, 16):
        served.alerts(upsert(number))
        sent += len(clock.on(2))
    assert sent == 5, "the channel takes five in an hour"
    (last,) = clock.on(60)
    assert len(last[1]) == 3
    told = messages(client)[0]
    assert (told["count"], told["held_back"]) == (3, 3)


def test_it_is_told_again_and_further_until_somebody_takes_it_on(served: Running, clock: Clock) -> None:
    client = served.signed_in("administrator", name="lin")
    made(client, repeat={"minutes": 10, "times": 2}, escalate={"minutes": 15, "channels": ["boss"]})
    served.alerts(upsert(1), upsert(2))
    assert [channel for channel, _ in clock.on()] == ["hook"]
    assert clock.on(9) == []
    assert decide(client, 2, "acknowledge", {"note": "mine"}).status_code == 200
    assert clock.on(1.1) == [("hook", ["repeat 001"])]
    assert clock.on(5) == [("boss", ["escalation 001"])]
    assert sorted(clock.on(5)) == [("boss", ["repeat 001"]), ("hook", ["repeat 001"])]
    assert [clock.on(10), clock.on(60)] == [[], []], "twice is enough"


def test_in_quiet_hours_only_what_is_urgent_is_told_and_the_rest_in_the_morning_unless_it_was_taken_on(
    served: Running, clock: Clock
) -> None:
    client = served.signed_in("administrator", name="lin")
    days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    made(client, quiet={"spans": [{"days": days, "begins": "22:00", "ends": "06:00"}]}, repeat={"minutes": 30, "times": 1})
    clock.at = parse("2027-01-10T15:00:00Z")  # 23 o'clock at the site
    served.alerts(upsert(1), upsert(2), upsert(3, severity="critical"))
    assert clock.on() == [("hook", ["first 003"])]
    assert decide(client, 3, "acknowledge", {"note": "mine"}).status_code == 200
    assert decide(client, 2, "acknowledge", {"note": "mine"}).status_code == 200
    assert clock.on(6 * 60) == []
    assert clock.on(61) == [("hook", ["first 001"])]
    assert clock.on(28) == []
    assert clock.on(2) == [("hook", ["repeat 001"])]


def test_incidents_grades_and_clocks_of_reports_are_told_but_never_those_of_drills(served: Running, clock: Clock) -> None:
    client = served.signed_in("administrator", name="lin")
    made(client, alerts=None, incidents=["declared", "graded"], shares=[80, 100])
    drill = declare(client, **PHONE, drill=True)["number"]
    number = declare(client, **PHONE)["number"]
    assert clock.on() == [("hook", [f"first {number}"])]
    for each in (drill, number):
        done(act(client, each, "grade", {"scheme": "cac-2025", "level": 2, "reason": "As it is"}))
    told = clock.on(2)
    assert [len(items) for _, items in told] == [1]
    assert clock.on(300), "a report is due"
    items = [item for asked in clock.hook.asked for item in asked.json["items"]]
    assert {item["kind"] for item in items} == {"incident", "obligation"}
    assert {item["incident"] for item in items} == {number}
    assert {item["share"] for item in items if item["kind"] == "obligation"} == {80, 100}
    assert "Dosing" not in "".join(asked.body.decode() for asked in clock.hook.asked), "titles that people gave stay here"


def test_a_receiver_that_is_away_gets_it_later_and_a_kill_loses_and_changes_nothing(
    served: Running, clock: Clock, hook: Answers
) -> None:
    client = served.signed_in("administrator", name="lin")
    made(client)
    hook.status = 503
    served.alerts(upsert(1))
    clock.on()
    (told,) = messages(client)
    assert (told["state"], told["attempts"], told["reason"]) == ("pending", 1, "answers with status 503")
    served.alerts(upsert(2))
    assert clock.on(0.4) == [], "it is not tried before its time, and nothing new is made meanwhile"
    hook.status = 200
    assert clock.on(0.2) == [("hook", ["first 001"])]
    assert hook.asked[0].headers["webhook-id"] == hook.asked[1].headers["webhook-id"], "the same message"
    assert clock.on(2) == [("hook", ["first 002"])]
    # A process that ends once it has sent, before it has written that down.
    served.alerts(upsert(3))
    clock.at += 2 * MINUTE
    tick(served.services, clock.at)
    with served.services.database.write() as session:
        (number,) = [number for _, number in sending.due(session, clock.at)]
        assert sending.taken(session, number, clock.at) is not None
    assert clock.on(1) == [], "whoever tries it has it for a while"
    assert clock.on(5) == [("hook", ["first 003"])]
    with served.services.database.read() as session:
        states = session.execute(sa.select(Telling.state, sa.func.count()).group_by(Telling.state)).all()
        assert [tuple(row) for row in states] == [("told", 3)]
        assert session.scalars(sa.select(Message.state).distinct()).all() == ["sent"]


def test_a_message_that_is_refused_is_given_up_told_and_tried_anew_when_a_person_says_so(
    served: Running, clock: Clock, hook: Answers
) -> None:
    client = served.signed_in("administrator", name="lin")
    made(client)
    hook.status = 403
    served.alerts(upsert(1))
    for _ in range(8):
        clock.on(5)
    (told,) = messages(client, state="failed")
    assert (told["attempts"], told["reason"]) == (sending.REFUSALS, "answers with status 403")
    assert 'icsight_notifications_waiting{what="failed"} 1.0' in client.get("/metrics").text
    hook.status = 200
    assert done(client.post(f"/api/notifications/{told['number']}/again"), 202)["state"] == "pending"
    assert clock.on() == [("hook", ["first 001"])]
    assert refused(client.post(f"/api/notifications/{told['number']}/again")) == "notification_state"
    assert [wait_seconds(attempts) for attempts in (1, 2, 7, 99)] == [30, 60, 1800, 1800]


def test_rules_are_changed_by_who_saw_them_and_name_what_there_is(served: Running, clock: Clock) -> None:
    client = served.signed_in("administrator", name="lin")
    number = made(client, alerts={"filter": {"severity": "high"}})
    path = f"/api/notifications/rules/{number}"
    shown = client.get(path)
    assert shown.headers["ETag"] == '"1"'
    assert shown.json()["alerts"] == {"filter": {"severity": "high"}, "rules": [], "zones": []}
    assert refused(client.put(path, json=ALL)) == "precondition_required"
    assert refused(client.put(path, json=ALL, headers={"If-Match": '"7"'})) == "precondition_failed"
    assert done(client.put(path, json={**ALL, "enabled": False}, headers={"If-Match": '"1"'}))["version"] == 2
    served.alerts(upsert(1))
    assert clock.on() == []
    unknown: tuple[dict[str, Any], ...] = (
        {"channels": ["nowhere"]},
        {"escalate": {"minutes": 5, "channels": ["nowhere"]}},
        {"alerts": {"zones": ["X"]}},
    )
    unfit: tuple[dict[str, Any], ...] = ({"alerts": {"filter": {"state": "new"}}}, {"alerts": None}, {"channels": []})
    for wrong in unknown:
        assert refused(client.post("/api/notifications/rules", json={**ALL, **wrong})) == "notification_unfit"
    for wrong in unfit:
        assert refused(client.post("/api/notifications/rules", json={**ALL, **wrong})) == "input_invalid"
    assert client.delete(path, headers=ANY).status_code == 204
    assert refused(client.get(path)) == "notification_rule_unknown"
    actions = [action for action, _, _ in audited(served) if action.startswith("notification_rule")]
    assert sorted(actions) == [f"notification_rule.{each}" for each in ("change", "make", "withdraw")]


def test_a_channel_is_tried_by_a_message_that_says_so_and_shows_no_secret(served: Running, clock: Clock, hook: Answers) -> None:
    client = served.signed_in("administrator", name="lin")
    channels = client.get("/api/notifications/channels")
    assert [(each["name"], each["kind"], each["place"]) for each in channels.json()] == [
        ("hook", "webhook", hook.url("/hook")), ("boss", "webhook", hook.url("/boss")),
    ]  # fmt: skip
    assert SECRET not in channels.text
    number = done(client.post("/api/notifications/channels/hook/test"), 202)["number"]
    clock.on()
    told = client.get(f"/api/notifications/{number}").json()
    assert (told["state"], told["test"], hook.asked[0].json["type"]) == ("sent", True, "test")
    assert refused(client.post("/api/notifications/channels/nowhere/test")) == "channel_unknown"


def test_callers_of_some_sites_see_and_make_what_is_of_these(served: Running, clock: Clock) -> None:
    whole = served.signed_in("administrator", name="lin")
    made(whole)
    served.alerts(upsert(1))
    assert clock.on() == [("hook", ["first 001"])]
    other = served.signed_in("administrator", name="wu", sites=frozenset({"pp"}))
    assert (messages(other), other.get("/api/notifications/rules").json()) == ([], [])
    own = done(other.post("/api/notifications/rules", json=ALL), 201)
    assert own["site"] == "pp"
    served.alerts(upsert(2))
    assert [len(items) for _, items in clock.on(2)] == [1], "a rule of another site tells nothing of this one"


def test_the_sender_sends_by_itself_and_a_receiver_that_hangs_holds_up_no_other(
    start: Callable[..., Running], authority: Authority, hook: Answers
) -> None:
    with ExitStack() as stack:
        events = stack.enter_context(collector(authority))
        common = {"ca_file": str(authority.file)}
        channels = {
            "hook": {"kind": "webhook", "address": hook.url(), "secret": SECRET, **common},
            "siem": {"kind": "syslog", "server": LOCAL, "port": events.port, **common},
        }
        served = start(notifications=NotificationSettings.model_validate({"channels": channels}))
        tick(served.services)
        made(served.signed_in("administrator", name="lin"), channels=["hook", "siem"])
        served.alerts(upsert(1))
        tick(served.services)
        hook.hold, stop = threading.Event(), threading.Event()
        sender = Sender(served.services)
        thread = threading.Thread(target=sender.run, args=(stop,), daemon=True)
        thread.start()
        waited(lambda: events.frames)
        assert "externalId=00000000000000000000000000000001" in events.frames[0]
        hook.hold.set()
        client = served.sign_in("lin")
        waited(lambda: [each["state"] for each in messages(client)] == ["sent", "sent"])
        stop.set()
        served.services.outbox.set()
        thread.join(30)
        assert not thread.is_alive()
