"""What happens in a plant without any attack: shifts change, engineers work, devices restart, cables fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, WriteMultipleRegistersRequest, WriteSingleRegisterRequest

from tests.plant.controllers import SETPOINTS_AT
from tests.plant.plant import ENGINEER, SECOND, Plant

if TYPE_CHECKING:
    from collections.abc import Callable


def shift_change(plant: Plant, moment: int) -> None:
    """The new shift restarts the HMI's connections and trims a set-point."""

    def change(now: int) -> None:
        for session in plant.hmi.values():
            session.close(now)
            now += 20_000_000
        plant.hmi["treatment"].ask(now + SECOND, WriteSingleRegisterRequest(address=SETPOINTS_AT + 1, registers=[62]))

    plant.at(moment, change)


def planned_work(plant: Plant, moment: int) -> None:
    """An engineer reads the map and writes new set-points, as permitted."""

    def work(now: int) -> None:
        session = plant.session(ENGINEER, "distribution")
        for address in range(0, 60, 20):
            now = session.ask(now, ReadHoldingRegistersRequest(address=address, count=20)) + SECOND
        now = session.ask(now, WriteMultipleRegistersRequest(address=SETPOINTS_AT, registers=[330, 60, 430]))
        session.close(now + 2 * SECOND)

    plant.at(moment, work)


def reboot(plant: Plant, moment: int) -> None:
    """A controller restarts: its connections are reset, it is silent, its clients come back."""

    def restart(now: int) -> None:
        poller = plant.pollers["boiler"]
        if poller.session.talk is not None:
            poller.session.talk.reset(now)
            poller.session.talk = None
        poller.paused_until = now + 40 * SECOND

    plant.at(moment, restart)


def failing_cable(plant: Plant, moment: int) -> None:
    """For ten minutes answers come twice, a serial unit is lost, and a connection breaks."""

    def begin(now: int) -> None:
        plant.hmi["intake"].retransmit = 0.1
        plant.controllers["gateway"].silent.add(4)
        plant.at(now + 600 * SECOND, end)

    def end(now: int) -> None:
        session = plant.hmi["intake"]
        session.retransmit = 0.0
        if session.talk is not None:
            session.talk.reset(now, from_client=True)
            session.talk = None
        plant.controllers["gateway"].silent.discard(4)

    plant.at(moment, begin)


SCENARIOS: Final[dict[str, Callable[[Plant, int], None]]] = {
    "shift_change": shift_change,
    "planned_work": planned_work,
    "reboot": reboot,
    "failing_cable": failing_cable,
}
"""All scenarios by name; a normal day has none of them."""
