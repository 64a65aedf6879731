"""What happens in a plant without any attack: operators trim, shifts change, engineers work, devices restart, cables fail."""

# asyncua's own types are incomplete.
# pyright: reportPrivateImportUsage=false

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from asyncua import ua
from pymodbus.pdu.bit_message import ReadCoilsRequest
from pymodbus.pdu.mei_message import ReadDeviceInformationRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, WriteMultipleRegistersRequest, WriteSingleRegisterRequest

from tests.plant.clients import SECOND
from tests.plant.controllers import COILS, REGISTERS, SETPOINTS_AT
from tests.plant.frames import Host
from tests.plant.opcua.server import STATIONS, node, standard
from tests.plant.opcua.works import SCADA
from tests.plant.plant import ENGINEER, HISTORIAN, Plant
from tests.plant.process import DAY_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TRIM_SECONDS: Final = 1_500
"""How often an operator trims a set-point."""

WORK_HOURS: Final = (0, 10)
"""Hours (UTC) in which people write: 08:00 to 18:00 in Shanghai, inside the window that the site file permits."""


def normal_day(plant: Plant, now: int) -> Iterator[int]:
    """By day, operators trim chlorine and drum level from the HMI, a little up, a little down."""
    trims = (("treatment", (60, 62, 58)), ("boiler", (500, 510, 490)))
    for turn in range(1_000_000):
        now += int(TRIM_SECONDS * SECOND * (0.7 + 0.6 * float(plant.random.random())))
        yield now
        if WORK_HOURS[0] <= now // SECOND % DAY_SECONDS // 3_600 < WORK_HOURS[1]:
            name, values = trims[turn % len(trims)]
            value = values[turn // len(trims) % len(values)]
            now = plant.hmi[name].ask(now, WriteSingleRegisterRequest(address=SETPOINTS_AT + 1, registers=[value]))


def shift_change(plant: Plant, now: int) -> Iterator[int]:
    """The new shift restarts the HMI: all its connections end and are opened anew."""
    for session in plant.hmi.values():
        now = session.close(now) + 20_000_000
        yield now


def planned_work(plant: Plant, now: int) -> Iterator[int]:
    """An engineer reads the map and writes new tower level and flow, as permitted."""
    session = plant.session(ENGINEER, "distribution")
    session.split = True
    for address in (0, 20, 40, SETPOINTS_AT):
        now = session.ask(now, ReadHoldingRegistersRequest(address=address, count=20)) + 4 * SECOND
        yield now
    for level in (310, 300):
        now = session.ask(now, WriteMultipleRegistersRequest(address=SETPOINTS_AT + 1, registers=[level, 285])) + SECOND
        yield now
        now = session.ask(now, ReadHoldingRegistersRequest(address=SETPOINTS_AT, count=3)) + 30 * SECOND
        yield now
    session.close(now)


def reboot(plant: Plant, now: int) -> Iterator[int]:
    """A controller restarts: its connections are reset, it is silent, its clients come back."""
    for name in ("boiler", "historian boiler"):
        poller = plant.pollers[name]
        poller.paused_until = now + 40 * SECOND
        poller.session.broken(now, from_client=False)
    yield now


def failing_cable(plant: Plant, now: int) -> Iterator[int]:
    """For ten minutes answers come twice, a serial unit is lost, and a connection breaks again and again."""
    session, gateway = plant.hmi["intake"], plant.controllers["gateway"]
    session.retransmit = 0.1
    gateway.silent.add(4)
    for _ in range(4):
        now += 150 * SECOND
        yield now
        session.broken(now, from_client=True)
    session.retransmit = 0.0
    gateway.silent.discard(4)


def backup_reads(plant: Plant, now: int) -> Iterator[int]:
    """The historian copies every controller's whole map, block by block, one controller after the other."""
    for name, controller in plant.controllers.items():
        session = plant.session(HISTORIAN, name)
        for unit in controller.processes:
            for address in range(0, REGISTERS, 64):
                now = session.ask(now, ReadHoldingRegistersRequest(address=address, count=64), unit) + SECOND // 5
                yield now
            now = session.ask(now, ReadCoilsRequest(address=0, count=COILS), unit) + SECOND // 5
            yield now
        now = session.close(now) + SECOND


def planned_set_points(plant: Plant, now: int) -> Iterator[int]:
    """Before the evening peak the operators fill the tower and the tank, from the HMI, and go back later."""
    for towers, tanks, pause_seconds in ((340, 340, 5_400), (300, 320, 0)):
        for name, value in (("distribution", towers), ("treatment", tanks)):
            address = SETPOINTS_AT + (1 if name == "distribution" else 0)
            now = plant.hmi[name].ask(now, WriteSingleRegisterRequest(address=address, registers=[value])) + 20 * SECOND
            yield now
        now += pause_seconds * SECOND
        yield now


def engineer_looks(plant: Plant, now: int) -> Iterator[int]:
    """An engineer asks controllers who they are and looks at values in the control system's OPC UA server."""
    for name in ("boiler", "intake"):
        session = plant.session(ENGINEER, name)
        now = session.ask(now, ReadDeviceInformationRequest(read_code=1, object_id=0)) + 5 * SECOND
        yield now
        now = session.ask(now, ReadHoldingRegistersRequest(address=0, count=20)) + 20 * SECOND
        yield now
        session.close(now)
    line, client = plant.opcua.client(ENGINEER, SCADA, now, "UaExpert")
    client.start()
    for start in (standard(ua.ObjectIds.ObjectsFolder), *(node(station) for station in STATIONS)):
        client.browse(start)
        line.wait(line.clock + 4 * SECOND)
        yield line.clock
    for _ in range(10):
        client.read(["Boiler.Pressure", "Boiler.Temperature", "Boiler.Setpoint"])
        line.wait(line.clock + 15 * SECOND)
        yield line.clock
    client.leave()
    line.close()


def serial_line_down(plant: Plant, now: int) -> Iterator[int]:
    """Two meters behind the gateway are without power for an hour."""
    gateway = plant.controllers["gateway"]
    gateway.silent |= {2, 3}
    yield now + 3_600 * SECOND
    gateway.silent -= {2, 3}


def controller_replaced(plant: Plant, now: int) -> Iterator[int]:
    """The intake's controller dies, and one with another hardware address takes its place, its address and its program."""
    controller, poller = plant.controllers["intake"], plant.pollers["intake"]
    poller.paused_until = now + 1_500 * SECOND
    poller.session.broken(now, from_client=True)
    now += 1_480 * SECOND
    controller.away_until = now
    yield now
    controller.host = Host(controller.host.ip, f"{controller.host.mac[:-2]}a{controller.host.mac[-1]}")
    plant.announce(now, controller.host)
    yield now + SECOND


SCENARIOS: Final[dict[str, Callable[[Plant, int], Iterator[int]]]] = {
    "normal_day": normal_day,
    "shift_change": shift_change,
    "planned_work": planned_work,
    "reboot": reboot,
    "failing_cable": failing_cable,
}
"""Scenarios by name, each within minutes; without any the plant is only polled."""

DAY_SCENARIOS: Final[dict[str, Callable[[Plant, int], Iterator[int]]]] = {
    "backup_reads": backup_reads,
    "planned_set_points": planned_set_points,
    "engineer_looks": engineer_looks,
    "serial_line_down": serial_line_down,
    "controller_replaced": controller_replaced,
}
"""Scenarios that take up to hours, by name."""


def schedule(plant: Plant, name: str, moment: int) -> None:
    """Let a scenario happen at a time."""
    plant.happen(moment, lambda now: (SCENARIOS | DAY_SCENARIOS)[name](plant, now))
