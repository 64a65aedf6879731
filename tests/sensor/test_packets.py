"""Packets kept as evidence: what was seen comes back, by conversation and time; the quota holds; kills, pins and masks."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from base64 import b64encode
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP, fragment  # pyright: ignore[reportUnknownVariableType]  has no types
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw
from scapy.utils import RawPcapNgReader

from sensor import packets
from sensor._core import Reader, evidence
from sensor.evidence import evidence as command
from sensor.packets import ALWAYS, MIB, PACKETS, Asked, NoPackets, Statement

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
QUOTA = 16 * MIB
FAR = 1 << 30
ASKED = Asked("tester", 1_700_000_000_000_000_000, "local")


def kept(folder: Path, capture: Path, quota: int = QUOTA) -> Path:
    """The ring of a folder after a capture has gone through."""
    for _ in Reader(str(capture), sensor="local", packets=(str(folder), quota)):
        pass
    return folder


def found(ring: Path, *, limit_bytes: int = FAR, **asked: Any) -> list[tuple[int, bytes]]:
    """Times and bytes of the packets that a query finds."""
    query: dict[str, Any] = {"start": ALWAYS[0], "end": ALWAYS[1], **asked}
    return content(evidence([(str(ring), *ALWAYS)], limit_bytes=limit_bytes, **query).file)


def content(file: bytes) -> list[tuple[int, bytes]]:
    """Times and bytes of the packets of a pcapng file, as another reader sees them."""
    reader = RawPcapNgReader(io.BytesIO(file))
    return [((meta.tshigh << 32) | meta.tslow, data) for data, meta in reader]


def wrote(path: Path, frames: Sequence[tuple[int, bytes]]) -> Path:
    """A capture of frames at times in nanoseconds."""
    with path.open("wb") as file:
        head = (0xA1B23C4D, (2 | 4 << 16), 0, 0, 1 << 18, 1)
        file.write(b"".join(number.to_bytes(4, "little") for number in head))
        for ts, data in frames:
            numbers = (ts // 10**9, ts % 10**9, len(data), len(data))
            file.write(b"".join(number.to_bytes(4, "little") for number in numbers) + data)
    return path


@cache
def frame(flow: int, size: int, *, udp: bool = False, back: bool = False) -> bytes:
    """A packet of a conversation, in one direction or the other."""
    low, high = ("10.0.0.1", 2000 + flow), ("10.0.1.2", 502)
    source, destination = (high, low) if back else (low, high)
    transport = (UDP if udp else TCP)(sport=source[1], dport=destination[1])
    return bytes(Ether() / IP(src=source[0], dst=destination[0]) / transport / Raw(bytes(size)))


def flow_of(flow: int, *, udp: bool = False) -> str:
    """Its Community ID, as records say it."""
    seed = bytes(2) + bytes([10, 0, 0, 1, 10, 0, 1, 2, 17 if udp else 6, 0])
    digest = hashlib.sha1(seed + (2000 + flow).to_bytes(2, "big") + (502).to_bytes(2, "big")).digest()
    return "1:" + b64encode(digest).decode()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    made=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1200), st.booleans(), st.booleans()), min_size=1, max_size=80),
    wanted=st.integers(0, 5),
    udp=st.booleans(),
    span=st.tuples(st.integers(0, 80), st.integers(0, 80)),
)
def test_what_was_written_comes_back_by_conversation_and_time_in_order(
    tmp_path: Path, made: list[tuple[int, int, bool, bool]], wanted: int, span: tuple[int, int], *, udp: bool
) -> None:
    shutil.rmtree(tmp_path / "ring", ignore_errors=True)
    base = 1_700_000_000_000_000_000
    frames = [
        (base + number * 7, frame(flow, size, udp=is_udp, back=back)) for number, (flow, size, is_udp, back) in enumerate(made)
    ]
    ring = kept(tmp_path / "ring", wrote(tmp_path / "made.pcap", frames))
    assert found(ring) == frames
    start, end = base + min(span) * 7, base + max(span) * 7
    expected = [
        each for each, (flow, _, is_udp, _) in zip(frames, made, strict=True)
        if flow == wanted and is_udp == udp and start <= each[0] <= end
    ]  # fmt: skip
    assert found(ring, start=start, end=end, flows=[flow_of(wanted, udp=udp)]) == expected


def test_what_has_no_ports_is_found_by_its_addresses_and_fragments_with_their_conversation(tmp_path: Path) -> None:
    datagram = IP(src="10.0.0.1", dst="10.0.1.2", id=7) / UDP(sport=2001, dport=502) / Raw(bytes(3000))
    pieces = [bytes(Ether() / piece) for piece in cast("list[Packet]", fragment(datagram, 1000))]
    arp = bytes(Ether() / ARP(psrc="10.0.0.1", pdst="10.0.0.9"))
    frames = [(10 + number, data) for number, data in enumerate([*pieces, arp, b"\xff" * 20])]
    ring = kept(tmp_path / "ring", wrote(tmp_path / "made.pcap", frames))
    assert found(ring, flows=[flow_of(1, udp=True)]) == frames[: len(pieces)]
    assert found(ring, pairs=[("10.0.0.9", None)]) == [frames[-2]]
    assert found(ring) == frames


def test_the_quota_is_never_exceeded_and_the_newest_packets_are_kept(tmp_path: Path) -> None:
    frames = [(1000 + number, frame(number % 50, 1400)) for number in range(30_000)]
    capture = wrote(tmp_path / "made.pcap", frames)
    most = 0
    for _ in Reader(str(capture), packets=(str(tmp_path / "ring"), QUOTA)):
        most = max(most, size_of(tmp_path / "ring"))
    most = max(most, size_of(tmp_path / "ring"))
    left = found(tmp_path / "ring")
    # A quarter is for pins.
    assert QUOTA // 2 < most <= QUOTA // 4 * 3
    assert left == frames[-len(left) :]
    assert len(left) > 5000


def size_of(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def test_the_same_file_read_again_is_held_once(tmp_path: Path) -> None:
    frames = [(1000 + number, frame(1, 100)) for number in range(100)]
    capture = wrote(tmp_path / "made.pcap", frames)
    other = wrote(tmp_path / "other.pcap", [(5, frame(2, 10))])
    for each in (capture, other, capture):
        kept(tmp_path / "ring", each)
    assert found(tmp_path / "ring") == [(5, frame(2, 10)), *frames]


@pytest.mark.parametrize("seed", range(4))
def test_a_kill_while_writing_leaves_whole_packets(tmp_path: Path, seed: int) -> None:
    frames = [(1000 + number, frame(number % 9, 700)) for number in range(40_000)]
    capture = wrote(tmp_path / "made.pcap", frames)
    ring = tmp_path / "ring"
    code = "import sys; from sensor._core import Reader\nfor _ in Reader('-', packets=(sys.argv[1], int(sys.argv[2]))): pass"
    process = subprocess.Popen([sys.executable, "-c", code, str(ring), str(QUOTA)], stdin=subprocess.PIPE, cwd=ROOT)
    assert process.stdin is not None
    data = capture.read_bytes()
    cut = random.Random(seed).randrange(8 * MIB, len(data) - MIB)
    process.stdin.write(data[:cut])
    process.stdin.flush()
    deadline = time.monotonic() + 30
    while size_of(ring) < 4 * MIB and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    last = max(ring.glob("*.pcapng"))
    with last.open("ab") as file:
        # What a power cut leaves of a block.
        file.write(b"\x06\x00\x00\x00\x40\x00\x00\x00half")
    before = found(ring)
    start = frames.index(before[0])
    assert before == frames[start : start + len(before)]
    assert len(before) > 4000
    kept(ring, wrote(tmp_path / "more.pcap", [(1, frame(3, 5))]))
    after = found(ring)
    assert after[0] == (1, frame(3, 5))
    assert set(after[1:]) <= set(before)
    assert all(path.with_suffix(".index").exists() for path in ring.glob("*.pcapng"))


def test_a_disk_that_takes_no_more_costs_packets_that_are_counted_and_no_records(tmp_path: Path) -> None:
    frames = [(10**18 + number * 10**7, frame(number % 9, 700)) for number in range(9_000)]
    capture = wrote(tmp_path / "made.pcap", frames)
    code = (
        "import json, resource, sys; import polars as pl; from sensor._core import Reader\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n"
        "batches = list(Reader(sys.argv[1], packets=(sys.argv[2], int(sys.argv[3]))))\n"
        "state = [pl.DataFrame(batch) for batch in batches if batch.table == 'sensor'][-1].row(-1, named=True)\n"
        "print(json.dumps([state['sensor.packets'], {each['name']: each['count'] for each in state['sensor.drops']}]))"
    )
    ring = tmp_path / "ring"
    command_line = [sys.executable, "-c", code, str(capture), str(ring), str(QUOTA)]
    out = subprocess.run(command_line, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    taken, drops = json.loads(out)
    held = found(ring)
    assert taken == len(frames)
    assert 0 < len(held) < len(frames)
    assert held == [each for each in frames if each in set(held)]
    assert drops["packets_not_kept"] >= len(frames) - len(held)


def test_a_damaged_index_or_segment_costs_no_more_than_itself(tmp_path: Path) -> None:
    frames = [(1000 + number, frame(number % 9, 1400)) for number in range(8_000)]
    ring = kept(tmp_path / "ring", wrote(tmp_path / "made.pcap", frames))
    indexes = sorted(ring.glob("*.index"))
    assert len(indexes) > 3
    indexes[0].write_bytes(b"ICSPKT01" + bytes(50))
    damaged = bytearray(indexes[1].read_bytes())
    damaged[70] ^= 0xFF
    indexes[1].write_bytes(damaged)
    assert found(ring) == frames
    assert found(ring, flows=[flow_of(4)]) == frames[4::9]
    first = sorted(ring.glob("*.pcapng"))[2]
    first.write_bytes(os.urandom(5000))
    left = found(ring)
    assert 0 < len(left) < len(frames)
    assert set(left) <= set(frames)


def statement(start: int, end: int, alert: str = "a1") -> Statement:
    return Statement(start, end, pairs=(("10.0.0.1", "10.0.1.2"),), alert=alert)


def test_packets_and_indexes_are_for_the_eyes_of_their_owner(tmp_path: Path) -> None:
    ring = kept(tmp_path / "ring", wrote(tmp_path / "made.pcap", [(1000, frame(1, 1400))]))
    assert {path.suffix: path.stat().st_mode & 0o777 for path in ring.iterdir() if path.stat().st_size} == {
        ".pcapng": 0o600,
        ".index": 0o600,
    }


def test_a_pin_survives_the_ring_and_is_given_out_once(tmp_path: Path) -> None:
    ring = tmp_path / "ring"
    evil = [(1000 + number, frame(7, 60)) for number in range(20)]
    kept(ring, wrote(tmp_path / "evil.pcap", evil))
    assert packets.pin(ring, statement(900, 1009), ASKED, QUOTA) == 10
    assert packets.pin(ring, statement(900, 1100), ASKED, QUOTA) == 10
    assert packets.pin(ring, statement(900, 1100), ASKED, QUOTA) == 0
    both = packets.take(ring, statement(900, 1100), ASKED)
    assert content(both.file) == evil
    noise = [(5_000_000 + number, frame(number % 3, 1400)) for number in range(20_000)]
    kept(ring, wrote(tmp_path / "noise.pcap", noise))
    assert evil[0] not in found(ring)
    left = packets.take(ring, statement(900, 1100), ASKED)
    assert content(left.file) == evil
    origin = left.manifest["segments"][0]
    assert origin["copied_from"][0]["sha256"]
    with pytest.raises(NoPackets):
        packets.take(ring, statement(900, 1100, "a2"), ASKED)


def test_pins_keep_to_their_share_and_the_oldest_go_first(tmp_path: Path) -> None:
    ring = tmp_path / "ring"
    kept(ring, wrote(tmp_path / "made.pcap", [(1000 + number, frame(1, 1400)) for number in range(3_000)]))
    for number in range(8):
        packets.pin(ring, statement(1000, 1000 + 700, f"a{number}"), ASKED, QUOTA)
        assert size_of(ring / packets.PINNED) <= QUOTA // packets.PIN_SHARE
    assert packets.pinned(ring, "a0") is None
    assert packets.pinned(ring, "a7") is not None


SECRET = b"\xde\xad\xbe\xef\x13\x37\x42\x24"


def modbus(body: bytes, *, reply: bool = False) -> Packet:
    ends = {"sport": 502, "dport": 40000} if reply else {"sport": 40000, "dport": 502}
    head = b"\x00\x01\x00\x00" + (len(body) + 1).to_bytes(2, "big") + b"\x01"
    return Ether() / IP(src="10.0.0.1", dst="10.0.1.2") / TCP(**ends, flags="PA", options=[("NOP", None)] * 4) / Raw(head + body)


SAID = {
    "write registers": modbus(b"\x10\x00\x64\x00\x04\x08" + SECRET),
    "read answer": modbus(b"\x03\x08" + SECRET, reply=True),
    "single write": modbus(b"\x06\x00\x64" + SECRET[:2]),
    "read and write": modbus(b"\x17\x00\x01\x00\x02\x00\x03\x00\x04\x08" + SECRET),
    "file record": modbus(b"\x15\x0f\x06\x00\x04\x00\x07\x00\x04" + SECRET),
    "user defined": modbus(b"\x64" + SECRET),
    "two messages": Ether() / IP(src="10.0.0.1", dst="10.0.1.2") / TCP(dport=502) / Raw(
        b"\x00\x01\x00\x00\x00\x0b\x01\x03\x08" + SECRET + b"\x00\x02\x00\x00\x00\x0b\x01\x03\x08" + SECRET
    ),
    "split message": Ether() / IP(src="10.0.0.1", dst="10.0.1.2") / TCP(dport=502) / Raw(
        b"\x00\x01\x00\x00\x00\xf0\x01\x10" + SECRET
    ),
    "opc ua": Ether() / IP(src="10.0.0.1", dst="10.0.1.2") / TCP(dport=4840) / Raw(
        b"MSGF" + (32).to_bytes(4, "little") + bytes(range(1, 17)) + SECRET
    ),
    "opc ua that goes on": Ether() / IP(src="10.0.0.1", dst="10.0.1.2") / TCP(dport=4840) / Raw(
        b"MSGF" + (9000).to_bytes(4, "little") + bytes(16) + SECRET
    ),
    "anything else": Ether() / IP(src="10.0.0.1", dst="10.0.1.2") / UDP(sport=1, dport=2) / Raw(b"GET /" + SECRET),
    "fragment": Ether() / IP(src="10.0.0.1", dst="10.0.1.2", frag=3, proto=6) / Raw(SECRET * 2),
    "trailer": Ether() / IP(src="10.0.0.1", dst="10.0.1.2", len=40) / TCP(dport=502) / Raw(SECRET),
    "frame of another protocol": Ether(type=0x88B8) / Raw(SECRET * 3),
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_a_mask_leaves_no_value_and_all_lengths(tmp_path: Path, name: str) -> None:
    data = bytes(SAID[name])
    ring = kept(tmp_path / "ring", wrote(tmp_path / "made.pcap", [(1000, data)]))
    ((_, masked),) = found(ring, mask_values=True)
    value = SECRET[:2]
    assert value in data
    assert value not in masked
    assert len(masked) == len(data)
    assert masked[:14] == data[:14]


def test_a_mask_leaves_what_was_asked_for(tmp_path: Path) -> None:
    request = bytes(modbus(b"\x03\x00\x64\x00\x04"))
    ring = kept(tmp_path / "ring", wrote(tmp_path / "made.pcap", [(1, request), (2, bytes(SAID["write registers"]))]))
    (_, read), (_, write) = found(ring, mask_values=True)
    assert read[-12:] == request[-12:]
    # Address and quantity stay; the checksum of TCP is zero.
    assert write[-13:-9] == b"\x00\x64\x00\x04"
    assert Ether(write)[TCP].chksum == 0


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some minutes of the plant under attack."""
    capture = tmp_path_factory.mktemp("plant") / "plant.pcap"
    subprocess.run([sys.executable, "-m", "tests.plant", "day", "--out", str(capture), "--hours", "0.1"], cwd=ROOT, check=True)
    return capture


