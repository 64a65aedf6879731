"""`python -m tests.exchanges [NAME...]`: makes captures of real stacks anew, as root, on two hosts in network name spaces."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any, Final

from tests.sensor.network import Network

HERE: Final = Path(__file__).parent

CLIENT: Final = ("02:00:00:00:00:01", "10.99.0.1", "engineer-1")
"""Hardware address, network address and name of the client."""

SERVER: Final = ("02:00:00:00:00:02", "10.99.0.2", "controller-1")
"""Those of the server."""

SETUP: Final = """
ip link set port0 address {mac}
ip address add {ip}/24 dev port0
sysctl -qw net.ipv6.conf.all.disable_ipv6=1
ip link set lo up
ip link set port0 up
ip route add default dev port0
"""


def main() -> None:
    """Make the exchanges that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has the libraries which script.toml names")
    options = parser.parse_args()
    script: dict[str, dict[str, Any]] = tomllib.loads((HERE / "script.toml").read_text(encoding="utf-8"))
    for name, exchange in script.items():
        if not options.names or name in options.names:
            print(f"{name}: {make(HERE / f'{name}.pcap', exchange, options.python)} bytes", flush=True)


def make(target: Path, exchange: dict[str, Any], python: str) -> int:
    """Run one exchange and keep what goes over the cable; returns the size of the capture."""
    client, server = Network("exchange-client"), Network("exchange-server")
    running: list[subprocess.Popen[str]] = []
    names = [Path("/etc/netns") / host.name / "hosts" for host in (client, server)]

    def start(command: list[str], folder: str) -> subprocess.Popen[str]:
        running.append(_start(command, folder, python))
        return running[-1]

    try:
        # ip-netns(8) lays these over /etc/hosts: nobody waits for a name server.
        for path in names:
            path.parent.mkdir(parents=True)
            path.write_text("127.0.0.1 localhost\n" + "".join(f"{ip} {name}\n" for _, ip, name in (CLIENT, SERVER)))
        client.shell(f"ip link add port0 type veth peer name port0 netns {server.name}")
        for host, (mac, ip, _) in ((client, CLIENT), (server, SERVER)):
            host.shell(SETUP.format(mac=mac, ip=ip))
        listener = start(client.command("tcpdump", "-i", "port0", "-U", "-w", str(target), exchange["filter"]), ".")
        with tempfile.TemporaryDirectory(prefix="exchange-") as folder:
            time.sleep(1)
            serving = start(_shell(server, SERVER[2], exchange.get("server", "exec sleep 60")), folder)
            time.sleep(exchange.get("wait_seconds", 1))
            asking = start(_shell(client, CLIENT[2], exchange["client"]), folder)
            told = asking.communicate(timeout=60)[0]
            time.sleep(1)
            for process in (serving, listener):
                os.killpg(process.pid, signal.SIGTERM)
            answered = serving.communicate(timeout=10)[0]
            listener.communicate(timeout=10)
            if asking.returncode:
                sys.exit(f"error: {target.name}: status {asking.returncode}: {told[-800:]}\nserver: {answered[-800:]}")
        return target.stat().st_size
    finally:
        for process in running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        for path in names:
            shutil.rmtree(path.parent, ignore_errors=True)
        client.close()
        server.close()


def _shell(host: Network, name: str, script: str) -> list[str]:
    """The script on a host that has a name of its own: programs tell it."""
    return host.command("unshare", "--uts", "bash", "-c", f"hostname {name}; {script}")


def _start(command: list[str], folder: str, python: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHON": python, "PEERS": str(HERE / "peers"), "HOME": folder, "USER": "engineer"}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


if __name__ == "__main__":
    main()
