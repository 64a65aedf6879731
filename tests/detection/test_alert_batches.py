"""Alerts on their way out: in batches that a message can hold, however many there are."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

from detection.alert_batches import BATCH_BYTES, AlertBatches
from detection.alerts import Alert, decode_alerts


def alert(number: int, **body: Any) -> Alert:
    """An alert at its own second."""
    return Alert(f"alert-{number}", 1, "rule", "high", 0.5, 3.0, number, number + 1, 1, None, None, body)


def noise(size: int) -> str:
    """Text that cannot be packed."""
    return random.Random(size).randbytes(size // 2).hex()


def test_many_alerts_go_out_in_order_in_batches_of_a_bounded_size() -> None:
    upserts = [alert(number, records=noise(1_000 + number)) for number in range(3_000)]
    batches = AlertBatches("e", 7)
    batches.put("works", upserts[:2])
    batches.put("works", upserts[2:])
    told = batches.take()
    assert max(len(each.data) for each in told) <= BATCH_BYTES
    assert [each for batch in told for each in decode_alerts(bytes(batch.data))] == upserts
    assert [each.header.sequence for each in told] == [*range(7, 7 + len(told))]
    assert batches.told == 7 + len(told)
    assert [each.header.rows for each in told[:1]] == [2]
    assert sum(each.header.rows for each in told) == len(upserts)
    # Each says when what it holds was seen.
    assert (told[0].header.cut_start, told[-1].header.cut_end) == (0, 3_000)
    assert all(before.header.cut_end <= after.header.cut_start + 1 for before, after in pairwise(told))


def test_many_small_alerts_are_not_one_batch_and_a_few_are() -> None:
    batches = AlertBatches("e", 0)
    batches.put("works", [alert(number) for number in range(4_001)])
    assert [each.header.rows for each in batches.take()] == [2_000, 2_000, 1]


def test_an_alert_that_is_too_large_by_itself_goes_by_itself() -> None:
    batches = AlertBatches("e", 0)
    batches.put("works", [alert(0), alert(1, records=noise(3 * BATCH_BYTES)), alert(2)])
    assert [each.header.rows for each in batches.take()] == [1, 1, 1]
