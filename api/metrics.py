"""What the system tells a Prometheus scraper, in OpenMetrics."""

from __future__ import annotations

from typing import Final, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest  # pyright: ignore[reportUnknownVariableType]  its registry is untyped

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


class Metrics:
    """All metrics of one system."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "icsight_http_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry
        )
        self.request_seconds = Histogram(
            "icsight_http_request_seconds", "Time until the answer to a request begins.", ["route"], unit="seconds",
            registry=self.registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
        )  # fmt: skip
        self.packets = Counter("icsight_packets", "Packets taken in.", registry=self.registry)
        self.batches = Counter("icsight_batches", "New record batches spooled, by table.", ["table"], registry=self.registry)
        self.records = Counter("icsight_records", "New records spooled, by table.", ["table"], registry=self.registry)
        self.gaps = Counter(
            "icsight_gaps",
            "Holes in the sequences of sensors, by the consumer that met them.",
            ["consumer"],
            registry=self.registry,
        )
        self.detection_batches = Counter(
            "icsight_detection_batches", "Record batches that detection has looked at.", registry=self.registry
        )
        self.detection_records = Counter(
            "icsight_detection_records", "Records that detection has looked at.", registry=self.registry
        )
        self.findings = Counter("icsight_detection_findings", "Records that belong to what rules found.", registry=self.registry)
        self.detection_seconds = Counter(
            "icsight_detection_seconds", "Time that detection took.", unit="seconds", registry=self.registry
        )
        self.limited = Gauge(
            "icsight_detection_limited",
            "How often a bound of detection has bitten in what it remembers: it had to forget something.",
            registry=self.registry,
        )
        self.damaged = Counter(
            "icsight_detection_damaged_batches",
            "Record batches that detection could not read and passed over.",
            registry=self.registry,
        )
        self.late_cuts = Counter(
            "icsight_detection_late_cuts",
            "Cuts that came when later ones of the site's other sensors were through.",
            registry=self.registry,
        )
        self.hurried_cuts = Counter(
            "icsight_detection_hurried_cuts",
            "Cuts that did not wait for the site's other sensors because too many waited.",
            registry=self.registry,
        )
        self.set_back_records = Counter(
            "icsight_detection_set_back_records",
            "Records from a clock that was set back by more than the allowance.",
            registry=self.registry,
        )
        self.refused_decisions = Counter(
            "icsight_detection_refused_decisions",
            "Files among the decisions that wait which were none, and were set aside.",
            registry=self.registry,
        )
        self.lag_batches = Gauge(
            "icsight_lag_batches", "Batches that a consumer has still to do.", ["consumer"], registry=self.registry
        )
        self.upserts = Counter("icsight_alert_upserts", "Revisions of alerts stored.", registry=self.registry)
        self.alerts = Gauge(
            "icsight_alerts", "Listed alerts by severity and state.", ["severity", "state"], registry=self.registry
        )
        self.live_streams = Gauge("icsight_live_streams", "Live streams that are open.", registry=self.registry)
        self.failures = Gauge(
            "icsight_part_failed", "1 for a part of the system that does not work.", ["part"], registry=self.registry
        )

    def exposition(self) -> bytes:
        """All metrics in the OpenMetrics text format."""
        return cast("bytes", generate_latest(self.registry))
