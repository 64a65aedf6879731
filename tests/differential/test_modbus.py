"""Every Modbus message that tshark sees in the real captures, we see too, with the same content; each difference is explained."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pyshark
import pytest
from pyshark.capture.capture import TSharkCrashException

from tests.differential.message import Message, of_records
from tests.differential.tshark import merge_bits, nanoseconds, of_tshark

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

DIFFERENCES = Path(__file__).with_name("differences.json")
SAMPLE = "cisagov+icsnpp-modbus/testing/traces/modbus_example.pcap"
"""What is compared through pyshark each time: every function once, both ways."""


@pytest.fixture(scope="module")
def modbus_captures(captures: Path) -> list[Path]:
    found = sorted(path for path in (captures / "modbus").rglob("*.pcap*"))
    assert found
    return found


def differences(ours: Iterable[Message], theirs: Iterable[Message]) -> tuple[Counter[Message], Counter[Message]]:
    """What only tshark says, and what only we say."""
    known = Counter(theirs)
    mine = Counter(merge_bits(ours, known))
    return known - mine, mine - known


def test_every_message_that_tshark_dissects_agrees_or_is_explained(modbus_captures: list[Path], captures: Path) -> None:
    explained = {entry["capture"]: entry for entry in json.loads(DIFFERENCES.read_text(encoding="utf-8"))}
    compared = different = 0
    surprises: list[str] = []
    for path in modbus_captures:
        name = str(path.relative_to(captures / "modbus"))
        theirs = list(of_tshark(path))
        only_theirs, only_ours = differences(of_records(path), theirs)
        compared += sum(message.kind != "bits" for message in theirs)
        seen = {"tshark_only": only_theirs.total(), "ours_only": only_ours.total()}
        different += sum(seen.values())
        entry: dict[str, Any] = explained.get(name, {"tshark_only": 0, "ours_only": 0})
        if any(entry[key] != seen[key] for key in seen):
            surprises.append(f"{name}: {seen}, tshark only {list(only_theirs)[:3]}, ours only {list(only_ours)[:3]}")
    print(f"{compared:,} messages compared with tshark, {different} differ, each explained in {DIFFERENCES.name}")
    assert not surprises, "\n".join(surprises)
    assert all(entry["reason"] for entry in explained.values())


@contextmanager
def pyshark_packets(capture: Path, loop: asyncio.AbstractEventLoop) -> Generator[Iterable[Any]]:
    """The packets of a capture that carry Modbus, through pyshark."""
    packets = pyshark.FileCapture(str(capture), display_filter="mbtcp && modbus", keep_packets=False, eventloop=loop)
    yield cast("Iterable[Any]", packets)
    # At the end of its output pyshark kills a tshark that may have ended meanwhile, and takes the exit status that it then
    # misses for a crash. Whether all packets came is what the comparison tells.
    with suppress(TSharkCrashException):
        packets.close()
    cast("set[object]", vars(packets)["_running_processes"]).clear()  # else it closes once more as it is deleted


def of_pyshark(capture: Path) -> list[Message]:
    """Requests and responses as pyshark tells them, without values."""
    messages: list[Message] = []
    loop = asyncio.new_event_loop()  # pyshark takes the thread's own, which another test may have used up
    with closing(loop), pyshark_packets(capture, loop) as packets:
        for packet in packets:
            headers = [layer for layer in packet.layers if layer.layer_name == "mbtcp"]
            bodies = [layer for layer in packet.layers if layer.layer_name == "modbus"]
            for header, body in zip(headers, bodies, strict=False):
                is_request = packet.tcp.dstport == "502"
                exception = body.get_field_value("exception_code")
                messages.append(
                    Message(
                        nanoseconds(packet.sniff_timestamp),
                        "request" if is_request else "response",
                        f"{packet.ip.src}:{packet.tcp.srcport}",
                        int(header.trans_id),
                        int(header.unit_id),
                        int(body.func_code),
                        exception_code=None if exception is None else int(exception),
                    )
                )
    return messages


def without_content(message: Message) -> Message:
    return message._replace(address=None, quantity=None, values=None)


def agrees_with_pyshark(path: Path) -> tuple[int, int]:
    theirs = Counter(of_pyshark(path))
    ours = Counter(map(without_content, of_records(path)))
    return theirs.total(), ((theirs - ours) + (ours - theirs)).total()


def test_the_sample_agrees_with_pyshark(captures: Path) -> None:
    compared, different = agrees_with_pyshark(captures / "modbus" / SAMPLE)
    assert (compared, different) == (48, 0)


@pytest.mark.full
def test_every_capture_agrees_with_pyshark(modbus_captures: list[Path], captures: Path) -> None:
    explained = {entry["capture"]: entry for entry in json.loads(DIFFERENCES.read_text(encoding="utf-8"))}
    total = 0
    for path in modbus_captures:
        compared, different = agrees_with_pyshark(path)
        entry = explained.get(str(path.relative_to(captures / "modbus")), {"tshark_only": 0, "ours_only": 0})
        assert different <= entry["tshark_only"] + entry["ours_only"], path
        total += compared
    print(f"{total:,} messages compared with pyshark")
