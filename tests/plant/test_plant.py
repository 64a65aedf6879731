"""The virtual plant is what it says: deterministic, real on the wire, and honest about what is an attack."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import struct
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadDiscreteInputsRequest,
    WriteMultipleCoilsRequest,
    WriteSingleCoilRequest,
)
from pymodbus.pdu.diag_message import ClearCountersRequest, ForceListenOnlyModeRequest, RestartCommunicationsOptionRequest
from pymodbus.pdu.file_message import FileRecord, WriteFileRecordRequest
from pymodbus.pdu.mei_message import ReadDeviceInformationRequest
from pymodbus.pdu.other_message import ReportDeviceIdRequest
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadInputRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from detection import attack
from detection.cli import detect
from sensor._core import Reader
from tests.plant import deceptions
from tests.plant.attacks import ATTACKS
from tests.plant.clients import FIRST_PIECE_BYTES
from tests.plant.controllers import Controller, request_bytes
from tests.plant.day import PACE, START, Truth, day
from tests.plant.frames import Host
from tests.plant.opcua.works import BOILER_SERVER, MES, PUBLISH_SECONDS, SCADA, SEGMENT_BYTES
from tests.plant.plant import ENGINEER, HMI, INTRUDER, OUTSIDE, Plant
from tests.plant.process import BoilerHouse, Meters
from tests.plant.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymodbus.pdu import ModbusPDU

FOREIGN = f"(ip.src == {INTRUDER.ip} || ip.dst == {INTRUDER.ip} || ip.src == {OUTSIDE.ip} || ip.dst == {OUTSIDE.ip})"
"""What tshark finds with a host that does not belong here."""

SITE = Path(__file__).resolve().parents[2] / "deploy" / "demo" / "site.yml"

OPCUA_TOLD = {
    "opcua_browse_sweep": "opcua_browse_sweep",
    "opcua_new_session_write": "opcua_write_by_unauthorised_client",
    "opcua_method_call": "opcua_method_call_by_unlisted_client",
    "opcua_channel_flood": "opcua_secure_channel_flood",
    "opcua_session_flood": "opcua_session_flood",
    "opcua_nested_value": "opcua_nested_value_bomb",
    "opcua_downgrade": "opcua_downgrade_to_none",
    "opcua_sign_in_guessing": "opcua_sign_in_guessing",
    "opcua_history_theft": "opcua_history_theft",
}
"""Attack on OPC UA → the rule that tells it."""

BAD_CHECKSUM = " || ".join(f"{layer}.checksum.status == 0" for layer in ("ip", "tcp", "udp"))


def made(seed: int, attacks: Sequence[str] = tuple(ATTACKS), hours: float = 1) -> tuple[bytes, list[Truth]]:
    buffer = io.BytesIO()
    packets, truth = day(buffer, seed=seed, hours=hours, scenario_names=list(SCENARIOS), attack_names=attacks)
    assert packets > 1_000
    return buffer.getvalue(), truth


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Truth]]:
    capture = tmp_path_factory.mktemp("plant") / "plant.pcap"
    data, truth = made(7)
    capture.write_bytes(data)
    return capture, truth


def tshark(capture: Path, condition: str, *fields: str) -> list[str]:
    columns = [argument for name in fields or ("frame.number",) for argument in ("-e", name)]
    checks = [argument for layer in ("ip", "tcp", "udp") for argument in ("-o", f"{layer}.check_checksum:TRUE")]
    command = ["tshark", "-r", str(capture), *checks]
    done = subprocess.run([*command, "-Y", condition, "-T", "fields", *columns], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    first, truth = made(3, hours=0.2)
    again, truth_again = made(3, hours=0.2)
    assert first == again
    assert truth == truth_again
    assert first != made(4, hours=0.2)[0]


def test_tshark_reads_every_message_of_a_plant_without_attacks_and_doubts_none(tmp_path: Path) -> None:
    capture = tmp_path / "quiet.pcap"
    capture.write_bytes(made(5, attacks=())[0])
    wrong = f"_ws.malformed || {BAD_CHECKSUM} || tcp.analysis.lost_segment"
    assert tshark(capture, f"{wrong} || tcp.analysis.out_of_order || tcp.analysis.ack_lost_segment") == []
    again = tshark(
        capture, "tcp.analysis.retransmission || tcp.analysis.spurious_retransmission || tcp.analysis.fast_retransmission"
    )
    pieces = tshark(capture, f"tcp.len == {FIRST_PIECE_BYTES} && ip.src == {ENGINEER.ip}")
    first = f"tcp.len == {SEGMENT_BYTES}"  # of an OPC UA message in two segments; tshark names it at the second
    left = [number for number in tshark(capture, f"tcp.len > 0 && !modbus && !opcua && !({first})") if number not in pieces]
    assert left == again, "a failing cable's retransmissions, and nothing else"
    assert again
    assert pieces, "an engineer's tool sends a request in two segments"
    assert len(tshark(capture, "modbus")) > 15_000
    assert len(tshark(capture, f"opcua && ip.addr == {SCADA.ip}")) > 2 * 3_600 / (PUBLISH_SECONDS * PACE)
    assert len(tshark(capture, f"opcua && ip.addr == {BOILER_SERVER.ip}")) > 2 * 55
    assert len(tshark(capture, "ntp.flags.mode == 3")) == len(tshark(capture, "ntp.flags.mode == 4")) > 0


def test_tshark_reads_every_message_of_a_plant_under_attack_but_those_that_are_meant_to_be_wrong(
    hour: tuple[Path, list[Truth]],
) -> None:
    capture, truth = hour
    meant = {
        number
        for each in truth
        if each.name
        in {
            "function_sweep",
            "overlapping_segments",
            "umas_stop",
            "umas_download",
            "flood",
            "malformed_messages",
            "opcua_nested_value",
        }
        for number in each.packets
    }
    assert {int(number) for number in tshark(capture, "_ws.malformed || tcp.analysis.lost_segment")} <= meant
    assert tshark(capture, BAD_CHECKSUM) == []


def test_every_attack_is_in_the_truth_with_its_hosts_and_a_technique_that_exists(hour: tuple[Path, list[Truth]]) -> None:
    capture, truth = hour
    assert {each.name for each in truth} == set(ATTACKS)
    addresses = [line.split("\t") for line in tshark(capture, "frame", "frame.number", "frame.time_epoch", "ip.addr", "eth.src")]
    hosts_of = {int(number): set(ip.split(",")) | {mac} for number, _, ip, mac in addresses}
    time_of = {int(number): Decimal(time) for number, time, _, _ in addresses}
    for each in truth:
        line = json.loads(each.line())
        assert line["technique"] in attack.techniques(), each.name
        hosts = {*line["hosts"], INTRUDER.mac}
        assert all(hosts_of[number] & hosts for number in each.packets), each.name
        assert time_of[each.packets[0]] * 10**9 == each.start, each.name
        assert time_of[each.packets[-1]] * 10**9 == each.end, each.name


def test_the_truth_holds_all_packets_of_strangers_and_besides_only_what_insiders_seem_to_send(
    hour: tuple[Path, list[Truth]],
) -> None:
    capture, truth = hour
    strangers = {int(number) for number in tshark(capture, f"{FOREIGN} || eth.addr == {INTRUDER.mac}")}
    inside = {"forged_command", "replayed_values", "covert_channel", "opcua_downgrade"}
    assert strangers == {number for each in truth if each.name not in inside for number in each.packets}
    (forged,) = (each for each in truth if each.name == "forged_command")
    written = tshark(capture, "modbus.func_code == 6 && mbtcp.trans_id == 0xbeef")
    assert {int(number) for number in written} < set(forged.packets)
    assert len(forged.packets) == 3


class Answer(NamedTuple):
    """A frame in which a controller tells its measured values."""

    receiver: bytes
    sequence: bytes
    hops: int
    values: tuple[int, ...]


def answers(capture: Path, truth: list[Truth], name: str) -> list[Answer]:
    """Those of an attack, in order. Whole frames, for tshark does not look into a segment whose place it has seen before."""
    (attack,) = (each for each in truth if each.name == name)
    data, frames, at = capture.read_bytes(), list[bytes](), 24
    while at < len(data):
        length = int.from_bytes(data[at + 8 : at + 12], "little")
        frames.append(data[at + 16 : at + 16 + length])
        at += 16 + length
    told = [frames[number - 1] for number in attack.packets]
    return [
        Answer(frame[:6], frame[38:42], frame[22], struct.unpack("!10H", frame[63:]))
        for frame in told
        if frame[12:14] == b"\x08\x00" and frame[61:63] == bytes((3, 20))
    ]


def test_the_man_in_the_middle_shows_operators_a_steady_pressure_and_alters_nothing_else(hour: tuple[Path, list[Truth]]) -> None:
    both = answers(*hour, "altered_answers")
    told = {each.sequence: each.values for each in both if each.receiver == INTRUDER.mac_bytes}
    shown = {each.sequence: each.values for each in both if each.receiver == HMI.mac_bytes}
    assert len(told) > 5
    assert told.keys() == shown.keys()
    for sequence, values in told.items():
        assert shown[sequence] == (*values[:3], deceptions.SHOWN_MBAR, *values[4:])
    assert told != shown
    assert {(each.receiver, each.hops) for each in both} == {(INTRUDER.mac_bytes, 64), (HMI.mac_bytes, 63)}


def test_a_controller_that_replays_values_tells_the_same_again_and_again(hour: tuple[Path, list[Truth]]) -> None:
    told = [each.values for each in answers(*hour, "replayed_values")]
    period = len(set(told))
    assert period < len(told) / 3
    assert told[period:] == told[:-period]


def test_the_covert_channel_carries_its_message_in_the_lowest_bits_of_the_turbidity(hour: tuple[Path, list[Truth]]) -> None:
    bits = "".join(str(each.values[2] & 1) for each in answers(*hour, "covert_channel"))
    assert int(bits, 2).to_bytes(len(bits) // 8, "big") == deceptions.MESSAGE


def test_the_rules_name_each_attack_on_opcua_and_nothing_worse_of_its_regular_clients(hour: tuple[Path, list[Truth]]) -> None:
    capture, truth = hour
    done = CliRunner().invoke(
        detect, [str(capture), "--site", "deploy/demo/site.yml", "--output", "json"], catch_exceptions=False
    )
    alerts = [json.loads(line) for line in done.stdout.splitlines()]
    told = {
        (name, each["client.ip"], each["server.ip"])
        for each in alerts
        for name in (each["rule"], *(related["rule"] for related in each["related"]))
    }
    assert (
        {name for name in ATTACKS if name.startswith("opcua_")}
        == OPCUA_TOLD.keys()
        == {each.name for each in truth if each.name.startswith("opcua_")}
    )
    for name, rule in OPCUA_TOLD.items():
        client, server = ATTACKS[name].hosts
        assert (rule, client.ip, server.ip) in told, name
    regular = [each for each in alerts if each["client.ip"] == MES.ip]
    # That it writes now and then is new to who has looked for ten minutes only.
    assert {each["rule"] for each in regular} <= {"opcua_anonymous_sign_in", "reader_writes"}


def test_the_historian_and_its_server_hide_what_they_say_and_the_mes_does_not(hour: tuple[Path, list[Truth]]) -> None:
    calls = pl.concat([pl.DataFrame(batch) for batch in Reader(str(hour[0])) if batch.table == "opcua"])
    messages = calls.filter(pl.col("opcua.message_type") == "message")
    hidden = messages.filter(pl.col("opcua.encrypted"))
    assert set(hidden["server.ip"].to_list()) == {BOILER_SERVER.ip}
    assert hidden["opcua.service"].null_count() == hidden.height > 100
    watched = messages.filter(pl.col("client.ip") == MES.ip)
    assert set(watched["opcua.service"].to_list()) == {
        "CreateSession", "ActivateSession", "CreateSubscription", "CreateMonitoredItems", "Publish", "Write",
    }  # fmt: skip
    assert set(watched["opcua.status"].to_list()) == {"Good"}


def test_a_raised_set_point_opens_the_safety_valve() -> None:
    boiler = BoilerHouse(np.random.default_rng(1))
    for second in range(0, 600, 2):
        boiler.step(2, second, list(BoilerHouse.SETPOINTS))
        assert not boiler.valve_open
    opened = False
    for second in range(600, 1_200, 2):
        boiler.step(2, second, [1_350, 500, 600])
        opened = opened or boiler.valve_open
    assert opened


def test_a_controller_that_listens_only_answers_nobody_until_its_watchdog_wakes_it() -> None:
    controller = Plant(START, 1).controllers["intake"]
    read = request_bytes(ReadHoldingRegistersRequest(address=0, count=1), 1, 1)
    assert controller.answer(read, START)
    assert controller.answer(request_bytes(ForceListenOnlyModeRequest(), 2, 1), START) == b""
    assert controller.answer(read, START + 1) == b""
    assert controller.answer(read, START + 61 * 10**9)


def test_a_broadcast_write_reaches_every_serial_unit_and_is_not_answered() -> None:
    gateway = Plant(START, 1).controllers["gateway"]
    assert gateway.answer(request_bytes(WriteSingleRegisterRequest(address=101, registers=[77]), 1, 0), START) == b""
    assert [gateway.setpoints(unit)[1] for unit in gateway.processes] == [77] * 6


def test_whoever_joins_a_connection_in_use_waits_for_the_exchange_to_end() -> None:
    plant = Plant(START, 1)
    session = plant.session(INTRUDER, "boiler")
    over = session.ask(START, ReadHoldingRegistersRequest(address=0, count=1))
    assert session.ask(START, WriteSingleRegisterRequest(address=101, registers=[500])) > over
    places = [
        int.from_bytes(packet.frame[38:42], "big") for packet in plant.wire.take(2 * START) if packet.frame[34:36] != b"\x01\xf6"
    ]
    assert places == sorted(places)


def test_the_live_plant_sends_packets_at_once_and_ends_with_a_whole_one_when_told() -> None:
    plant = subprocess.Popen([sys.executable, "-m", "tests.plant", "live", "--out", "-", "--speed", "20"], stdout=subprocess.PIPE)
    assert plant.stdout is not None
    data = plant.stdout.read(20_000)
    plant.send_signal(signal.SIGINT)
    data += plant.stdout.read()
    plant.stdout.close()
    assert plant.wait(10) == 0
    at = 24
    while at < len(data):
        at += 16 + int.from_bytes(data[at + 8 : at + 12], "little")
    assert at == len(data)


def test_the_live_plant_ends_quietly_when_nobody_reads_any_more() -> None:
    plant = subprocess.Popen(
        [sys.executable, "-m", "tests.plant", "live", "--speed", "20"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert plant.stdout is not None
    assert plant.stderr is not None
    plant.stdout.read(1_000)
    plant.stdout.close()
    assert plant.wait(10) == 0
    assert plant.stderr.read() == b""
    plant.stderr.close()


SERVED: list[tuple[ModbusPDU, str]] = [
    (ReadHoldingRegistersRequest(address=0, count=10), "read_holding"),
    (ReadInputRegistersRequest(address=5, count=3), "read_input"),
    (ReadCoilsRequest(address=0, count=9), "read_coils"),
    (WriteSingleRegisterRequest(address=100, registers=[77]), "write_register"),
    (WriteMultipleRegistersRequest(address=100, registers=[1, 2, 3]), "write_registers"),
    (WriteSingleCoilRequest(address=3, bits=[True]), "write_coil"),
    (WriteMultipleCoilsRequest(address=3, bits=[True, False, True]), "write_coils"),
    (ReadHoldingRegistersRequest(address=9_000, count=1), "refused"),
    (ReadDiscreteInputsRequest(address=2, count=2), "read_discrete"),
    (ReadDeviceInformationRequest(read_code=1, object_id=0), "device_identification"),
    (ReportDeviceIdRequest(), "report_server_id"),
    (ClearCountersRequest(), "clear_counters"),
    (RestartCommunicationsOptionRequest(), "restart_communications"),
    (WriteFileRecordRequest(records=[FileRecord(file_number=4, record_number=1, record_data=b"MZ")]), "write_file_record"),
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
