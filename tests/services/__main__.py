"""`make services`: the three services, until Ctrl-C, and how each is reached, as the environment of icsight."""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path

from tests.services.elasticsearch import Elasticsearch
from tests.services.kafka import Kafka
from tests.services.packages import Missing
from tests.services.postgres import Postgres
from tests.services.process import ServiceError


def main() -> int:
    """Start them, tell how they are reached, wait, stop them."""
    with tempfile.TemporaryDirectory(prefix="icsight-services-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        try:
            postgres = Postgres(folder / "postgres").start()
            kafka = Kafka(folder / "kafka").start()
            elasticsearch = Elasticsearch(folder / "elasticsearch").start()
        except (Missing, ServiceError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        print("== services: Kafka, Elasticsearch and PostgreSQL, on this machine only. Ctrl-C stops them and removes their data.")
        print(f"export ICSIGHT_KAFKA_SECURITY=plaintext ICSIGHT_KAFKA_BOOTSTRAP={kafka.bootstrap}")
        print(f"export ICSIGHT_ELASTICSEARCH_HOSTS={elasticsearch.url}")
        address = postgres.address(postgres.new_database())
        print(f"export ICSIGHT_DATABASE_URL={address} ICSIGHT_DATABASE_PASSWORD={postgres.password}", flush=True)
        signal.sigwait([signal.SIGINT, signal.SIGTERM])
        for service in (kafka, elasticsearch, postgres):
            service.stop()
    return 0


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
    sys.exit(main())
