"""Traffic for the rules about what is new: an operator station polls long enough to be learned, then something happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest, WriteSingleRegisterRequest

from tests.rules.wire import CRAFTED, ENGINEER, HMI, INTRUDER, PLC, scenario

if TYPE_CHECKING:
    from tests.rules.wire import Capture, Session

LEARNED_POLLS, LATER_POLLS = 12, 18
"""Polls every 20 s: four minutes, all of the first fifth of ten, in which nothing else happens; and the rest of the ten."""


def polled(capture: Capture) -> Session:
    """An operator station that polls a controller and trims a set-point, for four minutes."""
    hmi = capture.modbus(HMI, PLC)
    for turn in range(LEARNED_POLLS):
        hmi.ask(ReadHoldingRegistersRequest(address=100, count=4))
        if turn in {1, 3}:
            hmi.ask(WriteSingleRegisterRequest(address=100, registers=[420 + turn]))
        capture.wait(20)
    return hmi


def goes_on(capture: Capture, hmi: Session) -> None:
    """The same station, for six minutes more."""
    for _ in range(LATER_POLLS):
        hmi.ask(ReadHoldingRegistersRequest(address=100, count=4))
        capture.wait(20)


@scenario("baseline/new_writer")
def new_writer(fires: Capture, quiet: Capture) -> None:
    for capture, client in ((fires, INTRUDER), (quiet, HMI)):
        hmi = polled(capture)
        session = hmi if client is HMI else capture.modbus(client, PLC)
        session.ask(WriteSingleRegisterRequest(address=100, registers=[430]))
        goes_on(capture, hmi)


@scenario("baseline/reader_writes")
def reader_writes(fires: Capture, quiet: Capture) -> None:
    for capture, writes in ((fires, True), (quiet, False)):
        engineer = capture.modbus(ENGINEER, PLC)
        engineer.ask(ReadHoldingRegistersRequest(address=0, count=4))
        hmi = polled(capture)
        engineer.ask(ReadHoldingRegistersRequest(address=0, count=4))
        if writes:
            engineer.ask(WriteSingleRegisterRequest(address=100, registers=[430]))
        goes_on(capture, hmi)


@scenario("baseline/new_program_operation", CRAFTED)
def new_program_operation(fires: Capture, quiet: Capture) -> None:
    for capture, sub_function in ((fires, 1), (quiet, 2)):
        hmi = polled(capture)
        # Restart communications, and a question for the diagnostic register.
        asked = bytes([8, 0, sub_function, 0, 0])
        hmi.exchange_pdu(asked, asked)
        goes_on(capture, hmi)


@scenario("baseline/new_point_written")
def new_point_written(fires: Capture, quiet: Capture) -> None:
    for capture, address in ((fires, 101), (quiet, 100)):
        hmi = polled(capture)
        hmi.ask(WriteSingleRegisterRequest(address=address, registers=[430]))
        goes_on(capture, hmi)


@scenario("baseline/new_control_conversation")
def new_control_conversation(fires: Capture, quiet: Capture) -> None:
    for capture, client in ((fires, ENGINEER), (quiet, HMI)):
        hmi = polled(capture)
        session = capture.modbus(client, PLC)
        session.ask(ReadHoldingRegistersRequest(address=100, count=4))
        session.close()
        goes_on(capture, hmi)


@scenario("baseline/new_remote_service", CRAFTED)
def new_remote_service(fires: Capture, quiet: Capture) -> None:
    for capture, answered in ((fires, True), (quiet, False)):
        hmi = polled(capture)
        session = capture.connect(INTRUDER, HMI, 22)
        if answered:
            session.open()
            session.receive(b"SSH-2.0-OpenSSH_9.2\r\n")
            session.send(b"SSH-2.0-PuTTY_Release_0.81\r\n")
            session.close()
        else:
            session.packet(from_client=True, flags="S")
        goes_on(capture, hmi)


@scenario("baseline/controller_begins_conversation", CRAFTED)
def controller_begins_conversation(fires: Capture, quiet: Capture) -> None:
    for capture, client in ((fires, PLC), (quiet, HMI)):
        hmi = polled(capture)
        session = capture.connect(client, INTRUDER, 4_444)
        session.open()
        session.send(b"hello")
        session.receive(b"hello")
        session.close()
        goes_on(capture, hmi)


@scenario("baseline/new_operation")
def new_operation(fires: Capture, quiet: Capture) -> None:
    for capture, request in ((fires, ReadInputRegistersRequest), (quiet, ReadHoldingRegistersRequest)):
        hmi = polled(capture)
        hmi.ask(request(address=100, count=4))
        goes_on(capture, hmi)


@scenario("baseline/many_new_blocks_read")
def many_new_blocks_read(fires: Capture, quiet: Capture) -> None:
    for capture, blocks in ((fires, 20), (quiet, 19)):
        hmi = polled(capture)
        for block in range(blocks):
            hmi.ask(ReadHoldingRegistersRequest(address=200 + 10 * block, count=4))
        goes_on(capture, hmi)


@scenario("baseline/slow_address_scan")
def slow_address_scan(fires: Capture, quiet: Capture) -> None:
    for capture, blocks in ((fires, 40), (quiet, 39)):
        hmi = polled(capture)
        goes_on(capture, hmi)
        for block in range(blocks):
            hmi.ask(ReadHoldingRegistersRequest(address=200 + 10 * block, count=4))
            capture.wait(1_200)
