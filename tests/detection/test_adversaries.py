"""Who knows how detection works and tries to get around it: what is found all the same, and what escapes.

What escapes is asserted as well, so that deploy/docs/detection.md, which tells of it, stays true.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from detection.baseline.detector import BaselineState
from detection.captures import detect, learn
from detection.pipeline import Pipeline, RunState, State
from detection.sigma.rule import load, rules_folder
from detection.site import Site
from detection.site import load as load_site
from tests.detection.packets import packets_of, write
from tests.detection.traffic import EPOCH, SECOND, START, cuts, request
from tests.plant import scenarios
from tests.plant.clients import SECOND as TICK
from tests.plant.clients import Session
from tests.plant.controllers import SETPOINTS_AT
from tests.plant.day import START as MORNING
from tests.plant.frames import Host
from tests.plant.plant import HMI as STATION
from tests.plant.plant import INTRUDER as MACHINE
from tests.plant.plant import Plant

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from detection.alerts import Alert
    from detection.baseline.normality import Normality
    from detection.sigma.rule import Rule

DAY: Final = 86_400
LEARNED: Final = 600
HMI, INTRUDER, PLC, OTHER_PLC = "10.0.0.1", "10.0.0.66", "10.0.0.9", "10.0.0.8"
SEVERE: Final = {"high", "critical"}

SITE: Final = Path(__file__).resolve().parents[2] / "deploy" / "demo" / "site.yml"


@pytest.fixture(scope="module")
def rules() -> list[Rule]:
    return load([rules_folder()])


@pytest.fixture(scope="module")
def pipeline(rules: list[Rule]) -> Pipeline:
    """The shipped rules at a site of which nothing is known."""
    return Pipeline.of(rules, Site())


def read(seconds: float, **more: Any) -> dict[str, Any]:
    return asked(seconds, **{"address": 100, "quantity": 4, **more})


def asked(seconds: float, *parties: str, function: int = 3, **more: Any) -> dict[str, Any]:
    """A request to the usual port."""
    return {**request(seconds, *parties, function=function, **more), "server.port": 502}


def polls(until: int, every: int = 10) -> list[dict[str, Any]]:
    """The operator station polls two controllers, and writes to one of them now and then while normality is learned."""
    polled = [read(second, server=server) for second in range(0, until, every) for server in (PLC, OTHER_PLC)]
    written = [
        asked(second + 1, HMI, OTHER_PLC, function=6, address=100, quantity=1, values=[40]) for second in range(0, LEARNED, 100)
    ]
    return polled + written


def alerts(pipeline: Pipeline, records: Sequence[dict[str, Any]], *, learned: int = LEARNED) -> list[Alert]:
    """The alerts that stand for themselves, strongest first, after so many seconds of learning."""
    state = State({("test", EPOCH): RunState(baseline=BaselineState.learning(START, START + learned * SECOND))})
    ordered = sorted(records, key=lambda record: record["ts"])
    latest: dict[str, Alert] = {}
    for batches in cuts(ordered, range(20_000, len(ordered), 20_000)):
        state, upserts = pipeline.step(state, batches)
        latest.update((alert.id, alert) for alert in upserts)
    told = [alert for alert in latest.values() if alert.part_of is None and not alert.posture]
    return sorted(told, key=lambda alert: (-alert.rank, alert.first_seen, alert.rule))


def rules_of(found: Sequence[Alert], client: str) -> set[str]:
    return {alert.rule for alert in found if alert.client_ip == client}


# Slow scans.


def test_a_strangers_slow_scan_is_told_at_its_first_question_though_no_window_ever_sees_a_sweep(pipeline: Pipeline) -> None:
    scan = [read(LEARNED + 900 * step, client=INTRUDER, address=4 * step, quantity=1) for step in range(90)]
    found = alerts(pipeline, [*polls(DAY, 300), *polls(LEARNED), *scan])
    first = min((alert for alert in found if alert.client_ip == INTRUDER), key=lambda alert: alert.first_seen)
    assert (first.rule, first.first_seen) == ("new_control_conversation", scan[0]["ts"])
    assert "address_sweep" not in {alert.rule for alert in found}


def test_a_known_stations_slow_scan_is_told_when_it_read_forty_new_addresses_within_a_day(pipeline: Pipeline) -> None:
    def scanned(addresses: int) -> set[str]:
        scan = [read(LEARNED + 900 * step, address=500 + 4 * step, quantity=1) for step in range(addresses)]
        return rules_of(alerts(pipeline, [*polls(DAY, 300), *polls(LEARNED), *scan]), HMI)

    assert scanned(40) == {"slow_address_scan"}
    # What escapes: fewer addresses a day than that.
    assert scanned(39) == set()


# A command among many questions.


@pytest.mark.parametrize(("client", "rule"), [(HMI, "reader_writes"), (INTRUDER, "new_writer")])
def test_a_write_in_a_burst_of_reads_is_told_as_a_write(pipeline: Pipeline, client: str, rule: str) -> None:
    burst = [read(LEARNED + 5 + number / 5_000, client=client) for number in range(30_000)]
    hidden = asked(LEARNED + 8.00001, client, PLC, function=6, address=100, quantity=1, values=[900])
    found = alerts(pipeline, [*polls(LEARNED), *burst, hidden])
    told = {name: alert for alert in found for name in (alert.rule, *(each["rule"] for each in alert.body["related"]))}
    assert (told[rule].client_ip, told[rule].server_ip, told[rule].severity) == (client, PLC, "high")
    # What escapes: a station that only read and now floods is told as a flood, and its write under it.
    assert told[rule].rule == ("new_writer" if client == INTRUDER else "request_flood")


# Poisoning.


def test_who_writes_while_normality_is_learned_is_normal_later_unless_the_site_knows_its_writers(
    rules: list[Rule], pipeline: Pipeline
) -> None:
    def write_at(second: int) -> dict[str, Any]:
        return asked(second, INTRUDER, PLC, function=6, address=100, quantity=1, values=[900])

    records = [*polls(2 * LEARNED), write_at(50), write_at(LEARNED + 50)]
    after = START + LEARNED * SECOND
    # What escapes: the baseline takes both for normal.
    assert not [alert for alert in alerts(pipeline, records) if alert.last_seen >= after and alert.severity in SEVERE]
    site = Site.model_validate({"lists": {"authorised_writers": [HMI]}})
    (alert,) = [alert for alert in alerts(Pipeline.of(rules, site), records) if alert.rule == "write_by_unauthorised_client"]
    assert (alert.count, alert.severity) == (2, "high")


def test_one_more_operation_than_was_poisoned_is_told(pipeline: Pipeline) -> None:
    poison = [asked(second, INTRUDER, PLC, function=6, address=100, quantity=1, values=[1]) for second in range(10, LEARNED, 50)]
    stop = asked(LEARNED + 50, INTRUDER, PLC, function=90, sub_function=65, access="other")
    assert "new_program_operation" in rules_of(alerts(pipeline, [*polls(2 * LEARNED), *poison, stop]), INTRUDER)


# Mimicry.


@pytest.fixture(scope="module")
def normal(tmp_path_factory: pytest.TempPathFactory) -> Normality:
    """What an hour of the plant teaches, operators' trims included."""
    plant = Plant(MORNING, 41, 10.0)
    scenarios.schedule(plant, "normal_day", MORNING + TICK)
    learned, _ = learn(str(write(tmp_path_factory.mktemp("n") / "n.pcap", packets_of(plant, MORNING + 7_200 * TICK))), "")
    return learned


