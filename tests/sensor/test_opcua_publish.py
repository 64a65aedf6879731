"""Subscriptions of a real client (asyncua): every value that it is notified of is in the records, under its node and name."""

# asyncua's own types are incomplete.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeArgument=false, reportUnknownParameterType=false, reportPrivateUsage=false
# pyright: reportArgumentType=false, reportPrivateImportUsage=false

from __future__ import annotations

import asyncio
import datetime as dt
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import polars as pl
import pytest
from asyncua import ua
from asyncua.client.client import Client

from tests.sensor.opcua_plant import PASSWORD, USER, Tap, node_id, running
from tests.sensor.records import rows

if TYPE_CHECKING:
    from pathlib import Path

SUBSCRIPTIONS: Final = 5
ITEMS: Final = 40
"""Monitored items of each subscription."""

ROUNDS: Final = 12
TYPES: Final = ("Double", "Float", "SByte", "Byte", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64", "Boolean", "String")
MINUTE: Final = dt.timedelta(minutes=1)
STATUS: Final = {0: "Good", 0x40000000: "Uncertain", 0x80310000: "BadNoCommunication"}
QUALITIES: Final = {0: "good", 1: "uncertain", 2: "bad", 3: "bad"}


class Notified(NamedTuple):
    """A value as the client's own callback has it."""

    value: Any
    status: int


class Watcher:
    """Takes notifications of one subscription, by node."""

    def __init__(self, seen: dict[str, list[Notified]]) -> None:
        self.seen = seen

    def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
        status = data.monitored_item.Value.StatusCode
        self.seen[node.nodeid.to_string()].append(Notified(value, 0 if status is None else status.value))


def value_of(kind: str, number: int) -> Any:
    """A value of a type that follows from a number; neighbours differ."""
    match kind:
        case "Boolean":
            return number % 2 == 1
        case "String":
            return f"batch {number}"
        case "Double":
            return number / 7
        case "Float":
            return number / 4
        case "SByte":
            return number % 100 - 50
        case "Byte":
            return number % 251
        case _:
            return number % 32_000


async def publish(folder: Path, seen: dict[str, list[Notified]]) -> tuple[bytes, dict[str, str]]:
    """A capture of a client that watches 200 variables while the plant changes; names of the variables by node."""
    tap, names = Tap(), dict[str, str]()
    async with running(folder, tap, secure=False) as (url, server, level):
        index = level.nodeid.NamespaceIndex
        folder_node = await server.nodes.objects.add_folder(node_id("Line", index), f"{index}:Line")
        variables: list[tuple[Any, str]] = []
        for number in range(SUBSCRIPTIONS * ITEMS):
            kind = TYPES[number % len(TYPES)]
            variant = ua.Variant(value_of(kind, number), ua.VariantType[kind])
            variable = await folder_node.add_variable(node_id(f"Line.{number}", index), f"{index}:Station {number}", variant)
            names[variable.nodeid.to_string()] = f"Station {number}"
            variables.append((variable, kind))
        client = Client(url)
        client.set_user(USER)
        client.set_password(PASSWORD)
        async with client:
            await client.get_node(folder_node.nodeid).get_children_descriptions()
            for number in range(SUBSCRIPTIONS):
                subscription = await client.create_subscription(20 + 10 * number, Watcher(seen))
                watched = [client.get_node(variable.nodeid) for variable, _ in variables[number * ITEMS : (number + 1) * ITEMS]]
                await subscription.subscribe_data_change(watched, queuesize=5)
            for change in range(1, ROUNDS + 1):
                for number, (variable, kind) in enumerate(variables):
                    if (number + change) % 3 == 0:
                        continue
                    variant = ua.Variant(value_of(kind, number + 17 * change), ua.VariantType[kind])
                    status = (0, 0x40000000, 0x80310000)[(number * change) % 7 == 3 and change % 2 + 1]
                    await variable.write_value(ua.DataValue(variant, ua.StatusCode(status)))
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.5)
    return tap.pcap(), names


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[Notified]], dict[str, str]]:
    """A capture, what the client was notified of by node, and names by node."""
    folder = tmp_path_factory.mktemp("publish")
    seen: dict[str, list[Notified]] = defaultdict(list)
    capture, names = asyncio.run(publish(folder, seen))
    path = folder / "publish.pcap"
    path.write_bytes(capture)
    return path, seen, names


def test_every_notified_value_is_an_operand_under_its_node(
    published: tuple[Path, dict[str, list[Notified]], dict[str, str]],
) -> None:
    path, seen, names = published
    items = rows(path, "opcua_item").filter((pl.col("opcua.kind") == "notify") & pl.col("opcua.node_id").is_in(list(names)))
    assert items["opcua.subscription_id"].n_unique() == SUBSCRIPTIONS
    assert items["opcua.client_handle"].n_unique() == ITEMS, "subscriptions number their items alike"
    assert not items["opcua.inferred"].any()
    found: dict[str, list[tuple[Any, str]]] = defaultdict(list)
    for row in items.iter_rows(named=True):
        assert row["opcua.name"] == names[row["opcua.node_id"]]
        value = row["opcua.value"] if row["opcua.data_type"] == "String" else row["opcua.number"]
        found[row["opcua.node_id"]].append((value, row["opcua.status"]))
    expected = {node: [(told.value, STATUS[told.status]) for told in values] for node, values in seen.items()}
    told = [value for values in seen.values() for value in values]
    assert len(told) > 1_000
    # A server gives no value where it has none.
    assert {status for _, status in told} == set(STATUS)
    assert {status for value, status in told if value is None} == {0x80310000}
    assert set(expected) == set(names)
    assert found == expected
    print(f"{len(told):,} notified values compared, 0 missing, 0 wrong")


def test_every_change_that_the_client_was_notified_of_is_a_value_of_its_point(
    published: tuple[Path, dict[str, list[Notified]], dict[str, str]],
) -> None:
    path, seen, names = published
    points = rows(path, "point").filter(pl.col("point.id").is_in(list(names)))
    assert set(points["point.access"]) == {"notify"}
    found: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for row in points.iter_rows(named=True):
        assert row["point.name"] == names[row["point.id"]]
        found[row["point.id"]].append((row["point.number"], row["point.quality"]))
    # A value is a row when it or its quality changes, and when a minute has passed since its last row.
    items = rows(path, "opcua_item").filter((pl.col("opcua.kind") == "notify") & pl.col("opcua.node_id").is_in(list(names)))
    times = {str(node): times for node, times in items.group_by("opcua.node_id").agg(pl.col("ts")).iter_rows()}
    expected: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for node, values in seen.items():
        shown: dt.datetime | None = None
        for told, time in zip(values, times[node], strict=True):
            if told.value is None or isinstance(told.value, str):
                continue
            now = (float(told.value), QUALITIES[told.status >> 30])
            if shown is None or expected[node][-1] != now or time - shown >= MINUTE:
                expected[node].append(now)
                shown = time
    assert len(expected) == SUBSCRIPTIONS * ITEMS - len(range(TYPES.index("String"), SUBSCRIPTIONS * ITEMS, len(TYPES)))
    assert found == expected
