"""Alerts: what becomes one, what belongs to another, and that nothing of it depends on how records are grouped."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from detection import remembered
from detection.opened import OpenAlert
from detection.pipeline import Pipeline, State
from detection.sigma.rule import load
from detection.site import Site
from detection.upsert import upsert
from tests.detection.traffic import SECOND, START, busy_day, correlation, cut, cuts, request, rule, write_rules

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from collector.store import RecordBatch
    from detection.alerts import Alert
    from detection.sigma.rule import Rule

PAIR = ("client.ip", "server.ip")

WITHOUT_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
"""An example runs a whole detection; to make a failing one smaller takes longer than to read it."""


def mixed_rules(folder: Path) -> list[Rule]:
    """Rules of all kinds and levels about the same traffic."""
    write_rules(
        folder,
        rule("write", "low", {"selection": {"modbus.function_code": 6}}),
        rule("diagnostic", "high", {"selection": {"modbus.function_code": 8}}, icsight={"window_seconds": 600}),
        rule("reads", None, {"selection": {"modbus.access": "read"}}),
        rule("burst", "informational", correlation=correlation("event_count", ["reads"], "60s", PAIR, gte=3)),
        rule("any", None, {"selection": {"modbus.unit_id": 1}}),
        rule("sweep", "medium", correlation=correlation("value_count", ["any"], "2m", PAIR, gte=3, field="modbus.address")),
        rule("hosts", "low", correlation=correlation("value_count", ["any"], "60s", ["client.ip"], gte=2, field="server.ip")),
        rule(
            "units",
            "low",
            correlation=correlation("event_count", ["reads"], "60s", ["server.ip", "modbus.unit_id"], gte=3),
            icsight={"target": []},
        ),
        rule(
            "newcomer",
            "low",
            correlation=correlation("value_count", ["any"], "10m", ["server.ip", "modbus.address"], gte=2, field="client.ip"),
            icsight={"newcomers": True, "target": []},
        ),
        rule(
            "stranger",
            "high",
            {"selection": {"client.ip|endswith": ["1", "2"], "modbus.access": ["write", "diagnostic"]}},
            icsight={"about": "circumstances", "target": []},
        ),
        rule("both", "critical", correlation=correlation("temporal", ["write", "diagnostic"], "30s", PAIR)),
        rule("then", "high", correlation=correlation("temporal_ordered", ["sweep", "write"], "90s", PAIR)),
    )
    return load([folder])


def detect(pipeline: Pipeline, steps: Sequence[Sequence[RecordBatch]], *, through_text: bool = False) -> dict[str, Alert]:
    """The last revision of every alert."""
    state = State()
    found: dict[str, Alert] = {}
    for batches in steps:
        state, upserts = pipeline.step(state, batches)
        if through_text:
            state = remembered.whole(remembered.parted(state))
        for alert in upserts:
            assert alert.id not in found or alert.revision > found[alert.id].revision, "a revision did not rise"
            found[alert.id] = alert
    return found


def as_text(found: dict[str, Alert]) -> str:
    return json.dumps([asdict(found[name]) for name in sorted(found)], sort_keys=True, ensure_ascii=False)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline.of(mixed_rules(tmp_path_factory.mktemp("rules")), Site())


@pytest.mark.parametrize(
    ("sample", "sure"),
    [
        ({"deviation.confidence": None, "anomaly.confidence": 0.7}, 0.7),
        ({"deviation.confidence": 0.9, "anomaly.confidence": None}, 0.9),
        ({"deviation.confidence": None}, 1.0),
        ({}, 1.0),
    ],
)
def test_an_alert_is_as_sure_as_what_was_learned_of_its_latest_record(
    mixed: Pipeline, sample: dict[str, Any], sure: float
) -> None:
    known = OpenAlert(id="0", cause=("write",), rule="write", first=0, last=0, seen=(0, 0), count=1, touched=0, sample=sample)
    assert upsert(known, mixed.detector.rules, Site()).confidence == pytest.approx(
        mixed.detector.rules["write"].confidence * sure
    )


@pytest.mark.parametrize(("target", "alerts"), [(None, 3), ([], 1)])
def test_what_a_correlation_groups_by_is_told_apart_unless_its_target_says_otherwise(
    tmp_path: Path, target: list[str] | None, alerts: int
) -> None:
    lost = correlation("event_count", ["event"], "60s", ["server.ip", "modbus.unit_id"], gte=2)
    section: dict[str, Any] = {} if target is None else {"target": target}
    write_rules(
        tmp_path,
        rule("event", None, {"selection": {"modbus.exception_code": 11}}),
        rule("lost", "low", correlation=lost, icsight=section),
    )
    records = [request(10 * turn + unit, unit_id=unit, exception_code=11) for turn in range(3) for unit in (1, 2, 3)]
    found = detect(Pipeline.of(load([tmp_path]), Site()), cuts(records, []))
    assert len(found) == alerts
    assert sum(alert.count for alert in found.values()) == len(records)


@given(seed=st.integers(0, 10_000), borders=st.sets(st.integers(1, 149), max_size=20), joined=st.sets(st.integers(1, 20)))
@settings(max_examples=20, deadline=None, phases=WITHOUT_SHRINKING)
def test_any_grouping_of_cuts_gives_the_same_alerts_to_the_byte(
    mixed: Pipeline, seed: int, borders: set[int], joined: set[int]
) -> None:
    made = cuts(busy_day(seed), sorted(borders))
    groups: list[list[RecordBatch]] = []
    for number, batches in enumerate(made):
        if number in joined and groups:
            groups[-1] += batches
        else:
            groups.append(list(batches))
    singly = detect(mixed, made)
    assert as_text(detect(mixed, groups)) == as_text(singly)
    assert as_text(detect(mixed, [[batch for batches in made for batch in batches]])) == as_text(singly)
    assert as_text(detect(mixed, made, through_text=True)) == as_text(singly)


def test_the_mixed_rules_all_fire_on_the_random_traffic(mixed: Pipeline) -> None:
    fired = {alert.rule for seed in range(20) for alert in detect(mixed, cuts(busy_day(seed), [])).values()}
    assert fired == {name for name, each in mixed.detector.rules.items() if each.alerts}


@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None, phases=WITHOUT_SHRINKING)
def test_no_finding_is_lost_between_alerts(mixed: Pipeline, seed: int) -> None:
    """Every write is in the alert of its rule or in `related` of exactly one strongest alert."""
    records = busy_day(seed)
    found = detect(mixed, cuts(records, [40, 80, 120])).values()
    told = sum(alert.count for alert in found if alert.rule == "write" and alert.part_of is None)
    told += sum(
        each["count"] for alert in found if alert.part_of is None for each in alert.body["related"] if each["rule"] == "write"
    )
    assert told == sum(record["modbus.function_code"] == 6 for record in records)


def one_rule(folder: Path, *documents: dict[str, Any], site: Site | None = None) -> Pipeline:
    return Pipeline.of(load([write_rules(folder, *documents)]), site or Site())


def test_findings_of_one_cause_are_one_alert_until_a_pause_longer_than_the_window(tmp_path: Path) -> None:
    short = rule("write", "low", {"selection": {"modbus.function_code": 6}}, icsight={"window_seconds": 60})
    pipeline = one_rule(tmp_path, short)
    moments = [0, 30, 90, 151, 160]
    found = list(detect(pipeline, cuts([request(moment, function=6) for moment in moments], [2])).values())
    assert sorted(alert.count for alert in found) == [2, 3]
    assert {alert.body["records"][0] for alert in found} == {
        "test/0123456789abcdef0123456789abcdef/0/0",
        "test/0123456789abcdef0123456789abcdef/1/1",
    }


def test_other_clients_servers_and_units_are_other_alerts(tmp_path: Path) -> None:
    pipeline = one_rule(tmp_path, rule("write", "low", {"selection": {"modbus.function_code": 6}}))
    records = [
        request(0, function=6),
        request(1, function=6, client="10.0.0.2"),
        request(2, function=6, server="10.0.0.8"),
        request(3, function=6, unit_id=2),
        request(4, function=6),
    ]
    found = detect(pipeline, cuts(records, [])).values()
    assert sorted(alert.count for alert in found) == [1, 1, 1, 2]


@pytest.mark.parametrize("strong_first", [True, False])
def test_the_strongest_alert_tells_what_else_the_same_client_did(tmp_path: Path, *, strong_first: bool) -> None:
    pipeline = one_rule(
        tmp_path,
        rule("write", "low", {"selection": {"modbus.function_code": 6}}),
        rule("diagnostic", "high", {"selection": {"modbus.function_code": 8}}),
    )
    order = [8, 6, 6] if strong_first else [6, 8, 6]
    found = detect(pipeline, cuts([request(moment, function=code) for moment, code in enumerate(order)], [1, 2])).values()
    (strong,) = [alert for alert in found if alert.part_of is None]
    assert strong.rule == "diagnostic"
    assert [(each["rule"], each["count"]) for each in strong.body["related"]] == [("write", 2)]
    writes = {f"test/0123456789abcdef0123456789abcdef/{number}/0" for number, code in enumerate(order) if code == 6}
    assert set(strong.body["related"][0]["records"]) == writes
    assert {alert.part_of for alert in found if alert is not strong} <= {strong.id}


def test_alerts_about_another_server_or_hours_apart_stand_for_themselves(tmp_path: Path) -> None:
    pipeline = one_rule(
        tmp_path,
        rule("write", "low", {"selection": {"modbus.function_code": 6}}),
        rule("diagnostic", "high", {"selection": {"modbus.function_code": 8}}),
    )
    records = [request(0, function=8), request(1, function=6, server="10.0.0.8"), request(4_000, function=6)]
    assert all(alert.part_of is None for alert in detect(pipeline, cuts(records, [])).values())


def equals(folder: Path) -> Pipeline:
    """Three rules of one level: two about a unit, one about whatever a client does at a server."""
    return one_rule(
        folder,
        rule("write", "high", {"selection": {"modbus.function_code": 6}}),
        rule("diagnostic", "high", {"selection": {"modbus.function_code": 8}}),
        rule("stranger", "high", {"selection": {"modbus.access": ["write", "diagnostic"]}}, icsight={"target": []}),
    )


def test_equal_alerts_about_one_target_are_told_by_the_first(tmp_path: Path) -> None:
    pipeline = equals(tmp_path)
    made = cuts([request(0, function=6), request(1, function=8), request(500, function=8)], [1])
    (listed,) = [alert for alert in detect(pipeline, made).values() if alert.part_of is None]
    assert listed.rule == "stranger"
    assert [(each["rule"], each["count"]) for each in listed.body["related"]] == [("diagnostic", 2), ("write", 1)]


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (request(1, function=8, unit_id=2), "another unit"),
        (request(1, function=8, server="10.0.0.8"), "another server"),
        (request(1, function=8, client="10.0.0.2"), "another client"),
        (request(601, function=8), "more than ten minutes later"),
        (request(61, function=6), "the same rule, its alert ended"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_equal_alerts_about_different_things_stand_for_themselves(tmp_path: Path, second: dict[str, Any], why: str) -> None:
    short = {"window_seconds": 60}
    pipeline = one_rule(
        tmp_path,
        rule("write", "high", {"selection": {"modbus.function_code": 6}}, icsight=short),
        rule("diagnostic", "high", {"selection": {"modbus.function_code": 8}}, icsight=short),
    )
    found = detect(pipeline, cuts([request(0, function=6), second], [1])).values()
    assert [alert.part_of for alert in found] == [None, None], why


def acts(folder: Path) -> Pipeline:
    """Acts of two techniques and a sweep of a third, all of one level, and a weaker fourth."""
    return one_rule(
        folder,
        rule("write", "medium", {"selection": {"modbus.function_code": 6}}, tags=["attack.t1692.001"]),
        rule("reset", "medium", {"selection": {"modbus.function_code": 8}}, tags=["attack.t0816"]),
        rule("any", None, {"selection": {"modbus.unit_id": 1}}),
        rule(
            "sweep",
            "medium",
            correlation=correlation("value_count", ["any"], "60s", PAIR, gte=3, field="modbus.address"),
            tags=["attack.t0861"],
        ),
        rule("identify", "low", {"selection": {"modbus.function_code": 17}}, tags=["attack.t0888"]),
    )


@pytest.mark.parametrize("borders", [[], [1], [1, 2]], ids=str)
def test_different_acts_stand_for_themselves_and_name_what_each_tells(tmp_path: Path, borders: list[int]) -> None:
    made = cuts([request(moment, function=code) for moment, code in enumerate((6, 8, 17))], borders)
    found = [alert for alert in detect(acts(tmp_path), made, through_text=True).values() if alert.part_of is None]
    assert {alert.rule: alert.body["techniques"] for alert in found} == {"write": ["T1692.001", "T0888"], "reset": ["T0816"]}
    assert {alert.rule: alert.body["technique_aliases"] for alert in found}["write"] == ["T0855"]


@pytest.mark.parametrize("codes", [(6, 3, 3, 8), (3, 3, 3, 6, 8)], ids=["an act before", "all acts after"])
@pytest.mark.parametrize("borders", [[], [1], [1, 2, 3, 4]], ids=str)
def test_a_sweep_tells_what_was_done_on_its_way(tmp_path: Path, codes: tuple[int, ...], borders: list[int]) -> None:
    made = cuts([request(moment, function=code, address=moment) for moment, code in enumerate(codes)], borders)
    (listed,) = [alert for alert in detect(acts(tmp_path), made).values() if alert.part_of is None]
    assert (listed.rule, listed.body["techniques"]) == ("sweep", ["T0861", "T0816", "T1692.001"])


def strangers(folder: Path) -> Pipeline:
    """Two rules of one level, about acts at a unit and about who does anything at a server, and a weaker one."""
    return one_rule(
        folder,
        rule("reset", "high", {"selection": {"modbus.function_code": 8}}),
        rule(
            "stranger",
            "high",
            {"selection": {"modbus.access": ["write", "diagnostic"]}},
            icsight={"about": "circumstances", "target": []},
        ),
        rule("write", "low", {"selection": {"modbus.function_code": 6}}),
    )


@pytest.mark.parametrize("codes", [(6, 8, 6), (8, 6, 6)], ids=["who first", "what first"])
@pytest.mark.parametrize("borders", [[], [1], [1, 2]], ids=str)
def test_what_was_done_is_the_title_and_who_did_it_belongs_to_it(
    tmp_path: Path, codes: tuple[int, ...], borders: list[int]
) -> None:
    made = cuts([request(moment, function=code) for moment, code in enumerate(codes)], borders)
    (listed,) = [alert for alert in detect(strangers(tmp_path), made, through_text=True).values() if alert.part_of is None]
    assert (listed.rule, listed.count) == ("reset", 1)
    assert [(each["rule"], each["count"]) for each in listed.body["related"]] == [("stranger", 3), ("write", 2)]


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (request(601, function=8), "more than ten minutes later"),
        (request(1, function=8, server="10.0.0.8"), "another server"),
        (request(1, function=8, client="10.0.0.2"), "another client"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_who_did_something_else_stands_for_itself(tmp_path: Path, second: dict[str, Any], why: str) -> None:
    found = detect(strangers(tmp_path), cuts([request(0, function=6), second], [1])).values()
    listed = {(alert.rule, alert.client_ip, alert.server_ip) for alert in found if alert.part_of is None}
    assert ("stranger", "10.0.0.1", "10.0.0.9") in listed, why
    assert ("reset", second["client.ip"], second["server.ip"]) in listed, why


def test_what_was_done_at_two_units_is_two_alerts_and_who_did_it_belongs_to_the_first(tmp_path: Path) -> None:
    records = [request(0, function=6), *(request(unit, function=8, unit_id=unit) for unit in (1, 2))]
    found = [alert for alert in detect(strangers(tmp_path), cuts(records, [1, 2])).values() if alert.part_of is None]
    assert [(alert.rule, alert.body["target"]) for alert in found] == [("reset", {"modbus.unit_id": unit}) for unit in (1, 2)]
    related = [[(each["rule"], each["count"]) for each in alert.body["related"]] for alert in found]
    assert related == [[("stranger", 3), ("write", 1)], []]


def test_circumstances_at_another_unit_stand_for_themselves(tmp_path: Path) -> None:
    pipeline = one_rule(
        tmp_path,
        rule("reset", "high", {"selection": {"modbus.function_code": 8}}),
        rule("late", "high", {"selection": {"modbus.function_code": 6}}, icsight={"about": "circumstances"}),
    )
    found = detect(pipeline, cuts([request(0, function=6, unit_id=1), request(1, function=8, unit_id=2)], [1])).values()
    assert {alert.rule: alert.part_of for alert in found} == {"late": None, "reset": None}


def test_who_did_it_tells_the_story_where_what_was_done_is_less_grave(tmp_path: Path) -> None:
    found = detect(strangers(tmp_path), cuts([request(0, function=6), request(1, function=6)], [1])).values()
    (listed,) = [alert for alert in found if alert.part_of is None]
    assert (listed.rule, listed.body["related"][0]["rule"]) == ("stranger", "write")


def test_a_new_client_at_eight_units_of_a_gateway_is_one_alert_that_counts_them(tmp_path: Path) -> None:
    pipeline = one_rule(
        tmp_path,
        rule("any", None, {"selection": {"modbus.access": "read"}}),
        rule(
            "newcomer",
            "low",
            correlation=correlation("value_count", ["any"], "1h", ["server.ip", "modbus.unit_id"], gte=2, field="client.ip"),
            icsight={"newcomers": True, "target": []},
        ),
    )
    polls = [
        request(10 * turn + unit, client=client, unit_id=unit)
        for turn in range(20)
        for unit in range(1, 9)
        for client in ("10.0.0.1", *(["10.0.0.66"] if turn > 4 else []))
    ]
    for borders in ([], [47], list(range(1, len(polls)))):
        (alert,) = detect(pipeline, cuts(polls, borders)).values()
        assert (alert.client_ip, alert.server_ip, alert.count) == ("10.0.0.66", "10.0.0.9", 8)


def test_a_sweep_over_hosts_takes_in_what_happened_at_each_of_them(tmp_path: Path) -> None:
    pipeline = one_rule(
        tmp_path,
        rule("write", "low", {"selection": {"modbus.function_code": 6}}),
        rule("any", None, {"selection": {"modbus.unit_id": 1}}),
        rule("hosts", "medium", correlation=correlation("value_count", ["any"], "60s", ["client.ip"], gte=3, field="server.ip")),
    )
    records = [request(host, server=f"10.0.1.{host}", function=6) for host in range(5)]
    (alert,) = [alert for alert in detect(pipeline, cuts(records, [2])).values() if alert.part_of is None]
    assert (alert.rule, alert.count, alert.server_ip) == ("hosts", 5, None)
    assert alert.body["related"][0]["count"] == 5


def test_an_alert_names_its_first_80_and_last_20_records(tmp_path: Path) -> None:
    pipeline = one_rule(tmp_path, rule("write", "low", {"selection": {"modbus.function_code": 6}}))
    found = detect(pipeline, cuts([request(moment, function=6) for moment in range(150)], [50, 79, 81, 140]))
    (alert,) = found.values()
    assert alert.count == 150
    places = [tuple(map(int, record.split("/")[2:])) for record in alert.body["records"]]
    moments = [{0: 0, 1: 50, 2: 79, 3: 81, 4: 140}[sequence] + row for sequence, row in places]
    assert moments == [*range(80), *range(130, 150)]


def test_an_alert_was_first_and_last_seen_when_its_records_were(tmp_path: Path) -> None:
    """Records may come in a cut that begins after their own time: the answer that completes one came late."""
    pipeline = one_rule(
        tmp_path,
        rule("diagnostic", "high", {"selection": {"modbus.function_code": 8}}),
        rule("write", "low", {"selection": {"modbus.function_code": 6}}),
        rule("reads", None, {"selection": {"modbus.access": "read"}}),
        rule("burst", "medium", correlation=correlation("event_count", ["reads"], "60s", ["server.ip"], gte=3)),
    )
    first = [request(moment, function=code) for moment, code in ((5, 8), (7, 6), (9, 3))]
    late = [request(moment, function=code) for moment, code in ((2, 8), (3, 6), (30, 6), (4, 3), (6, 3))]
    steps = [cut(first, 0, START), cut(late, 1, START + 20 * SECOND)]
    for grouped in (steps, [[*steps[0], *steps[1]]]):
        found = {alert.rule: alert for alert in detect(pipeline, grouped, through_text=True).values() if alert.part_of is None}
        seen = {name: ((alert.first_seen - START) / SECOND, (alert.last_seen - START) / SECOND) for name, alert in found.items()}
        assert seen == {"diagnostic": (2, 5), "burst": (4, 9)}
        (write,) = found["diagnostic"].body["related"]
        assert ((write["first_seen"] - START) / SECOND, (write["last_seen"] - START) / SECOND) == (3, 30)


def test_runs_with_other_clocks_do_not_disturb_one_another(mixed: Pipeline) -> None:
    today = cuts(busy_day(1), [50, 100])
    earlier = [{**record, "ts": record["ts"] - 86_400 * 10**9 * 400} for record in busy_day(2)]
    # Of another sensor: of the runs of one sensor, the one that comes later ends the one before it.
    before = [
        [
            replace(batch, header=replace(batch.header, sensor="another"))
            for batch in cut(earlier[at : at + 50], at // 50, earlier[at]["ts"])
        ]
        for at in (0, 50, 100)
    ]
    apart = {**detect(mixed, today), **detect(mixed, before)}
    mingled = detect(mixed, [batches for pair in zip(today, before, strict=True) for batches in pair])
    assert as_text(mingled) == as_text(apart)


def test_critical_devices_and_points_rank_higher(tmp_path: Path) -> None:
    document = rule("write", "low", {"selection": {"modbus.function_code": 6}})
    plain, critical = (
        next(iter(detect(one_rule(tmp_path, document, site=site), cuts([request(0, function=6)], [])).values()))
        for site in (Site(), Site(critical={"10.0.0.9": 3.0}))
    )
    assert critical.rank == pytest.approx(3 * plain.rank)


def test_state_of_rules_that_are_gone_or_have_changed_does_no_harm(tmp_path: Path) -> None:
    made = cuts(busy_day(3), [70])
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    state, _ = Pipeline.of(mixed_rules(old), Site()).step(State(), made[0])
    write_rules(
        new,
        rule("write", "low", {"selection": {"modbus.function_code": 6}}),
        rule("any", None, {"selection": {"modbus.unit_id": 1}}),
        rule("sweep", "medium", correlation=correlation("value_count", ["any"], "1m", ["client.ip"], gte=2, field="server.ip")),
    )
    _, upserts = Pipeline.of(load([new]), Site()).step(remembered.whole(remembered.parted(state)), made[1])
    assert {alert.rule for alert in upserts} <= {"write", "sweep"}


def test_posture_is_one_alert_of_a_server_for_all_clients_and_no_part_of_any_story(tmp_path: Path) -> None:
    posture = {"about": "posture"}
    write_rules(
        tmp_path,
        rule("weak", "informational", {"selection": {"modbus.function_code": 3}}, icsight=posture),
        rule("write", "high", {"selection": {"modbus.function_code": 6}}),
    )
    hour = 3_600
    records = [
        request(0, client="10.0.0.1"),
        request(1, client="10.0.0.1", function=6),
        request(2, client="10.0.0.2"),
        request(20 * hour, client="10.0.0.3"),
        request(60 * hour, client="10.0.0.3"),
    ]
    found = detect(Pipeline.of(load([tmp_path]), Site()), cuts(records, [2]))
    told = sorted((alert.rule, alert.posture, alert.client_ip, alert.count, alert.part_of) for alert in found.values())
    assert told == [("weak", True, None, 1, None), ("weak", True, None, 3, None), ("write", False, "10.0.0.1", 1, None)]
    assert not any(alert.body["related"] for alert in found.values())


@pytest.mark.parametrize(("completing", "found_from"), [(False, 0), (True, 3_000)])
def test_an_order_whose_completion_alone_counts_begins_when_it_is_complete(
    tmp_path: Path, completing: bool, found_from: int
) -> None:
    write_rules(
        tmp_path,
        rule("before", None, {"selection": {"modbus.function_code": 3}}),
        rule("after", None, {"selection": {"modbus.function_code": 6}}),
        rule(
            "change",
            "high",
            correlation=correlation("temporal_ordered", ["before", "after"], "1h", PAIR),
            icsight={"completing": completing},
        ),
    )
    found = detect(Pipeline.of(load([tmp_path]), Site()), cuts([request(0), request(3_000, function=6)], [1]))
    (alert,) = found.values()
    assert alert.first_seen == START + found_from * SECOND


def gathering(folder: Path, *, enough: int = 5, site: Site | None = None) -> Pipeline:
    """What a client does at one server, of two levels; a rule that counts servers of it; and acts that it does not count."""
    return one_rule(
        folder,
        rule("asks", "medium", {"selection": {"modbus.function_code": 3}}, icsight={"about": "circumstances", "target": []}),
        rule("looks", "low", {"selection": {"modbus.function_code": 17}}),
        rule("write", "low", {"selection": {"modbus.function_code": 6}}),
        rule("reset", "medium", {"selection": {"modbus.function_code": 8}}, tags=["attack.t0816"]),
        rule("stop", "high", {"selection": {"modbus.function_code": 90}}),
        rule(
            "many",
            "medium",
            correlation=correlation("value_count", ["asks", "looks"], "1h", ["client.ip"], gte=enough, field="server.ip"),
        ),
        site=site,
    )


def visits(servers: int, every: float = 20, *, function: int = 3) -> list[dict[str, Any]]:
    """One client at one server after the other."""
    return [request(number * every, server=f"10.0.1.{number}", function=function) for number in range(servers)]


@pytest.mark.parametrize("borders", [[], [3], [4], [5], [*range(1, 300)]], ids=["at once", "3", "4", "5", "singly"])
@pytest.mark.parametrize(("servers", "every"), [(5, 20), (30, 20), (30, 600)], ids=["five", "thirty", "for five hours"])
def test_what_a_client_does_anew_at_many_servers_is_one_alert(
    tmp_path: Path, servers: int, every: float, borders: list[int]
) -> None:
    pipeline = gathering(tmp_path)
    records = visits(servers, every)
    parts = cuts(records, borders)
    made = detect(pipeline, parts, through_text=True)
    assert as_text(made) == as_text(detect(pipeline, [[batch for batches in parts for batch in batches]]))
    (listed,) = [alert for alert in made.values() if alert.part_of is None]
    assert (listed.rule, listed.client_ip, listed.server_ip) == ("many", "10.0.0.1", None)
    assert [(each["rule"], each["count"]) for each in listed.body["related"]] == [("asks", servers)]
    singles = [alert for alert in made.values() if alert is not listed]
    assert {alert.part_of for alert in singles} == {listed.id}
    assert len({alert.server_ip for alert in singles}) == servers


def test_four_servers_or_five_in_more_than_an_hour_are_alerts_of_their_own(tmp_path: Path) -> None:
    pipeline = gathering(tmp_path)
    for records in (visits(4), visits(5, 900)):
        assert [alert.rule for alert in detect(pipeline, cuts(records, [])).values() if alert.part_of is None] == ["asks"] * len(
            records
        )


@pytest.mark.parametrize("moment", [10, 110], ids=["before the fifth", "after it"])
@pytest.mark.parametrize(
    ("function", "server", "listed"),
    [
        (6, "10.0.2.1", {"many", "write"}),
        (8, "10.0.2.1", {"many", "reset"}),
        (8, "10.0.1.0", {"many", "reset"}),
        (90, "10.0.1.0", {"many", "stop"}),
        # It is weaker than what else was told of this server, and is told with it.
        (6, "10.0.1.0", {"many"}),
    ],
)
def test_what_else_was_done_is_not_hidden_by_an_alert_about_many_servers(
    tmp_path: Path, moment: float, function: int, server: str, listed: set[str]
) -> None:
    records = sorted([*visits(7), request(moment, server=server, function=function)], key=lambda record: record["ts"])
    found = list(detect(gathering(tmp_path), cuts(records, [2, 5]), through_text=True).values())
    assert {alert.rule for alert in found if alert.part_of is None} == listed
    (many,) = [alert for alert in found if alert.rule == "many"]
    assert ("write" in {each["rule"] for each in many.body["related"]}) == (listed == {"many"})


def test_an_alert_about_many_servers_ranks_with_the_most_critical_of_them(tmp_path: Path) -> None:
    pipeline = gathering(tmp_path, site=Site(critical={"10.0.1.6": 3.0}))
    for servers, factor in ((6, 1.0), (7, 3.0)):
        (listed,) = [alert for alert in detect(pipeline, cuts(visits(servers), [5])).values() if alert.part_of is None]
        assert listed.rank / listed.confidence == pytest.approx(4.0 * factor)
