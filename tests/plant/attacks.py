"""Attacks on the plant. pymodbus encodes what a stack sends; scapy and raw bytes make what no honest stack does.

Here are those that change something; `probes` has those that look, `deceptions` those that make values lie, `opcua.attacks`
those on OPC UA. `ATTACKS` names all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pymodbus.pdu.bit_message import WriteSingleCoilRequest
from pymodbus.pdu.diag_message import ClearCountersRequest, ForceListenOnlyModeRequest, RestartCommunicationsOptionRequest
from pymodbus.pdu.file_message import FileRecord, WriteFileRecordRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, WriteSingleRegisterRequest

from tests.plant import deceptions, probes
from tests.plant.clients import SECOND
from tests.plant.controllers import SETPOINTS_AT, crafted_bytes, request_bytes
from tests.plant.frames import ACK, HOP_NS, PSH, Host, Talk
from tests.plant.opcua import attacks as opcua
from tests.plant.opcua.works import BOILER_SERVER, HISTORIAN, SCADA
from tests.plant.plant import BOILER, DISTRIBUTION, GATEWAY, HMI, INTAKE, INTRUDER, OUTSIDE, TREATMENT, Plant

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

ANSWER_NS: Final = 3_000_000
"""How long a controller takes to answer what is written by hand here."""

STOPPED_SECONDS: Final = 90
"""Until people start a stopped controller again."""

PROGRAM_BLOCKS: Final = 12
"""Blocks of the program that is downloaded."""

# UMAS is not published; these are as described at https://lirasenlared.blogspot.com/2017/08/the-unity-umas-protocol-part-iii.html
_UMAS_IDENTIFY: Final = (b"\x5a\x00\x02", b"\x5a\x00\xfe\x01\x02")
_UMAS_RESERVE: Final = (b"\x5a\x00\x10\x1d\x00\x00\x00", b"\x5a\x00\xfe\x5b")
_UMAS_START: Final = (b"\x5a\x5b\x40\xff\x00", b"\x5a\x5b\xfe")
_UMAS_STOP: Final = (b"\x5a\x5b\x41\xff\x00", b"\x5a\x5b\xfe")
_UMAS_BEGIN: Final = (b"\x5a\x5b\x30\x00\x01", b"\x5a\x5b\xfe")


def set_point_write(plant: Plant, now: int) -> Iterator[int]:
    """A client that nobody knows raises the steam pressure's set-point; the safety valve will open."""
    session = plant.session(INTRUDER, "boiler")
    now = session.ask(now, ReadHoldingRegistersRequest(address=SETPOINTS_AT, count=3)) + SECOND
    yield now
    value = int(plant.vary(1_350, 900, 2_000))
    now = session.ask(now, WriteSingleRegisterRequest(address=SETPOINTS_AT, registers=[value])) + SECOND
    yield now
    session.close(now)


def forged_command(plant: Plant, now: int) -> Iterator[int]:
    """A command is put into the HMI's own connection between two polls: the HMI's address, port and sequence number.

    Whoever sits between the two rewrites sequence numbers from then on, so that neither side notices.
    """
    session = plant.hmi["treatment"]
    value = int(plant.vary(900, 70, 900))
    request = WriteSingleRegisterRequest(address=SETPOINTS_AT + 1, registers=[value])
    yield session.exchange(now, request_bytes(request, 0xBEEF, 1))


def coil_toggling(plant: Plant, now: int) -> Iterator[int]:
    """A pump's coil is switched on and off again and again."""
    session = plant.session(INTRUDER, "distribution")
    pause = int(plant.vary(SECOND / 5, SECOND / 20, 10 * SECOND))
    for number in range(int(plant.vary(150, 20, 300))):
        now = session.ask(now, WriteSingleCoilRequest(address=0, bits=[number % 2 == 0])) + pause
        yield now
    session.close(now)


def listen_only(plant: Plant, now: int) -> Iterator[int]:
    """A controller is restarted and then ordered to listen only: the HMI gets no answer until its watchdog wakes it."""
    session = plant.session(INTRUDER, "intake")
    for request in (RestartCommunicationsOptionRequest(), ForceListenOnlyModeRequest()):
        now = session.ask(now, request) + SECOND
        yield now
    session.close(now)


