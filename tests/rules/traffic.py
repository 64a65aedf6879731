"""Write the test captures of the rules: `python -m tests.rules.traffic`.

Each rule has beside it `<rule>.fires.pcap` and `<rule>.quiet.pcap`. They are made here, from the same calls
always with the same bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.rules import (
    anomaly_traffic,
    baseline_traffic,
    diagnostics_traffic,
    network_traffic,
    opcua_abuse_traffic,
    opcua_security_traffic,
    opcua_traffic,
    remote_traffic,
    sweeps_traffic,
    violations_traffic,
    writes_traffic,
)
from tests.rules.wire import SCENARIOS

RULES: Final = Path(__file__).resolve().parents[2] / "rules"
"""Folder of the rules."""

MODULES: Final = (
    anomaly_traffic,
    baseline_traffic,
    diagnostics_traffic,
    network_traffic,
    opcua_abuse_traffic,
    opcua_security_traffic,
    opcua_traffic,
    remote_traffic,
    sweeps_traffic,
    violations_traffic,
    writes_traffic,
)
"""The modules whose import registers the scenarios."""


def write_captures(folder: Path) -> list[str]:
    """Write all captures below `folder`; the names written."""
    names: list[str] = []
    for scenario in SCENARIOS.values():
        for name, data in scenario.captures().items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            names.append(name)
    return names


if __name__ == "__main__":
    write_captures(RULES)
