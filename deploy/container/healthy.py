"""Asks a process of this container whether it works: exit status 0 if it says so, 1 with the reason if not.

For health checks of container engines; it needs Python's standard library and nothing else.

    python3 healthy.py https://localhost:8420/readyz /run/secrets/ca.pem
    python3 healthy.py http://127.0.0.1:9464/healthz
"""

from __future__ import annotations

import http.client
import ssl
import sys
import urllib.error
import urllib.request

SECONDS = 4.0
"""How long the answer may take."""

ANSWER_BYTES = 500
"""Most of the answer that is told."""


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


if __name__ == "__main__":
    asked, *more = sys.argv[1:]
    works, told = ask(asked, more[0] if more else None)
    print(told)
    sys.exit(0 if works else 1)