def test_slices_agree_with_tshark(tmp_path: Path, plant: Path) -> None:
    ring = kept(tmp_path / PACKETS, plant)
    fields = ["-T", "fields", "-e", "communityid", "-e", "frame.time_epoch", "--enable-protocol", "communityid"]
    seen = subprocess.run(["tshark", "-r", str(plant), *fields], check=True, capture_output=True, text=True).stdout.splitlines()
    flows: dict[str, list[str]] = {}
    for line in seen:
        flow, _, moment = line.partition("\t")
        if flow and "," not in flow:
            flows.setdefault(flow, []).append(moment)
    assert len(flows) > 10
    # The longest and some others: tshark takes seconds to start.
    longest = sorted(flows, key=lambda flow: -len(flows[flow]))
    for flow in [*longest[:2], *random.Random(1).sample(longest[2:], 4)]:
        moments = flows[flow]
        file = tmp_path / "slice.pcapng"
        file.write_bytes(packets.take(ring, Statement(*ALWAYS, flows=(flow,)), ASKED).file)
        command_line = ["tshark", "-r", str(file), "-T", "fields", "-e", "frame.time_epoch", "-Y", "tcp or udp"]
        assert subprocess.run(command_line, check=True, capture_output=True, text=True).stdout.splitlines() == moments


