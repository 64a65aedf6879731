"""Every service that a real stack (asyncua) has, in every security mode: each call is a row, by name where it is in clear."""

# asyncua's own types are incomplete.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeArgument=false, reportUnknownParameterType=false, reportPrivateUsage=false
# pyright: reportArgumentType=false, reportPrivateImportUsage=false

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import inspect
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import polars as pl
import pytest
from asyncua import ua
from asyncua.client import ua_client, ua_session
from asyncua.client.client import Client
from asyncua.server import uaprocessor

from tests.sensor.opcua_plant import PASSWORD, USER, Listener, Tap, certificate, node_id, running
from tests.sensor.records import rows

if TYPE_CHECKING:
    from pathlib import Path

MODES: Final = ("None", "Sign", "SignAndEncrypt")
TIME: Final = dt.datetime(2026, 11, 24, 6, tzinfo=dt.UTC)


def services_of_the_stack() -> set[str]:
    """Services that asyncua's client asks for or its server answers, as its sources name them."""
    client = inspect.getsource(ua_client) + inspect.getsource(ua_session)
    asked = set(re.findall(r"ua\.(\w+)Request\(\)", client))
    answered = set(re.findall(r"ObjectIds\.(\w+)Request_Encoding_DefaultBinary", inspect.getsource(uaprocessor)))
    return asked | answered


class Message(NamedTuple):
    """A message as its first chunk's header has it, and the bytes of all of its chunks."""

    kind: str
    channel: int
    chunks: int
    size: int


class Seen(NamedTuple):
    """A run in a mode: its capture, what passed, and the history that the client got."""

    mode: str
    path: Path
    tap: Tap
    history: list[float]


def messages(stream: bytes) -> list[Message]:
    """Messages of one side, by the headers of their chunks (OPC 10000-6, 7.1.2.2); no chunk of another message stands between."""
    found: list[Message] = []
    at = chunks = size = 0
    while at < len(stream):
        length = int.from_bytes(stream[at + 4 : at + 8], "little")
        chunks, size = chunks + 1, size + length
        if stream[at + 3 : at + 4] == b"F":
            found.append(Message(stream[at : at + 3].decode(), int.from_bytes(stream[at + 8 : at + 12], "little"), chunks, size))
            chunks = size = 0
        at += length
    return found


async def answered(call: Any) -> Any:
    """The answer to a call; a server may refuse what it does not have."""
    with contextlib.suppress(ua.UaError):
        return await call
    return None


def item(index: int) -> ua.MonitoredItemCreateRequest:
    request = ua.MonitoredItemCreateRequest()
    request.ItemToMonitor.NodeId = node_id("Tank.Level", index)
    request.ItemToMonitor.AttributeId = ua.AttributeIds.Value
    request.MonitoringMode = ua.MonitoringMode.Reporting
    request.RequestedParameters.ClientHandle = 900
    return request


async def work(client: Client, index: int) -> list[float]:
    """Calls each service once or more. Returns the history that the server gave."""
    transport: Any = client.uaclient
    session: Any = transport.session
    level, tank = node_id("Tank.Level", index), node_id("Tank", index)
    registered = ua.RegisteredServer(ServerUri="urn:example:other", DiscoveryUrls=["opc.tcp://127.0.0.1:1"], IsOnline=True)
    await transport.get_endpoints(ua.GetEndpointsParameters(EndpointUrl="opc.tcp://127.0.0.1"))
    await transport.find_servers(ua.FindServersParameters())
    await answered(transport.find_servers_on_network(ua.FindServersOnNetworkParameters()))
    await answered(transport.register_server(registered))
    await answered(transport.register_server2(ua.RegisterServer2Parameters(Server=registered)))
    node = client.get_node(level)
    await client.get_node(tank).get_children()
    await answered(session.browse_next(ua.BrowseNextParameters(ContinuationPoints=[b"nothing"])))
    await client.nodes.objects.get_child([f"{index}:Tank", f"{index}:Level"])
    await session.unregister_nodes(await session.register_nodes([level]))
    await node.read_value()
    await node.write_value(2.5)
    history = await node.read_raw_history(TIME, TIME.replace(year=2099), 10)
    await answered(session.history_update(ua.HistoryUpdateParameters(HistoryUpdateDetails=changes_of_history())))
    added = await client.nodes.objects.add_folder(node_id("Added", index), f"{index}:Added")
    reference = ua.AddReferencesItem(
        SourceNodeId=added.nodeid,
        ReferenceTypeId=ua.NodeId(ua.ObjectIds.Organizes),  # type: ignore[arg-type]
        IsForward=True,
        TargetNodeId=level,
        TargetNodeClass=ua.NodeClass.Variable,
    )
    await session.add_references([reference])
    gone = ua.DeleteReferencesItem(
        SourceNodeId=added.nodeid,
        ReferenceTypeId=ua.NodeId(ua.ObjectIds.Organizes),  # type: ignore[arg-type]
        IsForward=True,
        TargetNodeId=level,
    )
    await session.delete_references([gone])
    await client.delete_nodes([added])
    await client.get_node(tank).call_method(node_id("Tank.Double", index), ua.Variant(2.0, ua.VariantType.Double))
    await subscriptions(client, session, index)
    await client.open_secure_channel(renew=True)
    await node.read_value()
    return [value.Value.Value for value in history if value.Value is not None]


