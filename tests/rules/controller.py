"""A Modbus controller in memory: requests are answered by pymodbus' codecs and data store, without sockets."""

from __future__ import annotations

import asyncio
import logging

from pymodbus.constants import ExcCodes
from pymodbus.framer import FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu.device import ModbusControlBlock
from pymodbus.simulator import DataType, SimData, SimDevice
from pymodbus.simulator.simcore import SimCore

STACK = "pymodbus 3.16"
"""The stack whose codecs and data store make the traffic."""

COILS = 256
"""Coils and discrete inputs that a unit has, from address 0."""

REGISTERS = 512
"""Holding and input registers that a unit has, from address 0."""

logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)  # it warns of the malformed requests that are meant here

_CLIENT = FramerSocket(DecodePDU(is_server=False))


def request_bytes(request: ModbusPDU) -> bytes:
    """The application data unit that a pymodbus client sends for a request."""
    return _CLIENT.buildFrame(request)


class Controller:
    """A Modbus TCP server with some units; the counters of pymodbus are process-wide and start anew with each controller."""

    def __init__(self, units: tuple[int, ...] = (1,)) -> None:
        self._framer = FramerSocket(DecodePDU(is_server=True))
        self._store = SimCore([_unit(number) for number in (0, *units) if number != 0 or 0 in units or len(units) == 1])
        self._units = units
        ModbusControlBlock().reset()

    def answer(self, data: bytes) -> bytes:
        """The application data unit that the server answers to one request, as pymodbus' request handler does it.

        A function that pymodbus does not know is answered with exception 1, a unit that is not there with exception 11.
        """
        transaction, unit, function = int.from_bytes(data[:2], "big"), data[6], data[7]
        request = self._framer.decoder.decode(data[7:])
        if request is None:
            response: ModbusPDU = ExceptionResponse(function, ExcCodes.ILLEGAL_FUNCTION)
        elif unit not in self._units:
            response = ExceptionResponse(function, ExcCodes.GATEWAY_NO_RESPONSE)
        else:
            request.dev_id, request.transaction_id = unit, transaction
            # pymodbus' own server passes its SimCore here as well
            response = asyncio.run(request.datastore_update(self._store, unit))  # pyright: ignore[reportArgumentType]
        response.transaction_id, response.dev_id = transaction, unit
        return self._framer.buildFrame(response)


def _unit(number: int) -> SimDevice:
    bits = SimData(0, count=COILS, values=False, datatype=DataType.BITS)
    registers = SimData(0, count=REGISTERS, values=250, datatype=DataType.REGISTERS)
    return SimDevice(number, simdata=([bits], [bits], [registers], [registers]))
