"""Alerts of one site on their way out: batches, numbered as one run of whoever tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from collector.stream import Outgoing
from detection.alerts import encode_alerts
from sensor.spool_format import BatchHeader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detection.alerts import Alert

SENSOR: Final = "detection"
"""Name under which alerts are published."""


class AlertBatches:
    """Batches of alerts that are to be published.

    Args:
        epoch: of who tells them.
        told: batches that it told before.
    """

    def __init__(self, epoch: str, told: int) -> None:
        self.epoch: Final = epoch
        self.told = told
        self._batches: list[Outgoing] = []

    def put(self, site: str, upserts: Sequence[Alert]) -> None:
        """Put alerts of a site, of that name, as one batch."""
        sequence, self.told = self.told, self.told + 1
        header = BatchHeader(
            sensor=SENSOR,
            epoch=self.epoch,
            sequence=sequence,
            table="alert",
            rows=len(upserts),
            site=site,
            cut=sequence,
            cut_start=min(alert.first_seen for alert in upserts),
            cut_end=max(alert.last_seen for alert in upserts),
        )
        self._batches.append(Outgoing(header, encode_alerts(upserts)))

    def take(self) -> list[Outgoing]:
        """The batches that were put since this was asked last."""
        batches, self._batches = self._batches, []
        return batches
