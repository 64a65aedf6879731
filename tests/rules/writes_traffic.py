"""Traffic for the rules about writes, clients and addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymodbus.pdu.bit_message import ReadCoilsRequest, WriteMultipleCoilsRequest, WriteSingleCoilRequest
from pymodbus.pdu.register_message import (
    MaskWriteRegisterRequest,
    ReadHoldingRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)

from tests.rules.wire import ENGINEER, GATEWAY, HISTORIAN, HMI, INTRUDER, PLC, Host, controllers, scenario

if TYPE_CHECKING:
    from tests.rules.wire import Capture

OUTSIDE = Host("203.0.113.77", "02:00:00:00:00:fe")
"""A client on the internet, behind the plant's router."""

REMOTE_STATION = Host("198.51.100.20", "02:00:00:00:00:fe")
"""A controller with a public address, behind the plant's router."""


@scenario("modbus/write_by_unauthorised_client")
def write_by_unauthorised_client(fires: Capture, quiet: Capture) -> None:
    for capture, client in ((fires, INTRUDER), (quiet, HMI)):
        session = capture.modbus(client, PLC)
        session.ask(ReadHoldingRegistersRequest(address=100, count=4))
        session.ask(WriteSingleRegisterRequest(address=100, registers=[900]))
        session.close()


@scenario("modbus/second_client_writes_to_unit")
def second_client_writes_to_unit(fires: Capture, quiet: Capture) -> None:
    for capture, second_writes in ((fires, True), (quiet, False)):
        hmi, engineer = capture.modbus(HMI, PLC), capture.modbus(ENGINEER, PLC)
        hmi.ask(WriteSingleRegisterRequest(address=100, registers=[420]))
        capture.wait(600)
        engineer.ask(ReadHoldingRegistersRequest(address=100, count=2))
        if second_writes:
            engineer.ask(WriteSingleRegisterRequest(address=100, registers=[900]))
        hmi.ask(WriteSingleRegisterRequest(address=100, registers=[421]))


@scenario("modbus/broadcast_write")
def broadcast_write(fires: Capture, quiet: Capture) -> None:
    session = fires.modbus(INTRUDER, GATEWAY, controllers(units=(1, 2, 3)))
    session.ask(ReadCoilsRequest(address=0, count=8), unit=2)
    session.request(WriteSingleCoilRequest(address=3, bits=[True]), unit=0)
    capture_end = quiet.modbus(HMI, GATEWAY, controllers(units=(1, 2, 3)))
    for unit in (1, 2, 3):
        capture_end.ask(WriteSingleCoilRequest(address=3, bits=[True]), unit=unit)


@scenario("modbus/write_outside_permitted_window")
def write_outside_permitted_window(fires: Capture, quiet: Capture) -> None:
    for capture, hours in ((fires, 14), (quiet, 2)):
        capture.wait(hours * 3600)
        session = capture.modbus(ENGINEER, PLC)
        session.ask(WriteMultipleRegistersRequest(address=40, registers=[10, 20, 30]))
        session.close()


@scenario("modbus/write_to_critical_point")
def write_to_critical_point(fires: Capture, quiet: Capture) -> None:
    for capture, address in ((fires, 100), (quiet, 101)):
        session = capture.modbus(HMI, PLC)
        session.ask(ReadHoldingRegistersRequest(address=100, count=2))
        session.ask(WriteSingleRegisterRequest(address=address, registers=[300]))


@scenario("modbus/set_point_out_of_range")
def set_point_out_of_range(fires: Capture, quiet: Capture) -> None:
    for capture, value in ((fires, 801), (quiet, 800)):
        session = capture.modbus(HMI, PLC)
        session.ask(WriteSingleRegisterRequest(address=100, registers=[value]))


@scenario("modbus/many_points_written")
def many_points_written(fires: Capture, quiet: Capture) -> None:
    for capture, points in ((fires, 32), (quiet, 28)):
        session = capture.modbus(INTRUDER, PLC)
        for address in range(points):
            session.ask(WriteSingleCoilRequest(address=address, bits=[True]))
            capture.wait(1)


@scenario("modbus/brute_force_write")
def brute_force_write(fires: Capture, quiet: Capture) -> None:
    for capture, writes in ((fires, 130), (quiet, 110)):
        session = capture.modbus(INTRUDER, PLC)
        for _ in range(writes):
            session.ask(WriteSingleRegisterRequest(address=7, registers=[0]))
            capture.wait(0.4)


