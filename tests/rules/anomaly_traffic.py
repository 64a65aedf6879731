"""Traffic for the rules about what models learned: an operator station polls for fifty minutes, the first ten are learned.

Ten minutes are little: the rules' own sites allow a thousand false alarms a day, so that something is told at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymodbus.pdu.register_message import ReadHoldingRegistersRequest

from tests.rules.wire import HISTORIAN, HMI, PLC, controllers, scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.rules.wire import Capture, Session

POLLS, POLL_SECONDS = 152, 20
"""Polls of a capture: a little more than fifty minutes."""

HAPPENS = 100
"""Poll at which something is different, after 33 minutes."""

WRITE_HOLDING = 16


def polled(
    capture: Capture, value: Callable[[int], int], then: Callable[[int, Session], None] = lambda _turn, _hmi: None
) -> None:
    """An operator station that polls one register, which has the value of the turn; after each poll something may happen."""
    controller = controllers()
    hmi = capture.modbus(HMI, PLC, controller)
    for turn in range(POLLS):
        controller.set(1, WRITE_HOLDING, 100, [value(turn)])
        hmi.ask(ReadHoldingRegistersRequest(address=100, count=1))
        then(turn, hmi)
        capture.wait(POLL_SECONDS)


def steady(turn: int) -> int:
    """A value that goes up and down by little."""
    return 400 + turn % 5


@scenario("anomaly/point_value_out_of_range")
def point_value_out_of_range(fires: Capture, quiet: Capture) -> None:
    for capture, outside in ((fires, 900), (quiet, 406)):
        polled(capture, lambda turn, outside=outside: outside if turn == HAPPENS else steady(turn))


@scenario("anomaly/point_value_jumps")
def point_value_jumps(fires: Capture, quiet: Capture) -> None:
    for capture, jump in ((fires, 18), (quiet, 1)):

        def value(turn: int, jump: int = jump) -> int:
            # Up and down between 400 and 440 in steps of 2, at the time in question through its middle.
            slow = 400 + 2 * abs(20 - (turn + 10) % 40)
            return slow + jump if turn == HAPPENS else slow

        polled(capture, value)


@scenario("anomaly/point_value_frozen")
def point_value_frozen(fires: Capture, quiet: Capture) -> None:
    for capture, polls in ((fires, 20), (quiet, 5)):
        polled(capture, lambda turn, polls=polls: steady(HAPPENS if HAPPENS <= turn < HAPPENS + polls else turn))


@scenario("anomaly/readers_see_different_values")
def readers_see_different_values(fires: Capture, quiet: Capture) -> None:
    for capture, other in ((fires, 900), (quiet, 406)):
        controller = controllers()
        historian = capture.modbus(HISTORIAN, PLC, controller)

        def read(
            turn: int, _hmi: Session, controller: object = controller, historian: Session = historian, other: int = other
        ) -> None:
            historian.controller.set(1, WRITE_HOLDING, 100, [other if turn == HAPPENS else steady(turn)])
            historian.ask(ReadHoldingRegistersRequest(address=100, count=1))

        polled(capture, steady, read)


@scenario("anomaly/polling_pauses")
def polling_pauses(fires: Capture, quiet: Capture) -> None:
    for capture, seconds in ((fires, 300), (quiet, 15)):
        historian = capture.modbus(HISTORIAN, PLC)

        def pause(turn: int, _hmi: Session, seconds: int = seconds, historian: Session = historian) -> None:
            for _ in range(seconds // 15 if turn == HAPPENS else 0):
                # Another client goes on, so that it is not the sensor that hears nothing.
                historian.ask(ReadHoldingRegistersRequest(address=0, count=1))
                historian.connection.capture.wait(15)

        polled(capture, steady, pause)


@scenario("anomaly/unusual_order_of_operations")
def unusual_order_of_operations(fires: Capture, quiet: Capture) -> None:
    for capture, times in ((fires, 2), (quiet, 1)):

        def second(turn: int, hmi: Session, times: int = times) -> None:
            for _ in range(times if turn == HAPPENS else 1):
                hmi.ask(ReadHoldingRegistersRequest(address=200, count=1))

        polled(capture, steady, second)


@scenario("anomaly/unusual_number_of_requests")
def unusual_number_of_requests(fires: Capture, quiet: Capture) -> None:
    for capture, more in ((fires, 60), (quiet, 3)):

        def burst(turn: int, hmi: Session, more: int = more) -> None:
            for _ in range(more if turn == HAPPENS else 0):
                hmi.ask(ReadHoldingRegistersRequest(address=100, count=1))

        polled(capture, steady, burst)


@scenario("anomaly/slow_answers")
def slow_answers(fires: Capture, quiet: Capture) -> None:
    for capture, seconds in ((fires, 0.5), (quiet, 0.001)):

        def late(turn: int, hmi: Session, seconds: float = seconds) -> None:
            request = hmi.encode(ReadHoldingRegistersRequest(address=100, count=1))
            hmi.connection.send(request)
            hmi.connection.capture.wait(seconds if HAPPENS <= turn < HAPPENS + 6 else 0)
            hmi.connection.receive(hmi.controller.answer(request))

        polled(capture, steady, late)