def changes_of_history() -> list[Any]:
    """An event that is added to the history of the server, and two that are deleted."""
    server: Any = ua.NodeId(2253)
    field: Any = ua.SimpleAttributeOperand
    names = ("SourceName", "Message", "Severity", "Batch")
    select = [field(BrowsePath=[ua.QualifiedName(name)], AttributeId=ua.AttributeIds.Value) for name in names]
    values = [
        ua.Variant("Tank"),
        ua.Variant(ua.LocalizedText("Level high")),
        ua.Variant(700, ua.VariantType.UInt16),
        ua.Variant("B 7"),
    ]
    update: Any = ua.UpdateEventDetails
    delete: Any = ua.DeleteEventDetails
    return [
        update(
            NodeId=server,
            PerformInsertReplace=ua.PerformUpdateType.Insert,
            Filter=ua.EventFilter(SelectClauses=select),
            EventData=[ua.HistoryEventFieldList(EventFields=values)],
        ),
        delete(NodeId=server, EventIds=[b"first", b"second"]),
    ]


async def subscriptions(client: Client, session: Any, index: int) -> None:
    subscription = await client.create_subscription(50, Listener())
    number = subscription.subscription_id
    watched = await subscription.subscribe_data_change(client.get_node(node_id("Tank.Level", index)))
    await subscription.modify_monitored_item(watched, 100)
    await subscription.set_monitoring_mode(ua.MonitoringMode.Sampling)
    await subscription.set_publishing_mode(True)
    await subscription.update(ua.ModifySubscriptionParameters(SubscriptionId=number, RequestedPublishingInterval=40))
    await asyncio.sleep(0.2)
    await answered(session.republish(number, 1))
    await answered(session.transfer_subscriptions(ua.TransferSubscriptionsParameters(SubscriptionIds=[number])))
    await subscription.unsubscribe(watched)
    await subscription.delete()


async def capture(folder: Path, mode: str) -> tuple[Tap, list[float]]:
    tap, secure = Tap(), mode != "None"
    async with running(folder, tap, secure=secure) as (url, server, level):
        await server.historize_node_data_change(level)
        client = Client(url)
        client.set_user(USER)
        client.set_password(PASSWORD)
        if secure:
            public, private = certificate(folder, "client")
            await client.set_security_string(f"Basic256Sha256,{mode},{public},{private}")
        async with client:
            history = await work(client, level.nodeid.NamespaceIndex)
    return tap, history


@pytest.fixture(scope="module", params=MODES)
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder = tmp_path_factory.mktemp(request.param)
    tap, history = asyncio.run(capture(folder, request.param))
    path = folder / "services.pcap"
    path.write_bytes(tap.pcap())
    return Seen(request.param, path, tap, history)


def test_each_service_of_the_stack_is_a_row_by_name(seen: Seen) -> None:
    mode, path = seen.mode, seen.path
    stack = services_of_the_stack()
    assert {"Browse", "Publish", "TransferSubscriptions", "HistoryUpdate", "RegisterServer2"} <= stack
    assert len(stack) >= 35
    calls = rows(path, "opcua")
    if mode == "SignAndEncrypt":
        # The secure channel's own services are in clear; of the rest nothing is guessed.
        assert set(calls.filter(pl.col("opcua.encrypted"))["opcua.service"]) == {None, "OpenSecureChannel", "CloseSecureChannel"}
        return
    mode_word = {"None": "none", "Sign": "sign"}[mode]
    named = calls.filter(pl.col("opcua.security_mode") == mode_word)
    # An opening is encrypted where there is a policy, whatever the mode; its service is told by its message type.
    assert stack - set(named["opcua.service"]) == set()
    others = calls.filter(pl.col("opcua.message_type") == "message", ~pl.col("opcua.service").is_in(["Publish"]))
    assert others["opcua.pairing"].unique().to_list() == ["both"]
    assert others["opcua.status"].null_count() == 0
    assert others["opcua.request_handle"].null_count() == 0
    refused = named.filter(pl.col("opcua.service") == "HistoryUpdate")["opcua.status"].to_list()
    assert all(status.startswith("Bad") for status in refused)


