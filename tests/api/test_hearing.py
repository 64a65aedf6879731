"""Which sensors are not heard and since when: told by the situation, by handover notes and by summaries of incidents."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from api.enrolment.models import EnrolledSensor
from api.sensors.reports import Heard
from api.texts import LANGUAGES, text
from api.times import iso, now
from tests.api.conftest import SQLITE_ONLY
from tests.api.test_documents import said, take
from tests.api.test_enrolment import report
from tests.api.test_handovers import begin, change
from tests.api.test_incidents import PHONE, declare, done
from tests.api.test_situation import MINUTE, situation
from tests.api.traffic import Recorded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.api.conftest import Running

HOUR = 60 * MINUTE
DAY = 24 * HOUR


@pytest.fixture(autouse=True)
def _nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.situation.seeing.SEEN_SECONDS", 0.0)


def listening(system: Running, sensor: str, *at: int, depth: int | None = 0) -> None:
    """A sensor tells of itself; without a depth of its spool it reads a capture."""
    rows = len(at)
    columns: dict[str, Sequence[Any]] = {
        "ts": at, "sensor.packets": [9] * rows, "sensor.bytes": [9] * rows, "sensor.flows": [1] * rows,
        "sensor.drops": [[]] * rows, "sensor.spool_depth": [depth] * rows,
    }  # fmt: skip
    Recorded(system.services.records, sensor=sensor).write("sensor", columns)


def reporting(system: Running, sensor: str, at: int, clock_behind: int = 0, site: str = "") -> None:
    """The uplink of a sensor, healthy, reported over Kafka."""
    system.services.reports.hear(Heard(replace(report(sensor), at=at - clock_behind, site=site), at))


def enrolled(system: Running, sensor: str, at: int, revoked_at: int | None = None, site: str = "") -> None:
    with system.services.database.write() as session:
        session.add(EnrolledSensor(name=sensor, site=site, generation=1, enrolled_at=at, revoked_at=revoked_at))


def unheard(client: Any, **asked: Any) -> list[tuple[str, str, str | None]]:
    return [(each["sensor"], each["reason"], each["since"]) for each in situation(client, **asked)["blindness"]["unheard"]]


def to_the_millisecond(at: int) -> int:
    return at // 1_000_000 * 1_000_000


def test_a_sensor_that_listened_and_has_told_nothing_since_is_silent_for_a_week(system_running: Running) -> None:
    at = to_the_millisecond(now())
    for sensor, ago in (("minute", MINUTE), ("minutes", 4 * MINUTE), ("hours", 5 * HOUR), ("week", 6 * DAY), ("gone", 8 * DAY)):
        listening(system_running, sensor, at - ago - HOUR, at - ago)
    client = system_running.signed_in("viewer")
    expected = [("hours", 5 * HOUR), ("minutes", 4 * MINUTE), ("week", 6 * DAY)]
    assert unheard(client) == [(sensor, "not_heard", iso(at - ago)) for sensor, ago in expected]
    found = situation(client)["blindness"]
    assert (found["silent"], found["readable"]) == (["hours", "minutes", "week"], True)


def test_a_capture_that_was_read_to_its_end_is_no_silent_sensor(system_running: Running) -> None:
    listening(system_running, "local", now() - 5 * HOUR, depth=None)
    found = situation(system_running.signed_in("viewer"))["blindness"]
    assert (found["unheard"], found["silent"]) == ([], [])


def test_a_gateway_that_dies_while_it_is_well_is_silent_since_it_was_heard_last(system_running: Running) -> None:
    at = now()
    reporting(system_running, "well", at - MINUTE)
    for sensor, ago in (("dead", 2 * HOUR), ("long-gone", 8 * DAY), ("kept", 40 * DAY), ("revoked", 2 * HOUR)):
        reporting(system_running, sensor, at - ago)
    listening(system_running, "dead", at - 2 * HOUR - MINUTE)
    enrolled(system_running, "kept", at - 90 * DAY)
    enrolled(system_running, "revoked", at - 90 * DAY, revoked_at=at - HOUR)
    client = system_running.signed_in("viewer")
    assert unheard(client) == [("dead", "not_heard", iso(at - 2 * HOUR)), ("kept", "not_heard", iso(at - 40 * DAY))]
    assert situation(client)["blindness"]["silent"] == ["dead", "kept"]


def test_an_enrolled_sensor_that_was_never_heard_is_named_as_such(system_running: Running) -> None:
    at = to_the_millisecond(now())
    enrolled(system_running, "never", at - HOUR)
    enrolled(system_running, "just-now", at - MINUTE)
    enrolled(system_running, "revoked", at - DAY, revoked_at=at - HOUR)
    enrolled(system_running, "before", at - 90 * DAY)
    listening(system_running, "before", at - 30 * DAY)
    enrolled(system_running, "capture", at - 90 * DAY)
    listening(system_running, "capture", at - 30 * DAY, depth=None)
    client = system_running.signed_in("viewer")
    before = ("before", "not_heard", iso(at - 30 * DAY))
    assert unheard(client) == [before, ("never", "never_heard", None)]
    # What it said before may not have been read yet.
    system_running.services.reports.unread = True
    assert unheard(client) == [before]
    assert situation(client)["blindness"]["silent"] is None


def test_a_recorder_that_is_dead_behind_an_uplink_that_is_well_is_told(system_running: Running) -> None:
    at = to_the_millisecond(now())
    for sensor in ("dead", "empty", "capture", "stranger", "well"):
        reporting(system_running, sensor, at)
        if sensor != "stranger":
            enrolled(system_running, sensor, at - 9 * DAY)
    listening(system_running, "dead", at - 8 * DAY)
    listening(system_running, "capture", at - 8 * DAY, depth=None)
    listening(system_running, "well", at - MINUTE)
    client = system_running.signed_in("viewer")
    assert unheard(client) == [("dead", "not_stored", iso(at - 8 * DAY)), ("empty", "nothing_stored", None)]


def test_a_clock_that_is_behind_makes_no_sensor_silent(system_running: Running) -> None:
    at = now()
    reporting(system_running, "behind", at, clock_behind=HOUR)
    listening(system_running, "behind", at - HOUR - MINUTE)
    assert unheard(system_running.signed_in("viewer")) == []


def test_of_a_past_time_what_is_stored_tells_who_was_not_heard_and_the_rest_is_not_known(system_running: Running) -> None:
    at = to_the_millisecond(now())
    listening(system_running, "north", at - 5 * HOUR, at - MINUTE)
    reporting(system_running, "south", at - 5 * HOUR)
    enrolled(system_running, "east", at - DAY)
    client = system_running.signed_in("viewer")
    assert unheard(client, as_of=iso(at - 4 * HOUR)) == [("north", "not_heard", iso(at - 5 * HOUR))]
    assert unheard(client, as_of=iso(at - 5 * HOUR + MINUTE)) == []
    then = situation(client, as_of=iso(at - 5 * HOUR + MINUTE))["blindness"]
    assert (then["silent"], then["gaps"], then["readable"]) == (None, None, True)
    assert situation(client)["blindness"]["gaps"] == 0


def test_who_is_limited_to_a_site_hears_of_its_sensors_only(system_running: Running) -> None:
    at = now()
    for site in ("north", "south"):
        enrolled(system_running, f"{site}-never", at - HOUR, site=site)
        reporting(system_running, f"{site}-dead", at - HOUR, site=site)
    limited = system_running.signed_in("viewer", sites=frozenset({"north"}))
    expected = [("north-dead", "not_heard", iso(at - HOUR)), ("north-never", "never_heard", None)]
    assert unheard(limited) == expected
    everybody = system_running.signed_in("viewer")
    assert len(unheard(everybody)) == 4
    with system_running.services.database.write() as session:
        session.add(EnrolledSensor(name="nowhere", site="", generation=1, enrolled_at=at - HOUR, revoked_at=None))
    assert unheard(limited) == expected


def test_records_that_cannot_be_asked_hide_no_gateway_that_reports_no_more(system_running: Running) -> None:
    at = now()
    reporting(system_running, "dead", at - HOUR)
    enrolled(system_running, "unknown", at - HOUR)
    system_running.services.records.close()
    found = situation(system_running.signed_in("viewer"))["blindness"]
    assert (found["readable"], [each["sensor"] for each in found["unheard"]]) == (False, ["dead"])


def test_a_handover_note_names_sensors_that_are_not_heard(system_running: Running) -> None:
    at = now()
    reporting(system_running, "dead", at - HOUR)
    enrolled(system_running, "never", at - HOUR)
    lin = system_running.signed_in(name="lin")
    note = begin(lin)
    expected = [
        {"sensor": "dead", "reason": "not_heard", "since": iso(at - HOUR)},
        {"sensor": "never", "reason": "never_heard", "since": None},
    ]
    assert note["content"]["blindness"]["unheard"] == expected
    handed = done(change(lin, note["id"], "hand-over"))
    reporting(system_running, "dead", now())
    assert handed["content"]["blindness"]["unheard"] == expected
    kept = lin.get(f"/api/handovers/{note['id']}", params={"language": "zh-CN"}).json()["content"]["blindness"]
    assert (kept["unheard"], kept["silent"]) == (expected, ["dead", "never"])


@SQLITE_ONLY
def test_a_summary_of_an_incident_names_sensors_that_are_not_heard(system_running: Running) -> None:
    reporting(system_running, "dead", now() - HOUR)
    enrolled(system_running, "never", now() - HOUR)
    lin = system_running.signed_in("responder", name="lin")
    number = declare(lin, **PHONE)["number"]
    for language in LANGUAGES:
        told = said(take(lin, f"/api/incidents/{number}/summary", language=language).content)
        assert text(language, "situation.unheard.never_heard", sensor="never") in told
        for part in text(language, "situation.unheard.not_heard", sensor="dead", since="@").split("@"):
            assert part in told
        assert text(language, "situation.sees_all") not in told
