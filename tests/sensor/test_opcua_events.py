"""Events that a real server (asyncua) fires: each that a client is told of, or reads of the history, is in the records."""

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

ROUNDS: Final = 40
SERVER_NODE: Final = "i=2253"
MOMENT: Final = dt.timedelta(hours=1)


class Told(NamedTuple):
    """An event as the client has it."""

    source: str
    severity: int
    message: str
    event_id: str | None
    """As the records write it; none where the filter does not select it."""


class Item(NamedTuple):
    """A monitored item of events."""

    subscription_id: int
    client_handle: int
    monitored_item_id: int
    node: str


class Seen(NamedTuple):
    """A capture, the events by monitored item that the client's callbacks got, and those that it read of the history."""

    path: Path
    told: dict[Item, list[Told]]
    history: list[Told]
    tank: str


def told(event: Any) -> Told:
    """What the client has of an event. The source is its name, or its node where the filter does not select the name."""
    source = getattr(event, "SourceName", None) or event.SourceNode.to_string()
    event_id = getattr(event, "EventId", None)
    return Told(source, event.Severity, event.Message.Text, None if event_id is None else f"0x{event_id.hex()}")


class Watcher:
    """Takes the events of one subscription, by the server's number of the monitored item."""

    def __init__(self) -> None:
        self.seen: dict[int, list[Told]] = defaultdict(list)

    def event_notification(self, event: Any) -> None:
        self.seen[event.server_handle].append(told(event))


def event_filter(*names: str) -> ua.EventFilter:
    """A filter that selects fields of the base event type and lets every event pass."""
    operand: Any = ua.SimpleAttributeOperand
    base = node_id_of(ua.ObjectIds.BaseEventType)
    return ua.EventFilter(SelectClauses=[operand(base, [ua.QualifiedName(name)], ua.AttributeIds.Value) for name in names])


def node_id_of(number: int) -> Any:
    make: Any = ua.NodeId
    return make(number)


async def fire(server: Any, tank: Any) -> None:
    """Fires plain events of the server and of the tank, and alarms and conditions of the tank."""
    plain = await server.get_event_generator(ua.ObjectIds.BaseEventType, node_id_of(ua.ObjectIds.Server))
    of_tank = await server.get_event_generator(ua.ObjectIds.SystemEventType, tank)
    condition = await server.get_event_generator(ua.ObjectIds.ConditionType, tank)
    alarm = await server.get_event_generator(ua.ObjectIds.AlarmConditionType, tank)
    # The stack's history in memory keeps the events of its Server object only: it takes every event for one of that.
    await server.historize_node_event(server.nodes.server)
    for number in range(ROUNDS):
        generators = (plain, of_tank, condition, alarm)
        for kind, generator in enumerate(generators):
            if (number + kind) % 5 == 4:
                continue
            event = generator.event
            event.Severity = 1 + (number * 37 + kind * 250) % 1_000
            event.Message = ua.LocalizedText(
                f"液位高 {number}" if kind == 2 else f"Level {number}; kind {kind}", "zh-CN" if kind == 2 else "en"
            )
            if generator is not plain:
                event.SourceName = f"Sensor {number % 3}"
            if generator in (condition, alarm):
                event.NodeId, event.Retain, event.ConditionName = node_id("Tank.High", 2), number % 2 == 0, "High"
            await generator.trigger()
        await asyncio.sleep(0.01)


async def capture(folder: Path) -> Seen:
    tap, events, history = Tap(), dict[Item, list[Told]](), list[Told]()
    async with running(folder, tap, secure=False) as (url, server, level):
        tank = node_id("Tank", level.nodeid.NamespaceIndex)
        await server.get_node(tank).set_event_notifier([ua.EventNotifier.SubscribeToEvents])
        client = Client(url)
        client.set_user(USER)
        client.set_password(PASSWORD)
        async with client:
            watchers: list[tuple[Any, Watcher]] = []
            for period in (20, 30, 50):
                watcher = Watcher()
                watchers.append((await client.create_subscription(period, watcher), watcher))
            (plain, _), (alarms, _), (few, _) = watchers
            # Two nodes of one subscription, whose items differ by their handle.
            await plain.subscribe_events()
            await plain.subscribe_events(tank)
            await alarms.subscribe_alarms_and_conditions(tank)
            await few.subscribe_events(tank, evfilter=event_filter("Severity", "SourceNode", "Message"))
            await fire(server, tank)
            await asyncio.sleep(0.5)
            now = dt.datetime.now(dt.UTC)
            read = await client.nodes.server.read_event_history(now - MOMENT, now + MOMENT)
            history = [told(event) for event in read]
            for subscription, watcher in watchers:
                for handle, item in subscription._monitored_items.items():
                    key = Item(subscription.subscription_id, handle, item.server_handle, item.node.nodeid.to_string())
                    events[key] = watcher.seen[item.server_handle]
    path = folder / "events.pcap"
    path.write_bytes(tap.pcap())
    return Seen(path, events, history, tank.to_string())


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    return asyncio.run(capture(tmp_path_factory.mktemp("events")))


def of_row(row: dict[str, Any]) -> Told:
    """An event as its row has it."""
    fields = dict(field.split("=", 1) for field in row["opcua.arguments"])
    return Told(row["opcua.event_source"], row["opcua.event_severity"], row["opcua.event_message"], fields.get("EventId"))


def test_every_event_that_the_client_was_told_of_is_an_operand_of_the_node_that_it_monitors(seen: Seen) -> None:
    items = rows(seen.path, "opcua_item").filter(
        (pl.col("opcua.kind") == "notify") & (pl.col("opcua.attribute") == "EventNotifier")
    )
    assert not items["opcua.inferred"].any()
    found: dict[Item, list[Told]] = defaultdict(list)
    columns = ("opcua.subscription_id", "opcua.client_handle", "opcua.monitored_item_id", "opcua.node_id")
    for row in items.iter_rows(named=True):
        found[Item(*(row[column] for column in columns))].append(of_row(row))
    assert sorted(item.node for item in seen.told) == sorted([SERVER_NODE, seen.tank, seen.tank, seen.tank])
    assert len({item.subscription_id for item in seen.told}) == 3
    assert len({(item.client_handle, item.monitored_item_id) for item in seen.told}) < 4, "subscriptions number their items alike"
    fired = ROUNDS * 4 // 5
    assert sorted(len(events) for events in seen.told.values()) == sorted([fired, 2 * fired, 3 * fired, 3 * fired])
    assert found == seen.told
    print(f"{items.height:,} events compared, 0 missing, 0 wrong")


def test_every_event_of_the_history_that_the_client_read_is_an_operand(seen: Seen) -> None:
    items = rows(seen.path, "opcua_item").filter(pl.col("opcua.service") == "HistoryRead")
    assert set(items["opcua.node_id"]) == {SERVER_NODE}
    events = items.filter(pl.col("opcua.event_message").is_not_null())
    assert len(seen.history) == ROUNDS * 4 // 5
    assert [of_row(row) for row in events.iter_rows(named=True)] == seen.history
