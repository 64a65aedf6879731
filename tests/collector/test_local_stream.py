"""What is special about a stream that is a spool."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from collector.stream import DamagedBatch, StreamError
from collector.stream.local import LocalStream
from sensor.spool import BatchHeader, Spool, SpoolReader, SpoolSettings
from sensor.spool_format import segment_path, segments

if TYPE_CHECKING:
    from pathlib import Path


def fill(spool: Spool, count: int, size: int = 100) -> None:
    for sequence in range(count):
        spool.append(BatchHeader("s", "e", sequence, "flow", 1), random.Random(sequence).randbytes(size))


def test_a_stream_is_read_before_its_spool_is_there(tmp_path: Path) -> None:
    consumer = LocalStream(tmp_path / "spool").subscribe("a")
    assert list(consumer.poll(0)) == []
    with Spool(tmp_path / "spool") as spool:
        fill(spool, 2)
    assert len(consumer.poll(0)) == 2


def test_a_stream_without_the_writer_takes_no_batches(tmp_path: Path) -> None:
    with pytest.raises(StreamError, match="reading only"):
        LocalStream(tmp_path).publish([])


def test_a_damaged_batch_is_reported_once_and_the_others_are_delivered(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        fill(spool, 4)
    path = segment_path(tmp_path, segments(tmp_path)[-1])
    content = path.read_bytes()
    path.write_bytes(content.replace(random.Random(2).randbytes(100), random.Random(2).randbytes(99) + b"?"))
    consumer = LocalStream(tmp_path).subscribe("a")
    assert [delivery.header.sequence for delivery in consumer.poll(0)] == [0, 1]
    with pytest.raises(DamagedBatch, match="s/e/2") as caught:
        consumer.poll(0)
    assert caught.value.header is not None
    assert caught.value.header.sequence == 2
    assert caught.value.position == consumer.position
    assert [(delivery.header.sequence, delivery.gap) for delivery in consumer.poll(0)] == [(3, None)]


def test_the_spool_keeps_what_the_slowest_consumer_has_not_passed(tmp_path: Path) -> None:
    settings = SpoolSettings(segment_bytes=64 * 1024, quota_bytes=1 << 30, retention_bytes=0)
    with Spool(tmp_path, settings=settings) as spool:
        stream = LocalStream(tmp_path, spool)
        slow, fast = stream.subscribe("slow"), stream.subscribe("fast")
        slow.commit(slow.position)
        fill(spool, 40, 10_000)
        while fast.poll(0):
            pass
        fast.commit(fast.position)
        assert SpoolReader(tmp_path).first == 0
        slow.commit(slow.poll(0, max_batches=20)[-1].position)
        assert 0 < SpoolReader(tmp_path).first <= 20
        assert slow.poll(0)[0].header.sequence == 20
