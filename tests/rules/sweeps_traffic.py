"""Traffic for the rules about sweeps, exceptions and floods of Modbus requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymodbus.constants import ExcCodes
from pymodbus.pdu import ExceptionResponse
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest

from tests.rules.wire import GATEWAY, HMI, INTRUDER, PLC, controllers, scenario

if TYPE_CHECKING:
    from tests.rules.wire import Capture, Session


@scenario("modbus/function_code_sweep")
def function_code_sweep(fires: Capture, quiet: Capture) -> None:
    for capture, functions in ((fires, range(1, 25)), (quiet, (1, 2, 3, 4, 5, 6, 15, 16))):
        session = capture.modbus(INTRUDER, PLC)
        for function in functions:
            _answered(session, bytes((function, 0, 0, 0, 0)))


@scenario("modbus/illegal_function_exceptions")
def illegal_function_exceptions(fires: Capture, quiet: Capture) -> None:
    for capture, functions in ((fires, (9, 10, 13, 14)), (quiet, (9, 9, 9, 10))):
        session = capture.modbus(INTRUDER, PLC)
        for function in functions:
            _answered(session, bytes((function, 0, 0, 0, 0)))


@scenario("modbus/address_sweep")
def address_sweep(fires: Capture, quiet: Capture) -> None:
    for capture, addresses in ((fires, range(130)), (quiet, range(90))):
        session = capture.modbus(INTRUDER, PLC)
        for address in addresses:
            session.ask(ReadHoldingRegistersRequest(address=address, count=1))
            capture.wait(0.5)


@scenario("modbus/illegal_address_exceptions")
def illegal_address_exceptions(fires: Capture, quiet: Capture) -> None:
    for capture, addresses in ((fires, range(600, 608)), (quiet, (600, 601, 602, 603, 600, 601, 602, 603))):
        session = capture.modbus(INTRUDER, PLC)
        for address in addresses:
            session.ask(ReadHoldingRegistersRequest(address=address, count=1))
            capture.wait(2)


@scenario("modbus/unit_identifier_sweep")
def unit_identifier_sweep(fires: Capture, quiet: Capture) -> None:
    for capture, units in ((fires, range(1, 61)), (quiet, range(1, 32))):
        session = capture.modbus(INTRUDER, GATEWAY, controllers(units=tuple(range(1, 32))))
        for unit in units:
            data = session.encode(ReadHoldingRegistersRequest(address=0, count=1), unit=unit)
            session.connection.send(data)
            if unit < 32:
                session.connection.receive(session.controller.answer(data))
            capture.wait(1)


@scenario("modbus/gateway_exceptions_for_many_units")
def gateway_exceptions_for_many_units(fires: Capture, quiet: Capture) -> None:
    for capture, last in ((fires, 14), (quiet, 8)):
        session = capture.modbus(INTRUDER, GATEWAY, controllers(units=(1, 2, 3)))
        for unit in range(1, last + 1):
            session.ask(ReadHoldingRegistersRequest(address=0, count=1), unit=unit)
            capture.wait(1)


@scenario("modbus/gateway_target_lost")
def gateway_target_lost(fires: Capture, quiet: Capture) -> None:
    for capture, polls in ((fires, 14), (quiet, 8)):
        session = capture.modbus(HMI, GATEWAY, controllers(units=(1, 2)))
        for _ in range(polls):
            session.ask(ReadHoldingRegistersRequest(address=0, count=10), unit=1)
            session.ask(ReadHoldingRegistersRequest(address=0, count=10), unit=7)
            capture.wait(2)


@scenario("modbus/illegal_value_exceptions")
def illegal_value_exceptions(fires: Capture, quiet: Capture) -> None:
    _refusals(fires, ExcCodes.ILLEGAL_VALUE, 12)
    _refusals(quiet, ExcCodes.ILLEGAL_VALUE, 8)


@scenario("modbus/device_failure_exceptions")
def device_failure_exceptions(fires: Capture, quiet: Capture) -> None:
    _refusals(fires, ExcCodes.DEVICE_FAILURE, 6)
    _refusals(quiet, ExcCodes.DEVICE_FAILURE, 4)


@scenario("modbus/acknowledge_exceptions")
def acknowledge_exceptions(fires: Capture, quiet: Capture) -> None:
    _refusals(fires, ExcCodes.ACKNOWLEDGE, 4)
    _refusals(quiet, ExcCodes.ACKNOWLEDGE, 2)


@scenario("modbus/busy_exceptions")
def busy_exceptions(fires: Capture, quiet: Capture) -> None:
    _refusals(fires, ExcCodes.DEVICE_BUSY, 4)
    _refusals(quiet, ExcCodes.DEVICE_BUSY, 2)


@scenario("modbus/request_flood")
def request_flood(fires: Capture, quiet: Capture) -> None:
    _pipelined(fires, segments=60, requests=50)
    _pipelined(quiet, segments=40, requests=50)


@scenario("modbus/requests_without_answers")
def requests_without_answers(fires: Capture, quiet: Capture) -> None:
    for capture, segments in ((fires, 30), (quiet, 20)):
        session = capture.modbus(INTRUDER, PLC)
        for _ in range(segments):
            session.connection.send(b"".join(session.encode(ReadHoldingRegistersRequest(address=0, count=10)) for _ in range(20)))
            capture.wait(0.2)


def _answered(session: Session, pdu: bytes) -> None:
    """A request with a body of zeros and whatever the controller answers to it."""
    session.exchange_pdu(pdu, session.controller.answer(session.frame(pdu))[7:])


def _refusals(capture: Capture, code: int, times: int) -> None:
    """Reads of which a number is answered with the exception, and as many in order."""
    session = capture.modbus(HMI, PLC)
    for _ in range(times):
        session.ask(ReadHoldingRegistersRequest(address=0, count=10))
        data = session.encode(ReadHoldingRegistersRequest(address=100, count=4))
        session.connection.send(data)
        session.connection.receive(request_answer(data, code))
        capture.wait(3)


def request_answer(data: bytes, code: int) -> bytes:
    """The exception response to a request, encoded by pymodbus."""
    pdu = ExceptionResponse(data[7], code)
    return data[:4] + b"\x00\x03" + data[6:7] + bytes((pdu.function_code,)) + pdu.encode()


def _pipelined(capture: Capture, segments: int, requests: int) -> None:
    """Requests packed into full segments, answered in full segments as well, within five seconds."""
    session = capture.modbus(INTRUDER, PLC)
    for _ in range(segments):
        asked = [session.encode(ReadHoldingRegistersRequest(address=9, count=1)) for _ in range(requests)]
        session.connection.send(b"".join(asked))
        session.connection.receive(b"".join(session.controller.answer(data) for data in asked))
        capture.wait(0.05)
