"""Traffic for the rules about OPC UA services that are used to exhaust, mislead or silence a server."""

# asyncua's own types are incomplete.
# pyright: reportPrivateImportUsage=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from asyncua import ua

from tests.plant.opcua.server import STACK, STATIONS, VARIABLES, Server, code, node, standard
from tests.rules.opcua import PORT, client, server
from tests.rules.wire import CRAFTED, ENGINEER, HMI, INTRUDER, PLC, scenario

if TYPE_CHECKING:
    from tests.plant.opcua.client import Client
    from tests.rules.wire import Capture, Host

CONDITION_REFRESH: Final = 3875
DISABLE: Final = 9028
ACKNOWLEDGE: Final = 9111
UPDATE_CERTIFICATE: Final = 13737
GET_MONITORED_ITEMS: Final = 11492
"""Methods of the standard (OPC 10000-5, 10000-9, 10000-12)."""

ENDPOINT_INVALID: Final = 0x80830000
"""BadTcpEndpointUrlInvalid."""

INTERNAL_ERROR: Final = 0x80020000
"""BadInternalError."""

SECURE: Final = {"policy": "Basic256Sha256", "mode": 3}

JUMBO_BYTES: Final = 60_000
"""A chunk that comes in one segment, as a sensor behind a network card's offloading sees it."""


def error(capture: Capture, host: Host, status: int, reason: bytes) -> None:
    """A connection that the server ends with an error message (OPC 10000-6, 7.1.2.5)."""
    session = client(capture, host, PLC)
    session.line.send(session.channel.hello(session.server.url))
    body = struct.pack("<II", status, len(reason)) + reason
    session.line.receive(b"ERRF" + struct.pack("<I", 8 + len(body)) + body)
    session.line.connection.close()


@scenario("opcua/opcua_large_request_without_session", STACK)
def large_request_without_session(fires: Capture, quiet: Capture) -> None:
    for capture, servers in ((fires, 5_000), (quiet, 50)):
        session = client(capture, INTRUDER, PLC)
        session.connect()
        request = ua.FindServersRequest()
        request.Parameters.EndpointUrl = session.server.url
        request.Parameters.ServerUris = ["urn:waterworks:" + 48 * "a"] * servers
        session.ask(request)


@scenario("opcua/opcua_long_browse_path", STACK)
def long_browse_path(fires: Capture, quiet: Capture) -> None:
    for capture, elements in ((fires, 1_200), (quiet, 12)):
        request = ua.TranslateBrowsePathsToNodeIdsRequest()
        path = ua.BrowsePath()
        path.StartingNode = standard(ua.ObjectIds.ObjectsFolder)
        for _ in range(elements):
            element = ua.RelativePathElement()
            element.ReferenceTypeId = standard(ua.ObjectIds.HierarchicalReferences)
            element.IncludeSubtypes = True
            element.TargetName = ua.QualifiedName("Boiler", 2)
            path.RelativePath.Elements.append(element)
        request.Parameters.BrowsePaths = [path]
        client(capture, INTRUDER, PLC).start().ask(request)


@scenario("opcua/opcua_requests_without_answers", STACK)
def requests_without_answers(fires: Capture, quiet: Capture) -> None:
    for capture, requests in ((fires, 230), (quiet, 150)):
        session = client(capture, INTRUDER, PLC).start()
        for _ in range(requests):
            request = ua.ReadRequest()
            request.Parameters.NodesToRead = [ua.ReadValueId(node("Boiler.Pressure"), ua.AttributeIds.Value)]
            session.ask(request, answered=False)
            capture.wait(0.02)
        capture.wait(90)
        session.leave()


@scenario("opcua/opcua_subscription_flood", STACK)
def subscription_flood(fires: Capture, quiet: Capture) -> None:
    for capture, subscriptions in ((fires, 56), (quiet, 40)):
        session = client(capture, INTRUDER, PLC).start()
        for _ in range(subscriptions):
            request = ua.CreateSubscriptionRequest()
            request.Parameters.RequestedPublishingInterval = 100.0
            session.ask(request)
            capture.wait(1)


@scenario("opcua/opcua_monitored_item_flood", STACK)
def monitored_item_flood(fires: Capture, quiet: Capture) -> None:
    for capture, calls in ((fires, 11), (quiet, 8)):
        session = client(capture, INTRUDER, PLC).start()
        number = session.subscribe(["Boiler.Pressure"])
        for _ in range(calls):
            request = ua.CreateMonitoredItemsRequest()
            request.Parameters.SubscriptionId = number
            item = ua.MonitoredItemCreateRequest()
            item.ItemToMonitor.NodeId = node("Boiler.Pressure")
            item.ItemToMonitor.AttributeId = ua.AttributeIds.Value
            request.Parameters.ItemsToCreate = [item] * 1_000
            session.ask(request, answered=False)
            capture.wait(10)


