"""Facts of the site hold from the place at which they were written down, also for whoever detects anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.stream import Outgoing
from collector.stream.local import LocalStream
from detection.alerts import decode_alerts
from detection.captures import record_batch
from detection.control import Control
from detection.pipeline import Pipeline
from detection.sigma.rule import rules_folder
from detection.site import Site
from detection.worker import Worker
from sensor._core import Reader
from sensor.spool import Spool
from sensor.tables import LOCAL_SENSOR

if TYPE_CHECKING:
    from pathlib import Path

WRITE = rules_folder() / "modbus" / "write_by_unauthorised_client.fires.pcap"
AGAIN = rules_folder() / "modbus" / "broadcast_write.fires.pcap"
STRICT = Site(lists={"authorised_writers": ("10.99.99.99",)})
LENIENT = Site(lists={"authorised_writers": ("10.0.0.0/8",)})


def spool(stream: LocalStream, capture: Path) -> None:
    reader = Reader(str(capture), sensor=LOCAL_SENSOR)
    for batch in reader:
        stream.publish([Outgoing(record_batch(batch, reader.epoch, "").header, batch.ipc())])


def detect(folder: Path, site: Site, checkpoint: str, control: LocalStream, records: LocalStream) -> list[tuple[str, int]]:
    """Run a worker over all that is there; the rules and revisions that it published."""
    with Spool(folder / f"alerts-{checkpoint}", sensor="detection") as held:
        alerts = LocalStream(folder / f"alerts-{checkpoint}", held)
        Worker(records, alerts, Pipeline(site), folder / f"{checkpoint}.json", Control(control)).drain()
        with alerts.subscribe("test") as consumer:
            found = [alert for delivery in consumer.poll(0) for alert in decode_alerts(delivery.data)]
    return sorted((alert.id, alert.revision) for alert in found if alert.rule == "write_by_unauthorised_client")


def test_a_version_of_the_site_holds_from_its_own_place_on_also_in_a_replay(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool", sensor=LOCAL_SENSOR) as held, Spool(tmp_path / "control", sensor="control") as decisions:
        records, control = LocalStream(tmp_path / "spool", held), LocalStream(tmp_path / "control", decisions)
        spool(records, WRITE)
        strict = detect(tmp_path, STRICT, "first", control, records)
        assert strict, "the first capture has a write that the strict site forbids"
        spool(records, AGAIN)
        # It grows by a story with what the second capture shows, and no write of that is told.
        both = detect(tmp_path, LENIENT, "first", control, records)
        assert {name for name, _ in both} == {name for name, _ in strict}
        versions = [effective.site.version for effective in Control(control).sites()]
        assert versions == [STRICT.version, LENIENT.version]
        assert detect(tmp_path, LENIENT, "replay", control, records) == both
