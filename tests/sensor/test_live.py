"""Capture from interfaces, in network name spaces: what is recorded, what survives, what is lost and said, what is never sent."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, cast

import polars as pl
import pytest
from scapy.layers.inet import IP, TCP, fragment  # pyright: ignore[reportUnknownVariableType]  scapy leaves it untyped
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Raw
from scapy.utils import wrpcap

from collector.store import Query
from collector.store.local import LocalRecordStore
from sensor.cli import frame_of
from sensor.packets import ALWAYS, PACKETS, Asked, Statement, take
from sensor.spool import SpoolReader
from tests.sensor.network import ROOT, Network
from tests.sensor.recording import ICSIGHT, STOP_SECONDS, recording

PAUSE_SECONDS = 2.0
"""Long enough for a sensor on a busy machine to see that an interface went or came: it looks every quarter of a second."""


def modbus_of(capture: Path) -> pl.DataFrame:
    """What reading the file says."""
    from sensor._core import Reader  # noqa: PLC0415

    reader = Reader(str(capture))
    return pl.concat([frame_of(batch, reader.epoch).drop("record") for batch in reader if batch.table == "modbus"])


def comparable(rows: pl.DataFrame) -> list[str]:
    """Rows without what depends on when they were sent."""
    timeless = rows.drop("ts", "modbus.response_time").with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String))
    return sorted(json.dumps(row, default=str, sort_keys=True) for row in timeless.to_dicts())


@pytest.mark.parametrize("options", [(), ("--workers", "3")])
def test_an_interface_says_the_same_as_the_file_and_nothing_is_sent(
    network: Network, plant: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    with recording(network, tmp_path / "data", *options) as sensor:
        sent = network.transmit(plant, "--pause", "0.002")
        packets, lost, err = sensor.stop()
        assert (packets, lost, err) == (sent, 0, "")
        assert comparable(sensor.rows("modbus")) == comparable(modbus_of(plant))
        told = sensor.rows("sensor").sort("sensor.packets").row(-1, named=True)
        assert told["sensor.packets"] == sent
    assert network.counted("mon0", "tx_packets") == 0
    assert network.counted("mon0", "rx_packets") == sent


def test_workers_share_conversations_in_one_run_of_whole_cuts(network: Network, plant: Path, tmp_path: Path) -> None:
    with recording(network, tmp_path / "data", "--workers", "3") as sensor:
        network.transmit(plant, "--pause", "0.01")
        sensor.stop()
        with SpoolReader(sensor.data / "spool") as spool:
            headers = [batch.header for batch in spool.read(0)]
    assert [header.sequence for header in headers] == list(range(len(headers)))
    assert len({header.run for header in headers}) == 1
    cuts: dict[int, list[Any]] = {}
    for header in headers:
        cuts.setdefault(header.cut, []).append(header)
    assert any([header.table for header in cut].count("modbus") > 1 for cut in cuts.values()), "one worker did it all"
    end = 0
    for number, cut in sorted(cuts.items()):
        assert [header.cut_last for header in cut] == [False] * (len(cut) - 1) + [True], number
        assert {header.cut_start for header in cut} == {end}, number
        end = cut[0].cut_end


def test_the_packets_are_kept_by_all_workers(network: Network, plant: Path, tmp_path: Path) -> None:
    with recording(network, tmp_path, "--workers", "2", "--packets-quota", "64") as sensor:
        network.transmit(plant)
        sensor.await_rows("modbus")
        packets, lost, _ = sensor.stop()
    ring = tmp_path / PACKETS
    held = take(ring, Statement(*ALWAYS), Asked("tester", 0, "local"))
    assert held.manifest["packets"] + lost == packets
    assert len(list(ring.glob("*.index"))) == len(list(ring.glob("*.pcapng"))) == 2


def test_the_whole_system_listens_too(network: Network, plant: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    command = network.command(str(ICSIGHT), "run", "--interface", "mon0", "--data", str(data), "--port", "0")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert "icsight is at" in process.stdout.readline()
        assert rights(process.pid) == {1 << 13}, "CAP_NET_RAW, in every thread"
        network.transmit(plant, "--pause", "0.002")
        # All parts are stopped at once: what the store has not had by then it has after the next start.
        expected = modbus_of(plant).height
        assert await_stored(data / "records", expected) == expected
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_SECONDS * 2) == 0
    finally:
        process.kill()
        process.wait()


def rights(process: int) -> set[int]:
    """Capabilities that any thread of a process has or can have, as numbers of their bits."""
    told = [path.read_text() for path in Path(f"/proc/{process}/task").glob("*/status")]
    lines = [line.split() for text in told for line in text.splitlines()]
    return {int(line[1], 16) for line in lines if line[0] in {"CapPrm:", "CapEff:", "CapBnd:"}}


def await_stored(folder: Path, rows: int, seconds: float = 60) -> int:
    """How many rows of `modbus` a store holds that another process writes to, once it has so many or the time is over."""
    until = time.monotonic() + seconds
    store = LocalRecordStore(folder)
    try:
        while True:
            held = store.query(Query("modbus", limit=10_000)).rows.height
            if held >= rows or time.monotonic() > until:
                return held
            time.sleep(0.1)
    finally:
        store.close()


def test_a_sensor_goes_on_where_it_was_stopped(network: Network, plant: Path, tmp_path: Path) -> None:
    for times in (1, 2):
        with recording(network, tmp_path / "data") as sensor:
            network.transmit(plant, "--pause", "0.002")
            sensor.stop()
            assert sensor.rows("modbus").height == times * modbus_of(plant).height
    with SpoolReader(tmp_path / "data" / "spool") as spool:
        headers = [batch.header for batch in spool.read(0)]
    assert [header.sequence for header in headers] == list(range(len(headers)))


@pytest.mark.parametrize(("tags", "outermost"), [((Dot1Q(vlan=100),), 100), ((Dot1AD(vlan=7), Dot1Q(vlan=100)), 7)])
def test_vlan_tags_are_put_back(network: Network, tmp_path: Path, tags: tuple[Any, ...], outermost: int) -> None:
    question, answer = bytes.fromhex("000100000006010300640001"), bytes.fromhex("00010000000501030200ff")
    frames: list[Any] = []
    for sender, receiver, ports, sequence, payload in (
        ("10.0.0.1", "10.0.0.2", (40_000, 502), 1, question),
        ("10.0.0.2", "10.0.0.1", (502, 40_000), 1, answer),
    ):
        frame: Any = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
        for tag in tags:
            frame /= tag.copy()
        frame /= IP(src=sender, dst=receiver) / TCP(sport=ports[0], dport=ports[1], flags="PA", seq=sequence, ack=sequence)
        frames.append(frame / Raw(payload))
    wrpcap(str(tmp_path / "tagged.pcap"), frames)
    with recording(network, tmp_path / "data") as sensor:
        network.transmit(tmp_path / "tagged.pcap")
        sensor.stop()
        rows = sensor.rows("modbus")
    assert rows["vlan"].to_list() == [outermost]
    assert comparable(rows) == comparable(modbus_of(tmp_path / "tagged.pcap"))


CONVERSATIONS = 24
"""So many that each of three workers has some, and that halves which went elsewhere would be seen."""


def exchanges(tags: tuple[Any, ...], largest: int, servers: int = CONVERSATIONS) -> list[Any]:
    """A write of a hundred registers and its answer in each of many conversations, in IPv4 fragments of at most so many bytes."""
    data = bytes(200)
    frames: list[Any] = []
    for number in range(CONVERSATIONS):
        client, server = (f"10.0.0.{number + 1}", 40_000 + number), (f"10.0.1.{number % servers + 1}", 502)
        question = bytes.fromhex("0001000000cf011000640064c8") + data
        answer = bytes.fromhex("000100000006011000640064")
        for (source, sender), (destination, receiver), payload in ((client, server, question), (server, client, answer)):
            whole: Any = IP(src=source, dst=destination, id=number + 1) / TCP(
                sport=sender, dport=receiver, flags="PA", seq=1, ack=1
            )
            pieces = cast("list[Any]", fragment(whole / Raw(payload), fragsize=largest))
            for piece in pieces:
                frame: Any = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
                for tag in tags:
                    frame /= tag.copy()
                frames.append(frame / piece)
    return frames


@pytest.mark.parametrize(
    ("tags", "largest"),
    [((), 96), ((Dot1Q(vlan=100),), 1_400), ((Dot1Q(vlan=100),), 96), ((Dot1AD(vlan=7), Dot1Q(vlan=100)), 1_400)],
    ids=["fragments", "tagged", "tagged fragments", "tagged twice"],
)
def test_both_directions_of_a_conversation_go_to_one_worker(
    network: Network, tmp_path: Path, tags: tuple[Any, ...], largest: int
) -> None:
    frames = exchanges(tags, largest)
    assert (len(frames) > 2 * CONVERSATIONS) == (largest < 200)
    wrpcap(str(tmp_path / "exchanges.pcap"), frames)
    with recording(network, tmp_path / "data", "--workers", "3") as sensor:
        network.transmit(tmp_path / "exchanges.pcap")
        sensor.stop()
        rows = sensor.rows("modbus")
    assert rows["modbus.pairing"].cast(pl.String).to_list() == ["both"] * CONVERSATIONS
    assert comparable(rows) == comparable(modbus_of(tmp_path / "exchanges.pcap"))


@pytest.mark.parametrize(
    "tags", [(), (Dot1Q(vlan=100),), (Dot1AD(vlan=7), Dot1Q(vlan=100))], ids=["plain", "tagged", "tagged twice"]
)
def test_what_one_conversation_shows_of_a_server_is_known_in_its_others(
    network: Network, tmp_path: Path, tags: tuple[Any, ...]
) -> None:
    wrpcap(str(tmp_path / "exchanges.pcap"), exchanges(tags, 1_400, servers=1))
    with recording(network, tmp_path / "data", "--workers", "3") as sensor:
        network.transmit(tmp_path / "exchanges.pcap")
        sensor.stop()
        written, told = sensor.rows("modbus"), sensor.rows("point")
    assert written.height == CONVERSATIONS
    # Each client writes the same values: the first one's are new, and a worker that knew nothing of it would tell them again.
    assert told.height == 100


def test_an_interface_that_was_deleted_and_made_anew_is_listened_to_again(network: Network, plant: Path, tmp_path: Path) -> None:
    with recording(network, tmp_path / "data") as sensor:
        sent = network.transmit(plant, "--pause", "0.002")
        network.shell("ip link delete mon0")
        time.sleep(PAUSE_SECONDS)
        network.connect()
        time.sleep(PAUSE_SECONDS)
        sent += network.transmit(plant, "--pause", "0.002")
        packets, _, err = sensor.stop()
        drops = sensor.drops()
    assert packets == sent
    assert drops["interface_away:mon0"] == 1
    # A look may fall between the moment when it is made anew and the moment when it is up.
    said = [line for line in err.splitlines() if "is down" not in line]
    assert [line for line in said if "listening again" in line] == said[1:], err
    assert len(said) == 2, err


def test_an_interface_that_was_down_is_listened_to_again(network: Network, plant: Path, tmp_path: Path) -> None:
    with recording(network, tmp_path / "data") as sensor:
        network.shell("ip link set mon0 down")
        time.sleep(PAUSE_SECONDS)
        network.shell("ip link set mon0 up")
        time.sleep(PAUSE_SECONDS)
        sent = network.transmit(plant, "--pause", "0.002")
        packets, _, _ = sensor.stop()
    assert packets == sent


def test_two_interfaces_are_one_sensor(network: Network, plant: Path, tmp_path: Path) -> None:
    network.connect("mon1", "gen1")
    with recording(network, tmp_path / "data", interfaces=("mon0", "mon1")) as sensor:
        sent = network.transmit(plant, "--pause", "0.002")
        sent += network.transmit(plant, "--pause", "0.002", interface="gen1")
        packets, _, _ = sensor.stop()
    assert packets == sent


@pytest.mark.parametrize("kept", [4_711, 502])
def test_a_filter_lets_in_what_it_names(network: Network, plant: Path, tmp_path: Path, kept: int) -> None:
    with recording(network, tmp_path / "data", "--filter", f"tcp port {kept}") as sensor:
        sent = network.transmit(plant, "--pause", "0.002")
        packets, lost, _ = sensor.stop()
        if kept == 502:
            assert 0 < packets < sent
            assert comparable(sensor.rows("modbus")) == comparable(modbus_of(plant))
        else:
            assert packets == 0
    assert lost == 0


def test_the_state_is_told_every_ten_seconds_when_nothing_comes(network: Network, tmp_path: Path) -> None:
    with recording(network, tmp_path / "data") as sensor:
        rows = sensor.await_rows("sensor", 15)
        assert rows["sensor.packets"].to_list() == [0]
        sensor.stop()


def test_what_a_sensor_that_stands_still_loses_is_counted(network: Network, plant: Path, tmp_path: Path) -> None:
    with recording(network, tmp_path / "data", "--ring", "1") as sensor:
        sensor.process.send_signal(signal.SIGSTOP)
        sent = network.transmit(plant, "--times", "20")
        sensor.process.send_signal(signal.SIGCONT)
        packets, lost, _ = sensor.stop()
        drops = sensor.drops()
    assert lost > 0
    assert packets + lost == sent
    assert drops["capture_dropped:mon0"] == lost
    assert drops["capture_frozen:mon0"] > 0


def test_a_sensor_keeps_the_right_to_capture_and_no_other(network: Network, plant: Path, tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if folder == Path(tempfile.gettempdir()):
            break
        folder.chmod(0o755)
    with recording(network, tmp_path / "data", "--user", "nobody") as sensor:
        told = sensor.status()
        assert {int(told[name], 16) for name in ("CapPrm", "CapEff", "CapBnd")} == {1 << 13}, "CAP_NET_RAW"
        assert told["NoNewPrivs"] == "1"
        assert told["Seccomp"] == "2"
        assert "0" not in told["Uid"].split()
        # It can still open an interface anew.
        network.shell("ip link delete mon0")
        time.sleep(PAUSE_SECONDS)
        network.connect()
        time.sleep(PAUSE_SECONDS)
        sent = network.transmit(plant, "--pause", "0.002")
        packets, _, _ = sensor.stop()
    assert packets == sent


FORBIDDEN = {
    "a connection": "import socket; socket.socket(socket.AF_INET, socket.SOCK_STREAM).connect(('127.0.0.1', 1))",
    "a program": "os.execv('/bin/true', ['true'])",
    "a process": "os.fork()",
    "a child": "import subprocess; subprocess.run(['/bin/true'])",
    "a packet": "import socket; s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(('lo', 0)); s.send(bytes(60))",
    "a transmit ring": "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW).setsockopt(263, 13, bytes(28))",
    "a trace": "import ctypes; r = ctypes.CDLL(None, use_errno=True).ptrace(0, 0, 0, 0)\n"
    "if r < 0: raise OSError(ctypes.get_errno(), 'ptrace')",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_a_restricted_sensor_is_refused(what: str) -> None:
    script = (
        "import errno, os\nfrom sensor import _core\n_core.restrict_system_calls()\n"
        f"try:\n    exec({FORBIDDEN[what]!r})\n"
        "except OSError as error:\n    print(errno.errorcode[error.errno])\nelse:\n    print('done')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("EPERM\n", 0), done.stderr


def test_a_restricted_process_goes_on_with_its_own_work(tmp_path: Path) -> None:
    script = (
        "import threading, time, pathlib, sys\nfrom sensor import _core\n_core.restrict_system_calls()\n"
        "import json, decimal, concurrent.futures\n"
        "thread = threading.Thread(target=time.sleep, args=(0.01,)); thread.start(); thread.join()\n"
        "folder = pathlib.Path(sys.argv[1]) / 'made'; folder.mkdir(); (folder / 'a').write_text('x')\n"
        "(folder / 'a').rename(folder / 'b'); (folder / 'b').unlink(); folder.rmdir(); print('done')\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.stdout == "done\n", done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "--interface"),
        (("--interface", "missing0"), "There are: "),
        (("--interface", "mon0", "--filter", "tcp prot 502"), "pcap-filter(7)"),
        (("--interface", "mon0", "--filter", "vlan 100"), "VLAN tags"),
        (("--interface", "mon0", "--user", "nobody-of-that-name"), "useradd"),
    ],
)
def test_what_cannot_be_captured_is_said_in_one_line(
    network: Network, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    command = network.command(str(ICSIGHT), "sensor", "run", "--data", str(tmp_path / "data"), *options)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert said in line


def test_without_the_right_to_capture_it_says_which_is_missing(tmp_path: Path) -> None:
    script = (
        "from sensor import _core\nimport os\nif os.geteuid() == 0: os.setresuid(65534, 65534, 65534)\n"
        "try:\n    _core.LiveReader(['lo'])\nexcept _core.CaptureError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "CAP_NET_RAW" in done.stdout, done.stderr


def test_a_sensor_that_only_records_loads_neither_polars_nor_openssl() -> None:
    """They would be half of what it holds before its first packet."""
    script = "import sys, api.cli, sensor.edge; print({'polars', '_hashlib', 'ssl', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "set()\n"
