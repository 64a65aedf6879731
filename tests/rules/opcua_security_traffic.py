"""Traffic for the rules about OPC UA channels, certificates, sign-ins and broken messages."""

# asyncua's own types are incomplete.
# pyright: reportPrivateImportUsage=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from asyncua import ua

from tests.plant.opcua.server import STACK, node
from tests.rules.opcua import PORT, client, server
from tests.rules.wire import CRAFTED, ENGINEER, HMI, INTRUDER, PLC, scenario

if TYPE_CHECKING:
    from tests.plant.opcua.client import Client
    from tests.rules.wire import Capture, Host

SECURE = {"policy": "Basic256Sha256", "mode": 3}
OFFERED = (("None", 1), ("Basic256Sha256", 3))
USERS = {"operator": "Flow-17"}


def nested(depth: int) -> Any:
    """A value in a value in a value."""
    variant = ua.Variant(1.0, ua.VariantType.Double)
    for _ in range(depth):
        variant = ua.Variant([variant], ua.VariantType.Variant, is_array=True)
    return variant


def nested_write(session: Client, depth: int) -> None:
    """A write of a nested value, which the server does not answer."""
    request = ua.WriteRequest()
    item = ua.WriteValue(node("Boiler.Setpoint"), ua.AttributeIds.Value)
    item.Value = ua.DataValue(nested(depth))
    request.Parameters.NodesToWrite = [item]
    session.ask(request, answered=False)


def without_last_chunk(message: bytes) -> bytes:
    """A message of several chunks without the last one. Each tells its size behind four bytes (OPC 10000-6, 7.1.2.2)."""
    at, last = 0, 0
    while at < len(message):
        last = at
        at += int.from_bytes(message[at + 4 : at + 8], "little")
    return message[:last]


def secured(capture: Capture, host: Host, **security: Any) -> None:
    """A channel with encryption, and some calls in it."""
    session = client(capture, host, PLC, **{**SECURE, **security}).start()
    session.read(["Boiler.Pressure"])


@scenario("opcua/opcua_nested_value_bomb", STACK)
def nested_value_bomb(fires: Capture, quiet: Capture) -> None:
    for capture, depth in ((fires, 150), (quiet, 20)):
        nested_write(client(capture, INTRUDER, PLC).start(), depth)


@scenario("opcua/opcua_message_size_abuse", STACK)
def message_size_abuse(fires: Capture, quiet: Capture) -> None:
    for capture, names in ((fires, 400), (quiet, 20)):
        session = client(capture, INTRUDER, PLC)
        session.line.send(session.channel.hello(session.server.url))
        session.line.receive(session.channel.acknowledge(message_bytes=8_192, chunks=4))
        session.open()
        session.sign_in()
        session.channel.buffer_bytes = 4_096
        session.read(["Boiler.Pressure"] * names)


@scenario("opcua/opcua_unfinished_messages", STACK)
def unfinished_messages(fires: Capture, quiet: Capture) -> None:
    for capture, messages in ((fires, 14), (quiet, 3)):
        session = client(capture, INTRUDER, PLC).start()
        session.channel.buffer_bytes = 8_192
        request = ua.ReadRequest()
        item = ua.ReadValueId(node("Boiler.Pressure"), ua.AttributeIds.Value)
        request.Parameters.NodesToRead = [item] * 300
        for _ in range(messages):
            session.line.send(without_last_chunk(session.channel.ask(session.encode(request))))
            session.channel.sequence[True] -= 1
            capture.wait(0.2)
        for _ in range(10):
            capture.wait(8)
            session.read(["Boiler.Pressure"])


@scenario("opcua/opcua_malformed_message", CRAFTED)
def malformed_message(fires: Capture, quiet: Capture) -> None:
    for capture, broken in ((fires, 4), (quiet, 2)):
        session = client(capture, INTRUDER, PLC).start()
        for number in range(6):
            request = ua.ReadRequest()
            request.Parameters.NodesToRead = [ua.ReadValueId(node("Boiler.Pressure"), ua.AttributeIds.Value)]
            body = session.encode(request)
            session.line.send(session.channel.ask(body[:-12] if number < broken else body))
            capture.wait(2)


@scenario("opcua/opcua_downgrade_to_none", STACK)
def downgrade_to_none(fires: Capture, quiet: Capture) -> None:
    for capture, host in ((fires, HMI), (quiet, ENGINEER)):
        secured(capture, HMI)
        capture.wait(60)
        client(capture, host, PLC, server(PLC, policies=OFFERED)).start()


