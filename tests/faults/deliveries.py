"""Batches that come more than once and out of order, as from a producer that sends again what was not acknowledged."""

# kafka-python ships no types for its clients.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from kafka import KafkaProducer

from sensor import kafka_message

if TYPE_CHECKING:
    from tests.faults.run import Run


def by_hand(run: Run) -> None:
    """The run has no uplink: the harness ships its batches."""
    run.ships = False


def repeat(run: Run) -> None:
    """Ship all batches, and every now and then go back and ship again what was shipped: an old batch comes behind a newer one."""
    producer: Any = KafkaProducer(bootstrap_servers=run.system.ground.kafka.bootstrap, max_request_size=9 * 1024**2)
    repeats = number = highest = 0
    while number < len(run.wanted):
        batch = run.wanted[number]
        message = kafka_message.encode(batch.header, batch.data)
        producer.send(run.system.topics.records, key=message.key, value=message.value, headers=message.headers)
        repeats += number < highest
        number += 1
        highest = max(highest, number)
        # A collector's place moves with what is new: the last batch comes last.
        if number < len(run.wanted) and run.random.random() < 1 / 8:
            producer.flush()
            time.sleep(run.random.uniform(0.0, 0.3))
            number = run.random.randrange(number)
    producer.flush()
    producer.close()
    run.outcome.met_work = repeats > 0
    run.outcome.what = f"{repeats} repeats"
