"""The packets of an alert through the API, and pins on the stream of control records."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import time
import zipfile
from typing import TYPE_CHECKING

from api.evidence.pins import Pins
from collector.stream import Position
from collector.stream.local import LocalStream
from detection.control import SENSOR, Control, Effective
from detection.site import Site
from sensor import packets
from sensor.control import Requests
from sensor.packets import PACKETS
from sensor.spool import Spool
from tests.api.alerts import START, upsert
from tests.sensor.test_packets import ASKED, QUOTA, content, frame, kept, wrote

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.api.conftest import Running

FRAMES = [(START + number * 1_000_000_000, frame(1, 40, back=number % 2 == 1)) for number in range(60)]
ALERT = upsert(1, client_ip="10.0.0.1", server_ip="10.0.1.2", first_seen=START + 20 * 10**9, last_seen=START + 30 * 10**9)


def test_the_packets_of_an_alert_are_handed_to_an_operator_and_audited(system_running: Running, tmp_path: Path) -> None:
    system_running.alerts(ALERT, upsert(2, client_ip="10.9.9.9"), upsert(3, client_ip=None, server_ip=None))
    client = system_running.signed_in("operator", name="li")
    path = f"/api/alerts/{ALERT.id}/evidence"
    assert client.get(path).json()["code"] == "evidence_gone"
    kept(system_running.services.settings.data / PACKETS, wrote(tmp_path / "made.pcap", FRAMES))
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/vnd.tcpdump.pcap"
    # Five seconds before, ten after.
    assert content(answer.content) == FRAMES[15:41]
    assert b"asked for by li at" in answer.content
    assert answer.headers["x-content-sha256"] == hashlib.sha256(answer.content).hexdigest()
    masked = client.get(path, params={"mask_values": "true"})
    assert len(content(masked.content)) == 26
    archive = client.get(path, params={"form": "zip"})
    assert archive.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(archive.content)) as opened:
        assert opened.namelist() == [f"alert-{ALERT.id}.pcapng", f"alert-{ALERT.id}.json"]
        file, manifest = opened.read(opened.namelist()[0]), json.loads(opened.read(opened.namelist()[1]))
    assert manifest["sha256"] == hashlib.sha256(file).hexdigest() == archive.headers["x-content-sha256"]
    assert content(file) == FRAMES[15:41]
    assert (manifest["packets"], manifest["asked_by"], len(manifest["segments"])) == (26, "li", 1)
    assert client.get(path, params={"form": "tar"}).status_code == 422
    assert client.get(f"/api/alerts/{upsert(2).id}/evidence").status_code == 404
    assert client.get(f"/api/alerts/{upsert(3).id}/evidence").json()["code"] == "evidence_none"
    assert client.get("/api/alerts/unknown/evidence").json()["code"] == "alert_unknown"
    assert system_running.signed_in("viewer").get(path).json()["code"] == "forbidden"
    assert system_running.client().get(path).status_code == 401
    trail = system_running.signed_in("administrator").get("/api/audit").json()["items"]
    assert [entry["actor"] for entry in trail if entry["action"] == "evidence.take"] == ["li"] * 3


def test_an_alert_that_names_no_address_has_the_packets_from_around_its_time(system_running: Running, tmp_path: Path) -> None:
    """Of a hardware address, say: all packets then, for nobody knows which of them are meant."""
    body = {**ALERT.body, "records": ["local/e/0/3"]}
    nameless = upsert(4, client_ip=None, server_ip=None, first_seen=START + 20 * 10**9, last_seen=START + 50 * 10**9, body=body)
    system_running.alerts(nameless)
    kept(system_running.services.settings.data / PACKETS, wrote(tmp_path / "made.pcap", FRAMES))
    client = system_running.signed_in("operator")
    assert content(client.get(f"/api/alerts/{nameless.id}/evidence").content) == FRAMES[15:31]
    archive = client.get(f"/api/alerts/{nameless.id}/evidence", params={"form": "zip"}).content
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert json.loads(opened.read(f"alert-{nameless.id}.json"))["addresses"] == []


def until(true: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_alerts_ask_for_pins_on_the_control_stream_and_the_ring_follows(tmp_path: Path) -> None:
    ring = kept(tmp_path / PACKETS, wrote(tmp_path / "made.pcap", FRAMES))
    with Spool(tmp_path / "control", sensor=SENSOR, site="") as spool:
        stream = LocalStream(tmp_path / "control", spool)
        control = Control(stream)
        control.publish(Effective(Site(site="w3"), Position()))
        pins = Pins(lambda statement, _: control.pin(statement))
        pins.ask([ALERT])
        before = stream.highest(SENSOR, next(run for run in stream.end().seen)[1])
        pins.ask([ALERT])
        assert stream.highest(SENSOR, next(run for run in stream.end().seen)[1]) == before
        stop = threading.Event()
        requests = Requests(tmp_path, (ring, QUOTA), "local")
        thread = threading.Thread(target=requests.run, args=(stop,))
        thread.start()
        until(requests.settled)
        stop.set()
        thread.join()
        # The site's facts are still there.
        assert [each.site.site for each in Control(stream).sites()] == ["w3"]
    pinned = packets.pinned(ring, ALERT.id)
    assert pinned is not None
    for path in ring.glob("0*"):
        path.unlink()
    assert content(packets.take(ring, pinned, ASKED).file) == FRAMES[15:41]
    assert requests.refused == 0
