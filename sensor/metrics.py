"""What a process counts, read when somebody asks.

A part of the system declares its measures once and tells their readings from the counters that it keeps anyway; nothing is
counted twice, and a process that nobody scrapes pays nothing. So the same part tells the same, alone or beside others in one
process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, cast

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest  # pyright: ignore[reportUnknownVariableType]  its registry is untyped

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
"""Media type of `exposition` (OpenMetrics 1.0.0)."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A family of metrics.

    Attributes:
        name: begins with `icsight_`; ends with the unit where there is one, never with `_total`.
        kind: a counter only rises while the process lives.
        meaning: a sentence.
        labels: names of the labels of each reading.
        unit: as OpenMetrics has it: seconds, bytes, ratio.
    """

    name: str
    kind: Literal["counter", "gauge"]
    meaning: str
    labels: tuple[str, ...] = ()
    unit: str = ""


class Reading(NamedTuple):
    """The value of a measure now; `labels` are values, in the order of the measure's names."""

    measure: Measure
    value: float
    labels: tuple[str, ...] = ()


Source = Callable[[], Iterable[Reading]]
"""Tells the readings of a part; called by the thread that is asked, so it only reads."""

LAG_BATCHES: Final = Measure("icsight_lag_batches", "gauge", "Batches that a consumer has still to do.", ("consumer",))
LAG_SECONDS: Final = Measure(
    "icsight_lag_seconds",
    "gauge",
    "How long the oldest batch that a consumer has still to do has been seen to wait.",
    ("consumer",),
    "seconds",
)
GAPS: Final = Measure(
    "icsight_gaps", "counter", "Holes in the sequences of sensors, by the consumer that met them.", ("consumer",)
)
BATCH_AGE: Final = Measure(
    "icsight_batch_age_seconds",
    "gauge",
    "Time from the end of the last batch done, by its packets' clock, until it was done; years where old captures are replayed.",
    ("consumer",),
    "seconds",
)


class Readings:
    """The readings of all parts of a process, as a collector of prometheus-client."""

    def __init__(self) -> None:
        self._sources: list[Source] = []
        self._lock = threading.Lock()

    def add(self, source: Source) -> None:
        """Ask this part, too."""
        with self._lock:
            self._sources.append(source)

    def collect(self) -> Iterable[Metric]:
        """All families. Parts that tell the same measure, each with labels of its own, make one family."""
        with self._lock:
            sources = list(self._sources)
        families: dict[Measure, CounterMetricFamily | GaugeMetricFamily] = {}
        for source in sources:
            for measure, value, labels in source():
                if measure not in families:
                    family = CounterMetricFamily if measure.kind == "counter" else GaugeMetricFamily
                    families[measure] = family(measure.name, measure.meaning, labels=measure.labels, unit=measure.unit)
                families[measure].add_metric(labels, value)
        return families.values()

    def exposition(self) -> bytes:
        """All readings in the OpenMetrics text format."""
        registry = CollectorRegistry()
        registry.register(self)  # pyright: ignore[reportArgumentType]  its base class says no more than `collect`
        return cast("bytes", generate_latest(registry))