def test_changes_of_the_history_of_events_are_told(seen: Seen) -> None:
    mode, path = seen.mode, seen.path
    if mode == "SignAndEncrypt":
        return
    changes = rows(path, "opcua_item").filter(pl.col("opcua.service") == "HistoryUpdate")
    columns = [
        "opcua.node_id",
        "opcua.value",
        "opcua.arguments",
        "opcua.event_source",
        "opcua.event_message",
        "opcua.event_severity",
    ]
    assert changes.select(columns).rows() == [
        ("i=2253", "insert", None, None, None, None),
        ("i=2253", "delete_event", ["0x6669727374", "0x7365636f6e64"], None, None, None),
        ("i=2253", None, ["Batch=B 7"], "Tank", "Level high", 700),
    ]


def test_a_history_that_is_read_has_its_time_span_and_its_values(seen: Seen) -> None:
    mode, path = seen.mode, seen.path
    if mode == "SignAndEncrypt":
        return
    history = rows(path, "opcua_item").filter(pl.col("opcua.service") == "HistoryRead")
    asked = history.filter(pl.col("opcua.value").str.starts_with("raw "))
    assert asked["opcua.value"].to_list() == ["raw 2026-11-24T06:00:00Z/2099-11-24T06:00:00Z at most 10"]
    assert set(history["opcua.node_id"].str.split(";").list.last()) == {"s=Tank.Level"}
    assert history["opcua.number"].drop_nulls().to_list() == seen.history
    assert 1.5 in seen.history


def test_each_message_has_its_type_channel_and_size_whatever_hides_it(seen: Seen) -> None:
    path, tap = seen.path, seen.tap
    calls = rows(path, "opcua")
    words = {"HEL": "hello", "ACK": "acknowledge", "OPN": "open", "MSG": "message", "CLO": "close"}
    for port in {port for port, _ in tap.streams}:
        both = [messages(bytes(tap.streams.get((port, side), b""))) for side in (True, False)]
        of_port = calls.filter(pl.col("client.port") == port)
        for kind, word in words.items():
            told = [message for side in both for message in side if message.kind == kind]
            found = of_port.filter(pl.col("opcua.message_type") == word)
            sizes = (sum(message.chunks for message in told), sum(message.size for message in told))
            assert (found["opcua.chunks"].sum(), found["opcua.bytes"].sum()) == sizes, (port, word)
            if word in {"message", "close"}:
                assert set(found["opcua.channel_id"]) == {message.channel for message in told}
        hidden = of_port.filter(pl.col("opcua.encrypted") & (pl.col("opcua.message_type") == "message"))
        if hidden.height:
            pairs = [("request", both[0]), ("response", both[1])]
            expected = [(side, message.size) for side, all_of in pairs for message in all_of if message.kind == "MSG"]
            assert sorted(zip(hidden["opcua.pairing"], hidden["opcua.bytes"], strict=True)) == sorted(expected)


def test_a_renewed_channel_keeps_its_number_and_gets_a_new_token(seen: Seen) -> None:
    mode, path = seen.mode, seen.path
    calls = rows(path, "opcua")
    policy = "None" if mode == "None" else "Basic256Sha256"
    openings = calls.filter((pl.col("opcua.message_type") == "open") & (pl.col("opcua.security_policy") == policy))
    by_channel = openings.filter(pl.col("opcua.channel_id") == openings["opcua.channel_id"].mode()[0])
    assert by_channel["opcua.channel_request"].to_list() == ["issue", "renew"]
    if mode == "None":
        first, second = by_channel["opcua.token_id"].to_list()
        assert second == first + 1
    assert (
        rows(path, "violation").filter(pl.col("violation.kind").is_in(["token_id", "channel_id", "sequence_number"])).is_empty()
    )
