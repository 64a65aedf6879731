"""What goes to Kafka packed, and what as it is."""

from __future__ import annotations

import gzip
import random

from sensor.kafka_packing import packed

LIVE = bytes(range(256)) * 8
"""Much the same again and again, as the schema of live batches."""


def test_what_is_much_the_same_all_over_is_packed_whatever_its_size() -> None:
    for count in (1, 8, 1_000):
        assert len(packed(LIVE * count)) < len(LIVE) * count / 2
        assert gzip.decompress(packed(LIVE * count)) == LIVE * count


def test_what_is_packed_already_goes_as_it_is_though_its_middle_is_much_the_same() -> None:
    dense = random.Random(1).randbytes(300_000)
    for data in (dense, dense + LIVE * 50 + dense):
        assert packed(data) is data
