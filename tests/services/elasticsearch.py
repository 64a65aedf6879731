"""One node of Elasticsearch."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from elasticsearch import Elasticsearch as Client

from tests.services import packages
from tests.services.process import Process, Service, free_port, own

if TYPE_CHECKING:
    from pathlib import Path

USER: Final = "nobody"
"""Elasticsearch refuses to run as root."""

MEMORY: Final = ("-Xms1g", "-Xmx1g", "-XX:-AlwaysPreTouch", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


class Elasticsearch(Service):
    """A node with its data in a folder.

    Attributes:
        url: its address, for everybody of this machine.
        snapshots: folder that repositories of snapshots may be in.
    """

    def __init__(self, folder: Path, *, owner: int | None = None) -> None:
        super().__init__(folder)
        self._owner = owner
        self.home: Final = packages.elasticsearch()
        self.snapshots: Final = folder / "snapshots"
        for place in (folder, self.snapshots, folder / "data", folder / "logs", folder / "tmp"):
            place.mkdir(parents=True, exist_ok=True)
        for place in folder.parents:
            if place.stat().st_mode & 0o001 == 0:
                place.chmod(place.stat().st_mode | 0o011)
        port = free_port()
        self.url: Final = f"http://127.0.0.1:{port}"
        self._configure(port)
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
        (config / "jvm.options.d" / "tests.options").write_text("\n".join(MEMORY) + "\n")
        lines = {
            "discovery.type": "single-node", "network.host": "127.0.0.1", "http.port": str(port),
            "transport.port": str(free_port()), "path.data": str(self.folder / "data"), "path.logs": str(self.folder / "logs"),
            "path.repo": str(self.snapshots), "node.store.allow_mmap": "false",
            "cluster.routing.allocation.disk.threshold_enabled": "false", "xpack.security.enabled": "false",
            "cluster.max_shards_per_node": "5000",
        }  # fmt: skip
        (config / "elasticsearch.yml").write_text("".join(f"{name}: {value}\n" for name, value in lines.items()))
