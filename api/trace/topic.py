"""A batch in Kafka's topic of records."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from api.trace import Found
from collector.stream import StreamError
from collector.stream.kafka import KafkaStream
from collector.stream.kafka_search import search
from sensor.kafka_client import KafkaUnusable
from sensor.topics import Topics

if TYPE_CHECKING:
    from api.trace import Sought, State
    from collector.stream.kafka_search import Held
    from sensor.kafka_settings import KafkaSettings


def in_kafka(sought: Sought, settings: KafkaSettings, seconds: float) -> Found:
    """What the topic of records says, looked at for so long."""
    topic = Topics(settings.prefix).records
    stream = KafkaStream(settings, topic)
    try:
        held = search(stream, sought.run, sought.sequence, seconds)
    except (StreamError, KafkaUnusable) as error:
        return Found("kafka", "unknown", str(error))
    if held.header is None:
        state, text = _why_not_in_kafka(topic, held, seconds)
        return Found("kafka", state, text, {"topic": topic, "below": held.below, "above": held.above})
    header = sought.header = held.header
    sought.partition, sought.offset = held.partition, held.offset
    written = datetime.fromtimestamp(held.written_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    about: dict[str, object] = {
        "topic": topic, "partition": held.partition, "offset": held.offset, "written": written, "table": header.table,
        "rows": header.rows, "dropped": header.dropped, "site": header.site,
    }  # fmt: skip
    text = (
        f"{topic}, partition {held.partition}, offset {held.offset:,}, written {written}: {header.rows:,} rows of {header.table}"
    )
    return Found("kafka", "there", text, about)


def _why_not_in_kafka(topic: str, held: Held, seconds: float) -> tuple[State, str]:
    if not held.is_whole:
        return "unknown", f"{topic}: not found in {seconds:g} s, and not all was looked at: give more --seconds"
    if held.above is None and held.below is None:
        begun = " (its front is gone: retention)" if any(held.begins.values()) else ""
        return "absent", f"{topic} holds nothing of this run{begun}: not shipped, or kept no longer"
    if held.above is None:
        return "absent", f"{topic}: not shipped yet: the run has come to {held.below:,}"
    if held.below is None and any(held.begins.values()):
        return "absent", f"{topic}: kept no longer: what is there of the run begins at {held.above:,} (retention)"
    lower = "nothing" if held.below is None else f"{held.below:,}"
    return "absent", (
        f"{topic}: never shipped: {lower} and {held.above:,} are there and it is not; "
        "it was removed from the sensor's spool before (quota or age), damaged there, or larger than a message may be"
    )
