"""What must not matter to detection: when it is, what hosts are called, what else is on the wire, and where a file ends.

A plant is under attack for forty minutes; the same traffic is changed in ways that change nothing of what happens, and the alerts
must be the same but for names and times. How sure a deviation is may differ with what else is on the wire, for it is an estimate
over all of it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from detection.captures import detect, learn
from detection.pipeline import Pipeline
from detection.sigma.rule import load, rules_folder
from detection.site import Site
from tests.detection.packets import Names, merged, packets_of, renamed, shifted, write
from tests.plant import attacks, scenarios
from tests.plant.clients import SECOND
from tests.plant.day import START
from tests.plant.plant import Plant

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from detection.alerts import Alert
    from detection.baseline.normality import Normality
    from detection.sigma.rule import Rule
    from tests.plant.frames import Packet

MINUTE: Final = 60 * SECOND
PACE: Final = 10.0
SPAN: Final = 40 * MINUTE
QUIET: Final = START + 20 * MINUTE
"""Nothing but polling goes on around this time."""

HAPPENS: Final = (
    (9, "planned_work"), (11, "address_sweep"), (13, "set_point_write"), (15, "port_scan"), (17, "identification"),
    (24, "umas_stop"), (28, "arp_spoofing"), (30, "forged_command"), (32, "opcua_new_session_write"), (34, "half_open"),
)  # fmt: skip
"""Minutes after the beginning, and what happens then."""

COMPARES: Final = {"opcua_write_by_second_session", "point_value_jumps"}
"""Rules that compare with what the same file showed before: what another file showed, they have not seen."""

SITE_TEXT: Final = (Path(__file__).resolve().parents[2] / "deploy" / "demo" / "site.yml").read_text(encoding="utf-8")

Told = tuple[Any, ...]


def plant_packets(seed: int, happens: Sequence[tuple[float, str]]) -> list[Packet]:
    plant = Plant(START, seed, PACE)
    for minute, name in happens:
        happening = attacks if name in attacks.ATTACKS else scenarios
        happening.schedule(plant, name, START + int(minute * MINUTE))
    return packets_of(plant, START + SPAN)


def _card(address: bytes, place: int, bits: int) -> bytes:
    """Another card of the same maker; what is sent to many keeps its address."""
    return address if address[0] & 1 else address[:place] + bytes((address[place] ^ bits,)) + address[place + 1 :]


def _other_card(address: bytes) -> bytes:
    return _card(address, 5, 0x5A)


def swapped(first: tuple[int, int], second: tuple[int, int], prefix: tuple[int, int]) -> Names:
    """A renaming that is its own reverse: two pairs of networks change places, and hosts 10 to 99 within them their numbers."""

    def ip(address: bytes) -> bytes:
        if tuple(address[:2]) != prefix or address[2] not in {*first, *second}:
            return address
        pairs = {first[0]: first[1], first[1]: first[0], second[0]: second[1], second[1]: second[0]}
        host = 109 - address[3] if 10 <= address[3] <= 99 else address[3]
        return bytes((*prefix, pairs[address[2]], host))

    return Names(ip, _other_card)


OTHER: Final = swapped((1, 2), (3, 4), (10, 20))
"""Other names for the hosts of the plant."""


def _away(address: bytes) -> bytes:
    return bytes((10, 22)) + address[2:] if address[:2] == bytes((10, 20)) else address


def _card_away(address: bytes) -> bytes:
    return _card(address, 3, 0x80)


AWAY: Final = Names(_away, _card_away)
"""Names of another plant, of which none is in the first."""


def site_named(names: Names, *, besides: bool = False) -> Site:
    """The demo's site with its addresses renamed; besides: with both."""

    def text(address: str) -> str:
        return ".".join(map(str, names.ip(bytes(map(int, address.split("."))))))

    def changed(value: str) -> str:
        return re.sub(r"\d+\.\d+\.\d+\.\d+", lambda found: text(found.group()), value)

    content: dict[str, Any] = yaml.safe_load(SITE_TEXT)
    for name, values in content["lists"].items():
        content["lists"][name] = list(dict.fromkeys([*(values if besides else []), *map(changed, values)]))
    old = content["critical"]
    content["critical"] = {**(old if besides else {}), **{changed(name): factor for name, factor in old.items()}}
    return Site.model_validate(content)


SAME: Final = Names(bytes, bytes)


def told(alerts: Sequence[Alert], names: Names = SAME, *, later: int = 0, surely: bool = True) -> list[Told]:
    """What alerts say, with names and times as they would be without the change."""
    rules = {alert.id: alert.rule for alert in alerts}

    def name(value: str | None) -> str | None:
        if value is None or not re.fullmatch(r"\d+\.\d+\.\d+\.\d+", value):
            return value
        return ".".join(map(str, names.ip(bytes(map(int, value.split("."))))))

    def times(first: int, last: int) -> tuple[int, int]:
        return first - later, last - later

    return sorted(
        (
            (
                alert.rule,
                alert.severity,
                *((round(alert.confidence, 9), alert.rank) if surely else ()),
                times(alert.first_seen, alert.last_seen),
                alert.count,
                name(alert.client_ip),
                name(alert.server_ip),
                tuple((key, name(str(value))) for key, value in alert.body["target"].items()),
                tuple(alert.body["techniques"]),
                tuple(
                    sorted(
                        (each["rule"], each["count"], times(each["first_seen"], each["last_seen"]))
                        for each in alert.body["related"]
                    )
                ),
                rules.get(str(alert.part_of)),
            )
            for alert in alerts
        ),
        key=repr,
    )


