"""What the system tells a Prometheus scraper, in OpenMetrics."""

from __future__ import annotations

from typing import cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.openmetrics.exposition import generate_latest  # pyright: ignore[reportUnknownVariableType]  its registry is untyped

from sensor.metrics import Readings


class Metrics:
    """All metrics of one system."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.readings = Readings()
        """What the parts of the system count themselves."""
        self.registry.register(self.readings)  # pyright: ignore[reportArgumentType]  its base class says no more than `collect`
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
        self.upserts = Counter("icsight_alert_upserts", "Revisions of alerts stored.", registry=self.registry)
        self.alerts = Gauge(
            "icsight_alerts", "Listed alerts by severity and state.", ["severity", "state"], registry=self.registry
        )
        self.live_streams = Gauge("icsight_live_streams", "Live streams that are open.", registry=self.registry)
        self.refused_reports = Counter(
            "icsight_refused_sensor_reports",
            "Messages on the topic of sensors that were no report of one.",
            registry=self.registry,
        )
        self.failures = Gauge(
            "icsight_part_failed", "1 for a part of the system that does not work.", ["part"], registry=self.registry
        )
        self.passed_over = Gauge(
            "icsight_clocks_passed_over",
            "Incidents, reports and tasks of which what is due cannot be done.",
            registry=self.registry,
        )
        self.notifications = Counter(
            "icsight_notifications",
            "Tries to send a message, by what came of it.",
            ["channel", "outcome"],
            registry=self.registry,
        )
        self.notifications_waiting = Gauge(
            "icsight_notifications_waiting", "Messages that are not sent, and notices that wait for one.", ["what"],
            registry=self.registry,
        )  # fmt: skip

    def exposition(self) -> bytes:
        """All metrics in the OpenMetrics text format."""
        return cast("bytes", generate_latest(self.registry))
