"""Attacks on the terminal's OPC UA servers."""

# asyncua's own types are incomplete.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportPrivateImportUsage=false

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncua import ua

from tests.evaluation.terminal.cases import attack
from tests.evaluation.terminal.net import SECOND
from tests.evaluation.terminal.plant import (
    HISTORIAN,
    MES,
    OFFICE_STRANGER,
    OPEN_SERVER,
    SECURE_SERVER,
    SECURITY,
    STRANGER,
    USERS,
    WATCHED,
)
from tests.plant.opcua.server import STATIONS, node, standard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.evaluation.terminal.plant import Terminal


@attack(
    "T0859",
    hosts=(OFFICE_STRANGER, SECURE_SERVER),
    why="names and passwords are tried, each over a connection of its own, as INCONTROLLER does",
)
def password_list(net: Terminal, now: int) -> Iterator[int]:
    for user, password in (
        ("admin", "admin"),
        ("root", "root"),
        ("hist", "hist"),
        ("maint", "maint"),
        ("opc", "opc"),
        ("user", "1234"),
        ("maint", "Maint#77"),
    ):
        line, client = net.opcua(OFFICE_STRANGER, SECURE_SERVER, now, "MOUSEHOLE")
        client.connect()
        client.sign_in(user, password)
        client.leave()
        now = line.close() + 3 * SECOND
        yield now


@attack("T0861", "T0888", hosts=(STRANGER, OPEN_SERVER), why="the address space is walked from its root and every value read")
def address_space_walk(net: Terminal, now: int) -> Iterator[int]:
    line, client = net.opcua(STRANGER, OPEN_SERVER, now, "ua-expert")
    client.connect()
    client.endpoints()
    client.sign_in()
    for start in (standard(ua.ObjectIds.ObjectsFolder), *(node(name) for name in STATIONS), *(node(name) for name in WATCHED)):
        client.browse(start)
        line.wait(line.clock + 150_000_000)
        yield line.clock
    for name in WATCHED:
        client.read([name])
        line.wait(line.clock + 150_000_000)
        yield line.clock
    client.leave()


@attack(
    "T0836",
    "T1692.001",
    hosts=(OFFICE_STRANGER, OPEN_SERVER),
    why="a session that nobody knows adds nodes and deletes others",
    held_out=True,
)
def nodes_added_and_deleted(net: Terminal, now: int) -> Iterator[int]:
    line, client = net.opcua(OFFICE_STRANGER, OPEN_SERVER, now, "maintenance")
    client.start()
    add = ua.AddNodesRequest()
    item = ua.AddNodesItem()
    item.ParentNodeId = ua.ExpandedNodeId("Intake", 2)
    item.ReferenceTypeId = standard(ua.ObjectIds.Organizes)
    item.BrowseName = ua.QualifiedName("Shadow", 2)
    item.NodeClass = ua.NodeClass.Variable
    item.NodeAttributes = ua.VariableAttributes()
    add.Parameters.NodesToAdd = [item]
    client.ask(add)
    line.wait(line.clock + SECOND)
    yield line.clock
    delete = ua.DeleteNodesRequest()
    gone = ua.DeleteNodesItem()
    gone.NodeId = node("Boiler.Pressure")
    delete.Parameters.NodesToDelete = [gone]
    client.ask(delete)
    client.leave()


@attack(
    "T0838",
    "T0836",
    hosts=(MES, OPEN_SERVER),
    why="the MES, which writes one set-point, raises the limits at which alarms are given",
)
def alarm_limits(net: Terminal, now: int) -> Iterator[int]:
    line, client = net.opcua(MES, OPEN_SERVER, now, "mes-gateway")
    client.start()
    for name in ("Boiler.Pressure.HighHighLimit", "Boiler.Pressure.HighLimit"):
        client.write(name, 9_999.0)
        line.wait(line.clock + SECOND)
        yield line.clock
    client.leave()


@attack("T0872", "T0809", hosts=(STRANGER, OPEN_SERVER), why="an hour of a variable's history is deleted", held_out=True)
def history_deleted(net: Terminal, now: int) -> Iterator[int]:
    line, client = net.opcua(STRANGER, OPEN_SERVER, now, "hist")
    client.start()
    request = ua.HistoryUpdateRequest()
    details = ua.DeleteRawModifiedDetails()
    details.NodeId = node("Boiler.Pressure")
    details.IsDeleteModified = False
    details.StartTime = ua.win_epoch_to_datetime(0)
    details.EndTime = ua.win_epoch_to_datetime(10**10)
    request.Parameters.HistoryUpdateDetails = [details]
    client.ask(request)
    yield line.clock
    client.leave()