def clear_counters(plant: Plant, now: int) -> Iterator[int]:
    """Diagnostic counters are cleared to hide what was done."""
    session = plant.session(INTRUDER, "treatment")
    now = session.ask(now, ClearCountersRequest()) + SECOND
    yield now
    session.close(now)


def umas_stop(plant: Plant, now: int) -> Iterator[int]:
    """The boiler's controller is reserved and stopped by UMAS (function 90): its values freeze until people start it again."""
    stopping = (_UMAS_IDENTIFY, _UMAS_RESERVE, _UMAS_STOP)
    now = yield from _umas(plant, now, BOILER, stopping)
    plant.controllers["boiler"].stopped_until = now + STOPPED_SECONDS * SECOND


def umas_download(plant: Plant, now: int) -> Iterator[int]:
    """The intake's controller gets another program by UMAS: stopped, loaded block by block, and started again."""
    now = yield from _umas(plant, now, INTAKE, (_UMAS_RESERVE, _UMAS_STOP))
    plant.controllers["intake"].stopped_until = now + (PROGRAM_BLOCKS + 3) * SECOND
    blocks = [
        (b"\x5a\x5b\x31\x00\x01" + number.to_bytes(2, "little") + plant.random.bytes(200), b"\x5a\x5b\xfe")
        for number in range(1, PROGRAM_BLOCKS + 1)
    ]
    end = (b"\x5a\x5b\x32\x00\x01" + (PROGRAM_BLOCKS + 1).to_bytes(2, "little"), b"\x5a\x5b\xfe")
    yield from _umas(plant, now, INTAKE, (_UMAS_BEGIN, *blocks, end, _UMAS_START))


def _umas(plant: Plant, now: int, controller: Host, exchanges: Iterable[tuple[bytes, bytes]]) -> Generator[int, None, int]:
    """A connection with these requests and answers, one a second; returns when it is over."""
    talk = Talk(plant.wire, INTRUDER, controller, plant.port())
    now = talk.open(now)
    for transaction, (question, answer) in enumerate(exchanges, 1):
        talk.send(now, crafted_bytes(question, transaction, 0))
        talk.receive(now + ANSWER_NS, crafted_bytes(answer, transaction, 0))
        talk.acknowledge(now + ANSWER_NS + HOP_NS)
        now += SECOND
        yield now
    return talk.close(now)


def broadcast_write(plant: Plant, now: int) -> Iterator[int]:
    """A coil is written at all serial units at once."""
    session = plant.session(INTRUDER, "gateway")
    now = session.ask(now, WriteSingleCoilRequest(address=0, bits=[True]), 0)
    yield now
    session.close(now)


def file_write(plant: Plant, now: int) -> Iterator[int]:
    """A program is put into the boiler controller's file records."""
    session = plant.session(INTRUDER, "boiler")
    for number in range(int(plant.vary(12, 3, 60))):
        record = FileRecord(file_number=4, record_number=number, record_data=b"\x4d\x5a\x90\x00")
        now = session.ask(now, WriteFileRecordRequest(records=[record])) + SECOND // 30
        yield now
    session.close(now)