@scenario("opcua/opcua_condition_refresh_storm", STACK)
def condition_refresh_storm(fires: Capture, quiet: Capture) -> None:
    for capture, calls in ((fires, 12), (quiet, 8)):
        session = client(capture, INTRUDER, PLC).start()
        for _ in range(calls):
            session.call(standard(ua.ObjectIds.ConditionType), standard(CONDITION_REFRESH), ua.Variant(1, ua.VariantType.UInt32))
            capture.wait(4)


@scenario("opcua/opcua_bulk_method_call", STACK)
def bulk_method_call(fires: Capture, quiet: Capture) -> None:
    for capture, methods in ((fires, 600), (quiet, 60)):
        request = ua.CallRequest()
        request.Parameters.MethodsToCall = [ua.CallMethodRequest(node("Boiler"), node("Boiler.Start"), [])] * methods
        client(capture, INTRUDER, PLC).start().ask(request)


@scenario("opcua/opcua_method_call_storm", STACK)
def method_call_storm(fires: Capture, quiet: Capture) -> None:
    for capture, calls in ((fires, 110), (quiet, 70)):
        session = client(capture, INTRUDER, PLC).start()
        for _ in range(calls):
            session.call(node("Boiler"), node("Boiler.Reset"))
            capture.wait(0.3)


@scenario("opcua/opcua_stack_trace_in_answer", CRAFTED)
def stack_trace_in_answer(fires: Capture, quiet: Capture) -> None:
    error(fires, INTRUDER, INTERNAL_ERROR, b"   at Opc.Ua.Server.SessionManager.CloseSession(OperationContext context)")
    error(quiet, INTRUDER, INTERNAL_ERROR, b"The session is closed already; sign in again.")


@scenario("opcua/opcua_error_messages", CRAFTED)
def error_messages(fires: Capture, quiet: Capture) -> None:
    for capture, connections in ((fires, 6), (quiet, 3)):
        for _ in range(connections):
            error(capture, INTRUDER, ENDPOINT_INVALID, b"no such endpoint")
            capture.wait(3)


@scenario("opcua/opcua_script_in_name", STACK)
def script_in_name(fires: Capture, quiet: Capture) -> None:
    client(fires, INTRUDER, PLC, application="<script src=//10.20.1.66/a></script>").start()
    client(quiet, ENGINEER, PLC, application="script-engine <v2>").start()


@scenario("opcua/opcua_certificate_shared_by_hosts", STACK)
def certificate_shared_by_hosts(fires: Capture, quiet: Capture) -> None:
    for capture, second in ((fires, "mes"), (quiet, "engineer")):
        for host, name in ((HMI, "mes"), (INTRUDER, second)):
            session = client(capture, host, PLC, policy="Basic256Sha256", mode=3, client_certificate=name).start()
            session.read(["Boiler.Pressure"])
            capture.wait(600)


@scenario("opcua/opcua_attribute_sweep", STACK)
def attribute_sweep(fires: Capture, quiet: Capture) -> None:
    for capture, attribute in ((fires, ua.AttributeIds.UserAccessLevel), (quiet, ua.AttributeIds.Value)):
        session = client(capture, INTRUDER, PLC).start()
        for number in range(16):
            request = ua.ReadRequest()
            request.Parameters.NodesToRead = [
                ua.ReadValueId(node(f"Station{number}.Value{place}"), attribute) for place in range(10)
            ]
            session.ask(request)
            capture.wait(2)


@scenario("opcua/opcua_server_configuration_changed", STACK)
def server_configuration_changed(fires: Capture, quiet: Capture) -> None:
    certificate: Any = ua.Variant(b"\x30\x82", ua.VariantType.ByteString)
    client(fires, INTRUDER, PLC).start().call(standard(12637), standard(UPDATE_CERTIFICATE), certificate)
    client(quiet, ENGINEER, PLC).start().call(standard(2253), standard(GET_MONITORED_ITEMS), ua.Variant(1, ua.VariantType.UInt32))


@scenario("opcua/opcua_alarm_disabled", STACK)
def alarm_disabled(fires: Capture, quiet: Capture) -> None:
    for capture, method in ((fires, DISABLE), (quiet, ACKNOWLEDGE)):
        client(capture, INTRUDER, PLC).start().call(node("Boiler.Pressure.High"), standard(method))


@scenario("opcua/opcua_alarms_acknowledged_in_bulk", STACK)
def alarms_acknowledged_in_bulk(fires: Capture, quiet: Capture) -> None:
    for capture, alarms in ((fires, 60), (quiet, 40)):
        request = ua.CallRequest()
        request.Parameters.MethodsToCall = [
            ua.CallMethodRequest(node(f"Alarm{number}"), standard(ACKNOWLEDGE), []) for number in range(alarms)
        ]
        client(capture, INTRUDER, PLC).start().ask(request)


