"""Controllers: a process behind pymodbus' data store and codecs, in memory. `answer` is what its server would send."""

from __future__ import annotations

import logging
import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pymodbus.constants import ExcCodes
from pymodbus.framer import FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu.device import ModbusControlBlock
from pymodbus.simulator import DataType, SimData, SimDevice
from pymodbus.simulator.simcore import SimCore

from tests.plant.process import DAY_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Coroutine, Iterable

    from tests.plant.frames import Host
    from tests.plant.process import Process

VALUES_AT: Final = 0
"""First register of the measured values, holding and input."""

VALUES: Final = 10
"""How many measured values a unit tells."""

SETPOINTS_AT: Final = 100
"""First holding register of the set-points."""

REGISTERS: Final = 512
COILS: Final = 64

SCAN_NS: Final = 100_000_000
"""A controller's scan cycle: values that are asked for sooner after the last are the same."""

WATCHDOG_NS: Final = 60_000_000_000
"""How long a controller obeys an order to listen only: then its watchdog restarts it."""

_READ_VALUES: Final = struct.pack("!BHH", 3, VALUES_AT, VALUES)

BROADCAST: Final = 0
READS: Final = frozenset({1, 2, 3, 4})
WRITES: Final = frozenset({5, 6, 15, 16, 22})
DIAGNOSTICS: Final = 8
RESTART, LISTEN_ONLY = 1, 4

logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)  # it tells of the requests that nobody knows, which are meant

_CLIENT: Final = FramerSocket(DecodePDU(is_server=False))
_SERVER: Final = FramerSocket(DecodePDU(is_server=True))


def request_bytes(request: ModbusPDU, transaction: int, unit: int) -> bytes:
    """What a pymodbus client sends for a request."""
    request.transaction_id, request.dev_id = transaction, unit
    return _CLIENT.buildFrame(request)


def crafted_bytes(pdu: bytes, transaction: int, unit: int, *, protocol: int = 0, length: int | None = None) -> bytes:
    """A message that no stack here encodes; protocol identifier and length may be wrong."""
    stated = len(pdu) + 1 if length is None else length
    return struct.pack("!HHHB", transaction, protocol, stated, unit) + pdu


def decoded(data: bytes) -> ModbusPDU | None:
    """A request as pymodbus' server understands it; None for a function that it does not know."""
    return _read(data[7:]) if data[7] in READS else _SERVER.decoder.decode(data[7:])


@lru_cache(maxsize=1_024)
def _read(pdu: bytes) -> ModbusPDU | None:
    """A read, which is the same each time: its answer is made anew and does not change it."""
    return _SERVER.decoder.decode(pdu)


def answer_bytes(response: ModbusPDU, data: bytes) -> bytes:
    """What pymodbus' server sends as response to the request with these bytes."""
    response.transaction_id, response.dev_id = int.from_bytes(data[:2], "big"), data[6]
    return _SERVER.buildFrame(response)


