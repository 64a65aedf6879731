"""A network of its own for a test: a name space with a mirror port to listen to (mon0) and the cable's other end (gen0)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

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

    def transmit(self, capture: Path, *options: str, interface: str = "gen0") -> int:
        """Put the frames of a capture on the wire; returns how many."""
        command = self.command(sys.executable, "-m", "tests.sensor.transmit", interface, str(capture), *options)
        return int(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)

    def counted(self, interface: str, counter: str) -> int:
        """A counter of an interface, as in "tx_packets"."""
        return int(self.shell(f"cat /sys/class/net/{interface}/statistics/{counter}"))

    def _ip(self, *words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True, env={**os.environ, "LC_ALL": "C"})