class Failing(Server):
    """A server that has lost what is behind it, from the first values on that it tells."""

    lost: int = 0
    """How many of its variables are lost."""

    def value(self, name: str, now: int) -> Any:
        """A variable's value with its time; bad where it is lost."""
        if sorted(self.variables).index(name) < self.lost:
            return ua.DataValue(StatusCode=code("BadNoCommunication"))
        return super().value(name, now)


@scenario("opcua/opcua_values_turn_bad", STACK)
def values_turn_bad(fires: Capture, quiet: Capture) -> None:
    for capture, lost in ((fires, 24), (quiet, 12)):
        serving = Failing(f"opc.tcp://{PLC.ip}:{PORT}/plant")
        session = client(capture, HMI, PLC, serving).start()
        session.subscribe([f"{station}.{name}" for station in STATIONS for name in VARIABLES])
        session.publish()
        capture.wait(30)
        serving.lost = lost
        session.publish()
        capture.wait(5)
        session.publish()


@scenario("opcua/opcua_server_registered_by_stranger", STACK)
def server_registered_by_stranger(fires: Capture, quiet: Capture) -> None:
    for capture, host in ((fires, INTRUDER), (quiet, HMI)):
        session = client(capture, host, PLC)
        session.connect()
        request = ua.RegisterServerRequest()
        request.Server.ServerUri = "urn:waterworks:server"
        request.Server.DiscoveryUrls = [f"opc.tcp://{host.ip}:{PORT}/plant"]
        request.Server.IsOnline = True
        session.ask(request)


class Full(Server):
    """A server that has no room for more sessions than some."""

    room: int = 0

    def _createsession(self, request: Any, now: int) -> Any:
        return self.fault("BadTooManySessions") if self.sessions >= self.room else super()._createsession(request, now)


@scenario("opcua/opcua_sessions_exhausted", STACK)
def sessions_exhausted(fires: Capture, quiet: Capture) -> None:
    for capture, room in ((fires, 4), (quiet, 10)):
        serving = Full(f"opc.tcp://{PLC.ip}:{PORT}/plant")
        serving.room = room
        for _ in range(5):
            session = client(capture, HMI, PLC, serving)
            session.connect()
            request = ua.CreateSessionRequest()
            request.Parameters.EndpointUrl = serving.url
            session.ask(request)
            capture.wait(30)


@scenario("opcua/opcua_default_account", STACK)
def default_account(fires: Capture, quiet: Capture) -> None:
    for capture, user in ((fires, "Admin"), (quiet, "shift-3")):
        client(capture, HMI, PLC, server(PLC, users={user: "Flow-17"}), policy="None").start(user, "Flow-17")


def hidden_chunks(session: Client, count: int, *, size_bytes: int = 4_080, ends: bool = True) -> None:
    """A request of an encrypted channel in chunks, of which nobody without the keys sees more than their headers."""
    channel = session.channel
    for number in range(count):
        kind = b"F" if ends and number == count - 1 else b"C"
        session.line.send(b"MSG" + kind + struct.pack("<III", 16 + size_bytes, channel.number, channel.token) + bytes(size_bytes))


@scenario("opcua/opcua_many_chunks", CRAFTED)
def many_chunks(fires: Capture, quiet: Capture) -> None:
    for capture, chunks in ((fires, 80), (quiet, 40)):
        session = client(capture, INTRUDER, PLC, **SECURE).start()
        hidden_chunks(session, chunks)
        session.read(["Boiler.Pressure"])


@scenario("opcua/opcua_much_sent_little_answered", CRAFTED)
def much_sent_little_answered(fires: Capture, quiet: Capture) -> None:
    for capture, chunks in ((fires, 80), (quiet, 40)):
        session = client(capture, INTRUDER, PLC, **SECURE).start()
        channel = session.channel
        for _ in range(chunks):
            body = bytes(JUMBO_BYTES - 16)
            session.line.connection.send(b"MSGC" + struct.pack("<III", JUMBO_BYTES, channel.number, channel.token) + body)
        session.line.connection.close()


@scenario("opcua/opcua_oversized_channel_opening", CRAFTED)
def oversized_channel_opening(fires: Capture, quiet: Capture) -> None:
    for capture, copies in ((fires, 24), (quiet, 2)):
        session = client(capture, INTRUDER, PLC, **SECURE)
        # Sender's certificate with all that is said to have signed it behind (OPC 10000-6, 6.7.2.3).
        session.channel.certificates[True] *= copies
        session.connect()
