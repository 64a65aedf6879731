"""`icsight elasticsearch`, and `icsight query` over a cluster, as a person meets them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from collector.records import decode
from collector.store.elastic_server import Server
from collector.store.elasticsearch import ElasticsearchRecordStore
from sensor.spool_format import BatchHeader
from tests.batches import EPOCH, encode, sample
from tests.collector.cluster import empty, settings

if TYPE_CHECKING:
    from tests.services.elasticsearch import Elasticsearch

ROOT = Path(__file__).parents[2]


def icsight(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    program = "from api.cli import main; main()"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ICSIGHT_ELASTICSEARCH")}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        env={**environment, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_cluster_is_set_up_filled_asked_and_emptied_from_the_command_line(elasticsearch_server: Elasticsearch) -> None:
    chosen = settings(elasticsearch_server.url)
    variables = {
        "ICSIGHT_ELASTICSEARCH_HOSTS": chosen.hosts,
        "ICSIGHT_ELASTICSEARCH_PREFIX": chosen.prefix,
        "ICSIGHT_ELASTICSEARCH_REPLICAS": "0",
    }
    server = Server(chosen)
    try:
        refused = icsight("query", "SELECT 1", **variables)
        assert refused.returncode == 2
        assert "not set up" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
        planned = icsight("elasticsearch", "apply", "--plan", **variables)
        assert f"create /_index_template/{chosen.prefix}-modbus" in planned.stdout
        assert "not set up" in icsight("query", "SELECT 1", **variables).stderr
        assert icsight("elasticsearch", "apply", **variables).stdout.endswith("changes\n")
        assert icsight("elasticsearch", "apply", **variables).stdout == "nothing to do\n"
        store = ElasticsearchRecordStore(chosen, writer=True)
        header = BatchHeader("north", EPOCH, 0, "modbus", 20, "plant")
        store.append([decode(header, encode(header, sample("modbus", 20)))])
        store.close()
        asked = icsight("query", "SELECT count(*) AS n FROM modbus", "--output", "json", **variables)
        assert asked.stdout == '{"n":20}\n'
        status = icsight("elasticsearch", "status", **variables)
        assert "modbus: 20 records of 1 days" in status.stdout
        assert "index lifecycle management: not offered" in status.stdout
        assert icsight("elasticsearch", "retain", "--max-bytes", "0", **variables).stdout == "removed 20 records\n"
    finally:
        empty(server)
        server.ask("DELETE", f"/_index_template/{chosen.prefix}-*", absent=True)
        server.ask("DELETE", f"/_component_template/{chosen.prefix}-*", absent=True)
        server.close()


def test_what_a_cluster_is_told_can_be_read_without_one() -> None:
    told = icsight("elasticsearch", "show", ICSIGHT_ELASTICSEARCH_HOSTS="https://es.example:9200")
    assert "PUT /_component_template/icsight-modbus" in told.stdout
    assert '"modbus.address": {\n' in told.stdout
    role = icsight("elasticsearch", "role", ICSIGHT_ELASTICSEARCH_HOSTS="https://es.example:9200")
    assert '"icsight-*"' in role.stdout


def test_without_a_cluster_the_command_says_where_one_is_named() -> None:
    for arguments in (("elasticsearch", "status"), ("query", "SELECT 1")):
        done = icsight(*arguments, ICSIGHT_CONFIG="")
        assert done.returncode == 2
        assert "icsight.toml" in done.stderr
        assert len(done.stderr.splitlines()) == 1
