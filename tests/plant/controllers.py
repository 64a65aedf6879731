"""Controllers: a process behind pymodbus' data store and codecs, in memory. `answer` is what its server would send."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from pymodbus.constants import ExcCodes
from pymodbus.framer import FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.simulator import DataType, SimData, SimDevice
from pymodbus.simulator.simcore import SimCore

from tests.plant.process import DAY_SECONDS

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tests.plant.frames import Host
    from tests.plant.process import Process

VALUES_AT: Final = 0
"""First holding register of the measured values."""

SETPOINTS_AT: Final = 100
"""First holding register of the set-points."""

REGISTERS: Final = 512
COILS: Final = 64

logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)  # it tells of the requests that nobody knows, which are meant

_CLIENT: Final = FramerSocket(DecodePDU(is_server=False))
_SERVER: Final = FramerSocket(DecodePDU(is_server=True))


def request_bytes(request: ModbusPDU, transaction: int, unit: int) -> bytes:
    """What a pymodbus client sends for a request."""
    request.transaction_id, request.dev_id = transaction, unit
    return _CLIENT.buildFrame(request)


def finished(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that never waits: pymodbus' data store is one."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise RuntimeError("the data store waited for something")


class Controller:
    """One Modbus server with its units, each a process."""

    def __init__(self, host: Host, processes: dict[int, Process], *, response_ns: int = 3_000_000) -> None:
        self.host = host
        self.processes = processes
        self.response_ns = response_ns
        """How long it takes to answer."""
        self.silent: set[int] = set()
        """Units that do not answer their gateway now."""
        self._seen = dict.fromkeys(processes, 0)
        self._store = SimCore([_unit(number) for number in processes])
        for unit, process in processes.items():
            self._set(unit, SETPOINTS_AT, list(process.SETPOINTS))

    def answer(self, data: bytes, now_ns: int) -> bytes:
        """The answer to one request at a time; a function that pymodbus does not know is refused."""
        transaction, unit, function = int.from_bytes(data[:2], "big"), data[6], data[7]
        request = _SERVER.decoder.decode(data[7:])
        response: ModbusPDU
        if request is None:
            response = ExceptionResponse(function, ExcCodes.ILLEGAL_FUNCTION)
        elif unit not in self.processes or unit in self.silent:
            response = ExceptionResponse(function, ExcCodes.GATEWAY_NO_RESPONSE)
        else:
            self._go_on(unit, now_ns)
            request.dev_id, request.transaction_id = unit, transaction
            response = finished(request.datastore_update(self._store, unit))  # pyright: ignore[reportArgumentType] - as its server does
        response.transaction_id, response.dev_id = transaction, unit
        return _SERVER.buildFrame(response)

    def _go_on(self, unit: int, now_ns: int) -> None:
        """Bring the unit's process to the present."""
        process = self.processes[unit]
        seconds = min(60.0, (now_ns - self._seen[unit]) / 1e9) if self._seen[unit] else 1.0
        if seconds <= 0:
            return
        self._seen[unit] = now_ns
        setpoints = finished(self._store.async_getValues(unit, 3, SETPOINTS_AT, 3))
        process.step(seconds, now_ns / 1e9 % DAY_SECONDS, setpoints)
        self._set(unit, VALUES_AT, process.registers())
        finished(self._store.async_setValues(unit, 15, 0, process.coils()))

    def _set(self, unit: int, address: int, values: list[int]) -> None:
        finished(self._store.async_setValues(unit, 16, address, values))


def _unit(number: int) -> SimDevice:
    bits = SimData(0, count=COILS, values=False, datatype=DataType.BITS)
    registers = SimData(0, count=REGISTERS, values=0, datatype=DataType.REGISTERS)
    return SimDevice(number, simdata=([bits], [bits], [registers], [registers]))