@attack(
    "T0830",
    "T0849",
    hosts=(HISTORIAN, SECURE_SERVER),
    why="the server shows another certificate to the historian than before: somebody answers in its place",
)
def server_certificate_swapped(net: Terminal, now: int) -> Iterator[int]:
    line, client = net.opcua(
        HISTORIAN, SECURE_SERVER, now, "hist", **SECURITY, client_certificate="mes", server_certificate="server_changed"
    )
    client.start("hist", USERS["hist"])
    for _ in range(5):
        client.read(WATCHED[:8])
        line.wait(line.clock + 20 * SECOND)
        yield line.clock


@attack(
    "T0859",
    hosts=(STRANGER, SECURE_SERVER),
    why="a stranger with a certificate that was never seen opens an encrypted channel and works through it",
    held_out=True,
)
def encrypted_stranger(net: Terminal, now: int) -> Iterator[int]:
    line, client = net.opcua(STRANGER, SECURE_SERVER, now, "hist", **SECURITY, client_certificate="engineer")
    client.start("maint", USERS["maint"])
    for _ in range(20):
        client.write("Boiler.Setpoint", 99.0)
        line.wait(line.clock + SECOND)
        yield line.clock
    client.leave()


@attack(
    "T0871", "T1692.001", hosts=(STRANGER, OPEN_SERVER), why="methods of the burner are called by a session that nobody knows"
)
def methods_called(net: Terminal, now: int) -> Iterator[int]:
    line, client = net.opcua(STRANGER, OPEN_SERVER, now, "hmi-2")
    client.start()
    for name in ("Boiler.Stop", "Boiler.Reset"):
        client.call(node("Boiler"), node(name))
        line.wait(line.clock + SECOND)
        yield line.clock
    client.leave()


@attack(
    "T0814",
    hosts=(STRANGER, SECURE_SERVER),
    why="encrypted channels are opened and left, until the server has no more",
    held_out=True,
)
def encrypted_channels_left(net: Terminal, now: int) -> Iterator[int]:
    for _ in range(80):
        line, client = net.opcua(STRANGER, SECURE_SERVER, now, "x", **SECURITY, client_certificate="engineer")
        client.connect()
        now = line.clock + 120_000_000
        yield now


@attack("T0814", hosts=(STRANGER, SECURE_SERVER), why="chunks that never end are sent into an encrypted channel")
def endless_chunks(net: Terminal, now: int) -> Iterator[int]:
    import struct  # noqa: PLC0415

    line, client = net.opcua(STRANGER, SECURE_SERVER, now, "x", **SECURITY, client_certificate="engineer")
    client.connect()
    for _ in range(900):
        body = net.random.randbytes(8_000)
        line.send(b"MSGC" + struct.pack("<III", 16 + len(body), client.channel.number, client.channel.token) + body)
        line.wait(line.clock + 15_000_000)
        yield line.clock


@attack(
    "T0878",
    "T0838",
    hosts=(STRANGER, OPEN_SERVER),
    why="alarms are disabled by the Disable method of their condition",
    held_out=True,
)
def alarms_disabled(net: Terminal, now: int) -> Iterator[int]:
    line, client = net.opcua(STRANGER, OPEN_SERVER, now, "hmi-2")
    client.start()
    for name in ("Boiler.PressureAlarm", "Intake.LevelAlarm", "Boiler.TemperatureAlarm"):
        client.call(node(name), standard(ua.ObjectIds.ConditionType_Disable))
        line.wait(line.clock + SECOND)
        yield line.clock
    client.leave()


@attack(
    "T0842",
    "T0830",
    hosts=(HISTORIAN, SECURE_SERVER),
    why="the historian, which always came encrypted, signs in without security and with its password in clear",
    held_out=True,
)
def security_dropped(net: Terminal, now: int) -> Iterator[int]:
    line, client = net.opcua(HISTORIAN, SECURE_SERVER, now, "hist")
    client.start("hist", USERS["hist"])
    client.read(WATCHED[:8])
    yield line.clock
    client.leave()


@attack(
    "T0836",
    "T1692.001",
    hosts=(MES, OPEN_SERVER),
    why="the MES writes ten times the value that it ever wrote, and others' set-points",
)
def mes_writes_too_much(net: Terminal, now: int) -> Iterator[int]:
    line, client = net.opcua(MES, OPEN_SERVER, now, "mes-gateway")
    client.start()
    for name in ("Intake.Setpoint", "Boiler.Setpoint", "Treatment.Setpoint"):
        client.write(name, 400.0)
        line.wait(line.clock + 2 * SECOND)
        yield line.clock
    client.leave()
