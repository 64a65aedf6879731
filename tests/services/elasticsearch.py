"""Nodes of Elasticsearch: one without TLS, one that asks who is who over TLS, or several that are a cluster."""

from __future__ import annotations

import base64
import hashlib
import secrets
import shutil
from typing import TYPE_CHECKING, Final

from elasticsearch import Elasticsearch as Client

from tests.services import packages
from tests.services.certificates import Authority
from tests.services.process import Process, Service, free_port, own

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

USER: Final = "nobody"
"""Elasticsearch refuses to run as root."""

HEAP_MIB: Final = 1024

_MEMORY: Final = ("-XX:-AlwaysPreTouch", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")

PASSWORDS: Final = {"admin": "of-tests-only"}
"""Name and password of the user who may do everything, where the node asks who is who."""


def memory(heap_mib: int = HEAP_MIB) -> str:
    """The file of a node's options for the JVM: so large a heap, and what makes it start quickly."""
    return "\n".join([f"-Xms{heap_mib}m", f"-Xmx{heap_mib}m", *_MEMORY]) + "\n"


class Elasticsearch(Service):
    """A node with its data in a folder.

    Attributes:
        url: its address, for everybody of this machine.
        snapshots: folder that repositories of snapshots may be in.
    """

    def __init__(
        self, folder: Path, *, owner: int | None = None, heap_mib: int = HEAP_MIB, settings: Mapping[str, str] | None = None
    ) -> None:
        """Write its configuration: settings of its own go before those of the tests, and one that is empty is left out."""
        super().__init__(folder)
        self._owner = owner
        self._heap_mib = heap_mib
        self._settings = settings or {}
        self.home: Final = packages.elasticsearch()
        self.snapshots: Final = folder / "snapshots"
        for place in (folder, self.snapshots, folder / "data", folder / "logs", folder / "tmp"):
            place.mkdir(parents=True, exist_ok=True)
        for place in folder.parents:
            if place.stat().st_mode & 0o001 == 0:
                place.chmod(place.stat().st_mode | 0o011)
        self.port: Final = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._configure(self.port)
        own(USER, folder)

    def begin(self) -> Process:
        """Its process."""
        java = packages.java_25()
        environment = {
            "ES_HOME": str(self.home), "ES_PATH_CONF": str(self.folder / "config"), "ES_JAVA_HOME": str(java),
            "JAVA": str(java / "bin" / "java"), "ES_DISTRIBUTION_TYPE": "tar", "JAVA_TYPE": "ES_JAVA_HOME",
            "ES_TMPDIR": str(self.folder / "tmp"),
        }  # fmt: skip
        command = [
            str(java / "bin" / "java"), "-Xms4m", "-Xmx64m", "-XX:+UseSerialGC",
            "-cp", f"{self.home}/lib/tools/server-launcher/*",
            "org.elasticsearch.server.launcher.ServerLauncher",
        ]  # fmt: skip
        return Process(command, self.folder / "log", user=USER, owner=self._owner, cwd=self.home, environment=environment)

    def ask(self) -> None:
        """Ask whether it is there."""
        with Client(self.url, request_timeout=5, max_retries=0) as client:
            client.cluster.health(wait_for_status="yellow", timeout="5s")

    def _configure(self, port: int) -> None:
        config = self.folder / "config"
        shutil.copytree(self.home / "config", config, dirs_exist_ok=True)
        options = (config / "jvm.options").read_text().splitlines()
        kept = [line for line in options if "UseG1GC" not in line and "Xlog:gc" not in line]
        (config / "jvm.options").write_text("\n".join(kept) + "\n")
        (config / "jvm.options.d").mkdir(exist_ok=True)
        (config / "jvm.options.d" / "tests.options").write_text(memory(self._heap_mib))
        lines = {
            "discovery.type": "single-node", "network.host": "127.0.0.1", "http.port": str(port),
            "transport.port": str(free_port()), "path.data": str(self.folder / "data"), "path.logs": str(self.folder / "logs"),
            "path.repo": str(self.snapshots), "node.store.allow_mmap": "false",
            "cluster.routing.allocation.disk.threshold_enabled": "false", "xpack.security.enabled": "false",
            "cluster.max_shards_per_node": "5000", **self._settings,
        }  # fmt: skip
        (config / "elasticsearch.yml").write_text("".join(f"{name}: {value}\n" for name, value in lines.items() if value))


class SecuredElasticsearch(Elasticsearch):
    """A node that asks who is who: TLS with certificates of an authority, which clients need too, passwords, and API keys.

    It listens at 127.0.0.1, which its certificate is for, and at 127.0.0.2, which it is not for.

    Attributes:
        authority: issues the certificates.
        other_name: its address by a name that its certificate is not for.
    """

    def __init__(self, folder: Path, *, owner: int | None = None) -> None:
        self.authority: Final = Authority(folder / "certificates")
        ssl = "xpack.security.http.ssl"
        super().__init__(
            folder, owner=owner, heap_mib=512,
            settings={
                "xpack.security.enabled": "true", "http.host": '["127.0.0.1", "127.0.0.2"]', f"{ssl}.enabled": "true",
                f"{ssl}.certificate": "node.pem", f"{ssl}.key": "node.key", f"{ssl}.certificate_authorities": "ca.pem",
                f"{ssl}.client_authentication": "required",
            },
        )  # fmt: skip
        config = folder / "config"
        certificate, key = self.authority.issue("node")
        for source, name in ((self.authority.file, "ca.pem"), (certificate, "node.pem"), (key, "node.key")):
            shutil.copyfile(source, config / name)
        (config / "users").write_text("".join(f"{name}:{_hash(password)}\n" for name, password in PASSWORDS.items()))
        (config / "users_roles").write_text(f"superuser:{','.join(PASSWORDS)}\n")
        own(USER, config)
        self.url = f"https://127.0.0.1:{self.port}"
        self.other_name: Final = f"https://127.0.0.2:{self.port}"

    def ask(self) -> None:
        """Ask whether it is there."""
        certificate, key = self.authority.issue("admin")
        with Client(
            self.url, request_timeout=5, max_retries=0, ca_certs=str(self.authority.file), client_cert=str(certificate),
            client_key=str(key), basic_auth=next(iter(PASSWORDS.items())),
        ) as client:  # fmt: skip
            client.cluster.health(wait_for_status="yellow", timeout="5s")


class Cluster:
    """Nodes of this machine that are one cluster, without TLS.

    Attributes:
        nodes: its nodes.
        hosts: their addresses, as `hosts` of the settings has them.
    """

    def __init__(self, folder: Path, nodes: int, heap_mib: int = 400) -> None:
        ports = [free_port() for _ in range(nodes)]
        seeds = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
        names = ", ".join(f'"node-{number}"' for number in range(nodes))
        self.nodes: Final = [
            Elasticsearch(
                folder / f"node-{number}", heap_mib=heap_mib,
                settings={
                    "discovery.type": "", "node.name": f"node-{number}", "transport.port": str(port),
                    "discovery.seed_hosts": f"[{seeds}]", "cluster.initial_master_nodes": f"[{names}]",
                    "cluster.name": folder.name,
                },
            )
            for number, port in enumerate(ports)
        ]  # fmt: skip
        self.hosts: Final = ",".join(node.url for node in self.nodes)

    def start(self) -> Cluster:
        """Start all of them, and wait until they are one. Raises ServiceError."""
        for node in self.nodes:
            node.process = node.begin()
        for node in self.nodes:
            assert node.process is not None
            node.process.wait_until(lambda node=node: self._is_whole(node))
        return self

    def kill(self) -> None:
        """End all of them at once."""
        for node in self.nodes:
            node.kill()

    def _is_whole(self, node: Elasticsearch) -> None:
        with Client(node.url, request_timeout=15, max_retries=0) as client:
            found = client.cluster.health(wait_for_nodes=str(len(self.nodes)), timeout="10s")
            assert not found["timed_out"]


def _hash(password: str) -> str:
    """A password as the node's file of users has it (PBKDF2 with SHA-512, 10,000 rounds)."""
    salt = secrets.token_bytes(32)
    hashed = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 10_000, 32)
    return "{PBKDF2}10000$" + "$".join(base64.b64encode(each).decode() for each in (salt, hashed))
