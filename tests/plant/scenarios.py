"""What happens in a plant without any attack: operators trim, shifts change, engineers work, devices restart, cables fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, WriteMultipleRegistersRequest, WriteSingleRegisterRequest

from tests.plant.clients import SECOND
from tests.plant.controllers import SETPOINTS_AT
from tests.plant.plant import ENGINEER, Plant
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


SCENARIOS: Final[dict[str, Callable[[Plant, int], Iterator[int]]]] = {
    "normal_day": normal_day,
    "shift_change": shift_change,
    "planned_work": planned_work,
    "reboot": reboot,
    "failing_cable": failing_cable,
}
"""All scenarios by name; without any the plant is only polled."""


def schedule(plant: Plant, name: str, moment: int) -> None:
    """Let a scenario happen at a time."""
    plant.happen(moment, lambda now: SCENARIOS[name](plant, now))
