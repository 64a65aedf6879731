"""Traffic for the rules about OPC UA services: what clients do in their sessions."""

# asyncua's own types are incomplete.
# pyright: reportPrivateImportUsage=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncua import ua

from tests.plant.opcua.server import STACK, STATIONS, VARIABLES, node, standard
from tests.rules.opcua import client, server
from tests.rules.wire import ENGINEER, HISTORIAN, HMI, INTRUDER, PLC, Host, scenario

if TYPE_CHECKING:
    from tests.rules.wire import Capture

OBJECTS = 85
"""The folder Objects (OPC 10000-5)."""

GET_SECURITY_KEYS = 15215
"""Method GetSecurityKeys of the object PublishSubscribe (OPC 10000-14)."""


@scenario("opcua/opcua_browse_sweep", STACK)
def browse_sweep(fires: Capture, quiet: Capture) -> None:
    for capture, nodes in ((fires, 160), (quiet, 140)):
        session = client(capture, INTRUDER, PLC).start()
        session.browse(standard(OBJECTS))
        for number in range(nodes):
            session.browse(node(f"Station{number}"))
            capture.wait(0.2)


@scenario("opcua/opcua_node_id_sweep", STACK)
def node_id_sweep(fires: Capture, quiet: Capture) -> None:
    for capture, nodes in ((fires, 24), (quiet, 12)):
        session = client(capture, INTRUDER, PLC).start()
        for number in range(24):
            session.read([f"DB{number % nodes}"])
            capture.wait(0.5)


@scenario("opcua/opcua_write_by_unauthorised_client", STACK)
def write_by_unauthorised_client(fires: Capture, quiet: Capture) -> None:
    for capture, host in ((fires, INTRUDER), (quiet, HMI)):
        session = client(capture, host, PLC).start()
        session.read(["Boiler.Setpoint"])
        session.write("Boiler.Setpoint", 180.0)
        session.leave()


@scenario("opcua/opcua_write_by_second_session", STACK)
def write_by_second_session(fires: Capture, quiet: Capture) -> None:
    for capture, name in ((fires, "Boiler.Setpoint"), (quiet, "Intake.Setpoint")):
        serving = server(PLC)
        client(capture, HMI, PLC, serving).start().write("Boiler.Setpoint", 140.0)
        capture.wait(600)
        client(capture, ENGINEER, PLC, serving, "engineer").start().write(name, 150.0)


@scenario("opcua/opcua_write_outside_permitted_window", STACK)
def write_outside_permitted_window(fires: Capture, quiet: Capture) -> None:
    for capture, hours in ((fires, 14), (quiet, 2)):
        capture.wait(hours * 3600)
        client(capture, ENGINEER, PLC).start().write("Boiler.Setpoint", 150.0)


@scenario("opcua/opcua_writes_refused", STACK)
def writes_refused(fires: Capture, quiet: Capture) -> None:
    for capture, writes in ((fires, 12), (quiet, 8)):
        session = client(capture, INTRUDER, PLC).start()
        for number in range(writes):
            session.write(f"Valve{number}", 1.0)
            session.write("Boiler.Setpoint", 140.0)
            capture.wait(3)


@scenario("opcua/opcua_method_call_by_unlisted_client", STACK)
def method_call_by_unlisted_client(fires: Capture, quiet: Capture) -> None:
    for capture, host in ((fires, INTRUDER), (quiet, HMI)):
        client(capture, host, PLC).start().call(node("Boiler"), node("Boiler.Start"), ua.Variant(1.0, ua.VariantType.Double))


@scenario("opcua/opcua_method_call_to_critical_object", STACK)
def method_call_to_critical_object(fires: Capture, quiet: Capture) -> None:
    for capture, station in ((fires, "Boiler"), (quiet, "Intake")):
        client(capture, HMI, PLC).start().call(node(station), node(f"{station}.Start"))


@scenario("opcua/opcua_secure_channel_flood", STACK)
def secure_channel_flood(fires: Capture, quiet: Capture) -> None:
    for capture, channels in ((fires, 64), (quiet, 50)):
        serving = server(PLC)
        for _ in range(channels):
            client(capture, INTRUDER, PLC, serving).connect()
            capture.wait(0.3)


