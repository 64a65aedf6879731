"""The product broken on purpose: `python -m tests.faults.broken NAME COMMAND…` is `icsight COMMAND…` with one promise left out.

A harness that finds nothing is worth nothing until it has been seen to find something. Each of these breaks is one that a person
could make, in the place where it would be made; `make faults BROKEN=NAME` must tell of runs that did not hold.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

from quixstreams.kafka.consumer import BaseConsumer

from api.cli import main
from collector.store.catalog import Catalog
from collector.store.elasticsearch import ElasticsearchRecordStore
from collector.store.local import LocalRecordStore
from collector.stream import kafka
from detection import scaleout
from sensor.uplink import Uplink

if TYPE_CHECKING:
    from collections.abc import Callable

SLOW_SECONDS: Final = 0.3
"""What a store may well take where there is more to store: moments of faults are few."""

# Breaks reach into what is no part of any interface.
# pyright: reportPrivateUsage=false


def _ship_ahead() -> None:
    """An uplink takes for acknowledged what it has only sent."""
    take_in = Uplink._take_in

    def ahead(uplink: Uplink, producer: Any) -> None:
        producer.acknowledged = producer.sent
        take_in(uplink, producer)

    patch.object(Uplink, "_take_in", ahead).start()


def _stand_ahead() -> None:
    """A collector says where it stands before it has stored what lies there, which takes it a while."""
    for store in (LocalRecordStore, ElasticsearchRecordStore):
        append: Any = store.append

        def ahead(self: Any, batches: Any, *, consumer: str = "", position: Any = None, append: Any = append) -> Any:
            append(self, [], consumer=consumer, position=position)
            time.sleep(SLOW_SECONDS)
            return append(self, batches)

        patch.object(store, "append", ahead).start()


def _store_repeats() -> None:
    """Neither a collector nor its store looks whether it has had a batch."""
    patch.object(Catalog, "holds", return_value=False).start()
    deliver: Any = kafka.StreamConsumer._deliver

    def again(self: Any, record: Any, header: Any) -> Any:
        self._standing.seen.pop(header.run, None)
        self._had.pop(record.partition, None)
        return deliver(self, record, header)

    patch.object(kafka.StreamConsumer, "_deliver", again).start()


def _commit_without_transactions() -> None:
    """A worker's alerts, its state and its place are not one, and its place comes a while later."""
    application: Any = scaleout.Application
    client: Any = BaseConsumer
    commit: Any = client.commit

    def late(*given: Any, **named: Any) -> Any:
        time.sleep(SLOW_SECONDS)
        return commit(*given, **named)

    def plain(*given: Any, producer_extra_config: dict[str, Any], **named: Any) -> Any:
        kept = {name: value for name, value in producer_extra_config.items() if not name.startswith("transaction")}
        return application(*given, **{**named, "processing_guarantee": "at-least-once"}, producer_extra_config=kept)

    patch.object(scaleout, "Application", plain).start()
    patch.object(client, "commit", late).start()


BREAKS: Final[dict[str, Callable[[], None]]] = {
    "uplink ahead": _ship_ahead,
    "collector ahead": _stand_ahead,
    "repeats stored": _store_repeats,
    "no transactions": _commit_without_transactions,
}
"""What can be broken, by name."""


if __name__ == "__main__":
    BREAKS[sys.argv.pop(1)]()
    main()
