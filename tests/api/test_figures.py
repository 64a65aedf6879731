"""Mean times to acknowledge and to resolve: as counted by hand, by group, in a time zone, for whom."""

from __future__ import annotations

from statistics import mean, median
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from api.alerts import upserts
from api.alerts.models import Alert, AlertEvent
from api.figures.periods import TooManyError, periods
from api.incidents.models import Incident
from api.times import NANOSECONDS, now, parse
from tests.api.alerts import upsert
from tests.api.test_alerts import decide
from tests.api.test_incidents import PHONE, act, declare, done, refused
from tests.api.test_live import with_token

if TYPE_CHECKING:
    import httpx

    from tests.api.conftest import Running

NEVER: dict[str, Any] = {"count": 0, "mean_seconds": None, "median_seconds": None}


def took(*seconds: float) -> dict[str, Any]:
    return {"count": len(seconds), "mean_seconds": round(mean(seconds), 3), "median_seconds": median(seconds)}


def figures(client: httpx.Client, of: str, **asked: Any) -> dict[str | None, dict[str, Any]]:
    answer = client.get(f"/api/{of}/figures", params=asked)
    assert answer.status_code == 200, answer.text
    return {each["key"]: each for each in answer.json()}


def fill(served: Running) -> httpx.Client:
    """Incidents at two sites that took times that are known; one is a drill, one was merged into another."""
    with served.services.database.write() as session:
        for number, site in enumerate(("pumps", "tanks"), start=900):
            upserts.apply(session, [upsert(number)], site)
    client = served.signed_in("administrator", name="chen")
    day = parse("2026-03-31T16:30:00Z")  # the first of April in Shanghai
    for place, (site, grade, acknowledged, resolved) in enumerate(
        (("pumps", 3, 60, 3600), ("pumps", 3, 120, None), ("pumps", 4, 600, 1800), ("tanks", None, None, None))
    ):
        number = declare(client, **PHONE | {"site": site})["number"]
        if grade is not None:
            done(act(client, number, "grade", {"scheme": "cac-2025", "level": grade, "reason": "x"}))
        at = day + place * 86_400 * NANOSECONDS
        times = {
            "discovered_at": at - 30 * NANOSECONDS,
            "declared_at": at,
            "acknowledged_at": None if acknowledged is None else at + acknowledged * NANOSECONDS,
            "resolved_at": None if resolved is None else at + (resolved - 30) * NANOSECONDS,
        }
        with served.services.database.write() as session:
            session.execute(sa.update(Incident).where(Incident.number == number).values(**times))
    drill = declare(client, **PHONE | {"site": "pumps", "drill": True})["number"]
    other = declare(client, **PHONE | {"site": "tanks"})["number"]
    done(act(client, 4, "merge", {"other": other, "reason": "the same"}))
    with served.services.database.write() as session:
        session.execute(sa.update(Incident).where(Incident.number.in_([drill, other])).values(declared_at=day))
        # The merge has taken the earlier discovery of the two.
        session.execute(sa.update(Incident).where(Incident.number == 4).values(discovered_at=Incident.declared_at))
    return client


def test_incidents_are_counted_together_and_by_site_grade_and_period(system_running: Running) -> None:
    client = fill(system_running)
    span = {"since": "2026-03-01T00:00:00Z", "until": "2026-05-01T00:00:00Z"}
    every = figures(client, "incidents", **span)
    assert every == {
        None: {"key": None, "count": 4, "declare": took(30, 30, 30, 0), "acknowledge": took(60, 120, 600),
               "resolve": took(3600, 1800)},
    }  # fmt: skip
    sites = figures(client, "incidents", by="site", **span)
    assert {key: each["acknowledge"] for key, each in sites.items()} == {"pumps": took(60, 120, 600), "tanks": NEVER}
    grades = figures(client, "incidents", by="grade", site="pumps", **span)
    assert {key: each["acknowledge"] for key, each in grades.items()} == {"3": took(60, 120), "4": took(600)}
    assert list(figures(client, "incidents", by="grade", **span)) == ["none", "3", "4"]
    months = figures(client, "incidents", by="month", **span)
    assert {key: each["count"] for key, each in months.items()} == {"2026-03": 1, "2026-04": 3}
    there = figures(client, "incidents", by="month", time_zone="Asia/Shanghai", **span)
    assert {key: each["count"] for key, each in there.items()} == {"2026-04": 4}
    assert figures(client, "incidents", drill=True, **span)[None]["count"] == 1
    assert figures(client, "incidents", grade="4", **span)[None]["resolve"] == took(1800)
    limited = system_running.signed_in("viewer", sites=frozenset({"tanks"}))
    assert {key: each["count"] for key, each in figures(limited, "incidents", by="site", **span).items()} == {"tanks": 1}
    assert refused(client.get("/api/incidents/figures", params={"by": "day", "since": "2020-01-01T00:00:00Z"})) == "periods_many"
    assert refused(client.get("/api/incidents/figures", params={"time_zone": "Mars/Olympus"})) == "input_invalid"
    program = with_token(system_running, "incident.read")
    assert (program.get("/api/incidents/figures").status_code, refused(program.get("/api/alerts/figures"))) == (200, "forbidden")