@scenario("opcua/opcua_better_security_not_used", STACK)
def better_security_not_used(fires: Capture, quiet: Capture) -> None:
    for capture, policies in ((fires, OFFERED), (quiet, OFFERED[:1])):
        serving = server(PLC, policies=policies)
        asking = client(capture, ENGINEER, PLC, serving)
        asking.connect()
        asking.endpoints()
        client(capture, ENGINEER, PLC, serving).start()


@scenario("opcua/opcua_deprecated_policy", STACK)
def deprecated_policy(fires: Capture, quiet: Capture) -> None:
    secured(fires, HMI, policy="Basic128Rsa15")
    secured(quiet, HMI)


@scenario("opcua/opcua_sign_in_guessing", STACK)
def sign_in_guessing(fires: Capture, quiet: Capture) -> None:
    for capture, tries in ((fires, 6), (quiet, 3)):
        session = client(capture, INTRUDER, PLC, server(PLC, users=USERS))
        session.connect()
        session.sign_in("operator", "operator")
        for number in range(1, tries):
            session.activate("operator", f"{number}{number}{number}")
            capture.wait(4)
        session.activate("operator", USERS["operator"])


@scenario("opcua/opcua_anonymous_sign_in", STACK)
def anonymous_sign_in(fires: Capture, quiet: Capture) -> None:
    client(fires, HMI, PLC).start()
    client(quiet, HMI, PLC, server(PLC, users=USERS)).start("operator", USERS["operator"])


@scenario("opcua/opcua_password_in_clear", STACK)
def password_in_clear(fires: Capture, quiet: Capture) -> None:
    client(fires, HMI, PLC, server(PLC, users=USERS)).start("operator", USERS["operator"])
    client(quiet, HMI, PLC, server(PLC, users=USERS), **SECURE).start("operator", USERS["operator"])


@scenario("opcua/opcua_certificate_not_valid", STACK)
def certificate_not_valid(fires: Capture, quiet: Capture) -> None:
    secured(fires, ENGINEER, client_certificate="expired")
    secured(quiet, ENGINEER, client_certificate="engineer")


@scenario("opcua/opcua_short_key", STACK)
def short_key(fires: Capture, quiet: Capture) -> None:
    secured(fires, ENGINEER, client_certificate="short")
    secured(quiet, ENGINEER, client_certificate="engineer")


@scenario("opcua/opcua_sha1_certificate", STACK)
def sha1_certificate(fires: Capture, quiet: Capture) -> None:
    secured(fires, ENGINEER, client_certificate="sha1")
    secured(quiet, ENGINEER, client_certificate="engineer")


@scenario("opcua/opcua_client_certificate_changed", STACK)
def client_certificate_changed(fires: Capture, quiet: Capture) -> None:
    for capture, second in ((fires, "mes_changed"), (quiet, "mes")):
        secured(capture, HMI)
        capture.wait(600)
        secured(capture, INTRUDER, client_certificate=second)


@scenario("opcua/opcua_server_certificate_changed", STACK)
def server_certificate_changed(fires: Capture, quiet: Capture) -> None:
    for capture, second in ((fires, "server_changed"), (quiet, "server")):
        secured(capture, HMI)
        capture.wait(600)
        secured(capture, HMI, server_certificate=second)


@scenario("opcua/opcua_reverse_connect_from_unlisted_server", CRAFTED)
def reverse_connect_from_unlisted_server(fires: Capture, quiet: Capture) -> None:
    for capture, host in ((fires, INTRUDER), (quiet, PLC)):
        connection = capture.connect(host, HMI, PORT)
        connection.open()
        texts = (b"urn:waterworks:server", f"opc.tcp://{host.ip}:{PORT}/plant".encode())
        body = b"".join(struct.pack("<I", len(text)) + text for text in texts)
        # The server opens the connection and speaks first (OPC 10000-6, 7.1.2.6).
        connection.send(b"RHEF" + struct.pack("<I", 8 + len(body)) + body)


@scenario("opcua/opcua_sequence_violation", CRAFTED)
def sequence_violation(fires: Capture, quiet: Capture) -> None:
    for capture, replays in ((fires, 4), (quiet, 0)):
        session = client(capture, INTRUDER, PLC).start()
        for number in range(6):
            session.read(["Boiler.Pressure"])
            if number < replays:
                session.channel.sequence[True] += 100 * (number + 1)
            capture.wait(2)
