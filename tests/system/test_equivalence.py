"""Real captures both ways, on Kafka and Elasticsearch as on one machine; `make equivalence` does it with many more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.collector.cluster import cluster
from tests.detection.on_kafka import System
from tests.system.both_ways import (
    LATENESS_SECONDS,
    SPLIT,
    WHOLE,
    DifferenceError,
    Sent,
    equal_alerts,
    equal_records,
    of_three,
    recorded,
    rules,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.services.elasticsearch import Elasticsearch
    from tests.services.kafka import Kafka


def test_captures_give_the_same_alerts_and_records_on_kafka_and_elasticsearch_as_on_one_machine(
    kafka: Kafka, elasticsearch_server: Elasticsearch, tmp_path: Path, captures: Path
) -> None:
    sites = {
        f"w{number}": Sent(name, recorded(captures / name, f"w{number}", f"s{number}")) for number, name in enumerate(WHOLE[:2])
    }
    for seed in range(2):
        site = f"p{seed}"
        sites[site] = Sent(SPLIT[0], of_three(captures / SPLIT[0], tmp_path / site, site, seed))
    system = System(kafka, tmp_path, 4, lateness_seconds=LATENESS_SECONDS)
    assert all(equal_alerts(system, tmp_path, rules(tmp_path / "rules"), sites).values())
    with cluster(elasticsearch_server.url) as settings:
        rows = equal_records(system, tmp_path, sites, settings)
        assert sum(rows.values()) == sum(site.records for site in sites.values())
        (tmp_path / "less").mkdir()
        with pytest.raises(DifferenceError):
            equal_records(system, tmp_path / "less", {name: sites[name] for name in ("w0", "p0")}, settings)
