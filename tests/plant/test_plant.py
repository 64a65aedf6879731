"""The virtual plant is what it says: deterministic, real on the wire, and honest about what is an attack."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.pdu.bit_message import ReadCoilsRequest, WriteMultipleCoilsRequest, WriteSingleCoilRequest
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadInputRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from detection import attack
from tests.plant.__main__ import day
from tests.plant.attacks import ATTACKS
from tests.plant.controllers import Controller, request_bytes
from tests.plant.frames import Host
from tests.plant.process import Meters
from tests.plant.scenarios import SCENARIOS

if TYPE_CHECKING:
    from pathlib import Path

    from pymodbus.pdu import ModbusPDU


def made(seed: int, truth: Path | None = None, attacks: list[str] | None = None) -> bytes:
    buffer = io.BytesIO()
    day(buffer, truth, seed=seed, hours=1, scenarios=list(SCENARIOS), attacks=list(ATTACKS) if attacks is None else attacks)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("plant")
    capture, truth = folder / "plant.pcap", folder / "truth.jsonl"
    capture.write_bytes(made(7, truth))
    return capture, truth


def tshark(capture: Path, condition: str, *fields: str) -> list[str]:
    columns = [argument for name in fields or ("frame.number",) for argument in ("-e", name)]
    command = ["tshark", "-r", str(capture), "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE"]
    done = subprocess.run([*command, "-Y", condition, "-T", "fields", *columns], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    assert made(3) == made(3)
    assert made(3) != made(4)


def test_a_plant_without_attacks_has_no_packet_that_tshark_doubts(tmp_path: Path) -> None:
    capture = tmp_path / "quiet.pcap"
    capture.write_bytes(made(5, attacks=[]))
    wrong = "_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0 || tcp.analysis.lost_segment"
    assert tshark(capture, wrong) == []
    messages = tshark(capture, "modbus")
    assert len(messages) > 5_000


def test_every_attack_is_in_the_truth_with_its_packets_and_a_technique_that_exists(hour: tuple[Path, Path]) -> None:
    capture, truth = hour
    lines: list[dict[str, Any]] = [json.loads(line) for line in truth.read_text(encoding="utf-8").splitlines()]
    assert {line["name"] for line in lines} == set(ATTACKS)
    addresses = [line.split("\t") for line in tshark(capture, "frame", "frame.number", "ip.addr", "arp.src.hw_mac")]
    hosts_of = {int(number): ip.split(",") for number, ip, _ in addresses}
    for line in lines:
        assert line["technique"] in attack.techniques(), line["name"]
        assert line["packets"], line["name"]
        if line["name"] != "arp_spoofing":
            assert all(set(line["hosts"]) & set(hosts_of[number]) for number in line["packets"]), line["name"]


SERVED: list[tuple[ModbusPDU, str]] = [
    (ReadHoldingRegistersRequest(address=0, count=10), "read_holding"),
    (ReadInputRegistersRequest(address=5, count=3), "read_input"),
    (ReadCoilsRequest(address=0, count=9), "read_coils"),
    (WriteSingleRegisterRequest(address=100, registers=[77]), "write_register"),
    (WriteMultipleRegistersRequest(address=100, registers=[1, 2, 3]), "write_registers"),
    (WriteSingleCoilRequest(address=3, bits=[True]), "write_coil"),
    (WriteMultipleCoilsRequest(address=3, bits=[True, False, True]), "write_coils"),
    (ReadHoldingRegistersRequest(address=9_000, count=1), "refused"),
]


async def over_sockets() -> list[tuple[bytes, bytes]]:
    """The same requests through a real client and a real server on this machine: bytes sent, bytes received."""
    sent: list[bytes] = []
    received: list[bytes] = []

    def trace(sending: bool, data: bytes) -> bytes:
        (sent if sending else received).append(bytes(data))
        return data

    bits = SimData(0, count=64, values=False, datatype=DataType.BITS)
    registers = SimData(0, count=512, values=0, datatype=DataType.REGISTERS)
    server = ModbusTcpServer(SimDevice(1, simdata=([bits], [bits], [registers], [registers])), address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    port = cast("asyncio.Server", server.transport).sockets[0].getsockname()[1]
    client = AsyncModbusTcpClient("127.0.0.1", port=port, trace_packet=trace)
    await client.connect()
    for request, _ in SERVED:
        request.dev_id = 1
        await client.execute(no_response_expected=False, request=request)
    client.close()
    await server.shutdown()
    return list(zip(sent, received, strict=True))


class Still(Meters):
    """A process that stands still, so that the store holds what requests wrote."""

    def step(self, seconds: float, clock: float, setpoints: list[int]) -> None:
        """Nothing moves."""

    def registers(self) -> list[int]:
        """All zero."""
        return [0] * 10

    def coils(self) -> list[bool]:
        """None is touched."""
        return []


def test_the_bytes_are_those_of_real_sockets() -> None:
    controller = Controller(Host("10.0.0.1", "02:00:00:00:00:01"), {1: Still(np.random.default_rng(0))})
    for (request, name), (sent, received) in zip(SERVED, asyncio.run(over_sockets()), strict=True):
        transaction = int.from_bytes(sent[:2])
        assert request_bytes(request, transaction, 1) == sent, name
        assert controller.answer(sent, 0) == received, name
