"""Traffic for the rules about diagnostics, identification, functions, files and Schneider's UMAS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymodbus.pdu.diag_message import (
    ClearCountersRequest,
    ForceListenOnlyModeRequest,
    RestartCommunicationsOptionRequest,
    ReturnBusMessageCountRequest,
    ReturnQueryDataRequest,
)
from pymodbus.pdu.file_message import FileRecord, ReadFileRecordRequest, WriteFileRecordRequest
from pymodbus.pdu.mei_message import ReadDeviceInformationRequest
from pymodbus.pdu.other_message import GetCommEventLogRequest, ReadExceptionStatusRequest, ReportDeviceIdRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest

from tests.rules.wire import CRAFTED, ENGINEER, HMI, INTRUDER, PLC, scenario

if TYPE_CHECKING:
    from tests.rules.wire import Capture, Session

POLL = ReadHoldingRegistersRequest(address=0, count=10)


@scenario("modbus/restart_communications")
def restart_communications(fires: Capture, quiet: Capture) -> None:
    fires.modbus(INTRUDER, PLC).ask(RestartCommunicationsOptionRequest(message=0x0000))
    session = quiet.modbus(HMI, PLC)
    session.ask(ReturnQueryDataRequest(message=b"\x00\x01"))
    session.ask(ReturnBusMessageCountRequest())


@scenario("modbus/event_log_cleared")
def event_log_cleared(fires: Capture, quiet: Capture) -> None:
    fires.modbus(INTRUDER, PLC).ask(RestartCommunicationsOptionRequest(message=0xFF00))
    quiet.modbus(ENGINEER, PLC).ask(RestartCommunicationsOptionRequest(message=0x0000))


@scenario("modbus/force_listen_only_mode")
def force_listen_only_mode(fires: Capture, quiet: Capture) -> None:
    session = fires.modbus(INTRUDER, PLC)
    session.ask(POLL)
    session.request(ForceListenOnlyModeRequest(message=0))  # a device that obeys gives no answer (V1.1b3, 6.8)
    session.request(POLL)
    session = quiet.modbus(HMI, PLC)
    session.ask(ReturnQueryDataRequest(message=b"\x00\x04"))
    session.ask(POLL)


@scenario("modbus/counters_cleared")
def counters_cleared(fires: Capture, quiet: Capture) -> None:
    fires.modbus(INTRUDER, PLC).ask(ClearCountersRequest())
    quiet.modbus(HMI, PLC).ask(ReturnBusMessageCountRequest())


@scenario("modbus/device_identification_read")
def device_identification_read(fires: Capture, quiet: Capture) -> None:
    session = fires.modbus(INTRUDER, PLC)
    session.ask(ReadDeviceInformationRequest(read_code=1, object_id=0))
    session.ask(ReportDeviceIdRequest())
    session = quiet.modbus(HMI, PLC)
    session.ask(ReadExceptionStatusRequest())
    session.ask(POLL)


@scenario("modbus/device_status_read")
def device_status_read(fires: Capture, quiet: Capture) -> None:
    session = fires.modbus(INTRUDER, PLC)
    session.ask(GetCommEventLogRequest())
    session.ask(ReturnBusMessageCountRequest())
    session = quiet.modbus(HMI, PLC)
    session.ask(ReturnQueryDataRequest(message=b"\x55\xaa"))
    session.ask(POLL)


@scenario("modbus/canopen_interface_used", stack=CRAFTED)
def canopen_interface_used(fires: Capture, quiet: Capture) -> None:
    fires.modbus(ENGINEER, PLC).exchange_pdu(
        b"\x2b\x0d\x00\x01\x10\x00\x00\x04", b"\x2b\x0d\x00\x01\x10\x00\x00\x04\x92\x01\x02\x00"
    )
    quiet.modbus(ENGINEER, PLC).ask(ReadDeviceInformationRequest(read_code=1, object_id=0))


@scenario("modbus/reserved_function", stack=CRAFTED)
def reserved_function(fires: Capture, quiet: Capture) -> None:
    fires.modbus(INTRUDER, PLC).exchange_pdu(b"\x2a\x00\x01", b"\xaa\x01")
    quiet.modbus(INTRUDER, PLC).exchange_pdu(b"\x41\x00\x01", b"\xc1\x01")


@scenario("modbus/user_defined_function", stack=CRAFTED)
def user_defined_function(fires: Capture, quiet: Capture) -> None:
    fires.modbus(INTRUDER, PLC).exchange_pdu(b"\x64\x00\x01\x02", b"\x64\x00")
    quiet.modbus(INTRUDER, PLC).exchange_pdu(b"\x2a\x00\x01\x02", b"\xaa\x01")


@scenario("modbus/file_record_read")
def file_record_read(fires: Capture, quiet: Capture) -> None:
    records = [FileRecord(file_number=4, record_number=1, record_length=4)]
    fires.modbus(INTRUDER, PLC).ask(ReadFileRecordRequest(records=records))
    quiet.modbus(HMI, PLC).ask(POLL)
    quiet.modbus(ENGINEER, PLC).ask(_file_write(1))


@scenario("modbus/file_record_written")
def file_record_written(fires: Capture, quiet: Capture) -> None:
    fires.modbus(INTRUDER, PLC).ask(_file_write(1))
    quiet.modbus(ENGINEER, PLC).ask(ReadFileRecordRequest(records=[FileRecord(file_number=4, record_number=1, record_length=4)]))


@scenario("modbus/file_transferred_to_device")
def file_transferred_to_device(fires: Capture, quiet: Capture) -> None:
    for capture, blocks in ((fires, 12), (quiet, 9)):
        session = capture.modbus(ENGINEER, PLC)
        for block in range(blocks):
            session.ask(_file_write(block))
            capture.wait(2)


def _file_write(record: int) -> WriteFileRecordRequest:
    return WriteFileRecordRequest(records=[FileRecord(file_number=1, record_number=record, record_data=bytes(range(32)))])


# UMAS: no honest stack sends it. The bodies follow Quickdraw's capture of a Modicon controller (modicon_test.pcap) and published
# descriptions.

UMAS_SESSION = 0x01
"""Session byte of an engineering client that holds the reservation."""


def _umas(session: Session, service: int, body: bytes = b"", answer: bytes = b"") -> None:
    header = bytes((90, UMAS_SESSION))
    session.exchange_pdu(header + bytes((service,)) + body, header + b"\xfe" + answer)


@scenario("modbus/umas_controller_stop", stack=CRAFTED)
def umas_controller_stop(fires: Capture, quiet: Capture) -> None:
    _umas(fires.modbus(INTRUDER, PLC), 0x41, b"\xff\x00")
    _umas(quiet.modbus(ENGINEER, PLC), 0x04, b"", bytes(24))


@scenario("modbus/umas_controller_start", stack=CRAFTED)
def umas_controller_start(fires: Capture, quiet: Capture) -> None:
    _umas(fires.modbus(INTRUDER, PLC), 0x40, b"\xff\x00")
    _umas(quiet.modbus(ENGINEER, PLC), 0x12)


@scenario("modbus/umas_program_download", stack=CRAFTED)
def umas_program_download(fires: Capture, quiet: Capture) -> None:
    _download(fires.modbus(INTRUDER, PLC))
    _upload(quiet.modbus(ENGINEER, PLC))


@scenario("modbus/umas_program_upload", stack=CRAFTED)
def umas_program_upload(fires: Capture, quiet: Capture) -> None:
    _upload(fires.modbus(INTRUDER, PLC))
    _download(quiet.modbus(ENGINEER, PLC))


@scenario("modbus/umas_program_replaced", stack=CRAFTED)
def umas_program_replaced(fires: Capture, quiet: Capture) -> None:
    for capture, stops_first in ((fires, True), (quiet, False)):
        session = capture.modbus(INTRUDER, PLC)
        if stops_first:
            _umas(session, 0x41, b"\xff\x00")
            capture.wait(20)
        _download(session)
        capture.wait(20)
        _umas(session, 0x40, b"\xff\x00")


@scenario("modbus/umas_reservation", stack=CRAFTED)
def umas_reservation(fires: Capture, quiet: Capture) -> None:
    _umas(fires.modbus(INTRUDER, PLC), 0x10, b"CL\x00\x00\x0fENGINEERING-07", b"\x01")
    _umas(quiet.modbus(HMI, PLC), 0x12)


@scenario("modbus/umas_identification", stack=CRAFTED)
def umas_identification(fires: Capture, quiet: Capture) -> None:
    session = fires.modbus(INTRUDER, PLC)
    _umas(session, 0x01, b"\x00", bytes(8))
    _umas(session, 0x02, b"", bytes(20))
    _umas(quiet.modbus(HMI, PLC), 0x12)


@scenario("modbus/umas_memory_write", stack=CRAFTED)
def umas_memory_write(fires: Capture, quiet: Capture) -> None:
    _umas(fires.modbus(INTRUDER, PLC), 0x23, b"\x01\x00\x00\x00\x10\x00\x02\x00\x2a\x00")
    _umas(quiet.modbus(HMI, PLC), 0x22, b"\x01\x00\x00\x00\x10\x00\x02\x00", b"\x2a\x00")


def _download(session: Session) -> None:
    _umas(session, 0x30, b"\x00\x01")
    for block in range(1, 4):
        _umas(session, 0x31, b"\x00\x01" + block.to_bytes(2, "little") + bytes(range(64)))
    _umas(session, 0x32, b"\x00\x01\x03\x00")


def _upload(session: Session) -> None:
    _umas(session, 0x33, b"\x00\x01\xfb\x00", b"\x01\xfb\x00")
    for block in range(1, 4):
        _umas(session, 0x34, b"\x00\x01" + block.to_bytes(2, "little"), bytes(range(64)))
    _umas(session, 0x35, b"\x00\x01\x03\x00")