def test_of_an_alert_the_first_decision_counts_whatever_comes_after(system_running: Running) -> None:
    with system_running.services.database.write() as session:
        upserts.apply(session, [upsert(number) for number in range(1, 5)], "pumps")
        upserts.apply(session, [upsert(5, severity="low"), upsert(6)], "tanks")
    client = system_running.signed_in("responder", name="lin")
    close = {"disposition": "false_positive", "note": "x"}
    for number in (1, 2):
        decide(client, number, "acknowledge", {"note": "x"})
    for number in (2, 3, 5):
        decide(client, number, "close", close)
    with system_running.services.database.write() as session:
        upserts.apply(session, [upsert(3, 9)], "pumps")  # it recurs, and is closed a second time
    decide(client, 3, "close", close)
    declare(client, alerts=[f"{4:032x}"])
    begin = now() - 1000 * NANOSECONDS
    with system_running.services.database.write() as session:
        for number, decided, over in ((1, 10, None), (2, 20, 50), (3, 40, 400), (4, 100, None), (5, 7, 7), (6, None, None)):
            mine = sa.update(AlertEvent).where(AlertEvent.alert_id == f"{number:032x}")
            session.execute(mine.where(AlertEvent.kind == "raised").values(at=begin))
            if decided is not None:
                session.execute(mine.where(AlertEvent.kind == "acknowledged").values(at=begin + decided * NANOSECONDS))
            if over is not None:
                closed = sa.update(Alert).where(Alert.id == f"{number:032x}")
                session.execute(closed.values(triage_at=begin + over * NANOSECONDS))
    assert figures(client, "alerts") == {
        None: {"key": None, "acknowledge": took(10, 20, 40, 100, 7), "resolve": took(50, 400, 7)}
    }
    by_site = figures(client, "alerts", by="site")
    assert by_site == {
        "pumps": {"key": "pumps", "acknowledge": took(10, 20, 40, 100), "resolve": took(50, 400)},
        "tanks": {"key": "tanks", "acknowledge": took(7), "resolve": took(7)},
    }
    assert list(figures(client, "alerts", by="severity")) == ["low", "high"]
    assert figures(client, "alerts", severity="low") == {None: by_site["tanks"] | {"key": None}}
    assert figures(client, "alerts", until="-1h") == {}
    limited = system_running.signed_in("viewer", sites=frozenset({"tanks"}))
    assert figures(limited, "alerts", by="site") == {"tanks": by_site["tanks"]}
    assert sum(each["acknowledge"]["count"] for each in figures(client, "alerts", by="week").values()) == 5


@pytest.mark.parametrize(
    ("length", "zone", "names"),
    [
        ("day", "UTC", ["2026-03-28", "2026-03-29", "2026-03-30"]),
        ("day", "Asia/Shanghai", ["2026-03-29", "2026-03-30"]),
        ("week", "Europe/Berlin", ["2026-W13", "2026-W14"]),
        ("month", "Europe/Berlin", ["2026-03"]),
    ],
)
def test_periods_begin_at_midnight_of_their_zone_whatever_its_clocks_do(length: Any, zone: str, names: list[str]) -> None:
    since, until = parse("2026-03-28T18:00:00Z"), parse("2026-03-30T12:00:00Z")
    found = periods(since, until, length, zone)
    assert [period.name for period in found] == names
    assert found[-1].end >= until
    if zone == "Europe/Berlin" and length == "week":
        assert found[0].end == parse("2026-03-29T22:00:00Z"), "two hours before by then, one hour the day before"
    with pytest.raises(TooManyError):
        periods(0, until, length, zone)
