"""Traffic for the rules about messages that break the protocol, and about conversations that somebody tampers with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymodbus.pdu.register_message import ReadHoldingRegistersRequest

from tests.rules.wire import CRAFTED, HMI, INTRUDER, PLC, Host, scenario

if TYPE_CHECKING:
    from tests.rules.wire import Capture, Session

ILLEGAL_VALUE = b"\x03"
"""Exception code that a careful device answers to a malformed request."""


@scenario("modbus/length_violation", stack=CRAFTED)
def length_violation(fires: Capture, quiet: Capture) -> None:
    session = fires.modbus(INTRUDER, PLC)
    _poll(session, 3)
    session.connection.send(session.frame(b"\x03\x00\x00\x00\x0a\x00\x00\x00\x00"))
    session.connection.receive(session.frame(b"\x83" + ILLEGAL_VALUE))
    _poll(session, 1)
    _longest(quiet)


@scenario("modbus/protocol_identifier_violation", stack=CRAFTED)
def protocol_identifier_violation(fires: Capture, quiet: Capture) -> None:
    session = fires.modbus(INTRUDER, PLC)
    _poll(session, 3)
    session.connection.send(session.frame(b"\x03\x00\x00\x00\x0a", protocol=1))
    fires.wait(1)
    _poll(session, 1)
    _poll(quiet.modbus(HMI, PLC), 4)


@scenario("modbus/quantity_violation", stack=CRAFTED)
def quantity_violation(fires: Capture, quiet: Capture) -> None:
    session = fires.modbus(INTRUDER, PLC)
    _poll(session, 3)
    session.exchange_pdu(b"\x03\x00\x00\x00\x7e", b"\x83" + ILLEGAL_VALUE)
    session.exchange_pdu(b"\x01\x00\x00\x07\xd1", b"\x81" + ILLEGAL_VALUE)
    _longest(quiet)


@scenario("modbus/byte_count_violation", stack=CRAFTED)
def byte_count_violation(fires: Capture, quiet: Capture) -> None:
    session = fires.modbus(INTRUDER, PLC)
    _poll(session, 3)
    session.exchange_pdu(b"\x10\x00\x04\x00\x02\x06\x00\x01\x00\x02\x00\x03", b"\x90" + ILLEGAL_VALUE)
    session = quiet.modbus(HMI, PLC)
    session.exchange_pdu(b"\x10\x00\x04\x00\x02\x04\x00\x01\x00\x02", b"\x10\x00\x04\x00\x02")
    session.exchange_pdu(b"\x0f\x00\x04\x00\x09\x02\xff\x01", b"\x0f\x00\x04\x00\x09")


@scenario("modbus/address_range_violation", stack=CRAFTED)
def address_range_violation(fires: Capture, quiet: Capture) -> None:
    fires.modbus(INTRUDER, PLC).exchange_pdu(b"\x03\xff\xf8\x00\x09", b"\x83\x02")
    quiet.modbus(HMI, PLC).exchange_pdu(b"\x03\xff\xf8\x00\x08", b"\x83\x02")


@scenario("modbus/malformed_message", stack=CRAFTED)
def malformed_message(fires: Capture, quiet: Capture) -> None:
    session = fires.modbus(INTRUDER, PLC)
    _poll(session, 3)
    session.exchange_pdu(b"\x05\x00\x04\x12\x34", b"\x85" + ILLEGAL_VALUE)
    session = quiet.modbus(HMI, PLC)
    session.exchange_pdu(b"\x05\x00\x04\xff\x00", b"\x05\x00\x04\xff\x00")
    session.exchange_pdu(b"\x05\x00\x04\x00\x00", b"\x05\x00\x04\x00\x00")


@scenario("modbus/malformed_message_burst", stack=CRAFTED)
def malformed_message_burst(fires: Capture, quiet: Capture) -> None:
    for capture, times in ((fires, 25), (quiet, 15)):
        session = capture.modbus(INTRUDER, PLC)
        for attempt in range(times):
            session.exchange_pdu(b"\x03\x00\x00" + (126 + attempt * 97).to_bytes(2, "big"), b"\x83" + ILLEGAL_VALUE)
            capture.wait(1)


@scenario("modbus/unsolicited_response", stack=CRAFTED)
def unsolicited_response(fires: Capture, quiet: Capture) -> None:
    session = fires.modbus(HMI, PLC)
    _poll(session, 3)
    fires.wait(1)
    session.connection.receive(b"\x77\x77\x00\x00\x00\x07\x01\x03\x04\x03\xe7\x03\xe7")
    _poll(session, 2)
    session = quiet.modbus(HMI, PLC)
    _poll(session, 3)
    lost = session.encode(ReadHoldingRegistersRequest(address=0, count=2))
    session.connection.sent[True] += len(lost)  # the mirror port lost the request: a gap, and no response out of nothing
    session.connection.receive(session.controller.answer(lost))
    _poll(session, 2)


@scenario("modbus/transaction_reused", stack=CRAFTED)
def transaction_reused(fires: Capture, quiet: Capture) -> None:
    for capture, value in ((fires, 1_000), (quiet, 100)):
        session = capture.modbus(HMI, PLC)
        _poll(session, 3)
        session.exchange_pdu(b"\x06\x00\x07\x00\x64", None)
        # The same request once more is a client that was not answered in time.
        session.connection.send(session.frame(b"\x06\x00\x07" + value.to_bytes(2, "big")))
        session.connection.receive(session.frame(b"\x06\x00\x07\x00\x64"))
        _poll(session, 2)


@scenario("modbus/two_different_answers", stack=CRAFTED)
def two_different_answers(fires: Capture, quiet: Capture) -> None:
    for capture, second in ((fires, b"\x03\x04\x00\x0a\x00\x0a"), (quiet, None)):
        session = capture.modbus(HMI, PLC)
        _poll(session, 3)
        session.exchange_pdu(b"\x03\x00\x00\x00\x02", b"\x03\x04\x03\xe7\x03\xe7")
        if second is not None:
            session.connection.receive(session.frame(second))
        else:
            again = session.frame(b"\x03\x04\x03\xe7\x03\xe7")  # a retransmitted answer is the same answer
            session.connection.packet(
                from_client=False, flags="PA", data=again, sequence=session.connection.sent[False] - len(again)
            )
        capture.wait(1)
        _poll(session, 2)


@scenario("modbus/response_mismatch", stack=CRAFTED)
def response_mismatch(fires: Capture, quiet: Capture) -> None:
    session = fires.modbus(HMI, PLC)
    _poll(session, 3)
    session.exchange_pdu(b"\x03\x00\x00\x00\x02", b"\x04\x04\x03\xe7\x03\xe7")
    session.exchange_pdu(b"\x03\x00\x00\x00\x02", b"\x03\x06\x03\xe7\x03\xe7\x03\xe7")
    session = quiet.modbus(HMI, PLC)
    _poll(session, 3)
    session.exchange_pdu(b"\x03\x00\x00\x00\x02", b"\x83\x06")


@scenario("modbus/foreign_protocol_on_modbus_port", stack=CRAFTED)
def foreign_protocol_on_modbus_port(fires: Capture, quiet: Capture) -> None:
    for capture, port in ((fires, 502), (quiet, 8080)):
        connection = capture.connect(INTRUDER, PLC, port)
        connection.open()
        connection.send(b"GET /index.html HTTP/1.1\r\nHost: 10.20.2.11\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n\r\n")
        connection.receive(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>")
        connection.close()


@scenario("network/conflicting_segments", stack=CRAFTED)
def conflicting_segments(fires: Capture, quiet: Capture) -> None:
    for capture, written in ((fires, b"\x03\xe8"), (quiet, b"\x00\x64")):
        session = capture.modbus(HMI, PLC)
        _poll(session, 2)
        place = session.connection.sent[True]
        session.exchange_pdu(b"\x06\x00\x07\x00\x64", None)
        session.connection.packet(from_client=True, flags="PA", data=session.frame(b"\x06\x00\x07" + written), sequence=place)
        session.connection.receive(session.frame(b"\x06\x00\x07\x00\x64"))
        _poll(session, 2)


SPARE = Host(PLC.ip, "02:00:00:00:02:99")
"""A device that takes the place of the controller, with its address."""


@scenario("network/address_conflict", stack=CRAFTED)
def address_conflict(fires: Capture, quiet: Capture) -> None:
    for capture, second in ((fires, SPARE), (quiet, PLC)):
        capture.arp_request(HMI, PLC.ip)
        capture.arp(PLC, PLC.ip, HMI)
        capture.wait(30)
        capture.arp_request(second, second.ip)
        capture.arp_request(HMI, PLC.ip)
        capture.arp(second, PLC.ip, HMI)


@scenario("network/address_spoofing", stack=CRAFTED)
def address_spoofing(fires: Capture, quiet: Capture) -> None:
    for capture, claims in ((fires, 10), (quiet, 2)):
        capture.arp_request(HMI, PLC.ip)
        capture.arp(PLC, PLC.ip, HMI)
        capture.wait(20)
        for _ in range(claims):
            capture.arp(INTRUDER, PLC.ip, HMI)
            capture.wait(2)


def _poll(session: Session, times: int) -> None:
    for _ in range(times):
        session.ask(ReadHoldingRegistersRequest(address=0, count=10))
        session.connection.capture.wait(1)


def _longest(capture: Capture) -> None:
    """The longest messages that the standard allows: 125 registers read, 123 written, 2000 coils read."""
    session = capture.modbus(HMI, PLC)
    _poll(session, 2)
    session.ask(ReadHoldingRegistersRequest(address=0, count=125))
    registers = bytes(246)
    session.exchange_pdu(b"\x10\x00\x00\x00\x7b\xf6" + registers, b"\x10\x00\x00\x00\x7b")
    session.exchange_pdu(b"\x01\x00\x00\x07\xd0", b"\x01\xfa" + bytes(250))
