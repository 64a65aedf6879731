"""Rules marked ★ in deploy/docs/ideas.md fire on channels whose content nobody sees."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pytest

from detection.captures import detect
from detection.pipeline import Pipeline
from detection.sigma.check import test_site as site_of
from detection.sigma.rule import load
from sensor._core import Reader
from tests.rules.opcua import client, server
from tests.rules.test_ideas import rows
from tests.rules.traffic import RULES
from tests.rules.wire import INTRUDER, PLC, SCENARIOS, Capture

if TYPE_CHECKING:
    from pathlib import Path

SECURE: Final[dict[str, Any]] = {"policy": "Basic256Sha256", "mode": 3}

IN_CLEAR: Final = {
    "opcua_message_size_abuse",
    "opcua_large_request_without_session",
    "opcua_downgrade_to_none",
    "opcua_better_security_not_used",
}
"""Rules of starred ideas whose cause is in clear by nature, or which have others beside them for encrypted channels."""

STARRED: Final = sorted(
    {name for row in rows() if row[0].endswith("★") for name in re.findall(r"`opcua/(\w+)`", row[2])} - IN_CLEAR
)


def fires(rule: str, folder: Path) -> Path:
    """A capture that must fire a rule, with nothing to be read in it."""
    capture = Capture()
    if rule == "opcua_secure_channel_flood":
        serving = server(PLC)
        for _ in range(64):
            client(capture, INTRUDER, PLC, serving, **SECURE).connect()
            capture.wait(0.3)
    else:
        SCENARIOS[f"opcua/{rule}"].make(capture, Capture())
    path = folder / "fires.pcap"
    path.write_bytes(capture.pcap())
    return path


@pytest.mark.parametrize("rule", STARRED)
def test_a_starred_rule_fires_on_encrypted_channels(rule: str, tmp_path: Path) -> None:
    capture = fires(rule, tmp_path)
    channels = pl.concat([pl.DataFrame(batch) for batch in Reader(str(capture)) if batch.table == "opcua"])
    hidden = channels.filter(pl.col("opcua.message_type").is_in(["open", "message", "close"]))
    assert hidden.height
    assert hidden.get_column("opcua.encrypted").all()
    (known,) = (each for each in load([RULES / "opcua" / f"{rule}.yml"]) if each.alerts)
    alerts, _ = detect(str(capture), Pipeline(site_of(known), [known.path]))
    assert rule in {alert.rule for alert in alerts}