@pytest.fixture(scope="module")
def rules() -> list[Rule]:
    return load([rules_folder()])


@pytest.fixture(scope="module")
def attacked() -> list[Packet]:
    return plant_packets(31, HAPPENS)


@pytest.fixture(scope="module")
def found(rules: list[Rule], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[Alert]]:
    """What detection says of packets."""
    folder = tmp_path_factory.mktemp("captures")
    pipelines: dict[str, Pipeline] = {}

    def run(packets: Sequence[Packet], site: Site | None = None, normal: Normality | None = None) -> list[Alert]:
        site = site or site_named(SAME)
        pipeline = pipelines.setdefault(site.model_dump_json(), Pipeline.of(rules, site))
        alerts, warnings = detect(str(write(folder / "a.pcap", packets)), pipeline, normal=normal)
        assert not warnings
        return alerts

    return run


@pytest.fixture(scope="module")
def plain(found: Callable[..., list[Alert]], attacked: list[Packet]) -> list[Alert]:
    return found(attacked)


def test_the_attacks_that_the_tests_change_are_found(plain: list[Alert]) -> None:
    rules = {alert.rule for alert in plain}
    assert {"port_scan", "half_open_connections", "address_spoofing"} <= rules
    assert len(rules) > 10
    assert sum(alert.severity in {"high", "critical"} for alert in plain if alert.part_of is None) >= 5


@pytest.mark.parametrize("later", [17 * 1_440 * MINUTE, -400 * 1_440 * MINUTE, 61 * MINUTE + 1])
def test_another_time_gives_the_same_alerts_at_that_time(
    found: Callable[..., list[Alert]], attacked: list[Packet], plain: list[Alert], later: int
) -> None:
    assert told(found(shifted(attacked, later)), later=later) == told(plain)


def test_other_names_give_the_same_alerts_under_those_names(
    found: Callable[..., list[Alert]], attacked: list[Packet], plain: list[Alert]
) -> None:
    alerts = found(renamed(attacked, OTHER), site_named(OTHER))
    assert told(alerts, OTHER) == told(plain)


@pytest.fixture(scope="module")
def elsewhere() -> list[Packet]:
    """Another plant in the same time, with an engineer's work and an attack of its own."""
    happens = [(10, "planned_work"), (16, "umas_download"), (26, "coil_toggling")]
    first, last = START + 5 * SECOND, START + SPAN - 5 * SECOND
    return [packet for packet in renamed(plant_packets(32, happens), AWAY) if first < packet.ts < last]


def of(alerts: Sequence[Alert], prefix: str) -> list[Alert]:
    """The alerts about hosts of one plant."""
    return [alert for alert in alerts if str(alert.client_ip or alert.server_ip or alert.body["target"]).find(prefix) >= 0]


@pytest.mark.parametrize("later", [0, 1_700_000_000, -2_300_000_000])
def test_traffic_of_others_changes_no_alert_in_whatever_order_the_two_come(
    found: Callable[..., list[Alert]], attacked: list[Packet], plain: list[Alert], elsewhere: list[Packet], later: int
) -> None:
    alerts = found(merged(attacked, shifted(elsewhere, later)), site_named(AWAY, besides=True))
    assert told(of(alerts, "10.20."), surely=False) == told(of(plain, "10.20."), surely=False)
    others = told(of(alerts, "10.22."), later=later, surely=False)
    assert {"umas_program_replaced"} <= {rule for rule, *_ in others}
    if later:
        alone = found(merged(attacked, elsewhere), site_named(AWAY, besides=True))
        assert others == told(of(alone, "10.22."), surely=False)


@pytest.fixture(scope="module")
def normal(tmp_path_factory: pytest.TempPathFactory) -> Normality:
    """What a quiet half hour of the plant teaches."""
    path = write(tmp_path_factory.mktemp("normal") / "n.pcap", plant_packets(33, [(3, "planned_work")]))
    learned, _ = learn(str(path), "")
    return learned


def test_a_capture_in_two_files_gives_what_the_whole_gives(
    found: Callable[..., list[Alert]], attacked: list[Packet], normal: Normality
) -> None:
    def cause(alert: Alert) -> tuple[str, ...]:
        return (alert.rule, str(alert.client_ip), str(alert.server_ip))

    def causes(alerts: Sequence[Alert]) -> set[tuple[str, ...]]:
        return {cause(alert) for alert in alerts if alert.part_of is None}

    whole = found(attacked, normal=normal)
    gathered = {cause(alert) for alert in whole if alert.part_of is not None}
    halves = [[packet for packet in attacked if (packet.ts < QUIET) == early] for early in (True, False)]
    parts = [found(half, normal=normal) for half in halves]
    assert all(len(causes(part)) >= 3 for part in parts)
    together = causes(parts[0]) | causes(parts[1])
    # What a client does at five servers is one matter; neither half has five of them.
    assert together <= causes(whole) | gathered
    missing = causes(whole) - together
    assert {rule for rule, *_ in missing} <= COMPARES | {"new_at_many_servers"}