def overlapping_segments(plant: Plant, now: int) -> Iterator[int]:
    """The same bytes are sent twice with another content, to show a monitor something else than the controller gets."""
    talk = Talk(plant.wire, INTRUDER, BOILER, plant.port())
    now = talk.open(now)
    harmless = request_bytes(ReadHoldingRegistersRequest(address=0, count=1), 1, 1)
    hidden = request_bytes(WriteSingleRegisterRequest(address=SETPOINTS_AT, registers=[1]), 1, 1)
    place = talk.sequence[True]
    talk.send(now, harmless)
    plant.wire.put(now + HOP_NS // 2, talk.frame(True, PSH | ACK, hidden, sequence=place))
    talk.receive(now + ANSWER_NS, plant.controllers["boiler"].answer(harmless, now))
    now += SECOND
    yield now
    talk.close(now)


class Attack(NamedTuple):
    """What is done, between whom, and how ATT&CK for ICS (release 19) calls it."""

    technique: str
    hosts: tuple[Host, ...]
    steps: Callable[[Plant, int], Iterator[int]]


CONTROLLERS: Final = (INTAKE, TREATMENT, DISTRIBUTION, BOILER)

ATTACKS: Final[dict[str, Attack]] = {
    "address_sweep": Attack("T0861", (INTRUDER, TREATMENT), probes.address_sweep),
    "function_sweep": Attack("T0846", (INTRUDER, INTAKE), probes.function_sweep),
    "unit_sweep": Attack("T0846", (INTRUDER, GATEWAY), probes.unit_sweep),
    "port_scan": Attack("T0846.001", (INTRUDER, TREATMENT), probes.port_scan),
    "half_open": Attack("T0814", (INTRUDER, BOILER), probes.half_open),
    "identification": Attack("T0888", (INTRUDER, *CONTROLLERS), probes.identification),
    "set_point_write": Attack("T0836", (INTRUDER, BOILER), set_point_write),
    "forged_command": Attack("T1692.001", (HMI, TREATMENT), forged_command),
    "coil_toggling": Attack("T0806", (INTRUDER, DISTRIBUTION), coil_toggling),
    "listen_only": Attack("T0814", (INTRUDER, INTAKE), listen_only),
    "clear_counters": Attack("T0872", (INTRUDER, TREATMENT), clear_counters),
    "umas_stop": Attack("T0858", (INTRUDER, BOILER), umas_stop),
    "umas_download": Attack("T0843", (INTRUDER, INTAKE), umas_download),
    "arp_spoofing": Attack("T0830", (INTRUDER, HMI, TREATMENT), probes.arp_spoofing),
    "altered_answers": Attack("T0830", (INTRUDER, HMI, DISTRIBUTION), deceptions.altered_answers),
    "replayed_values": Attack("T1692.002", (BOILER,), deceptions.replayed_values),
    "covert_channel": Attack("T0869", (INTAKE,), deceptions.covert_channel),
    "malformed_messages": Attack("T0866", (INTRUDER, DISTRIBUTION), probes.malformed_messages),
    "flood": Attack("T0814", (INTRUDER, GATEWAY), probes.flood),
    "broadcast_write": Attack("T1692.001", (INTRUDER, GATEWAY), broadcast_write),
    "file_write": Attack("T0843", (INTRUDER, BOILER), file_write),
    "overlapping_segments": Attack("T0836", (INTRUDER, BOILER), overlapping_segments),
    "outside_client": Attack("T0883", (OUTSIDE, DISTRIBUTION), probes.outside_client),
    "opcua_browse_sweep": Attack("T0861", (INTRUDER, SCADA), opcua.browse_sweep),
    "opcua_new_session_write": Attack("T1692.001", (INTRUDER, SCADA), opcua.new_session_write),
    "opcua_method_call": Attack("T0871", (INTRUDER, SCADA), opcua.method_call),
    "opcua_channel_flood": Attack("T0814", (INTRUDER, SCADA), opcua.channel_flood),
    "opcua_session_flood": Attack("T0814", (INTRUDER, SCADA), opcua.session_flood),
    "opcua_nested_value": Attack("T0866", (INTRUDER, SCADA), opcua.nested_value),
    "opcua_downgrade": Attack("T0830", (HISTORIAN, BOILER_SERVER), opcua.downgrade),
    "opcua_sign_in_guessing": Attack("T0859", (INTRUDER, BOILER_SERVER), opcua.sign_in_guessing),
    "opcua_history_theft": Attack("T0811", (INTRUDER, SCADA), opcua.history_theft),
}
"""Attacks by name."""


def schedule(plant: Plant, name: str, moment: int) -> None:
    """Let an attack happen at a time; its packets carry its name."""
    plant.happen(moment, lambda now: ATTACKS[name].steps(plant, now), name)
