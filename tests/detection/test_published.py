"""What workers are told over Kafka, where Kafka fails: one line that says what is wrong, whichever of its clients met it."""

# kafka-python, which is stood in for, ships no types.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false

from __future__ import annotations

import io
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from kafka.errors import KafkaError, TopicAuthorizationFailedError

from detection import published
from detection.published import Published, publish_site
from detection.quix import QuixException
from detection.scaleout_command import _told  # pyright: ignore[reportPrivateUsage]  what every command's errors go through
from detection.site import Site
from sensor import kafka_reading
from sensor.control_records import encode
from sensor.kafka_client import KafkaUnusable
from sensor.kafka_message import UNREADABLE
from sensor.kafka_settings import KafkaSettings
from sensor.terminal import CommandError
from sensor.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Callable

SETTINGS = KafkaSettings(bootstrap="broker.example:9092", security="plaintext", prefix="t")


def failing(reading: threading.Event, error: KafkaError) -> Callable[..., Any]:
    """Makes a consumer of empty topics that fails from a moment on."""

    def poll(timeout_ms: int) -> dict[str, list[Any]]:
        del timeout_ms
        if reading.is_set():
            raise error
        return {}

    def made(*settings: Any, **options: Any) -> Any:
        del settings, options
        return SimpleNamespace(
            partitions_for_topic=lambda _: {0}, assign=lambda _: None, seek_to_beginning=lambda *_: None,
            end_offsets=lambda places: dict.fromkeys(places, 1 if reading.is_set() else 0), position=lambda _: 0, poll=poll,
            close=lambda: None,
        )  # fmt: skip

    return made


def test_brokers_of_which_nothing_comes_end_a_start_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, now = threading.Event(), [0.0]
    made = failing(reading, KafkaError())()
    made.end_offsets = lambda places: dict.fromkeys(places, 1)

    def poll(timeout_ms: int) -> dict[str, list[Any]]:
        now[0] += timeout_ms / 1e3
        assert now[0] < 3_600, "it waits without end"
        return {}

    made.poll = poll
    monkeypatch.setattr(kafka_reading, "consumer", lambda *_, **__: made)
    monkeypatch.setattr(published, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with pytest.raises(KafkaUnusable, match=r"t\.versions, t\.decisions: cannot be read to their ends"):
        Published(SETTINGS, Topics("t"))


def test_what_ends_the_reading_of_versions_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    reading = threading.Event()
    monkeypatch.setattr(kafka_reading, "consumer", failing(reading, TopicAuthorizationFailedError("t.versions")))
    made = Published(SETTINGS, Topics("t"))
    made.check()
    reading.set()
    made._thread.join(10)  # pyright: ignore[reportPrivateUsage]  it ends by itself
    with pytest.raises(KafkaUnusable, match=r"broker\.example:9092"):
        made.check()
    # So it is where it fails at the start.
    with pytest.raises(KafkaUnusable, match=r"broker\.example:9092"):
        Published(SETTINGS, Topics("t"))


def test_what_is_withdrawn_is_no_version_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_reading, "consumer", failing(threading.Event(), TopicAuthorizationFailedError("t.versions")))
    made = Published(SETTINGS, Topics("t"))
    for key in (b"/rules", b"a/b/rules"):
        made._take(key, encode(1, "rules", "content", version="1"))  # pyright: ignore[reportPrivateUsage]  as if it had come
    assert (made.newest("", "rules"), made.newest("a/b", "rules")) == ((1, "content"), (2, "content"))
    made._take(b"a/b/rules", None)  # pyright: ignore[reportPrivateUsage]
    assert (made.newest("", "rules"), made.newest("a/b", "rules")) == ((1, "content"), None)
    made.close()


def test_what_cannot_be_read_or_says_nothing_is_counted_and_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_reading, "consumer", failing(threading.Event(), KafkaError()))
    made = Published(SETTINGS, Topics("t"))
    # What there is of a message whose header cannot be read has no key.
    made._take(None, encode(1, "rules", "content"), [(UNREADABLE, b"the name of a header is no UTF-8")])  # pyright: ignore[reportPrivateUsage]
    for kind in ("rules", "site", "normal", "exception"):
        row, out = pl.read_ipc_stream(io.BytesIO(encode(1, kind, ""))), io.BytesIO()
        row.with_columns(content=pl.lit(None, pl.String())).write_ipc_stream(out)
        made._take(b"works", out.getvalue())  # pyright: ignore[reportPrivateUsage]
    made.close()
    assert made.refused == 5
    assert (made.newest("", "rules"), made.newest("works", "rules"), made.decisions("works")) == (None, None, [])


def test_a_consumer_is_let_go_whatever_ends_a_start(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []
    made = failing(threading.Event(), KafkaError())()
    made.close = lambda: closed.append(True)
    made.position = lambda _: (_ for _ in ()).throw(ValueError("no place"))
    monkeypatch.setattr(kafka_reading, "consumer", lambda *_, **__: made)
    with pytest.raises(ValueError, match="no place"):
        Published(SETTINGS, Topics("t"))
    assert closed == [True]


def test_a_fault_that_comes_again_at_each_start_is_not_said_to_pass() -> None:
    with pytest.raises(CommandError) as raised, _told():
        raise QuixException("the changelog has not as many partitions")
    assert "the changelog has not as many partitions" in str(raised.value)
    assert "nothing is lost" not in str(raised.value)
    assert "look at the brokers" in str(raised.value)


def test_facts_that_name_no_site_are_published_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "OrderedProducer", lambda *_: pytest.fail("something is sent"))
    with pytest.raises(CommandError, match="the name is empty"), _told():
        publish_site(SETTINGS, Topics("t"), Site())
