"""Requests for pins and evidence: what a sensor follows, what it refuses, and what it does after a kill."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING

import pytest

from sensor import control
from sensor.control import CONTROL, OUTBOX, Requests
from sensor.control_records import EvidenceRequest, Refused, encode, requests_of
from sensor.packets import PACKETS, Statement, pinned
from sensor.spool import BatchHeader, Spool
from tests.sensor.test_packets import QUOTA, content, frame, kept, wrote

if TYPE_CHECKING:
    from pathlib import Path

START = 1_764_000_000 * 10**9
FRAMES = [(START + number * 10**9, frame(1, 40, back=number % 2 == 1)) for number in range(60)]
STATEMENT = Statement(START + 10 * 10**9, START + 20 * 10**9, pairs=(("10.0.0.1", "10.0.1.2"),))
PIN = Statement(STATEMENT.start, STATEMENT.end, pairs=STATEMENT.pairs, alert="a1")
REQUEST = EvidenceRequest("r1", STATEMENT, "li", "local")


def publish(data: Path, *records: bytes) -> None:
    with Spool(data / CONTROL, sensor="control") as spool:
        for record in records:
            spool.append(BatchHeader("control", "e", spool.next_number, "control", 1), record)


def follow(requests: Requests) -> None:
    """Follow all that has been asked for."""
    stop = threading.Event()
    thread = threading.Thread(target=requests.run, args=(stop,))
    thread.start()
    deadline = time.monotonic() + 30
    while not requests.settled():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    stop.set()
    thread.join()


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    return kept(tmp_path / PACKETS, wrote(tmp_path / "made.pcap", FRAMES))


def pin_record(statement: Statement) -> bytes:
    return encode(START, "pin", statement.to_json())


def ask_record(request: EvidenceRequest) -> bytes:
    return encode(START, "evidence", request.to_json())


def answer(data: Path, request: str) -> dict[str, object]:
    return json.loads((data / OUTBOX / f"{request}.answer").read_bytes())


def test_pins_are_made_and_requests_answered_once(tmp_path: Path, ring: Path) -> None:
    publish(tmp_path, pin_record(PIN), ask_record(REQUEST), encode(START, "site", "{}"))
    said: list[str] = []
    follow(Requests(tmp_path, (ring, QUOTA), "local", said.append))
    assert pinned(ring, "a1") == PIN
    assert content((tmp_path / OUTBOX / "r1.pcapng").read_bytes()) == FRAMES[10:21]
    assert answer(tmp_path, "r1")["status"] == "answered"
    assert said == []
    stamp = (tmp_path / OUTBOX / "r1.answer").stat().st_mtime_ns
    # After a kill before its place was kept it goes over them again; with its place it does not even read them.
    for forget in (True, False):
        if forget:
            (tmp_path / OUTBOX / "position.json").unlink()
        follow(Requests(tmp_path, (ring, QUOTA), "local"))
        assert (tmp_path / OUTBOX / "r1.answer").stat().st_mtime_ns == stamp
    assert len(list((ring / "pinned" / "a1").glob("*.pcapng"))) == 1


def test_a_kill_between_packets_and_answer_is_made_good(tmp_path: Path, ring: Path) -> None:
    publish(tmp_path, ask_record(REQUEST))
    (tmp_path / OUTBOX).mkdir()
    (tmp_path / OUTBOX / "r1.pcapng").write_bytes(b"half")
    follow(Requests(tmp_path, (ring, QUOTA), "local"))
    assert content((tmp_path / OUTBOX / "r1.pcapng").read_bytes()) == FRAMES[10:21]


def test_what_cannot_be_read_is_refused_counted_and_said_and_the_rest_is_followed(tmp_path: Path, ring: Path) -> None:
    bad = [
        b"", b"no arrow", encode(START, "pin", "{}"), encode(START, "evidence", "null"),
        encode(START, "evidence", REQUEST.to_json().replace('"r1"', '"../r1"')),
        encode(START, "evidence", REQUEST.to_json().replace("67108864", "67108865")),
        pin_record(Statement(1, 2)), pin_record(Statement(1, 2, alert="../../etc")),
    ]  # fmt: skip
    publish(tmp_path, *bad, ask_record(REQUEST))
    said: list[str] = []
    requests = Requests(tmp_path, (ring, QUOTA), "local", said.append)
    follow(requests)
    assert requests.refused == len(said) == len(bad)
    assert all("\n" not in line for line in said)
    assert answer(tmp_path, "r1")["status"] == "answered"


def test_what_cannot_be_given_is_answered_with_the_reason(tmp_path: Path, ring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = EvidenceRequest("r2", Statement(1, 2), "li", "local")
    wrong = EvidenceRequest("r3", Statement(1, 2, pairs=(("no address", None),)), "li", "local")
    elsewhere = EvidenceRequest("r4", STATEMENT, "li", "south")
    publish(tmp_path, *map(ask_record, (nobody, wrong, elsewhere)))
    follow(Requests(tmp_path, (ring, QUOTA), "local"))
    assert answer(tmp_path, "r2")["status"] == "no_packets"
    assert answer(tmp_path, "r3")["status"] == "refused"
    assert not (tmp_path / OUTBOX / "r4.answer").exists()
    monkeypatch.setattr(control, "OUTBOX_BYTES", 1000)
    publish(tmp_path, ask_record(REQUEST))
    follow(Requests(tmp_path, (ring, QUOTA), "local"))
    assert "no room" in str(answer(tmp_path, "r1")["reason"])


def test_a_sensor_without_a_ring_says_so(tmp_path: Path) -> None:
    publish(tmp_path, ask_record(REQUEST), pin_record(PIN))
    requests = Requests(tmp_path, None, "local")
    follow(requests)
    assert "keeps no packets" in str(answer(tmp_path, "r1")["reason"])


def test_what_is_there_is_pinned_at_once_and_the_rest_later(tmp_path: Path, ring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # To now, half of the frames are old enough to be on the disk for sure.
    monkeypatch.setattr(time, "time_ns", lambda: START + 30 * 10**9 + int(control.DELAY_SECONDS * 1e9))
    whole = Statement(START, START + 59 * 10**9, pairs=STATEMENT.pairs, alert="a1")
    publish(tmp_path, pin_record(whole))
    requests = Requests(tmp_path, (ring, QUOTA), "local")
    stop = threading.Event()
    thread = threading.Thread(target=requests.run, args=(stop,))
    thread.start()
    deadline = time.monotonic() + 10
    while pinned(ring, "a1") is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    stop.set()
    thread.join()
    held = pinned(ring, "a1")
    assert held is not None
    assert held.end == START + 30 * 10**9
    # It ended before the rest was due, and so takes it up again.
    assert not (tmp_path / OUTBOX / "position.json").exists()
    follow(Requests(tmp_path, (ring, QUOTA), "local"))
    assert pinned(ring, "a1") == whole
    parts = [content(path.read_bytes()) for path in sorted((ring / "pinned" / "a1").glob("*.pcapng"))]
    assert [len(part) for part in parts] == [31, 29]


def test_a_stream_that_was_made_anew_is_read_from_its_beginning(tmp_path: Path, ring: Path) -> None:
    (tmp_path / OUTBOX).mkdir()
    (tmp_path / OUTBOX / "position.json").write_text('{"number": 70}')
    publish(tmp_path, ask_record(REQUEST))
    follow(Requests(tmp_path, (ring, QUOTA), "local"))
    assert answer(tmp_path, "r1")["status"] == "answered"


def test_records_are_what_was_written() -> None:
    assert list(requests_of(ask_record(REQUEST))) == [REQUEST]
    assert list(requests_of(pin_record(PIN))) == [PIN]
    assert list(requests_of(encode(START, "site", "{}"))) == []
    assert [type(each) for each in requests_of(b"x")] == [Refused]
