"""Nothing leaves the interface that is listened to: an hour of plant traffic, and everything that tempts a system to answer.

Counted twice: by the interface, and by who listens at the cable's other end. Each way of setting the interface up is told by
deploy/docs/sensor.md; without any, the same traffic is answered, so that the count can fail.
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

import pytest
from scapy.layers.l2 import Ether

from tests.sensor import temptations
from tests.sensor.network import ROOT, Network
from tests.sensor.recording import recording

if TYPE_CHECKING:
    import socket
    from collections.abc import Generator
    from pathlib import Path

ELSEWHERE: Final = "10.9.9.9"
"""Address of the system on another interface."""

OWN: Final = "192.0.2.1"
"""Address of the interface itself, where it is not set up as it should be."""

ANSWER_SECONDS: Final = 2.0
"""Within this time a system answers; it was asked to within a tenth of a second."""

AS_MADE: Final = """
ip link set mon0 down
ip link set mon0 arp on
sysctl -qw net.ipv6.conf.mon0.disable_ipv6=0
ip link set mon0 up
"""
"""Takes back what keeps the interface silent."""

WALL: Final = """
nft add table netdev icsight
nft add chain netdev icsight out '{ type filter hook egress device mon0 priority 0; policy drop; }'
"""
"""Lets nothing out, whoever sends it (Linux 5.16)."""


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An hour of the plant with all attacks."""
    capture = tmp_path_factory.mktemp("plant") / "hour.pcap"
    command = [sys.executable, "-m", "tests.plant", "day", "--out", str(capture), "--hours", "1"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return capture


@pytest.fixture
def elsewhere(network: Network) -> Network:
    """The system has an address, but not on the mirror port."""
    network.connect("elsewhere0", "elsewhere1")
    network.shell(f"ip addr add {ELSEWHERE}/24 dev elsewhere0")
    return network


@pytest.fixture
def other_end(network: Network) -> Generator[socket.socket]:
    """A socket at the cable's other end."""
    with network.listen("gen0") as wire:
        wire.settimeout(0.2)
        yield wire


def tempt(network: Network, wire: socket.socket, addresses: tuple[str, ...]) -> int:
    """Ask the mirror port for answers; returns how many frames that took."""
    mac = network.shell("cat /sys/class/net/mon0/address").strip()
    asked = temptations.frames(mac, addresses).values()
    for frame in asked:
        wire.send(frame)
    return len(asked)


def heard(wire: socket.socket) -> list[str]:
    """What has arrived at the other end, in words."""
    told: list[str] = []
    while True:
        try:
            told.append(Ether(wire.recv(65_536)).summary())
        except TimeoutError:
            return told


def test_nothing_leaves_the_interface_in_an_hour_of_plant_traffic(
    elsewhere: Network, other_end: socket.socket, hour: Path, tmp_path: Path
) -> None:
    with recording(elsewhere, tmp_path / "data") as sensor:
        sent = tempt(elsewhere, other_end, (ELSEWHERE, OWN))
        sent += elsewhere.transmit(hour)
        sent += tempt(elsewhere, other_end, (ELSEWHERE, OWN))
        time.sleep(ANSWER_SECONDS)
        packets, lost, _ = sensor.stop()
    assert sent > 35_000, "not an hour of the plant"
    assert (packets, lost) == (sent, 0)
    assert elsewhere.counted("mon0", "tx_packets") == 0
    assert heard(other_end) == []


def test_an_interface_that_is_not_set_up_answers(elsewhere: Network, other_end: socket.socket, tmp_path: Path) -> None:
    """The control: the same temptations and the same sensor, an interface as the system makes it."""
    elsewhere.shell(AS_MADE)
    with recording(elsewhere, tmp_path / "data") as sensor:
        time.sleep(ANSWER_SECONDS)  # until the interface's own address may be used
        tempt(elsewhere, other_end, (ELSEWHERE,))
        time.sleep(ANSWER_SECONDS)
        sensor.stop()
        told = heard(other_end)
    assert elsewhere.counted("mon0", "tx_packets") >= len(told)
    for kind in ("ARP is at", "ICMPv6ND_NA", "ICMPv6MLReport", "ICMPv6 Echo Reply", "Neighbor Solicitation"):
        assert [line for line in told if kind in line], (kind, told)


def test_an_address_makes_even_a_silent_interface_answer(elsewhere: Network, other_end: socket.socket) -> None:
    """Why the interface must have none: `arp off` does not keep the system from answering on it."""
    elsewhere.shell(f"ip addr add {OWN}/24 dev mon0")
    tempt(elsewhere, other_end, (ELSEWHERE, OWN))
    time.sleep(ANSWER_SECONDS)
    told = heard(other_end)
    assert [line for line in told if "echo-reply" in line], told
    assert not [line for line in told if "ARP" in line or "IPv6" in line], told


def test_a_wall_at_the_interface_holds_whatever_the_system_and_its_programs_send(
    elsewhere: Network, other_end: socket.socket, hour: Path, tmp_path: Path
) -> None:
    elsewhere.shell(f"{WALL}\n{AS_MADE}\nip addr add {OWN}/24 dev mon0")
    with recording(elsewhere, tmp_path / "data") as sensor, elsewhere.listen("mon0") as program:
        time.sleep(ANSWER_SECONDS)
        sent = tempt(elsewhere, other_end, (ELSEWHERE, OWN)) + elsewhere.transmit(hour)
        with pytest.raises(OSError, match="No buffer space"):
            program.send(bytes(60))
        time.sleep(ANSWER_SECONDS)
        packets, lost, _ = sensor.stop()
    assert (packets, lost) == (sent, 0)
    assert elsewhere.counted("mon0", "tx_packets") == 0
    assert heard(other_end) == []