@scenario("modbus/coil_toggled")
def coil_toggled(fires: Capture, quiet: Capture) -> None:
    for capture, cycles in ((fires, 7), (quiet, 3)):
        session = capture.modbus(INTRUDER, PLC)
        for _ in range(cycles):
            for on in (True, False):
                session.ask(WriteSingleCoilRequest(address=12, bits=[on]))
                capture.wait(2)


@scenario("modbus/mask_write_register")
def mask_write_register(fires: Capture, quiet: Capture) -> None:
    fires.modbus(ENGINEER, PLC).ask(MaskWriteRegisterRequest(address=4, and_mask=0xFFFE, or_mask=0x0001))
    quiet.modbus(ENGINEER, PLC).ask(WriteSingleRegisterRequest(address=4, registers=[0x00FB]))


@scenario("modbus/writes_refused")
def writes_refused(fires: Capture, quiet: Capture) -> None:
    for capture, attempts in ((fires, 6), (quiet, 4)):
        session = capture.modbus(INTRUDER, PLC)
        for attempt in range(attempts):
            session.ask(WriteMultipleRegistersRequest(address=600 + attempt, registers=[1]))
            session.ask(ReadHoldingRegistersRequest(address=0, count=2))
            capture.wait(5)


@scenario("modbus/read_by_unauthorised_client")
def read_by_unauthorised_client(fires: Capture, quiet: Capture) -> None:
    for capture, client in ((fires, INTRUDER), (quiet, HISTORIAN)):
        session = capture.modbus(client, PLC)
        session.ask(ReadHoldingRegistersRequest(address=0, count=10))
        session.close()


@scenario("modbus/second_client_for_unit")
def second_client_for_unit(fires: Capture, quiet: Capture) -> None:
    for capture, second_unit in ((fires, 1), (quiet, 2)):
        controller = controllers(units=(1, 2))
        hmi, historian = capture.modbus(HMI, GATEWAY, controller), capture.modbus(HISTORIAN, GATEWAY, controller)
        for _ in range(3):
            hmi.ask(ReadHoldingRegistersRequest(address=0, count=10), unit=1)
            historian.ask(ReadHoldingRegistersRequest(address=0, count=10), unit=second_unit)
            capture.wait(1)


@scenario("modbus/public_client_reaches_controller")
def public_client_reaches_controller(fires: Capture, quiet: Capture) -> None:
    fires.modbus(OUTSIDE, PLC).ask(ReadHoldingRegistersRequest(address=0, count=10))
    quiet.modbus(HMI, PLC).ask(ReadHoldingRegistersRequest(address=0, count=10))
    quiet.modbus(HMI, REMOTE_STATION).ask(ReadHoldingRegistersRequest(address=0, count=10))


@scenario("modbus/controller_at_public_address")
def controller_at_public_address(fires: Capture, quiet: Capture) -> None:
    fires.modbus(HMI, REMOTE_STATION).ask(ReadHoldingRegistersRequest(address=0, count=10))
    inside = Host("198.51.100.21", "02:00:00:00:01:21")
    quiet.modbus(HMI, PLC).ask(ReadHoldingRegistersRequest(address=0, count=10))
    quiet.modbus(inside, REMOTE_STATION).ask(ReadHoldingRegistersRequest(address=0, count=10))


@scenario("modbus/unusual_port")
def unusual_port(fires: Capture, quiet: Capture) -> None:
    for capture, port in ((fires, 10502), (quiet, 502)):
        session = capture.modbus(HMI, PLC, port=port)
        for _ in range(5):
            session.ask(WriteMultipleCoilsRequest(address=0, bits=[True, False, True]))
            session.ask(ReadCoilsRequest(address=0, count=16))
            capture.wait(1)


@scenario("modbus/client_on_second_card")
def client_on_second_card(fires: Capture, quiet: Capture) -> None:
    for capture, address in ((fires, HMI.ip), (quiet, ENGINEER.ip)):
        station, other = capture.modbus(HMI, PLC), capture.modbus(Host(address, INTRUDER.mac), PLC)
        for session in (station, other, station):
            session.ask(ReadHoldingRegistersRequest(address=100, count=4))
            capture.wait(1)
        other.ask(WriteSingleRegisterRequest(address=100, registers=[430]))
