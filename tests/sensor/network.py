"""A network of its own for a test: a name space with a mirror port to listen to (mon0) and the cable's other end (gen0)."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SOL_PACKET = 263
PACKET_IGNORE_OUTGOING = 23
ETH_P_ALL = 3

# As deploy/docs/sensor.md says that a mirror port is set up: nothing of the system may send there.
SILENT = """
ip link set {name} arp off
sysctl -qw net.ipv6.conf.{name}.disable_ipv6=1
ip link set {name} up
"""


class Network:
    """A network name space. Raises CalledProcessError where the system does not permit one."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._ip("netns", "add", name)

    def close(self) -> None:
        """Take it away with all of its interfaces."""
        self._ip("netns", "delete", self.name)

    def shell(self, script: str) -> str:
        """Run commands in it; returns what they print."""
        done = subprocess.run(self.command("sh", "-e", "-c", script), check=True, capture_output=True, text=True)
        return done.stdout

    def command(self, *words: str) -> list[str]:
        """The command that runs `words` in it, as the same process."""
        return ["ip", "netns", "exec", self.name, *words]

    def connect(self, monitor: str = "mon0", other: str = "gen0") -> None:
        """Lay a cable between two interfaces, on which the system itself sends nothing."""
        silent = SILENT.format(name=monitor) + SILENT.format(name=other)
        self.shell(f"ip link add name {monitor} type veth peer name {other}\n{silent}")

    def listen(self, interface: str) -> socket.socket:
        """A packet socket that receives what comes in on an interface (not what leaves it), and may send on it."""
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        other = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        try:
            _enter(other)
            try:
                wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
                wire.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
                wire.bind((interface, ETH_P_ALL))
            finally:
                _enter(own)
        finally:
            os.close(own)
            os.close(other)
        return wire

    def transmit(self, capture: Path, *options: str, interface: str = "gen0") -> int:
        """Put the frames of a capture on the wire; returns how many."""
        command = self.command(sys.executable, "-m", "tests.sensor.transmit", interface, str(capture), *options)
        return int(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)

    def counted(self, interface: str, counter: str) -> int:
        """A counter of an interface, as in "tx_packets"."""
        return int(self.shell(f"cat /sys/class/net/{interface}/statistics/{counter}"))

    def _ip(self, *words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True, env={**os.environ, "LC_ALL": "C"})


def _enter(namespace: int) -> None:
    """Move this thread into a network name space (setns(2); Python has it from 3.12 on)."""
    if ctypes.CDLL(None, use_errno=True).setns(namespace, 0x4000_0000) != 0:
        raise OSError(ctypes.get_errno(), "setns")
