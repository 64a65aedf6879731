"""A real OPC UA server and client (asyncua) whose connection goes through a relay that writes down what passes, as a capture."""

# asyncua's own types are incomplete.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeArgument=false, reportUnknownParameterType=false, reportPrivateUsage=false

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from asyncua import ua
from asyncua.client.client import Client
from asyncua.crypto.permission_rules import SimpleRoleRuleset, User, UserRole
from asyncua.server.server import Server
from asyncua.server.user_managers import UserManager
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from tests.plant.frames import Host, Talk, Wire, pcap_header, pcap_record

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

USER: Final = "engineer"
PASSWORD: Final = "Correct-Horse-7!battery"
URI: Final = "urn:example:plant"
CLIENT: Final = Host("10.20.1.20", "02:00:00:00:01:20")
SERVER: Final = Host("10.20.2.11", "02:00:00:00:02:11")
PORT: Final = 4840
"""Port of the server in the capture, whichever it listens on."""


def node_id(name: str, namespace: int) -> Any:
    """A node of the plant: asyncua's own types want numbers of its own."""
    make: Any = ua.NodeId
    return make(name, namespace)


class OneUser(UserManager):
    """Lets one user in, and nobody without a name."""

    def get_user(self, iserver: Any, username: str | None = None, password: str | None = None, certificate: Any = None) -> Any:  # noqa: ARG002
        return User(role=UserRole.Admin) if (username, password) == (USER, PASSWORD) else None


@dataclass
class Tap:
    """A relay in front of a server: each connection is a conversation of the capture."""

    wire: Wire = field(default_factory=Wire)
    ports: int = 50_000
    streams: dict[tuple[int, bool], bytearray] = field(default_factory=dict)
    """What passed by client port and side, True the client's."""

    async def listen(self, to: int) -> asyncio.Server:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.ports += 1
            talk = Talk(self.wire, CLIENT, SERVER, self.ports, PORT)
            talk.open(time.time_ns())
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", to)
            await asyncio.gather(self._pass(talk, True, reader, there_writer), self._pass(talk, False, there_reader, writer))
            talk.close(time.time_ns())

        return await asyncio.start_server(accept, "127.0.0.1", 0)

    async def _pass(self, talk: Talk, from_client: bool, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1_400):
                (talk.send if from_client else talk.receive)(time.time_ns(), data)
                self.streams.setdefault((talk.client_port, from_client), bytearray()).extend(data)
                writer.write(data)
                await writer.drain()
        writer.close()

    def pcap(self) -> bytes:
        packets = sorted(self.wire.take(2**63 - 1), key=lambda packet: (packet.ts, packet.order))
        return pcap_header() + b"".join(pcap_record(packet) for packet in packets)


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed application certificate and its key."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Plant")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.UniformResourceIdentifier(f"urn:example:{name}"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            ),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    public, private = folder / f"{name}.der", folder / f"{name}.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.DER))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return public, private


class Listener:
    """Takes notifications."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def datachange_notification(self, node: Any, value: Any, data: Any) -> None:  # noqa: ARG002
        self.seen.append(value)

    def event_notification(self, event: Any) -> None:
        self.seen.append(event)


async def double(parent: Any, value: Any) -> list[Any]:
    return [ua.Variant(value.Value * 2, ua.VariantType.Double)]


@contextlib.asynccontextmanager
async def running(folder: Path, tap: Tap, *, secure: bool) -> AsyncGenerator[tuple[str, Any, Any]]:
    """A server with a tank; its URL behind the tap, the server, and the level's node."""
    server = Server(user_manager=OneUser())
    await server.init()
    server.set_endpoint("opc.tcp://127.0.0.1:0/plant")
    await server.set_application_uri("urn:example:server")
    server.set_server_name("Tank server")
    policies = [ua.SecurityPolicyType.NoSecurity]
    if secure:
        public, private = certificate(folder, "server")
        await server.load_certificate(str(public))
        await server.load_private_key(str(private))
        policies = [ua.SecurityPolicyType.Basic256Sha256_Sign, ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt]
    server.set_security_policy(policies, permission_ruleset=SimpleRoleRuleset())
    index = await server.register_namespace(URI)
    tank = await server.nodes.objects.add_object(node_id("Tank", index), f"{index}:Tank")
    level = await tank.add_variable(node_id("Tank.Level", index), f"{index}:Level", 1.5)
    await level.set_writable()
    await tank.add_method(
        node_id("Tank.Double", index), f"{index}:Double", double, [ua.VariantType.Double], [ua.VariantType.Double]
    )
    async with server:
        listening: Any = server.bserver
        port = listening._server.sockets[0].getsockname()[1]
        relay = await tap.listen(port)
        async with relay:
            yield f"opc.tcp://127.0.0.1:{relay.sockets[0].getsockname()[1]}/plant", server, level


async def work(client: Any, tank: ua.NodeId, level: ua.NodeId, method: ua.NodeId) -> None:
    """What an engineer does: browse, read, write, call, watch."""
    node = client.get_node(level)
    await client.get_node(tank).get_children()
    assert await node.read_value() == 1.5
    listener = Listener()
    subscription = await client.create_subscription(50, listener)
    await subscription.subscribe_data_change(node)
    await node.write_value(42.25)
    for _ in range(100):
        if 42.25 in listener.seen:
            break
        await asyncio.sleep(0.02)
    assert 42.25 in listener.seen
    assert await client.get_node(tank).call_method(method, ua.Variant(21.0, ua.VariantType.Double)) == 42.0
    await subscription.delete()


async def capture(folder: Path, mode: str) -> bytes:
    """A capture of a client's work under a mode: None, Sign or SignAndEncrypt."""
    tap = Tap()
    secure = mode != "None"
    async with running(folder, tap, secure=secure) as (url, _, level):
        client = Client(url)
        client.set_user(USER)
        client.set_password(PASSWORD)
        client.application_uri = "urn:example:client"
        if secure:
            public, private = certificate(folder, "client")
            await client.set_security_string(f"Basic256Sha256,{mode},{public},{private}")
        async with client:
            index = level.nodeid.NamespaceIndex
            await work(client, node_id("Tank", index), level.nodeid, node_id("Tank.Double", index))
    return tap.pcap()
