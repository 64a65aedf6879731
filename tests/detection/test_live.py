"""Alerts of a live capture: cut by wall time while packets still come."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pymodbus.pdu.diag_message import RestartCommunicationsOptionRequest

from detection.captures import detect
from detection.pipeline import Pipeline
from detection.site import Site
from tests.rules.wire import INTRUDER, PLC, Capture

if TYPE_CHECKING:
    from detection.alerts import Alert

ROOT: Final = Path(__file__).resolve().parents[2]

DETECTING: Final = """
from detection.captures import detect
from detection.pipeline import Pipeline
from detection.site import Site
print("ready", flush=True)
for alert in detect("-", Pipeline(Site()))[0]:
    print(alert.rule, alert.first_seen, alert.last_seen)
"""

CUT_SECONDS: Final = 1.5
"""Longer than a live source waits for its next cut."""


def late_answers() -> tuple[bytes, int, tuple[int, int]]:
    """A capture of two restarts that are answered late; where its last answer begins; and when the requests were sent."""
    capture = Capture()
    session = capture.modbus(INTRUDER, PLC)
    times: list[int] = []
    border = 0
    for _ in range(2):
        times.append(capture.clock * 1_000)
        request = session.encode(RestartCommunicationsOptionRequest())
        session.connection.send(request)
        capture.wait(2)
        session.connection.packet(from_client=False, flags="A")
        capture.wait(1)
        border = len(capture.pcap())
        session.connection.receive(session.controller.answer(request))
    return capture.pcap(), border, (times[0], times[1])


def told(alert: Alert) -> str:
    return f"{alert.rule} {alert.first_seen} {alert.last_seen}"


def test_an_alert_was_seen_when_requests_were_sent_though_an_answer_came_in_a_later_cut(tmp_path: Path) -> None:
    data, border, times = late_answers()
    file = tmp_path / "late.pcap"
    file.write_bytes(data)
    whole = [told(alert) for alert in detect(str(file), Pipeline(Site()))[0]]
    assert f"restart_communications {times[0]} {times[1]}" in whole
    live = subprocess.Popen([sys.executable, "-c", DETECTING], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert live.stdin is not None
    assert live.stdout is not None
    assert live.stdout.readline() == b"ready\n"
    live.stdin.write(data[:border])
    live.stdin.flush()
    time.sleep(CUT_SECONDS)
    out, _ = live.communicate(data[border:])
    assert out.decode().splitlines() == whole
