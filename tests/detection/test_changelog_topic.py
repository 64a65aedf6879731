"""Who reads what workers remember lets go of it at once when the server ends, also of a topic that brings nothing."""

# kafka-python, which is stood in for, ships no types.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from detection import changelog_topic
from detection.changelog_topic import READ_SECONDS, ChangelogTopic
from detection.checkpoint import CheckpointError
from sensor import kafka_reading
from sensor.kafka_settings import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import Callable

SETTINGS = KafkaSettings(bootstrap="broker.example:9092", security="plaintext", prefix="t")


def silent(polled: threading.Event) -> Callable[..., Any]:
    """Makes a consumer of a topic that has a message which never comes."""

    def poll(timeout_ms: int) -> dict[str, list[Any]]:
        polled.set()
        time.sleep(timeout_ms / 1_000)
        return {}

    def made(*settings: Any, **options: Any) -> Any:
        del settings, options
        return SimpleNamespace(
            partitions_for_topic=lambda _: {0}, assign=lambda _: None, seek=lambda *_: None, poll=poll,
            end_offsets=lambda places: dict.fromkeys(places, 1), beginning_offsets=lambda places: dict.fromkeys(places, 0),
            position=lambda _: 0, close=lambda **_: None,
        )  # fmt: skip

    return made


def test_closing_does_not_wait_for_what_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    polled, told = threading.Event(), list[str]()
    monkeypatch.setattr(kafka_reading, "consumer", silent(polled))
    monkeypatch.setattr(changelog_topic, "probe", lambda *_: None)
    topic = ChangelogTopic(SETTINGS)

    def read() -> None:
        with pytest.raises(CheckpointError) as raised:
            topic.learned()
        told.append(str(raised.value))

    reader = threading.Thread(target=read)
    reader.start()
    assert polled.wait(10)
    begun = time.monotonic()
    topic.close()
    reader.join(10)
    assert time.monotonic() - begun < READ_SECONDS / 3
    assert "is read no more" in told[0]
    with pytest.raises(CheckpointError, match="is read no more"):
        topic.learned()
