"""`make demo-distributed`: the virtual plant on Kafka, Elasticsearch and PostgreSQL, with each part a process, until Ctrl-C.

Three sensors hear a water works and a boiler house, two workers detect, one collector stores, one server answers. The services
are real ones, started on this machine from packages. Nothing leaves it. Data of the last demo is thrown away at the start.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.services.elasticsearch import Elasticsearch
from tests.services.kafka import Kafka
from tests.services.packages import Missing
from tests.services.postgres import Postgres
from tests.services.process import ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

ROOT: Final = Path(__file__).resolve().parents[2]
DATA: Final = ROOT / ".demo-distributed"
SITE: Final = ROOT / "deploy" / "demo" / "site.yml"
ICSIGHT: Final = Path(sys.executable).with_name("icsight")

SENSORS: Final = {"intake": "waterworks", "treatment": "waterworks", "boilers": "boiler-house"}
"""The sensors, each with its site."""

WORKERS: Final = ("one", "two")
"""Names of the workers of detection."""

STOP_SECONDS: Final = 20
"""How long a part gets to stop by itself."""


class Parts:
    """The processes of the demo, in the order in which they are stopped."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment: Final = {**os.environ, **environment}
        self._running: Final[dict[str, subprocess.Popen[Any]]] = {}

    def do(self, *arguments: str | Path) -> None:
        """Run one command to its end; what it says goes to `prepare.log`. Raises CalledProcessError."""
        with (DATA / "prepare.log").open("ab") as log:
            subprocess.run([ICSIGHT, *arguments], env=self._environment, stdout=log, stderr=log, check=True)

    def start(self, name: str, *command: str | Path, shown: bool = False, **options: Any) -> None:
        """Start one; what it says is shown, or goes to NAME.log. Options are `subprocess.Popen`'s."""
        with (DATA / f"{name}.log").open("wb") as log:
            out = None if shown else log
            self._running[name] = subprocess.Popen(
                command, cwd=ROOT, env=self._environment, stdout=out, stderr=out, start_new_session=True, **options
            )

    def ended(self) -> str | None:
        """The name of one that has ended."""
        return next((name for name, process in self._running.items() if process.poll() is not None), None)

    def stop(self) -> list[str]:
        """Stop all, those that make before those that take; returns the names of those that had to be killed."""
        left: list[str] = []
        for name, process in self._running.items():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                left.append(name)
        return left


def prepare(parts: Parts) -> None:
    """What a system needs once: topics, indices, facts of the sites."""
    parts.do("kafka", "apply", "--yes", "--replication", "1")
    for name in SENSORS:
        parts.do("kafka", "sensor", "add", name, "--yes", "--replication", "1")
    parts.do("elasticsearch", "apply")
    for site in sorted(set(SENSORS.values())):
        facts = DATA / f"{site}.yml"
        facts.write_text(SITE.read_text(encoding="utf-8").replace("site: virtual-plant", f"site: {site}"), encoding="utf-8")
        parts.do("rules", "publish", "--site", facts)


def run(parts: Parts) -> None:
    """Start all: a pipe leads from the plant to each sensor."""
    pipes = {name: os.pipe() for name in SENSORS}
    taps = [write for _, write in pipes.values()]
    outs = [f"/dev/fd/{write}" for write in taps]
    parts.start("plant", sys.executable, "-m", "tests.plant", "live", "--out", *outs, pass_fds=taps)
    for name, (read, write) in pipes.items():
        command: list[str | Path] = [ICSIGHT, "sensor", "run", "--data", DATA / name, "--name", name, "--site", SENSORS[name]]
        parts.start(f"sensor-{name}", *command, "--sync", "0.5", "--capture", "-", stdin=read)
        # Each end is held by one process only: who reads notices that who writes has gone, and the other way round.
        os.close(read)
        os.close(write)
    for name in SENSORS:
        parts.start(f"uplink-{name}", ICSIGHT, "sensor", "uplink", "--data", DATA / name)
    parts.start("collector", ICSIGHT, "collect", "--member", "one")
    for name in WORKERS:
        parts.start(f"worker-{name}", ICSIGHT, "detect", "--worker", name)
    parts.start("server", ICSIGHT, "serve", "--data", DATA / "server", *sys.argv[1:], shown=True)


def main() -> int:
    """Run it until a part ends or Ctrl-C; the exit status."""
    shutil.rmtree(DATA, ignore_errors=True)
    DATA.mkdir(mode=0o755)
    stopped = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    print("== demo: a water works and a boiler house, with attacks under way, on Kafka, Elasticsearch, PostgreSQL.", flush=True)
    try:
        with ExitStack() as stack:
            postgres, kafka, elasticsearch = Postgres(DATA / "postgres"), Kafka(DATA / "kafka"), Elasticsearch(DATA / "records")
            for service in (postgres, kafka, elasticsearch):
                print(f"== starting {type(service).__name__}", flush=True)
                service.start()
                stack.callback(service.stop)
            parts = Parts(
                {
                    "ICSIGHT_KAFKA_BOOTSTRAP": kafka.bootstrap, "ICSIGHT_KAFKA_SECURITY": "plaintext",
                    "ICSIGHT_ELASTICSEARCH_HOSTS": elasticsearch.url, "ICSIGHT_ELASTICSEARCH_REPLICAS": "0",
                    "ICSIGHT_DATABASE_URL": postgres.address(postgres.new_database()),
                    "ICSIGHT_DATABASE_PASSWORD": postgres.password,
                }
            )  # fmt: skip
            prepare(parts)
            return _watched(parts, stopped)
    except (Missing, ServiceError) as error:
        print(f"error: {error}", file=sys.stderr)
    except subprocess.CalledProcessError as error:
        print(f"error: `icsight {' '.join(map(str, error.cmd[1:3]))}` did not work: see {DATA / 'prepare.log'}", file=sys.stderr)
    return 2


def _watched(parts: Parts, stopped: threading.Event) -> int:
    """Run the parts until one ends or the demo is stopped; the exit status."""
    try:
        run(parts)
        print(f"== demo: what each part says is in {DATA}/*.log. Ctrl-C stops it.", flush=True)
        while not stopped.wait(0.5):
            name = parts.ended()
            if name is not None:
                print(f"error: {name} has ended: see {DATA / name}.log", file=sys.stderr)
                return 1
        return 0
    finally:
        began = time.monotonic()
        left = parts.stop()
        print(f"== demo: stopped in {time.monotonic() - began:.0f} s", flush=True)
        if left:
            print(f"error: had to be killed: {', '.join(left)}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
