"""One Kafka broker (KRaft), plain and with TLS: what a cluster of one does is what a cluster does, but for copies."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final

from kafka.admin import KafkaAdminClient

from tests.services import packages
from tests.services.certificates import Authority
from tests.services.process import Process, Service, free_port

if TYPE_CHECKING:
    from pathlib import Path

CLUSTER: Final = "MkU3OEVBNTcwNTJENDM2Qg"

ADMIN: Final = ("admin", "of-tests-only")
"""Name and password of the user who may do everything, over SASL."""

MEMORY: Final = ("-Xmx384m", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")

QUIET: Final = ("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true")


class Kafka(Service):
    """A broker with its data in a folder.

    Everybody may do everything over `bootstrap`; over TLS, who is who counts and nobody may do anything without a rule.

    Attributes:
        bootstrap: address without TLS.
        sasl_bootstrap: address for names and passwords (SCRAM-SHA-512) over TLS.
        tls_bootstrap: address for client certificates, whose common name is the principal.
        authority: issues the certificates.
    """

    def __init__(
        self, folder: Path, *, owner: int | None = None, settings: dict[str, str] | None = None,
        behind: tuple[int, int] | None = None,
    ) -> None:  # fmt: skip
        """Format its folder. With `behind` it listens, without TLS, on the first port too, which clients reach by the second."""
        super().__init__(folder)
        self._owner = owner
        self._behind = behind
        self._settings = settings or {}
        folder.mkdir(parents=True, exist_ok=True)
        self.authority: Final = Authority(folder / "certificates")
        ports = [free_port() for _ in range(4)]
        self.bootstrap, self.sasl_bootstrap, self.tls_bootstrap, self._controller = (f"127.0.0.1:{port}" for port in ports)
        self._configure()

    def begin(self) -> Process:
        """Its process."""
        command = [str(packages.java()), *MEMORY, *QUIET, "-cp", f"{packages.kafka()}/*", "kafka.Kafka"]
        return Process([*command, str(self.folder / "server.properties")], self.folder / "log", owner=self._owner)

    def ask(self) -> None:
        """Ask whether it is there."""
        KafkaAdminClient(bootstrap_servers=self.bootstrap).close()

    def _configure(self) -> None:
        certificate, key = self.authority.issue("broker")
        both = self.folder / "certificates" / "both.pem"
        both.write_bytes(key.read_bytes() + certificate.read_bytes())
        jaas = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        lines = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{self._controller}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL:SASL_SSL,MTLS:SSL,CONTROLLER:PLAINTEXT,BEHIND:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.sasl.scram-sha-512.sasl.jaas.config": jaas,
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(both),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority.file),
            "listener.name.mtls.ssl.client.auth": "required",
            "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/,DEFAULT",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:ANONYMOUS;User:{ADMIN[0]}",
            "allow.everyone.if.no.acl.found": "false",
            "log.dirs": str(self.folder / "data"),
            "auto.create.topics.enable": "false",
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": "1",
            "default.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            "log.cleaner.dedupe.buffer.size": "10485760",
            "message.max.bytes": str(9 * 1024**2),
            "replica.fetch.max.bytes": str(9 * 1024**2),
            **self._listeners(),
            **self._settings,
        }
        path = self.folder / "server.properties"
        path.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        scram = f"SCRAM-SHA-512=[name={ADMIN[0]},password={ADMIN[1]}]"
        subprocess.run(
            [packages.java(), *MEMORY[:3], "-cp", f"{packages.kafka()}/*", "kafka.tools.StorageTool", "format",
             "-t", CLUSTER, "-c", path, "--add-scram", scram],
            check=True, capture_output=True,
        )  # fmt: skip

    def _listeners(self) -> dict[str, str]:
        own = f"PLAINTEXT://{self.bootstrap},SASL://{self.sasl_bootstrap},MTLS://{self.tls_bootstrap}"
        if self._behind is None:
            return {"listeners": f"{own},CONTROLLER://{self._controller}"}
        real, told = (f"BEHIND://127.0.0.1:{port}" for port in self._behind)
        return {"listeners": f"{own},{real},CONTROLLER://{self._controller}", "advertised.listeners": f"{own},{told}"}