def test_the_command_writes_packets_and_a_manifest(tmp_path: Path) -> None:
    frames = [(1_700_000_000_000_000_000 + number * 10**9, frame(1, 40)) for number in range(10)]
    ring = kept(tmp_path / PACKETS, wrote(tmp_path / "made.pcap", frames))
    first = frames[0][0]
    packets.pin(ring, statement(first, first + 3 * 10**9), ASKED, QUOTA)
    out = tmp_path / "out.pcapng"

    def run(*options: str) -> tuple[int, str]:
        for file in (out, out.with_suffix(".json")):
            file.unlink(missing_ok=True)
        result = CliRunner().invoke(command, ["--data", str(tmp_path), "-o", str(out), *options])
        return result.exit_code, result.output

    assert run("--alert", "a1")[0] == 0
    assert content(out.read_bytes()) == frames[:4]
    assert b"packets of alert a1" in out.read_bytes()
    manifest = json.loads(out.with_suffix(".json").read_text())
    assert manifest["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert manifest["alert"] == "a1"
    assert run("--from", "2023-11-14T22:13:22Z", "--to", "2023-11-14T22:13:24Z")[0] == 0
    assert content(out.read_bytes()) == frames[2:5]
    manifest = json.loads(out.with_suffix(".json").read_text())
    (segment,) = manifest["segments"]
    assert segment["sha256"] == hashlib.sha256((ring / segment["file"]).read_bytes()).hexdigest()
    assert run("--flow", flow_of(1), "--mask-values")[0] == 0
    assert len(content(out.read_bytes())) == 10
    assert CliRunner().invoke(command, ["--data", str(tmp_path), "-o", str(out), "--alert", "a1"]).exit_code == 2
    assert len(content(out.read_bytes())) == 10, "evidence is not written over"
    assert run("--flow", "1:nothing")[0] == 2
    assert "earlier time first" in run("--from", "2023-11-14T22:13:24Z", "--to", "2023-11-14T22:13:22Z")[1]
    assert run("--alert", "../x")[0] == 2
    assert run("--alert", "unknown")[0] == 2
    assert run()[0] == 2