@scenario("opcua/opcua_session_flood", STACK)
def session_flood(fires: Capture, quiet: Capture) -> None:
    for capture, sessions in ((fires, 34), (quiet, 26)):
        session = client(capture, INTRUDER, PLC)
        session.connect()
        for _ in range(sessions):
            session.sign_in()
            capture.wait(0.5)


@scenario("opcua/opcua_history_theft", STACK)
def history_theft(fires: Capture, quiet: Capture) -> None:
    for capture, variables in ((fires, 32), (quiet, 24)):
        session = client(capture, INTRUDER, PLC).start()
        names = [f"{station}.{name}" for station in STATIONS for name in VARIABLES]
        for name in names[:variables]:
            session.history(name, 20)
            capture.wait(2)


@scenario("opcua/opcua_history_changed", STACK)
def history_changed(fires: Capture, quiet: Capture) -> None:
    update = ua.HistoryUpdateRequest()
    details = ua.DeleteAtTimeDetails()
    details.NodeId = node("Boiler.Pressure")
    details.ReqTimes = [ua.win_epoch_to_datetime(134_000_000_000_000_000)]
    update.Parameters.HistoryUpdateDetails = [details]
    client(fires, INTRUDER, PLC).start().ask(update)
    client(quiet, HISTORIAN, PLC).start().history("Boiler.Pressure", 20)


@scenario("opcua/opcua_subscription_of_another_session", STACK)
def subscription_of_another_session(fires: Capture, quiet: Capture) -> None:
    for capture, stolen in ((fires, True), (quiet, False)):
        serving = server(PLC)
        mes = client(capture, HMI, PLC, serving).start()
        number = mes.subscribe(["Boiler.Pressure", "Boiler.Temperature"])
        mes.publish()
        other = client(capture, INTRUDER, PLC, serving, "engineer").start()
        own = other.subscribe(["Boiler.Pressure"])
        other.delete_subscription(number if stolen else own)
        mes.publish()


@scenario("opcua/opcua_nodes_changed", STACK)
def nodes_changed(fires: Capture, quiet: Capture) -> None:
    request = ua.DeleteNodesRequest()
    request.Parameters.NodesToDelete = [ua.DeleteNodesItem(node("Boiler.Pressure"), True)]
    client(fires, INTRUDER, PLC).start().ask(request)
    client(quiet, ENGINEER, PLC).start().browse(node("Boiler"))


@scenario("opcua/opcua_server_scan", STACK)
def server_scan(fires: Capture, quiet: Capture) -> None:
    for capture, servers in ((fires, 6), (quiet, 4)):
        for number in range(servers):
            session = client(capture, INTRUDER, Host(f"10.20.2.{50 + number}", f"02:00:00:00:02:{50 + number}"))
            session.connect()
            session.endpoints()
            capture.wait(5)


@scenario("opcua/opcua_session_used_from_another_address", STACK)
def session_used_from_another_address(fires: Capture, quiet: Capture) -> None:
    for capture, stolen in ((fires, True), (quiet, False)):
        serving = server(PLC)
        mes = client(capture, HMI, PLC, serving).start()
        mes.read(["Boiler.Pressure"])
        other = client(capture, INTRUDER, PLC, serving)
        other.connect()
        if stolen:
            other.token = mes.token
        else:
            other.sign_in()
        other.read(["Boiler.Pressure"])


@scenario("opcua/opcua_service_faults", STACK)
def service_faults(fires: Capture, quiet: Capture) -> None:
    for capture, calls in ((fires, 55), (quiet, 45)):
        session = client(capture, INTRUDER, PLC).start()
        for _ in range(calls):
            session.ask(ua.QueryNextRequest())
            capture.wait(0.5)


@scenario("opcua/opcua_republish_storm", STACK)
def republish_storm(fires: Capture, quiet: Capture) -> None:
    for capture, requests in ((fires, 24), (quiet, 16)):
        session = client(capture, INTRUDER, PLC).start()
        for number in range(requests):
            request = ua.RepublishRequest()
            request.Parameters.SubscriptionId = 1
            request.Parameters.RetransmitSequenceNumber = number
            session.ask(request)
            capture.wait(1)


@scenario("opcua/opcua_security_keys_requested", STACK)
def security_keys_requested(fires: Capture, quiet: Capture) -> None:
    for capture, method in ((fires, GET_SECURITY_KEYS), (quiet, 11492)):
        session = client(capture, INTRUDER, PLC).start()
        session.call(standard(14443), standard(method), ua.Variant("group", ua.VariantType.String))
