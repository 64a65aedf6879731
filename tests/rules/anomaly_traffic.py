"""Traffic for the rules about what models learned: an operator station polls for fifty minutes, the first ten are learned.

Ten minutes are little: the rules' own sites allow a thousand false alarms a day, so that something is told at all.
"""

from __future__ import annotations

from hashlib import sha256
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


def wide(turn: int) -> int:
    """A value that goes from 400 to 440 and back in steps of 4."""
    return 400 + 4 * abs(10 - (turn + 5) % 20)


LATER, STAYS = 100, 45
"""Poll from which on a value has another way, and for how many polls: three windows of five minutes."""


@scenario("anomaly/point_changes_at_another_rate")
def point_changes_at_another_rate(fires: Capture, quiet: Capture) -> None:
    for capture, every in ((fires, 3), (quiet, 1)):
        polled(capture, lambda turn, every=every: wide(turn // every if LATER <= turn < LATER + STAYS else turn))


@scenario("anomaly/point_values_shifted")
def point_values_shifted(fires: Capture, quiet: Capture) -> None:
    for capture, low in ((fires, 780), (quiet, 400)):

        def value(turn: int, low: int = low) -> int:
            usual = 400 + 200 * (turn % 3)
            return max(low, usual) + turn % 2 if LATER <= turn < LATER + STAYS else usual

        polled(capture, value)


@scenario("anomaly/point_values_spread_otherwise")
def point_values_spread_otherwise(fires: Capture, quiet: Capture) -> None:
    for capture, share in ((fires, 8), (quiet, 1)):

        def value(turn: int, share: int = share) -> int:
            return 420 + (wide(turn) - 420) // (share if LATER <= turn < LATER + STAYS else 1)

        polled(capture, value)


MESSAGE = int.from_bytes(b"\x7eSTAGE2\x7e")
"""What is hidden in the lowest bit of a value."""


@scenario("anomaly/lowest_bit_carries_something")
def lowest_bit_carries_something(fires: Capture, quiet: Capture) -> None:
    for capture, hides in ((fires, 1), (quiet, 0)):

        def value(turn: int, hides: int = hides) -> int:
            return wide(turn) | (MESSAGE >> (turn % 64) & 1 if hides and LATER <= turn < LATER + STAYS else 0)

        polled(capture, value)


@scenario("anomaly/point_takes_a_value_that_it_never_had")
def point_takes_a_value_that_it_never_had(fires: Capture, quiet: Capture) -> None:
    for capture, state in ((fires, 3), (quiet, 2)):
        polled(capture, lambda turn, state=state: state if turn == HAPPENS else (2, 4, 6)[turn % 3])


@scenario("anomaly/point_value_has_more_decimals")
def point_value_has_more_decimals(fires: Capture, quiet: Capture) -> None:
    for capture, value in ((fires, 4_203), (quiet, 4_230)):
        polled(capture, lambda turn, value=value: value if turn == HAPPENS else 4_000 + 10 * (turn * turn % 41))


@scenario("anomaly/point_values_repeat")
def point_values_repeat(fires: Capture, quiet: Capture) -> None:
    noise = [400 + int.from_bytes(sha256(turn.to_bytes(2)).digest()[:1]) for turn in range(POLLS)]
    for capture, back in ((fires, 60), (quiet, 0)):
        polled(capture, lambda turn, back=back: noise[turn - back if turn >= HAPPENS else turn])


def five_days(capture: Capture) -> None:
    """A client that asks a few times each hour, for five days."""
    client = capture.modbus(HMI, PLC)
    for _ in range(5 * 24):
        for _ in range(4):
            client.ask(ReadHoldingRegistersRequest(address=0, count=1))
            capture.wait(60)
        capture.wait(3_600 - 4 * 60)


@scenario("anomaly/unusual_volume_at_this_hour", learn=five_days)
def unusual_volume_at_this_hour(fires: Capture, quiet: Capture) -> None:
    for capture, times in ((fires, 50), (quiet, 4)):
        client = capture.modbus(HMI, PLC)
        capture.wait(6 * 86_400)
        for asked in (times, 4):
            # As few a minute as ever.
            for _ in range(asked):
                client.ask(ReadHoldingRegistersRequest(address=0, count=1))
                capture.wait(60)
            capture.wait(3_700 - asked * 60)


def swinging(turn: int) -> int:
    """A value that goes between 400 and 440, or nearly so."""
    short = 7 * turn % 11
    return 440 - short if turn % 2 else 400 + short


@scenario("anomaly/unusual_together")
def unusual_together(fires: Capture, quiet: Capture) -> None:
    for capture, value in ((fires, 572), (quiet, 440)):
        polled(capture, lambda turn, value=value: value if turn == HAPPENS else swinging(turn))


REGISTERS, HOURS = 8, 8


@scenario("anomaly/more_alarms_than_promised")
def more_alarms_than_promised(fires: Capture, quiet: Capture) -> None:
    for capture, hours in ((fires, HOURS), (quiet, 1)):
        controller = controllers()
        hmi = capture.modbus(HMI, PLC, controller)
        for turn in range(HOURS * 60):
            values = [400 + turn % 3] * REGISTERS
            if turn % 60 == 50 and turn // 60 < hours:
                values[turn // 60] = 30_000
            controller.set(1, WRITE_HOLDING, 100, values)
            hmi.ask(ReadHoldingRegistersRequest(address=100, count=REGISTERS))
            capture.wait(60)
