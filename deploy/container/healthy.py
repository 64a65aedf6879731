"""Asks a process of this container whether it works: exit status 0 if it says so, 1 with the reason if not.

For health checks of container engines; it needs Python's standard library and nothing else.

    python3 healthy.py https://localhost:8420/readyz /run/secrets/ca.pem
    python3 healthy.py connected 9092,9093

The last is for processes that answer nobody: whether this container has a connection to one of these ports elsewhere, as its
process has to Kafka's brokers while it works.
"""

from __future__ import annotations

import http.client
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path

SECONDS = 4.0
"""How long the answer may take."""

ANSWER_BYTES = 500
"""Most of the answer that is told."""

ESTABLISHED = "01"
"""State of a connection that stands, as the kernel writes it."""


def ask(url: str, authorities: str | None) -> tuple[bool, str]:
    """Whether a process says that it works, and what it says.

    Args:
        url: where it is asked, `http:` or `https:`.
        authorities: PEM file of the authorities that its certificate is checked against.
    """
    if not url.startswith(("http://", "https://")):
        return False, f"{url}: no address of HTTP"
    try:
        context = ssl.create_default_context(cafile=authorities) if url.startswith("https:") else None
        # Not by a proxy: the process is in this container.
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), *([urllib.request.HTTPSHandler(context=context)] if context else [])
        )
        with opener.open(url, timeout=SECONDS) as answer:
            return True, answer.read(ANSWER_BYTES).decode(errors="replace")
    except urllib.error.HTTPError as error:
        return False, f"{error.code}: {error.read(ANSWER_BYTES).decode(errors='replace')}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return False, f"{url}: {error}"


def connected(ports: set[int]) -> tuple[bool, str]:
    """Whether a connection from this container to one of the ports stands, and which (proc(5), /proc/net/tcp)."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            _, _, remote, state, *_ = line.split()
            port = int(remote.rpartition(":")[2], 16)
            if state == ESTABLISHED and port in ports:
                return True, f"connected to port {port}"
    return False, f"no connection to port {', '.join(map(str, sorted(ports)))}"


if __name__ == "__main__":
    asked, *more = sys.argv[1:]
    if asked == "connected":
        works, told = connected({int(port) for port in more[0].split(",")})
    else:
        works, told = ask(asked, more[0] if more else None)
    print(told)
    sys.exit(0 if works else 1)