def finished(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that never waits: pymodbus' data store is one."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise RuntimeError("the data store waited for something")


class Distortion(NamedTuple):
    """What a controller that was tampered with tells instead of the values that it measured."""

    tag: str
    """Attack that such answers belong to."""
    change: Callable[[list[int]], list[int]]


class Units:
    """Units behind pymodbus' codecs and data store: what its server answers to a request.

    Args:
        numbers: their unit identifiers.
        coils: coils and discrete inputs that a unit has, from address 0.
        registers: holding and input registers that a unit has, from address 0.
        value: of each register at first.
        present: units that answer, where more are stored; pymodbus answers diagnostics from unit 0 alone.
    """

    def __init__(
        self, numbers: Iterable[int], *, coils: int, registers: int, value: int = 0, present: Iterable[int] | None = None
    ) -> None:
        numbers = tuple(numbers)
        self._store = SimCore([_unit(number, coils, registers, value) for number in numbers])
        self._present = frozenset(numbers if present is None else present)
        # pymodbus counts for the whole process.
        ModbusControlBlock().reset()

    def answer(self, data: bytes) -> bytes:
        """The answer to one request: exception 1 to a function that pymodbus does not know, 11 for a unit that is not there."""
        return answer_bytes(self.response(data, decoded(data), self._present), data)

    def response(self, data: bytes, request: ModbusPDU | None, present: Container[int]) -> ModbusPDU:
        """What a request, decoded, is answered while these units are present."""
        if request is None:
            return ExceptionResponse(data[7], ExcCodes.ILLEGAL_FUNCTION)
        if data[6] not in present:
            return ExceptionResponse(data[7], ExcCodes.GATEWAY_NO_RESPONSE)
        request.transaction_id = int.from_bytes(data[:2], "big")
        return self.obey(request, data[6])

    def obey(self, request: ModbusPDU, unit: int) -> ModbusPDU:
        """Let one unit do what a request wants."""
        request.dev_id = unit
        return finished(request.datastore_update(self._store, unit))  # pyright: ignore[reportArgumentType] - as its server does

    def values(self, unit: int, function: int, address: int, count: int) -> list[int]:
        """Values of the table that a function reads."""
        return finished(self._store.async_getValues(unit, function, address, count))

    def set(self, unit: int, function: int, address: int, values: list[int] | list[bool]) -> None:
        """Set values of the table that a function reads or writes."""
        finished(self._store.async_setValues(unit, function, address, values))


class Controller:
    """One Modbus server with its units, each a process."""

    def __init__(self, host: Host, processes: dict[int, Process], *, response_ns: int = 3_000_000) -> None:
        self.host = host
        self.processes = processes
        self.response_ns = response_ns
        """How long it takes to answer."""
        self.silent: set[int] = set()
        """Units that do not answer their gateway now."""
        self.noise = 0.0
        """Share of requests that a serial line behind a gateway loses."""
        self.away_until = 0
        """Until when it is not on the network at all."""
        self.stopped_until = 0
        """Until when the program stands: values freeze."""
        self.listening_until = 0
        """Until when it listens only: it answers nothing (Modbus Application Protocol V1.1b3, 6.8, sub-function 4)."""
        self.distortion: Distortion | None = None
        """What it does to its measured values in answers."""
        self._seen = dict.fromkeys(processes, 0)
        self._units = Units(processes, coils=COILS, registers=REGISTERS)
        for unit, process in processes.items():
            self._units.set(unit, 16, SETPOINTS_AT, list(process.SETPOINTS))

    def answer(self, data: bytes, now_ns: int) -> bytes:
        """The answer to one request at a time; empty where none is due.

        A function that pymodbus does not know is refused, as its own server does.
        """
        unit, function, request = data[6], data[7], decoded(data)
        if function == DIAGNOSTICS and data[9] in {RESTART, LISTEN_ONLY}:
            was_listening = now_ns < self.listening_until
            self.listening_until = now_ns + WATCHDOG_NS if data[9] == LISTEN_ONLY else 0
            if was_listening or data[9] == LISTEN_ONLY:
                return b""
        if now_ns < self.listening_until:
            return b""
        if request is not None and unit == BROADCAST and function in WRITES:
            for each in self.processes:
                self._units.obey(request, each)
            return b""
        present = self.processes.keys() - self.silent
        if request is not None and unit in present:
            self._go_on(unit, now_ns)
        response = self._units.response(data, request, present)
        if self.distortion is not None and data[7:12] == _READ_VALUES and unit in present:
            response.registers = self.distortion.change(list(response.registers))
        return answer_bytes(response, data)

    def tag(self, data: bytes) -> str:
        """The attack that the answer to a request belongs to, or nothing."""
        return self.distortion.tag if self.distortion is not None and data[7:12] == _READ_VALUES else ""

    def lost(self, data: bytes) -> bytes:
        """The gateway's answer to a request that its serial line lost: exception 11, target device failed to respond."""
        return answer_bytes(ExceptionResponse(data[7], ExcCodes.GATEWAY_NO_RESPONSE), data)

    def setpoints(self, unit: int) -> list[int]:
        """The three set-points of a unit now."""
        return self._units.values(unit, 3, SETPOINTS_AT, 3)

    def _go_on(self, unit: int, now_ns: int) -> None:
        """Bring the unit's process to the present."""
        process = self.processes[unit]
        passed = now_ns - self._seen[unit]
        if passed < SCAN_NS or now_ns < self.stopped_until:
            return
        seconds = min(60.0, passed / 1e9) if self._seen[unit] else 1.0
        self._seen[unit] = now_ns
        process.step(seconds, now_ns / 1e9 % DAY_SECONDS, self.setpoints(unit))
        values, coils = process.registers(), process.coils()
        self._units.set(unit, 16, VALUES_AT, values)
        self._units.set(unit, 4, VALUES_AT, values)
        self._units.set(unit, 15, 0, coils)
        self._units.set(unit, 2, 0, coils)


def _unit(number: int, coils: int, registers: int, value: int) -> SimDevice:
    bits = SimData(0, count=coils, values=False, datatype=DataType.BITS)
    words = SimData(0, count=registers, values=value, datatype=DataType.REGISTERS)
    return SimDevice(number, simdata=([bits], [bits], [words], [words]))