def mimicked(rules: list[Rule], normal: Normality, path: Path, host: Host | None, value: int) -> set[tuple[str, str]]:
    """Rules and severities of the alerts when chlorine is set by a machine with the station's address, or in its connection."""
    plant = Plant(MORNING, 42, 10.0)

    def command(now: int) -> Iterator[int]:
        session = plant.hmi["treatment"] if host is None else Session(plant, host, plant.controllers["treatment"])
        yield session.ask(now, scenarios.WriteSingleRegisterRequest(address=SETPOINTS_AT + 1, registers=[value]))

    plant.happen(MORNING + 1_200 * TICK, command)
    capture = write(path, packets_of(plant, MORNING + 1_800 * TICK))
    found, _ = detect(str(capture), Pipeline.of(rules, load_site(SITE)), normal=normal)
    return {(alert.rule, alert.severity) for alert in found if alert.part_of is None and not alert.posture}


def test_the_stations_address_on_another_card_is_told(rules: list[Rule], normal: Normality, tmp_path: Path) -> None:
    found = mimicked(rules, normal, tmp_path / "a.pcap", Host(STATION.ip, MACHINE.mac), 60)
    assert ("client_on_second_card", "medium") in found


def test_a_command_in_the_stations_own_name_is_told_by_its_value_alone(
    rules: list[Rule], normal: Normality, tmp_path: Path
) -> None:
    assert ("set_point_out_of_range", "high") in mimicked(rules, normal, tmp_path / "a.pcap", None, 900)
    # What escapes: a value that an operator could have chosen, in the station's own connection.
    assert not mimicked(rules, normal, tmp_path / "b.pcap", None, 60)


# Flooding.


def test_a_command_behind_a_flood_of_alerts_has_an_alert_of_its_own_with_full_weight(pipeline: Pipeline) -> None:
    flood = [
        asked(
            LEARNED + number,
            f"10.9.{number // 250}.{number % 250 + 1}",
            PLC,
            function=6,
            address=100,
            quantity=1,
            values=[number],
        )
        for number in range(500)
    ]
    stop = asked(LEARNED + 250.5, INTRUDER, OTHER_PLC, function=90, sub_function=65, access="other")
    found = alerts(pipeline, [*polls(LEARNED + 600), *flood, stop])
    (alert,) = [alert for alert in found if alert.client_ip == INTRUDER]
    assert (alert.severity, alert.server_ip) == ("high", OTHER_PLC)
    # What escapes: nothing makes one of many strangers' commands stand out from the others.
    assert sum(other.severity in SEVERE for other in found) == 501


def test_what_one_intruder_does_to_hide_a_command_is_told_under_the_command(pipeline: Pipeline) -> None:
    noise = [read(LEARNED + number / 50, client=INTRUDER, server=OTHER_PLC, address=number) for number in range(5_000)]
    stop = asked(LEARNED + 50.001, INTRUDER, OTHER_PLC, function=90, sub_function=65, access="other")
    found = [alert for alert in alerts(pipeline, [*polls(LEARNED + 120), *noise, stop]) if alert.client_ip == INTRUDER]
    assert found[0].severity == "high"
    assert stop["ts"] in {found[0].first_seen, found[0].last_seen}
    assert len(found) <= 3
