"""Alerts of one site on their way out: batches, numbered as one run of whoever tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from collector.stream import Outgoing
from detection.alerts import encode_alerts
from sensor.spool_format import BatchHeader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from detection.alerts import Alert

SENSOR: Final = "detection"
"""Name under which alerts are published."""

BATCH_ALERTS: Final = 2_000
"""Most alerts of a batch: a quarter of a MiB of usual ones."""

BATCH_BYTES: Final = 512 * 1024
"""Most bytes of a batch of several: well below what a message may have (`kafka.largest_message_bytes`, at least 1 MiB)."""


def encoded(upserts: Sequence[Alert]) -> Iterator[tuple[Sequence[Alert], bytes]]:
    """Alerts in their order as batches that a message can hold, however many there are."""
    for begin in range(0, len(upserts), BATCH_ALERTS):
        yield from _halved(upserts[begin : begin + BATCH_ALERTS])


def _halved(upserts: Sequence[Alert]) -> Iterator[tuple[Sequence[Alert], bytes]]:
    """Alerts as one batch, or as those of each half where that is too large."""
    data = encode_alerts(upserts)
    if len(data) <= BATCH_BYTES or len(upserts) == 1:
        yield upserts, data
        return
    middle = len(upserts) // 2
    yield from _halved(upserts[:middle])
    yield from _halved(upserts[middle:])


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
        """Put alerts of a site, of that name, behind those that were put before."""
        self._batches += [self._numbered(site, part, data) for part, data in encoded(upserts)]

    def _numbered(self, site: str, upserts: Sequence[Alert], data: bytes) -> Outgoing:
        """The next batch."""
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
        return Outgoing(header, data)

    def take(self) -> list[Outgoing]:
        """The batches that were put since this was asked last."""
        batches, self._batches = self._batches, []
        return batches
