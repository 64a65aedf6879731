"""Traces by OpenTelemetry, where they are asked for: what each process did with a batch, and when.

The trace of a batch is computed from its identity, so that the spans of all processes meet in one trace although no message
carries anything for it, and a batch that comes twice is seen to do so. Spans are told after the fact, with their times: no work
runs inside one. Without an endpoint nothing is loaded and nothing is kept.
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Final

from sensor import __version__
from sensor.configuration import ConfigurationError
from sensor.logs import identity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider

    from sensor.observability_settings import ObservabilitySettings
    from sensor.spool_format import BatchHeader

EXPORT_SECONDS: Final = 10.0
"""How long one export may take before its spans are given up."""

QUEUED_SPANS: Final = 8_192
"""Most spans that wait to be sent; further ones are dropped, by the library, and no work waits for them."""

BATCH: Final = "icsight.batch"
"""Attribute of each span: the batch that it is about."""


class _Traces:
    """Where spans go."""

    def __init__(self, provider: TracerProvider, share: float) -> None:
        self.provider = provider
        self.tracer = provider.get_tracer("icsight", __version__)
        # As TraceIdRatioBased has it, so that whoever samples later agrees.
        self.below = round(share * 2**64)


_state: Final[dict[str, _Traces]] = {}


def start(process: str, settings: ObservabilitySettings) -> None:
    """Make traces from here on, where settings name an endpoint. Raises ConfigurationError where the packages are missing."""
    if not settings.otlp_endpoint:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415  an extra
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"observability.otlp_endpoint needs the Python package {error.name}, which is not installed. "
            "Install it with: pip install 'icsight[telemetry]'"
        ) from error
    resource = Resource.create({"service.name": f"icsight-{process}", "service.version": __version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(settings.otlp_endpoint, timeout=EXPORT_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=QUEUED_SPANS))
    _state["on"] = _Traces(provider, settings.trace_share)


def stop() -> None:
    """Send what waits, and make no more."""
    traces = _state.pop("on", None)
    if traces is not None:
        traces.provider.shutdown()


def is_on() -> bool:
    """Whether spans go anywhere."""
    return "on" in _state


def record(stage: str, batches: Iterable[BatchHeader], began_ns: int, **attributes: str | float) -> None:
    """Tell that a stage has just done with batches on which it began at `began_ns` (`time.time_ns`): a span for each."""
    traces = _state.get("on")
    if traces is None:
        return
    ended_ns = time.time_ns()
    for header in batches:
        name = identity(header)
        about = {"icsight.table": header.table, "icsight.site": header.site, "icsight.rows": header.rows}
        _tell(traces, stage, name, (began_ns, ended_ns), about | attributes)


def record_of(stage: str, batch: str, began_ns: int, **attributes: str | float) -> None:
    """The same for a batch of which only the identity is known."""
    traces = _state.get("on")
    if traces is not None:
        _tell(traces, stage, batch, (began_ns, time.time_ns()), attributes)


def trace_id(batch: str) -> int:
    """The number of the trace of a batch."""
    return int.from_bytes(hashlib.sha256(batch.encode()).digest()[:16]) or 1


def _tell(traces: _Traces, stage: str, batch: str, times: tuple[int, int], attributes: dict[str, str | int | float]) -> None:
    number = trace_id(batch)
    if number % 2**64 >= traces.below:
        return
    span = traces.tracer.start_span(
        stage, context=_of_trace(number), start_time=times[0], attributes={BATCH: batch, **attributes}
    )
    span.end(times[1])


def _of_trace(number: int) -> Context:
    """What makes a span part of a trace: a parent in it that no process sends."""
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context  # noqa: PLC0415  an extra

    parent = SpanContext(number, number >> 64 or 1, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    return set_span_in_context(NonRecordingSpan(parent))
