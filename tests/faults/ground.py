"""The services that the system stands on while faults happen: those of others, or its own on small disks, behind proxies."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

from tests.faults.disk import disk
from tests.faults.proxy import Proxy
from tests.services.elasticsearch import Elasticsearch
from tests.services.kafka import Kafka
from tests.services.postgres import Postgres
from tests.services.process import free_port

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from tests.services.process import Service

DISK_MIB: Final = 256
"""Room for a service: what many runs leave there is a few MiB, but files are laid out in advance."""

HEAP_MIB: Final = 512
"""Of the node that is killed: the one that all tests share runs beside it, and a machine of tests must hold both."""


class Ground:
    """Services that others may use too: faults happen to our own processes only.

    Attributes:
        kafka: the broker.
        elasticsearch: the node.
        postgres: the database server.
    """

    def __init__(self, kafka: Kafka, elasticsearch: Elasticsearch, postgres: Postgres) -> None:
        self.kafka: Final = kafka
        self.elasticsearch: Final = elasticsearch
        self.postgres: Final = postgres

    @property
    def services(self) -> tuple[Service, ...]:
        """All of them."""
        return self.kafka, self.elasticsearch, self.postgres

    @property
    def bootstrap(self) -> str:
        """The broker's address for the system."""
        return self.kafka.bootstrap

    @property
    def hosts(self) -> str:
        """The node's address for the system."""
        return self.elasticsearch.url


class OwnGround(Ground):
    """Services for faults alone, until the end of a `with` block. Needs root, for the disks.

    Attributes:
        kafka_proxy: between the broker and the system; the harness itself goes past it.
        kafka_disk: where the broker's log lies.
        elasticsearch_proxy: between the node and the system; likewise.
        elasticsearch_disk: where the node's data lies.
        postgres_disk: where the database lies.
    """

    def __init__(self, folder: Path) -> None:
        self._stack = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            self.kafka_disk: Final = stack.enter_context(disk(folder / "kafka", DISK_MIB))
            self.elasticsearch_disk: Final = stack.enter_context(disk(folder / "elasticsearch", DISK_MIB))
            self.postgres_disk: Final = stack.enter_context(disk(folder / "postgres", DISK_MIB))
            real = free_port()
            self.kafka_proxy: Final = Proxy(real)
            stack.callback(self.kafka_proxy.close)
            elasticsearch = Elasticsearch(folder / "elasticsearch", heap_mib=HEAP_MIB)
            stack.callback(elasticsearch.kill)
            elasticsearch.start()
            kafka = Kafka(folder / "kafka", behind=(real, self.kafka_proxy.port))
            stack.callback(kafka.kill)
            postgres = Postgres(folder / "postgres")
            stack.callback(postgres.kill)
            super().__init__(kafka.start(), elasticsearch, postgres.start())
            port = urlsplit(elasticsearch.url).port
            assert port is not None
            self.elasticsearch_proxy: Final = Proxy(port)
            stack.callback(self.elasticsearch_proxy.close)
            self._stack = stack.pop_all()

    @property
    def bootstrap(self) -> str:
        """The broker's address for the system."""
        return f"127.0.0.1:{self.kafka_proxy.port}"

    @property
    def hosts(self) -> str:
        """The node's address for the system."""
        return f"http://127.0.0.1:{self.elasticsearch_proxy.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()
