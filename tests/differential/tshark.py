"""Modbus messages as tshark dissects them.

A frame may carry several messages; `tshark -T fields` then gives each field's occurrences in one list. Which message an
occurrence belongs to follows from the message's function, so that the lists are taken apart again by `_Occurrences`.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.differential.message import READS, Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

MODBUS_PORT = 502
"""tshark tells a request from a response by this port."""

FIELDS = (
    "frame.time_epoch",
    "ip.src",
    "tcp.srcport",
    "tcp.dstport",
    "mbtcp.trans_id",
    "mbtcp.unit_id",
    "modbus.func_code",
    "modbus.exception_code",
    "modbus.reference_num",
    "modbus.bit_cnt",
    "modbus.word_cnt",
    "modbus.byte_cnt",
    "modbus.bitval",
    "modbus.regval_uint16",
    "modbus.data",
)


class _Occurrences:
    """The occurrences of each field in one frame, taken one by one."""

    def __init__(self, line: str) -> None:
        cells = line.rstrip("\n").split("\t")
        self._left = {name: cell.split(";") if cell else [] for name, cell in zip(FIELDS, cells, strict=True)}
        self.several = self.count("modbus.func_code") > 1
        """Whether the frame has more than one message."""

    def first(self, name: str) -> str:
        """The first occurrence, which stays."""
        return self._left[name][0]

    def count(self, name: str) -> int:
        """How many occurrences are left."""
        return len(self._left[name])

    def text(self, name: str) -> str | None:
        """The next occurrence."""
        left = self._left[name]
        return left.pop(0) if left else None

    def number(self, name: str) -> int | None:
        """The next occurrence as a number."""
        text = self.text(name)
        return None if text is None else int(text)

    def octets(self, name: str) -> bytes:
        """The next occurrence as bytes; none where tshark says <MISSING>."""
        text = self.text(name) or ""
        return b"" if text.startswith("<") else bytes.fromhex(text)

    def numbers(self, name: str, count: int) -> tuple[int, ...]:
        """The next occurrences as numbers."""
        left = self._left[name]
        taken, self._left[name] = left[:count], left[count:]
        return tuple(int(text) for text in taken)


def of_tshark(capture: Path) -> Iterator[Message]:
    """The messages of a capture over TCP as tshark tells them.

    Where a frame has several answers with bits, tshark knows how many are whose and `-T fields` does not say: their values are
    None, and one more message of kind "bits" has all of the frame's (`merge_bits` makes the same of other messages).
    """
    columns = [argument for name in FIELDS for argument in ("-e", name)]
    command = ["tshark", "-r", str(capture), "-Y", "mbtcp && modbus", "-T", "fields", "-E", "aggregator=;", *columns]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        yield from _of_line(_Occurrences(line))


def nanoseconds(seconds: str) -> int:
    """A decimal number of seconds since 1970 as nanoseconds."""
    whole, _, fraction = seconds.partition(".")
    return int(whole) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9])


def _of_line(frame: _Occurrences) -> Iterator[Message]:
    time_ns = nanoseconds(frame.first("frame.time_epoch"))
    sender = f"{frame.first('ip.src')}:{frame.first('tcp.srcport')}"
    is_request = frame.first("tcp.dstport") == str(MODBUS_PORT)
    for _ in range(frame.count("modbus.func_code")):
        transaction_id, unit_id, code = (frame.number(name) for name in ("mbtcp.trans_id", "mbtcp.unit_id", "modbus.func_code"))
        if transaction_id is None or unit_id is None or code is None:
            return
        take = _request if is_request else _response
        yield take(frame, (time_ns, "request" if is_request else "response", sender, transaction_id, unit_id, code), code)
    bits = frame.numbers("modbus.bitval", frame.count("modbus.bitval"))
    if frame.several and bits:
        yield Message(time_ns, "bits", sender, 0, 0, 0, values=bits)


def merge_bits(messages: Iterable[Message], like: Iterable[Message]) -> Iterator[Message]:
    """The same messages with the bits of a frame in one where `like` has them so."""
    frames: dict[tuple[int, str], list[int]] = {(each.time_ns, each.sender): [] for each in like if each.kind == "bits"}
    for message in messages:
        bits = frames.get((message.time_ns, message.sender)) if message.kind == "response" else None
        if bits is None or message.function_code not in {1, 2} or message.values is None:
            yield message
        else:
            bits.extend(message.values)
            yield message._replace(values=None)
    for (time_ns, sender), bits in frames.items():
        yield Message(time_ns, "bits", sender, 0, 0, 0, values=tuple(bits))


def _request(frame: _Occurrences, head: tuple[int, str, str, int, int, int], code: int) -> Message:
    if code in (1, 2, 3, 4):
        return Message(
            *head, frame.number("modbus.reference_num"), frame.number("modbus.bit_cnt" if code < 3 else "modbus.word_cnt")
        )
    if code in (5, 6):
        address = frame.number("modbus.reference_num")
        value = int.from_bytes(frame.octets("modbus.data")[:2])
        return Message(*head, address, None, (value >> 15 if code == 5 else value,))
    if code == 15:
        address, quantity, _ = (frame.number(f"modbus.{name}") for name in ("reference_num", "bit_cnt", "byte_cnt"))
        bits = frame.octets("modbus.data")
        return Message(
            *head, address, quantity, tuple(bits[at // 8] >> at % 8 & 1 for at in range(min(quantity or 0, 8 * len(bits))))
        )
    if code == 16:
        address, quantity, size = (frame.number(f"modbus.{name}") for name in ("reference_num", "word_cnt", "byte_cnt"))
        return Message(*head, address, quantity, frame.numbers("modbus.regval_uint16", (size or 0) // 2))
    return Message(*head)


def _response(frame: _Occurrences, head: tuple[int, str, str, int, int, int], code: int) -> Message:
    if frame.count("modbus.exception_code"):
        return Message(*head, exception_code=frame.number("modbus.exception_code"))
    if code in READS:
        size = frame.number("modbus.byte_cnt") or 0
        return Message(*head, values=_read_values(frame, code, size))
    for name in {
        5: ("reference_num", "data"),
        6: ("reference_num", "data"),
        15: ("reference_num", "bit_cnt"),
        16: ("reference_num", "word_cnt"),
    }.get(code, ()):
        frame.text(f"modbus.{name}")
    return Message(*head)


def _read_values(frame: _Occurrences, code: int, size: int) -> tuple[int, ...] | None:
    if code in {1, 2}:
        return None if frame.several else frame.numbers("modbus.bitval", frame.count("modbus.bitval"))
    return frame.numbers("modbus.regval_uint16", size // 2)
