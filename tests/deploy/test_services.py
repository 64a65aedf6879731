"""The files that the compose file gives to Kafka, PostgreSQL and Elasticsearch, read by the real ones on this machine.

Ports, folders and host names are this machine's; all else is as it is in deploy/compose/.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import TopicAuthorizationFailedError

from api.settings import DatabaseSettings
from collector.settings import ElasticsearchSettings
from sensor.kafka_client import KafkaUnusable, arguments, probe
from sensor.kafka_settings import KafkaSettings
from sensor.topics import Topics
from tests.deploy.checkers import COMPOSE, PREPARED, ROOT
from tests.deploy.confined import confined
from tests.deploy.conftest import prepare
from tests.services import packages
from tests.services.elasticsearch import memory
from tests.services.kafka import MEMORY, QUIET
from tests.services.packages import Missing
from tests.services.process import Process, ServiceError, free_port, own

ICSIGHT: Final = Path(sys.executable).with_name("icsight")

HEALTHY: Final = ROOT / "deploy" / "container" / "healthy.py"

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


@contextmanager
def started(told: Callable[[], Process], answers: Callable[[], object]) -> Generator[None]:
    """A service as long as it is used; where it cannot be had the test fails under CI=true and is passed over elsewhere."""
    try:
        process = told()
        process.wait_until(answers)
    except (Missing, ServiceError) as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    try:
        yield
    finally:
        process.kill()


def opened(folder: Path) -> Path:
    """Let a service's user come to a folder of this test."""
    for place in (folder, *folder.parents):
        if place.stat().st_mode & 0o001 == 0 and place.owner() == pwd.getpwuid(os.geteuid()).pw_name:
            place.chmod(place.stat().st_mode | 0o011)
    return folder


# Kafka


