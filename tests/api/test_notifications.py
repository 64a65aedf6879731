"""Notices from what happens to real receivers: what is told to whom, when, once, and what never leaves."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from api.alerts import upserts
from api.notification_settings import NotificationSettings
from api.notifications import sending
from api.notifications.models import Message, Notice, Telling
from api.notifications.sending import Sender, wait_seconds
from api.ticking import Looks
from api.times import NANOSECONDS, iso, now, parse
from tests.api.alerts import part_of, upsert, with_related
from tests.api.looks import tick
from tests.api.notification_peers import LOCAL, Answers, collector, https
from tests.api.notification_peers import until as waited
from tests.api.test_alerts import decide
from tests.api.test_exceptions import audited
from tests.api.test_incidents import CLOSE, PHONE, act, alert_id, declare, done, in_story, refused
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
        for number in self.next():
            sender.send(number)
        return [
            (asked.path.strip("/"), [f"{item['why']} {item['subject'][-3:]}" for item in asked.json["items"]])
            for asked in self.hook.asked[before:]
        ]

    def next(self) -> Iterator[int]:
        """The messages that are to be tried, in their order."""
        with self.services.database.read() as session:
            channels = sending.due(session, self.at)
        for channel in channels:
            while True:
                with self.services.database.read() as session:
                    number = sending.next_of(session, channel, self.at)
                if number is None:
                    break
                yield number


@pytest.fixture
def clock(served: Running, hook: Answers, monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock(served, hook)
    # Messages are made, and tried, at the time that the clock shows.
    monkeypatch.setattr("api.notifications.service.now", lambda: made.at)
    monkeypatch.setattr("api.notifications.sending.now", lambda: made.at)
    made.on()
    return made


def of_site(served: Running, site: str, *given: Any) -> None:
    """Alerts as the stream of a site would bring them."""
    with served.services.database.write() as session:
        upserts.apply(session, given, site)


def told_of(number: int) -> str:
    """That an alert was told of for the first time."""
    return f"first {alert_id(number)[-3:]}"


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


@pytest.mark.parametrize("severity", ["critical", "!low,medium,high"])
def test_a_rule_for_what_is_critical_tells_what_has_such_in_it(served: Running, clock: Clock, severity: str) -> None:
    made(served.signed_in("administrator", name="lin"), alerts={"filter": {"severity": severity}})
    served.alerts(with_related(1, severity="medium"), with_related(2, severity="critical"), upsert(3, severity="critical"))
    assert clock.on() == [("hook", ["first 002", "first 003"])]


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
    assert sent == 4, "the channel takes five in an hour, and keeps one for what is critical"
    (last,) = clock.on(60)
    assert len(last[1]) == 4
    told = messages(client)[0]
    assert (told["count"], told["held_back"]) == (4, 4)


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


def test_without_a_number_of_times_it_is_told_again_for_as_long_as_nobody_takes_it_on(served: Running, clock: Clock) -> None:
    client = served.signed_in("administrator", name="lin")
    rule = made(client, repeat={"minutes": 15})
    assert client.get(f"/api/notifications/rules/{rule}").json()["repeat"] == {"minutes": 15, "times": None}
    served.alerts(upsert(1))
    assert clock.on() == [("hook", ["first 001"])]
    assert [clock.on(16) for _ in range(40)] == [[("hook", ["repeat 001"])]] * 40
    assert decide(client, 1, "acknowledge", {"note": "mine"}).status_code == 200
    assert [clock.on(16), clock.on(16)] == [[], []]
    content = {**ALL, "repeat": {"minutes": 15, "times": 3}}
    done(client.put(f"/api/notifications/rules/{rule}", json=content, headers=ANY))
    done(client.put(f"/api/notifications/rules/{rule}", json={**ALL, "repeat": {"minutes": 15, "times": None}}, headers=ANY))
    assert client.get(f"/api/notifications/rules/{rule}").json()["repeat"]["times"] is None
    for times in (0, 21):
        refusal = client.post("/api/notifications/rules", json={**ALL, "repeat": {"minutes": 15, "times": times}})
        assert refusal.status_code == 422, times


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


def test_alerts_of_a_drill_are_told_nobody_not_even_those_that_are_always_told(served: Running, clock: Clock) -> None:
    made(served.signed_in("administrator", name="lin"), blind=True)
    served.alerts(upsert(1, severity="critical"), upsert(2, rule="sensor_silent"), drill=1)
    assert [clock.on(), clock.on(60)] == [[], []]
    served.alerts(upsert(3))
    assert clock.on() == [("hook", ["first 003"])]


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
        number = next(clock.next())
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
    for _ in range(sending.REFUSALS):
        clock.on(31)
    (told,) = messages(client, state="failed")
    assert (told["attempts"], told["reason"]) == (sending.REFUSALS, "answers with status 403")
    shown = {part.name: part.detail for part in served.services.status.parts()}
    assert shown[sending.PART] == "channel hook did not take its latest message: answers with status 403"
    assert 'icsight_notifications_waiting{what="failed"} 1.0' in client.get("/metrics").text
    hook.status = 200
    assert done(client.post(f"/api/notifications/{told['number']}/again"), 202)["state"] == "pending"
    assert clock.on() == [("hook", ["first 001"])]
    assert refused(client.post(f"/api/notifications/{told['number']}/again")) == "notification_state"
    assert [wait_seconds(attempts) for attempts in (1, 2, 7, 99)] == [30, 60, 1800, 1800]


def test_a_message_that_is_never_taken_holds_up_no_other(served: Running, clock: Clock, hook: Answers) -> None:
    client = served.signed_in("administrator", name="lin")
    made(client)
    hook.upset = f"{1:032x}"
    served.alerts(upsert(1))
    assert clock.on() == [("hook", ["first 001"])]
    assert hook.asked[0].headers["webhook-id"] == messages(client, state="pending")[0]["key"]
    for number in (2, 3):
        served.alerts(upsert(number))
        got = [told for _, told in clock.on(1.5)]
        assert [f"first {number:03}"] in got, "a new one goes while the first is not taken"
    for number in (4, 5):
        served.alerts(upsert(number))
        got = [told for _, told in clock.on(60)]
        assert got == [[f"first {number:03}"], ["first 001"]], "what was never tried goes first"
    (told,) = messages(client, state="pending")
    assert told["reason"] == "answers with status 503"
    assert len(messages(client, state="sent")) == 4
    for _ in range(sending.TRIES):
        clock.on(31)
    (told,) = messages(client, state="failed")
    assert (told["attempts"], told["items"][0]["subject"]) == (sending.TRIES, f"{1:032x}")
    hook.upset = ""
    assert done(client.post(f"/api/notifications/{told['number']}/again"), 202)["state"] == "pending"
    assert clock.on() == [("hook", ["first 001"])]


def test_while_a_receiver_is_away_few_messages_are_made_but_what_is_critical_is_tried_at_once(
    served: Running, clock: Clock, hook: Answers
) -> None:
    client = served.signed_in("administrator", name="lin")
    made(client)
    hook.status = 503
    for number in range(1, 61):
        served.alerts(upsert(number, severity="medium"))
        clock.on(1)
    assert len(messages(client)) <= 7
    before = len(hook.asked)
    served.alerts(upsert(61, severity="critical"))
    clock.on(1)
    first = hook.asked[before].json["items"][0]
    assert (first["subject"], first["urgency"]) == (f"{61:032x}", "critical")
    hook.status = 200
    for _ in range(3):
        clock.on(31)
    told = {item["subject"] for each in messages(client, state="sent") for item in each["items"]}
    assert len(told) >= 50, "people get twenty of each, programs all"
    assert messages(client, state="pending") == []


def test_what_is_urgent_goes_though_others_have_used_the_hour(served: Running, clock: Clock) -> None:
    client = served.signed_in("administrator", name="lin")
    made(client)
    for number in range(1, 10):
        served.alerts(upsert(number, severity="low"))
        clock.on(2)
    assert len(messages(client)) == 3, "half of five, as there is one more"
    served.alerts(upsert(20))
    ((_, got),) = clock.on(2)
    assert got[0] == told_of(20), "what is high finds a place, and what waits goes with it"
    served.alerts(upsert(21))
    assert clock.on(2) == []
    served.alerts(upsert(22, severity="critical"))
    assert clock.on(2) == [("hook", [told_of(22), told_of(21)])]


def test_a_site_that_brings_up_much_leaves_room_for_another(served: Running, clock: Clock) -> None:
    client = served.signed_in("administrator", name="lin")
    made(client)
    of_site(served, "north", upsert(700, severity="low"))
    assert clock.on() == [("hook", [told_of(700)])]
    clock.on(61)
    for number in range(1, 10):
        served.alerts(upsert(number, severity="critical"))
        clock.on(2)
    assert len([each for each in messages(client) if not each["site"]]) == 4
    of_site(served, "north", upsert(701, severity="critical"))
    assert clock.on() == [("hook", [told_of(701)])]


def test_the_most_urgent_of_a_flood_is_told_in_the_first_message(served: Running, clock: Clock, hook: Answers) -> None:
    made(served.signed_in("administrator", name="lin"))
    served.alerts(*(upsert(number, severity="low") for number in range(1, 600)))
    served.alerts(upsert(600, severity="critical"))
    ((_, got),) = clock.on()
    assert (got[0], len(got)) == (told_of(600), 500)


def test_an_alert_that_an_open_incident_takes_by_itself_is_told(served: Running, clock: Clock, hook: Answers) -> None:
    client = served.signed_in("administrator", name="lin")
    served.alerts(in_story(1, 1, (1, 2)), in_story(2, 1, (1, 2)))
    clock.on()
    made(client)
    number = declare(client, story=alert_id(1))["number"]
    assert clock.on() == [], "whoever declares it has its alerts"
    served.alerts(in_story(3, 1, (1, 2, 3)))
    assert clock.on() == [("hook", ["first 003"])]
    item = hook.asked[-1].json["items"][0]
    assert item["occasion"].startswith("joined-")
    assert item["incident"] == number
    assert item["what"] == f"Alert 3: goes on in incident {number}"
    served.alerts(in_story(3, 1, (1, 2, 3), 3))
    assert clock.on(2) == [], "it is told once"
    served.alerts(upsert(4), upsert(5))
    assert len(clock.on(2)) == 1
    assert decide(client, 4, "acknowledge", {"note": "mine"}).status_code == 200
    served.alerts(*(in_story(each, 1, (1, 2, 3, 4, 5)) for each in (4, 5)))
    assert clock.on(2) == [], "one has somebody, and of the other was told"


def test_what_an_incident_took_by_itself_is_told_again_until_somebody_moves_that_on(served: Running, clock: Clock) -> None:
    client = served.signed_in("administrator", name="lin")
    made(client, repeat={"minutes": 10, "times": 9}, escalate={"minutes": 15, "channels": ["boss"]})
    served.alerts(in_story(1, 1, (1,)))
    assert clock.on() == [("hook", ["first 001"])]
    number = declare(client, story=alert_id(1))["number"]
    served.alerts(upsert(2))
    assert clock.on(2) == [("hook", ["first 002"])]
    served.alerts(in_story(2, 1, (1, 2)), in_story(3, 1, (1, 2, 3)))
    assert clock.on(2) == [("hook", ["first 003"])], "of the other was told"
    assert sorted(clock.on(10)[0][1]) == ["repeat 002", "repeat 003"]
    assert [channel for channel, _ in clock.on(5)] == ["boss"]
    done(act(client, number, "move", {"to": "analysing", "reason": "On it"}))
    assert [clock.on(30), clock.on(30)] == [[], []]
    served.alerts(in_story(4, 1, (1, 2, 3, 4)))
    assert clock.on() == [("hook", ["first 004"])], "those who have the incident are told once"
    assert [clock.on(20), clock.on(20)] == [[], []]


def test_what_goes_on_in_the_incident_after_a_closed_one_is_told_and_nothing_of_a_drill(served: Running, clock: Clock) -> None:
    client = served.signed_in("administrator", name="lin")
    made(client)
    served.alerts(in_story(1, 1, (1,)))
    served.alerts(in_story(2, 2, (2,)), drill=1)
    assert len(clock.on()) == 1
    for story, drill in ((1, False), (2, True)):
        number = declare(client, story=alert_id(story), drill=drill)["number"]
        done(act(client, number, "close", CLOSE))
    assert clock.on(2) == []
    served.alerts(in_story(1, 1, (1,), 9))
    served.alerts(in_story(2, 2, (2,), 9), drill=1)
    assert clock.on(2) == [("hook", ["first 001"])]


def test_what_grows_more_severe_in_quiet_hours_waits_for_no_morning_and_is_told_again_where_it_was_told(
    served: Running, clock: Clock
) -> None:
    client = served.signed_in("administrator", name="lin")
    days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    made(client, quiet={"spans": [{"days": days, "begins": "22:00", "ends": "06:00"}]})
    clock.at = parse("2027-01-10T12:00:00Z")  # 20 o'clock at the site
    served.alerts(upsert(1))
    assert clock.on() == [("hook", ["first 001"])]
    clock.on(3 * 60)
    served.alerts(upsert(2))
    assert clock.on() == []
    served.alerts(with_related(2, 3, severity="critical"))
    assert clock.on() == [("hook", ["first 002"])]
    served.alerts(with_related(1, 3, severity="critical"))
    assert clock.on(2) == [("hook", ["first 001"])]
    assert clock.hook.asked[-1].json["items"][0]["what"] == "Alert 1: more severe than told before"
    served.alerts(with_related(1, 4, severity="critical"), with_related(2, 4, severity="critical"))
    assert [clock.on(2), clock.on(9 * 60)] == [[], []]


def test_what_an_incident_took_by_itself_is_told_again_where_it_grows_more_severe(served: Running, clock: Clock) -> None:
    client = served.signed_in("administrator", name="lin")
    made(client)
    served.alerts(in_story(1, 1, (1,)))
    declare(client, story=alert_id(1))
    served.alerts(upsert(2, severity="medium"))
    assert clock.on() == [("hook", ["first 002"])]
    served.alerts(in_story(2, 1, (1, 2), severity="medium"), in_story(3, 1, (1, 2, 3), severity="medium"))
    assert clock.on(2) == [("hook", ["first 003"])]
    served.alerts(*(in_story(number, 1, (1, 2, 3), 3, severity="critical") for number in (2, 3)))
    ((_, got),) = clock.on(2)
    assert sorted(got) == ["first 002", "first 003"]
    assert {item["what"] for item in clock.hook.asked[-1].json["items"]} == {
        "Alert 2: more severe than told before", "Alert 3: more severe than told before"
    }  # fmt: skip
    served.alerts(*(in_story(number, 1, (1, 2, 3), 4, severity="critical") for number in (2, 3)))
    assert clock.on(2) == []


def test_what_one_channel_told_and_another_not_yet_is_told_by_both_as_it_is_now(served: Running, clock: Clock) -> None:
    client = served.signed_in("administrator", name="lin")
    made(client, alerts={"rules": ["filler"]}, channels=["boss"])
    made(client, alerts={"rules": ["modbus_*"]}, channels=["hook", "boss"])
    for number in range(10, 14):
        served.alerts(upsert(number, rule="filler", severity="low"))
        clock.on(2)
    served.alerts(upsert(1, severity="low"))
    assert clock.on(2) == [("hook", ["first 001"])], "the other's hour is used up"
    served.alerts(upsert(1, 2, severity="critical"))
    told = dict(clock.on(2))
    assert told["hook"] == ["first 001"]
    assert told["boss"][0] == "first 001"
    assert told["boss"].count("first 001") == 1
    whats = {asked.path: asked.json["items"][0] for asked in clock.hook.asked[-2:]}
    assert whats["/hook"]["what"] == "Alert 1: more severe than told before"
    assert whats["/boss"]["urgency"] == "critical"


def test_what_goes_on_and_grows_more_severe_a_second_time_is_told_a_second_time(served: Running, clock: Clock) -> None:
    client = served.signed_in("administrator", name="lin")
    made(client)
    for revision in (1, 3):
        served.alerts(upsert(1, revision, severity="medium"))
        assert clock.on(2) == [("hook", ["first 001"])]
        served.alerts(upsert(1, revision + 1, severity="critical"))
        assert clock.on(2) == [("hook", ["first 001"])]
        done(decide(client, 1, "close", {"disposition": "false_positive", "note": "A test"}))
        clock.on(2)


def test_messages_are_kept_for_as_long_as_the_settings_say_and_nothing_is_told_anew(served: Running, clock: Clock) -> None:
    client = served.signed_in("administrator", name="lin")
    made(client)
    served.alerts(upsert(1), upsert(2))
    assert len(clock.on()) == 1
    assert decide(client, 1, "close", {"disposition": "false_positive", "note": "x"}).status_code == 200
    (kept,) = messages(client)
    clock.on(399 * 24 * 60)
    assert messages(client) == [kept]
    clock.on(2 * 24 * 60)
    assert messages(client) == []
    assert refused(client.get(f"/api/notifications/{kept['number']}")) == "notification_unknown"
    with served.services.database.read() as session:
        assert session.scalars(sa.select(Notice.subject)).all() == [f"{2:032x}"], "of what is open it is known that it was told"
        assert len(session.scalars(sa.select(Telling.id)).all()) == 1
    subjects = {action: subject for action, _, subject in audited(served)}
    assert subjects["notification.send"] == str(kept["number"])
    assert subjects["notification.remove"] == f"{kept['number']}-{kept['number']}"
    served.alerts(upsert(2, 5))
    assert clock.on(2) == []


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
