"""What conditions mean: each modifier of Sigma, missing values, derived fields, facts of the site."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sigma.exceptions import SigmaError
from sigma.rule import SigmaRule

from detection.sigma.compile import compile_condition, parsed
from detection.sigma.fields import COMMON, DERIVED, ConditionError
from detection.sigma.values import Binding
from detection.site import Site
from sensor.tables import TABLES
from tests.detection.traffic import SECOND, START, request, rows

if TYPE_CHECKING:
    import polars as pl

SAMPLE = [
    request(0, "10.0.0.1", function=3, address=100, quantity=10, values=[1, 2, 300]),
    request(60, "10.0.1.2", function=16, address=495, quantity=10, values=[0, 0, 0, 0, 201, 5, 0, 0, 0, 0]),
    request(120, "2001:db8::1", "8.8.8.8", function=8, sub_function=4, data=b"\xff\x00\x5a"),
    request(180, "8.8.4.4", function=90, data=b"\x00\x5a\x01\x34"),
    request(240, "10.0.0.3", function=23, address=1, quantity=2, write_address=499, write_quantity=2, write_values=[7, 8]),
    request(300, "10.0.0.4", function=6, address=499, values=[250]),
]
"""Requests that the tests ask about, by place."""

SITE = Site.model_validate(
    {
        "lists": {
            "writers": ["10.0.0.0/24", "2001:DB8:0::1"],
            "units": ["1", "7"],
            "words": ["READ_holding_registers"],
            "empty": [],
            "odd": ["10.0.0.0/99"],
        },
        "windows": {"early": [{"start": "2025-11-24T16:00:00Z", "end": "2025-11-24T16:02:00Z"}]},
    }
)


def distinct_columns(table: str) -> list[str]:
    return [column.name for column in TABLES[table].columns if column.kind in {"name", "choice", "text", "u8"}]


def matching(
    selection: Any, condition: str = "selection", *, table: str = "modbus", frame: pl.DataFrame | None = None
) -> list[int]:
    """Places of the rows that a detection matches, cheap tests first and costly ones on what they leave, as detection does."""
    sigma = SigmaRule.from_dict(
        {
            "title": "t",
            "logsource": {"product": "ot", "service": table},
            "detection": {"selection": selection, "condition": condition},
        }
    )
    frame = rows(table, SAMPLE) if frame is None else frame
    compiled = compile_condition(table, parsed(sigma.detection), SITE)
    binding = Binding(frame, distinct_columns(table))
    left = frame.with_row_index("place")
    for bind in (compiled.bind, compiled.costly):
        bound = True if bind is None else bind(binding)
        left = left.filter(bound)
    return left.get_column("place").to_list()


@pytest.mark.parametrize(
    ("selection", "places"),
    [
        ({"modbus.function": "Read_Holding_Registers"}, [0]),
        ({"modbus.function": ["diagnostics", "umas"]}, [2, 3]),
        ({"modbus.function": "*write*"}, [1, 4, 5]),
        ({"modbus.function": "umaz"}, []),
        ({"modbus.function": "?mas"}, [3]),
        ({"modbus.function|contains": "MULTIPLE"}, [1, 4]),
        ({"modbus.function|contains|all": ["read", "write"]}, [4]),
        ({"modbus.function|contains|cased": "MULTIPLE"}, []),
        ({"modbus.function|startswith": "write_"}, [1, 5]),
        ({"modbus.function|endswith": "s"}, [0, 1, 2, 3, 4]),
        ({"modbus.function|re": "^(umas|diag.*)$"}, [2, 3]),
        ({"modbus.function|re": "UMAS"}, []),
        ({"modbus.function|re|i": "UMAS"}, [3]),
        ({"client.ip|cidr": "10.0.0.0/24"}, [0, 4, 5]),
        ({"client.ip|cidr": ["10.0.1.0/24", "2001:db8::/32"]}, [1, 2]),
        ({"modbus.function_code": 6}, [5]),
        ({"modbus.function_code": [3, 6]}, [0, 5]),
        ({"modbus.function_code|gt": 23}, [3]),
        ({"modbus.function_code|gte": 23}, [3, 4]),
        ({"modbus.function_code|lt": 6}, [0]),
        ({"modbus.function_code|lte": 6}, [0, 5]),
        ({"modbus.function_code|neq": [3, 6, 8, 16]}, [3, 4]),
        ({"modbus.address|gt": 100}, [1, 5]),
        ({"modbus.address|gte": 100, "modbus.address|lt": 495}, [0]),
        ({"modbus.values": 201}, [1]),
        ({"modbus.values|gt": 200}, [0, 1, 5]),
        ({"modbus.values|lt": 1}, [1]),
        ({"modbus.sub_function|exists": True}, [2]),
        ({"modbus.sub_function|exists": False}, [0, 1, 3, 4, 5]),
        ({"modbus.address": None}, [2, 3]),
        ({"modbus.address": [None, 499]}, [2, 3, 5]),
        ({"modbus.write_quantity|fieldref": "modbus.quantity"}, [4]),
        ({"client.ip|fieldref": "server.ip"}, []),
        ({"modbus.data": "00 5a 01 34"}, [3]),
        ({"modbus.data|startswith": "ff00"}, [2]),
        ({"modbus.data|endswith": "34"}, [3]),
        ({"modbus.data|contains": "5A"}, [2, 3]),
        ([{"modbus.function_code": 6}, {"modbus.function_code": 3}], [0, 5]),
        ({"client.ip|expand": "%writers%"}, [0, 2, 4, 5]),
        ({"client.ip|expand": "%empty%"}, []),
        ({"client.ip|expand": "%unknown%"}, []),
        ({"modbus.unit_id|expand": "%units%"}, [0, 1, 2, 3, 4, 5]),
        ({"modbus.function|expand": "%words%"}, [0]),
        ({"ts|expand": "%early%"}, [0, 1]),
        (["umas", "HOLDING"], [0, 3]),
        (["10.0.1.?"], [1]),
        ([8844], []),
        ({"network.client_public": True}, [3]),
        ({"network.server_public": True}, [2]),
        ({"network.client_public": False}, [0, 1, 2, 4, 5]),
        ({"modbus.last_address": 504}, [1]),
        ({"modbus.address|lte": 499, "modbus.last_address|gte": 499}, [1, 5]),
        ({"modbus.written_address|lte": 499, "modbus.written_last_address|gte": 499}, [1, 4, 5]),
        ({"modbus.written[499]|gt": 200}, [1, 5]),
        ({"modbus.written[500]": [5, 8]}, [1, 4]),
        ({"modbus.written[101]|exists": True}, []),
        ({"modbus.value[102]": 300}, [0]),
        ({"modbus.value[99]|exists": True}, []),
    ],
    ids=str,
)
def test_a_selection_matches_the_rows_that_sigma_says(selection: Any, places: list[int]) -> None:
    assert matching(selection) == places
    assert matching(selection, "not selection") == [place for place in range(len(SAMPLE)) if place not in places]


def test_no_test_but_null_holds_for_a_missing_value() -> None:
    frame = rows("modbus", [{**request(0), "client.ip": None, "modbus.address": None, "modbus.values": None}])
    for selection in (
        {"client.ip": "*"},
        {"client.ip|cidr": "0.0.0.0/0"},
        {"client.ip|expand": "%writers%"},
        {"network.client_public": False},
        {"modbus.address|gte": 0},
        {"modbus.values|gte": 0},
        {"modbus.last_address|gte": 0},
    ):
        assert matching(selection, frame=frame) == [], selection
    assert matching({"client.ip": None, "modbus.address": None}, frame=frame) == [0]


def test_durations_are_compared_as_nanoseconds() -> None:
    frame = rows("modbus", [request(0, response_time=2_000_000), request(1, response_time=5_000_000), request(2)])
    assert matching({"modbus.response_time|gt": 3_000_000}, frame=frame) == [1]


def test_points_are_held_against_their_own_range() -> None:
    site = Site.model_validate({"ranges": {"limits": {"holding:1@1": [0, 10]}}})
    points = [("holding:1@1", 5.0), ("holding:1@1", 11.0), ("holding:2@1", 99.0)]
    records = [
        {
            "ts": START + place * SECOND,
            "point.id": name,
            "point.number": value,
            "point.access": "write",
            "point.quality": "good",
            "network.protocol": "modbus",
        }
        for place, (name, value) in enumerate(points)
    ]
    detection = {"selection": {"point.number|expand": "%limits%"}, "condition": "not selection"}
    sigma = SigmaRule.from_dict({"title": "t", "logsource": {"product": "ot", "service": "point"}, "detection": detection})
    frame = rows("point", records)
    bound = compile_condition("point", parsed(sigma.detection), site).bind(Binding(frame, distinct_columns("point")))
    assert frame.with_row_index("place").filter(bound).get_column("place").to_list() == [1]


@pytest.mark.parametrize(
    ("window", "inside", "outside"),
    [
        (
            {"days": ["mon"], "from": "08:00", "to": "17:00", "timezone": "Asia/Shanghai"},
            ["2026-11-23T00:00:00", "2026-11-23T08:59:59"],
            ["2026-11-22T23:59:59", "2026-11-23T09:00:00", "2026-11-24T03:00:00"],
        ),
        (
            {"days": ["fri"], "from": "22:00", "to": "06:00"},
            ["2026-11-27T22:00:00", "2026-11-27T23:59:59", "2026-11-28T05:59:59"],
            ["2026-11-27T05:00:00", "2026-11-28T06:00:00", "2026-11-28T22:00:00"],
        ),
        (
            {"start": "2026-11-20T08:00:00+08:00", "end": "2026-11-20T20:00:00+08:00"},
            ["2026-11-20T00:00:00", "2026-11-20T11:59:59"],
            ["2026-11-19T23:59:59", "2026-11-20T12:00:00"],
        ),
    ],
    ids=["weekly in another zone", "over midnight", "once"],
)
def test_a_window_of_the_site_is_open_at_its_times(window: dict[str, Any], inside: list[str], outside: list[str]) -> None:
    site = Site.model_validate({"windows": {"work": [window]}})
    moments = [datetime.fromisoformat(moment).replace(tzinfo=UTC) for moment in (*inside, *outside)]
    frame = rows("modbus", [{**request(0), "ts": round(moment.timestamp()) * SECOND} for moment in moments])
    detection = {"selection": {"ts|expand": "%work%"}, "condition": "selection"}
    sigma = SigmaRule.from_dict({"title": "t", "logsource": {"product": "ot", "service": "modbus"}, "detection": detection})
    bound = compile_condition("modbus", parsed(sigma.detection), site).bind(Binding(frame, []))
    assert frame.select(open=bound).to_series().to_list() == [True] * len(inside) + [False] * len(outside)


@pytest.mark.parametrize(
    ("selection", "reason"),
    [
        ({"modbus.funktion": 1}, "unknown field"),
        ({"modbus.written[70000]": 1}, "unknown field"),
        ({"modbus.function|gt": 3}, "cannot be tested with"),
        ({"modbus.address": "ten"}, "is not one"),
        ({"modbus.address|contains": "1"}, "is not one"),
        ({"modbus.data": "not hex"}, "hexadecimal"),
        ({"modbus.data": "00*11"}, "hexadecimal"),
        ({"modbus.file_records": 1}, "cannot be tested"),
        ({"modbus.function|re": "("}, "is invalid"),
        ({"modbus.unit_id": True}, "not true or false"),
        ({"client.ip|expand": "%early%"}, "under lists"),
        ({"ts|expand": "%writers%"}, "under windows"),
        ({"client.ip|expand": "%odd%"}, "does not fit"),
        ({"modbus.address|fieldref": "client.ip"}, "cannot be the same"),
        ({"modbus.address|fieldref": "nowhere"}, "unknown field"),
        ({"ts|hour": 3}, "not supported"),
    ],
    ids=str,
)
def test_a_condition_that_cannot_be_compiled_is_told_in_one_line(selection: Any, reason: str) -> None:
    with pytest.raises((ConditionError, SigmaError), match=reason) as error:
        matching(selection)
    assert "\n" not in str(error.value)


def sensor_states(*drops: dict[str, int]) -> pl.DataFrame:
    counters = [[{"name": name, "count": count} for name, count in each.items()] for each in drops]
    return rows("sensor", [{"ts": START + place * 10 * SECOND, "sensor.drops": each} for place, each in enumerate(counters)])


@pytest.mark.parametrize(
    ("selection", "places"),
    [
        ({"sensor.drops.modbus_pending_overflow|gt": 0}, [1, 2]),
        ({"sensor.drops.modbus_pending_overflow": 0}, [0, 3]),
        ({"sensor.drops.modbus_pending_overflow|gte": 40}, [2]),
        ({"sensor.drops.network_other|gt": 8, "sensor.drops.modbus_pending_overflow": 3}, [1]),
        ({"sensor.lost|gt": 0}, [2]),
        ({"sensor.lost": 3}, [2]),
    ],
    ids=str,
)
def test_a_counter_of_a_sensor_is_a_field_by_its_name(selection: Any, places: list[int]) -> None:
    overflow = "modbus_pending_overflow"
    frame = sensor_states({}, {"network_other": 9, overflow: 3}, {overflow: 40, "flow_evicted": 3}, {"network_other": 5})
    assert matching(selection, table="sensor", frame=frame) == places


def test_a_counter_that_no_sensor_has_is_refused_and_the_known_ones_told() -> None:
    with pytest.raises(ConditionError, match=r"unknown counter packets_lost: one of .*flow_evicted.*") as error:
        matching({"sensor.drops.packets_lost|gt": 0}, table="sensor", frame=sensor_states())
    assert "\n" not in str(error.value)


def test_derived_fields_stand_in_the_documentation() -> None:
    document = (Path(__file__).parents[2] / "deploy/docs/rules.md").read_text(encoding="utf-8")
    for name in (*COMMON, *DERIVED["modbus"], "modbus.value[ADDRESS]", "modbus.written[ADDRESS]"):
        assert f"`{name}`" in document, name