@pytest.fixture(scope="module")
def broker(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[dict[str, int]]:
    """A broker with the compose file's properties; the port of each listener."""
    folder = tmp_path_factory.mktemp("kafka")
    ports = {name: free_port() for name in ("INTERNAL", "SENSORS", "CONTROLLER")}
    text = (COMPOSE / "kafka" / "server.properties").read_text()
    text = re.sub(r"(INTERNAL|SENSORS|CONTROLLER)://:\d+", lambda name: f"{name[1]}://127.0.0.1:{ports[name[1]]}", text)
    text = text.replace("1@kafka:9094", f"1@localhost:{ports['CONTROLLER']}")
    text = text.replace("/run/secrets", str(prepared)).replace("/var/lib/kafka/data", str(folder / "data"))
    advertised = ",".join(f"{name}://localhost:{ports[name]}" for name in ("INTERNAL", "SENSORS"))
    properties = folder / "server.properties"
    properties.write_text(text)

    def start() -> Process:
        java = [str(packages.java()), *MEMORY, *QUIET, "-cp", f"{packages.kafka()}/*"]
        storage = [*java, "kafka.tools.StorageTool", "format", "--ignore-formatted", "--cluster-id", PREPARED["KAFKA_CLUSTER_ID"]]
        subprocess.run([*storage, "--config", properties], check=True, capture_output=True)
        return Process(
            [*java, "kafka.Kafka", str(properties), "--override", f"advertised.listeners={advertised}"], folder / "log"
        )

    with started(start, lambda: KafkaAdminClient(**arguments(client(prepared, ports["INTERNAL"], "admin"))).close()):
        yield ports


def client(prepared: Path, port: int, name: str) -> KafkaSettings:
    return KafkaSettings(
        bootstrap=f"localhost:{port}", security="tls", ca_file=prepared / "ca.pem", connect_seconds=5,
        certificate_file=prepared / f"kafka-{name}.pem", key_file=prepared / f"kafka-{name}.key",
    )  # fmt: skip


def test_kafka_takes_who_has_a_certificate_of_the_authority(broker: dict[str, int], prepared: Path) -> None:
    for listener in ("INTERNAL", "SENSORS"):
        for name in ("admin", "collector", "detection", "serve"):
            probe(client(prepared, broker[listener], name))


@pytest.mark.parametrize("listener", ["INTERNAL", "SENSORS", "CONTROLLER"])
def test_kafka_refuses_who_has_none(broker: dict[str, int], prepared: Path, tmp_path: Path, listener: str) -> None:
    nameless = ssl.create_default_context(cafile=prepared / "ca.pem")
    with socket.create_connection(("localhost", broker[listener]), timeout=10) as plain:
        connection = nameless.wrap_socket(plain, server_hostname="localhost")
        # TLS 1.3 refuses a certificate after the handshake.
        with pytest.raises(ssl.SSLError, match="CERTIFICATE"):
            connection.recv(1)
    if listener != "CONTROLLER":
        other = prepare(tmp_path, "--keep-owner", "localhost")
        stranger = client(other, broker[listener], "admin").model_copy(update={"ca_file": prepared / "ca.pem"})
        with pytest.raises(KafkaUnusable, match=r"refuses our certificate|closed the connection"):
            probe(stranger)


def configured(folder: Path, config: str, port: int, prepared: Path) -> dict[str, str]:
    """A process' settings of the compose file, with its secrets, in a folder; returns the variable that names them."""
    secrets = folder / "secrets"
    if not secrets.is_dir():
        shutil.copytree(prepared, secrets)
    text = (COMPOSE / "config" / config).read_text()
    text = text.replace("kafka:9092", f"localhost:{port}").replace("/run/secrets", str(secrets))
    (folder / config).write_text(text.replace("/var/lib/icsight", str(folder)))
    return {"ICSIGHT_CONFIG": str(folder / config)}


def test_on_kafka_nobody_may_do_anything_before_the_set_up_and_then_what_their_part_needs(
    broker: dict[str, int], prepared: Path, compose: dict[str, Any], tmp_path: Path
) -> None:
    topics = Topics()
    port = broker["INTERNAL"]
    # The library's types leave out what the class has.
    collector: Any = KafkaAdminClient(**arguments(client(prepared, port, "collector")))
    with collector, pytest.raises(TopicAuthorizationFailedError):
        collector.create_topics([NewTopic("icsight.records", num_partitions=1, replication_factor=1)])
    done = subprocess.run(
        [ICSIGHT, *compose["services"]["kafka-setup"]["command"]],
        env={**os.environ, **configured(tmp_path, "kafka-setup.toml", port, prepared)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    probe(client(prepared, port, "collector"), [topics.records, topics.dead_letters])
    probe(client(prepared, port, "detection"), [topics.records, topics.alerts, topics.decisions, topics.shares])
    probe(client(prepared, port, "serve"), [topics.alerts, topics.decisions, topics.evidence])
    with pytest.raises(KafkaUnusable, match="has no right to it"):
        probe(client(prepared, port, "collector"), [topics.alerts])


def test_detection_works_as_it_is_confined_and_says_so_where_its_health_check_asks(
    broker: dict[str, int], prepared: Path, compose: dict[str, Any], tmp_path: Path
) -> None:
    port = broker["INTERNAL"]
    set_up = [ICSIGHT, *compose["services"]["kafka-setup"]["command"]]
    environment = {**os.environ, **configured(tmp_path, "kafka-setup.toml", port, prepared)}
    subprocess.run(set_up, env=environment, check=True, capture_output=True)
    # The containers' own address, but for a port that nobody else of this machine has.
    address, own_port = compose["services"]["detection-1"]["healthcheck"]["test"][3], free_port()
    variables = configured(tmp_path, "detection.toml", port, prepared)
    text = Path(variables["ICSIGHT_CONFIG"]).read_text()
    assert ":9464" in text
    Path(variables["ICSIGHT_CONFIG"]).write_text(text.replace(":9464", f":{own_port}"))
    worker = confined([ICSIGHT, *compose["services"]["detection-1"]["command"]], tmp_path, variables)
    check = [sys.executable, HEALTHY, address.replace(":9464/", f":{own_port}/")]
    assert subprocess.run(check, check=False, capture_output=True).returncode
    try:
        assert worker.stdout is not None
        told = ""
        while "detection-1: looks at icsight.records" not in told:
            line = worker.stdout.readline()
            told += line
            assert line, told
        until = time.monotonic() + 60
        while subprocess.run(check, check=False, capture_output=True).returncode:
            assert worker.poll() is None
            assert time.monotonic() < until
            time.sleep(0.2)
        while not any((tmp_path / "state").rglob("*")):
            assert worker.poll() is None, worker.stdout.read()
            assert time.monotonic() < until
            time.sleep(0.2)
    finally:
        worker.kill()
        worker.wait()


# PostgreSQL


@pytest.fixture(scope="module")
def database(compose: dict[str, Any], prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[int]:
    """A server with the compose file's arguments and rules, and icsight's account; its port."""
    folder = opened(tmp_path_factory.mktemp("postgres"))
    secrets = shutil.copytree(prepared, folder / "secrets")
    shutil.copy(COMPOSE / "postgres" / "pg_hba.conf", folder)
    port = free_port()
    service = compose["services"]["postgres"]
    words = [word.replace("/run/secrets", str(secrets)).replace("/etc/icsight", str(folder)) for word in service["command"]]
    local = {
        "PGHOST": str(folder), "PGPORT": str(port), "PGPASSWORD": (secrets / "postgres-superuser").read_text(),
        "POSTGRES_USER": "postgres", "SECRETS": str(secrets),
    }  # fmt: skip

    def start() -> Process:
        (folder / "data").mkdir()
        own("postgres", folder)
        initialize = [str(packages.postgres() / "initdb"), "-D", str(folder / "data"), "-U", "postgres"]
        given = service["environment"]["POSTGRES_INITDB_ARGS"].split()
        made = Process([*initialize, f"--pwfile={secrets / 'postgres-superuser'}", *given], folder / "log", user="postgres")
        assert made.wait() == 0, made.tail()
        command = [str(packages.postgres() / "postgres"), *words[1:], "-D", str(folder / "data")]
        return Process([*command, "-p", str(port), "-k", str(folder)], folder / "log", user="postgres")

    def answers() -> None:
        subprocess.run(["psql", "-U", "postgres", "-c", ""], env={**os.environ, **local}, check=True, capture_output=True)

    with started(start, answers):
        subprocess.run(
            ["bash", COMPOSE / "postgres" / "account.sh"], env={**os.environ, **local}, check=True, capture_output=True
        )
        yield port


def connection(database: int, prepared: Path, **changes: object) -> psycopg.Connection:
    """As the API connects with the compose file's settings, but for where the name `postgres` leads to."""
    url = f"postgresql://icsight@postgres:{database}/icsight?hostaddr=127.0.0.1"
    settings = DatabaseSettings(url=url, ca_file=prepared / "ca.pem", password_file=prepared / "postgres-icsight")
    address = settings.address()
    told: dict[str, Any] = {
        "host": address.host, "port": address.port, "user": address.username, "dbname": address.database,
        "password": settings.secret(), **address.query, **changes,
    }  # fmt: skip
    return psycopg.connect(**told)


def test_postgresql_takes_icsight_by_tls_and_checks_its_password(database: int, prepared: Path) -> None:
    with connection(database, prepared) as session:
        assert session.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone() == (True,)
        session.execute("CREATE TABLE of_its_own (id int)")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connection(database, prepared, password="icsight")
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        connection(database, prepared, sslmode="disable")


def test_postgresql_lets_nobody_else_in_from_other_machines(database: int, prepared: Path) -> None:
    password = (prepared / "postgres-superuser").read_text()
    for changes in ({"user": "postgres", "password": password}, {"dbname": "postgres"}):
        with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"):
            connection(database, prepared, **changes)
    with connection(database, prepared) as session:
        told = session.execute("SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = 'icsight'").fetchone()
        assert told == (False, False, False)


# Elasticsearch


KEYSTORE: Final = "org.elasticsearch.launcher.CliToolLauncher"


@pytest.fixture(scope="module")
def cluster(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """A node with the compose file's settings and accounts; its address."""
    folder = opened(tmp_path_factory.mktemp("elasticsearch"))
    url = f"https://localhost:{(port := free_port())}"
    environment: dict[str, str] = {}

    def start() -> Process:
        home, java = packages.elasticsearch(), packages.java_25()
        config = folder / "config"
        shutil.copytree(home / "config", config)
        text = (COMPOSE / "elasticsearch" / "elasticsearch.yml").read_text()
        text = text.replace("0.0.0.0", "127.0.0.1").replace("/usr/share/elasticsearch", str(folder))
        (config / "elasticsearch.yml").write_text(f"{text}http.port: {port}\ntransport.port: {free_port()}\n")
        options = (config / "jvm.options").read_text().splitlines()
        (config / "jvm.options").write_text(
            "\n".join(line for line in options if "UseG1GC" not in line and "Xlog:gc" not in line)
        )
        (config / "jvm.options.d").mkdir(exist_ok=True)
        (config / "jvm.options.d" / "tests.options").write_text(memory())
        (config / "certificates").mkdir()
        for name in ("ca.pem", "elasticsearch.pem", "elasticsearch.key"):
            shutil.copy(prepared / name, config / "certificates")
        for place in ("data", "logs", "snapshots", "tmp"):
            (folder / place).mkdir()
        environment.update(
            ES_HOME=str(home), ES_PATH_CONF=str(config), ES_JAVA_HOME=str(java), JAVA=str(java / "bin" / "java"),
            ES_DISTRIBUTION_TYPE="tar", JAVA_TYPE="ES_JAVA_HOME", ES_TMPDIR=str(folder / "tmp"),
        )  # fmt: skip
        program = [str(java / "bin" / "java"), "-Xms4m", "-Xmx64m", "-XX:+UseSerialGC", "-cp"]
        tool = [*program, f"{home}/lib/*:{home}/lib/cli-launcher/*", "-Dcli.name=keystore", "-Dcli.libs=lib/tools/keystore-cli"]
        add = [*tool, f"-Des.path.home={home}", f"-Des.path.conf={config}", KEYSTORE, "add", "-x", "-f", "bootstrap.password"]
        subprocess.run(
            add, env={**os.environ, **environment}, cwd=home, check=True, capture_output=True,
            input=(prepared / "elasticsearch-elastic").read_bytes(),
        )  # fmt: skip
        own("nobody", folder)
        launcher = [*program, f"{home}/lib/tools/server-launcher/*", "org.elasticsearch.server.launcher.ServerLauncher"]
        return Process(launcher, folder / "log", user="nobody", cwd=home, environment=environment)

    def answers() -> None:
        told = subprocess.run(
            ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--cacert", prepared / "ca.pem", url],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        assert told.stdout == "401"

    with started(start, answers):
        accounts(prepared, url)
        yield url


def accounts(prepared: Path, url: str) -> subprocess.CompletedProcess[str]:
    """Run accounts.sh with the files of prepare.sh, twice what the compose file does once: it can be done again."""
    roles = prepared.parent / "roles"
    roles.mkdir(exist_ok=True)
    for name in ("setup", "records"):
        shutil.copy(COMPOSE / "elasticsearch" / f"role-{name}.json", roles / f"elasticsearch-role-{name}.json")
    told = {"SECRETS": str(prepared), "ROLES": str(roles), "ELASTICSEARCH": url}
    return subprocess.run(
        ["bash", COMPOSE / "elasticsearch" / "accounts.sh"],
        env={**os.environ, **told},
        check=True,
        capture_output=True,
        text=True,
    )


@pytest.mark.full
def test_elasticsearch_has_the_accounts_that_processes_need_and_no_process_more(cluster: str, prepared: Path) -> None:
    from collector.store import StoreError, elastic_setup  # noqa: PLC0415 - loads the client
    from collector.store.elastic_server import Refused, Server  # noqa: PLC0415

    assert "setup, collector, serve" in accounts(prepared, cluster).stdout

    def server(name: str, **changes: object) -> Server:
        told: dict[str, Any] = {
            "hosts": cluster, "ca_file": prepared / "ca.pem", "username": name, "replicas": 0,
            "password_file": prepared / f"elasticsearch-{name}", **changes,
        }  # fmt: skip
        return Server(ElasticsearchSettings(**told))

    elastic_setup.apply(server("setup"))
    assert elastic_setup.plan(server("setup")) == []
    elastic_setup.check(server("collector"))
    with pytest.raises(Refused) as refused:
        elastic_setup.apply(server("collector"))
    assert refused.value.status == 403
    with pytest.raises(Refused) as refused:
        server("setup").ask("PUT", "/_security/user/other", {"password": "of-nobody", "roles": ["superuser"]})
    assert refused.value.status == 403
    with pytest.raises(StoreError):
        server("setup", password_file=prepared / "elasticsearch-serve").probe()
