"""Elasticsearch over TLS, as `icsight collect` and `icsight config check` meet it: a real node with its own security switched on.

What is wrong is told by both in one clear line within ten seconds, and no secret is in it.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import signal
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from api.cli import icsight
from collector.settings import ElasticsearchSettings
from collector.store import StoreError
from collector.store.elastic_server import Server
from collector.store.elastic_setup import apply
from collector.store.elastic_templates import role
from collector.stream import BatchHeader, Outgoing
from collector.stream.kafka import KafkaStream
from collector.stream.kafka_topics import DECLARATION, declared
from collector.stream.kafka_topics import apply as apply_topics
from sensor.kafka_settings import KafkaSettings
from sensor.topics import Topics
from tests.batches import EPOCH, encode, sample
from tests.services.certificates import Authority
from tests.services.elasticsearch import PASSWORDS, SecuredElasticsearch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.services.kafka import Kafka

WITHIN_SECONDS = 10.5
"""Ten, and what a busy machine takes to notice that they are over."""

STILL_SECONDS = 240.0
"""How long a node may stand still: one that had refused its first certificates did, for two minutes, on a busy machine."""

STILL = ("no answer within the time allowed", "no answer within 10 s")
"""What is told of one that does."""

SECRET = "geheim-geheim"

ADMIN = PASSWORDS["admin"]


@dataclass
class System:
    """A node, its authority, and a collector over it as the environment sets it up."""

    node: SecuredElasticsearch
    environment: dict[str, str]
    settings: ElasticsearchSettings

    def icsight(self, *arguments: str, **changes: object) -> tuple[int, str, float]:
        """Status, what was said, and the seconds that a command took, with other settings of the cluster."""
        variables = {f"ICSIGHT_ELASTICSEARCH_{name.upper()}": value for name, value in changes.items()}
        environment = {**self.environment, **variables}
        begun = time.monotonic()
        # `collect` has its own way with these, which is not that of the tests.
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        done = CliRunner().invoke(icsight, arguments, env={n: None if v is None else str(v) for n, v in environment.items()})
        for number, handler in handlers.items():
            signal.signal(number, handler)
        return done.exit_code, done.output, time.monotonic() - begun

    def in_order(self, *arguments: str, **changes: object) -> str:
        """What a command says that ends well, if not the first time: this machine may be too busy for its patience."""
        until = time.monotonic() + STILL_SECONDS
        while True:
            status, told, _ = self.icsight(*arguments, **changes)
            if status == 0:
                return told
            assert time.monotonic() < until, told


@pytest.fixture(scope="module")
def system(secured_elasticsearch: SecuredElasticsearch, kafka: Kafka) -> System:
    """A cluster that is set up, and a user with the role that `icsight elasticsearch role` prints, and no other."""
    node, prefix = secured_elasticsearch, f"t{secrets.token_hex(6)}"
    certificate, key = node.authority.issue("collector", password="of-the-key")
    settings = ElasticsearchSettings(
        hosts=node.url, prefix=prefix, replicas=0, ca_file=node.authority.file, certificate_file=certificate, key_file=key,
        key_password=SecretStr("of-the-key"), username="admin", password=SecretStr(ADMIN),
    )  # fmt: skip
    administrator = Server(settings)
    apply(administrator)
    administrator.ask("PUT", f"/_security/role/{prefix}", role(prefix))
    administrator.ask("PUT", f"/_security/user/{prefix}", {"password": "of-the-collector", "roles": [prefix]})
    administrator.close()
    apply_topics(KafkaSettings(bootstrap=kafka.bootstrap, security="plaintext", prefix=prefix), declared(DECLARATION, prefix, 1))
    environment = {
        "ICSIGHT_KAFKA_BOOTSTRAP": kafka.bootstrap, "ICSIGHT_KAFKA_SECURITY": "plaintext", "ICSIGHT_KAFKA_PREFIX": prefix,
        "ICSIGHT_ELASTICSEARCH_HOSTS": node.url, "ICSIGHT_ELASTICSEARCH_PREFIX": prefix,
        "ICSIGHT_ELASTICSEARCH_CA_FILE": str(node.authority.file), "ICSIGHT_ELASTICSEARCH_CERTIFICATE_FILE": str(certificate),
        "ICSIGHT_ELASTICSEARCH_KEY_FILE": str(key), "ICSIGHT_ELASTICSEARCH_KEY_PASSWORD": "of-the-key",
        "ICSIGHT_ELASTICSEARCH_USERNAME": prefix, "ICSIGHT_ELASTICSEARCH_PASSWORD": "of-the-collector",
        "ICSIGHT_ELASTICSEARCH_REPLICAS": "0",
    }  # fmt: skip
    return System(node, environment, settings)


def publish(system: System, *sequences: int) -> None:
    prefix = system.settings.prefix
    kafka = KafkaSettings(bootstrap=system.environment["ICSIGHT_KAFKA_BOOTSTRAP"], security="plaintext", prefix=prefix)
    stream = KafkaStream(kafka, Topics(prefix).records)
    for sequence in sequences:
        header = BatchHeader("north", EPOCH, sequence, "modbus", 5, "plant", sequence)
        stream.publish([Outgoing(header, encode(header, sample("modbus", 5, seed=sequence)))])


def test_the_role_that_is_printed_stores_and_reads_with_a_certificate_and_a_password_or_a_key(system: System) -> None:
    publish(system, 0, 1)
    system.in_order("config", "check", "--language", "en")
    assert "2 batches stored, 10 rows" in system.in_order("collect", "--exit-when-done")

    administrator = Server(system.settings)
    body = {"name": "collector", "role_descriptors": {"collector": role(system.settings.prefix)}}
    key = cast("dict[str, Any]", administrator.ask("POST", "/_security/api_key", body))["encoded"]
    administrator.close()
    publish(system, 2)
    only_key = {"username": None, "password": None, "api_key": key}
    assert "1 batches stored, 5 rows" in system.in_order("collect", "--exit-when-done", **only_key)
    told = system.in_order("query", "SELECT count(*) AS n FROM modbus", "--output", "json", **only_key)
    assert json.loads(told.splitlines()[0]) == {"n": 15}


def refused(system: System, *words: str, **changes: object) -> None:
    """Look that both commands say in one line, in time and without a secret, what is wrong with settings."""
    told: list[str] = []
    for command in (("collect", "--exit-when-done"), ("config", "check", "--language", "en")):
        until = time.monotonic() + STILL_SECONDS
        while True:
            status, said, seconds = system.icsight(*command, **changes)
            assert status != 0, said
            assert seconds < WITHIN_SECONDS, (seconds, said)
            assert "Traceback" not in said
            for secret in (SECRET, "of-the-key", "of-the-collector"):
                assert secret not in said
            if not any(each in said for each in STILL) or time.monotonic() > until:
                break
        if command[0] == "collect":
            assert len(said.strip().splitlines()) == 1, said
        told += [line for line in said.splitlines() if line.startswith(("error: ", "wrong  elasticsearch: "))][:1]
    assert len(told) == 2, told
    for line in told:
        assert all(word in line for word in words), line


def test_a_node_of_another_authority_is_refused_even_where_the_system_would_trust_it(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # OpenSSL takes this file for the system's authorities.
    monkeypatch.setenv("SSL_CERT_FILE", str(system.node.authority.file))
    refused(
        system, "the node's certificate is refused", "check elasticsearch.ca_file", ca_file=Authority(tmp_path, "another").file
    )
    assert "templates and ledger are of" in system.in_order("config", "check", "--language", "en", ca_file=None)


def test_a_node_by_another_name_is_refused(system: System) -> None:
    refused(system, "127.0.0.2", "not valid for", "check elasticsearch.hosts", hosts=system.node.other_name)


def test_a_missing_certificate_is_told(system: System) -> None:
    nothing = {"certificate_file": None, "key_file": None, "key_password": None}
    refused(system, "asks for a certificate", "elasticsearch.certificate_file", **nothing)


def test_a_certificate_that_the_node_does_not_trust_or_that_has_ended_is_told(system: System, tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path, "another").issue("collector")
    refused(system, "refuses our certificate", certificate_file=certificate, key_file=key, key_password=None)
    certificate, key = system.node.authority.issue("ended", days=-1)
    refused(system, "refuses our certificate", certificate_file=certificate, key_file=key, key_password=None)


def test_a_wrong_password_and_a_wrong_key_are_told_and_never_shown(system: System) -> None:
    refused(system, "the name, password or API key is refused", password=SECRET)
    refused(system, "the name, password or API key is refused", username=None, password=None, api_key=SECRET)


def test_a_key_that_its_password_does_not_open_is_told(system: System, tmp_path: Path) -> None:
    refused(system, "elasticsearch.key_password does not open it", key_password=SECRET)
    refused(system, "the key is encrypted", "elasticsearch.key_password_file", key_password=None)
    (tmp_path / "password").write_text("of-the-key\n")
    (tmp_path / "password").chmod(0o600)
    system.in_order("config", "check", "--language", "en", key_password=None, key_password_file=tmp_path / "password")


def test_no_tls_where_it_is_asked_for_is_told(system: System) -> None:
    refused(system, "cannot be reached", "check elasticsearch.hosts", hosts=system.node.url.replace("https", "http"))
    with socket.create_server(("127.0.0.1", 0)) as other:
        # A listener that nobody accepts from: the connection stands, and no word of TLS comes.
        port = other.getsockname()[1]
        silent = system.settings.model_copy(update={"hosts": f"https://127.0.0.1:{port}", "connect_seconds": 1.0})
        server = Server(silent)
        with pytest.raises(StoreError, match="no answer within the time allowed"):
            server.probe()
        server.close()


@pytest.fixture
def ended(system: System) -> Iterator[str]:
    """Address of something with a certificate of the node's authority that has ended; there is nothing behind it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*system.node.authority.issue("node-ended", days=-1))
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def shake_hands() -> None:
            with contextlib.suppress(OSError):
                while True:
                    plain, _ = listener.accept()
                    with contextlib.suppress(OSError):
                        context.wrap_socket(plain, server_side=True).close()

        threading.Thread(target=shake_hands, daemon=True).start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def test_a_node_whose_certificate_has_ended_is_told(system: System, ended: str) -> None:
    refused(system, "the node's certificate is refused", "expired", "have it renewed there", hosts=ended)


def test_a_node_that_is_not_trusted_keeps_nobody_from_another(system: System, ended: str) -> None:
    told = system.in_order("config", "check", "--language", "en", hosts=f"{ended},{system.node.url}")
    assert "templates and ledger are of" in told


@pytest.mark.parametrize(("once", "asked"), [(True, 1), (False, 2)])
def test_what_may_have_been_done_before_tls_broke_off_is_not_asked_of_another_where_once_is_all(
    tmp_path: Path, *, once: bool, asked: int
) -> None:
    authority = Authority(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue("node"))
    heard: list[bytes] = []

    def break_off(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                plain, _ = listener.accept()
                over = context.wrap_socket(plain, server_side=True)
                request = over.recv(65_536)
                while not request.endswith(b"{}\n"):
                    request += over.recv(65_536)
                heard.append(request)
                # Where its answer should begin comes what is no record of TLS.
                with socket.socket(fileno=over.detach()) as below:
                    below.sendall(b"no record of TLS" * 8)
                    below.recv(65_536)

    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        for listener in (one, two):
            threading.Thread(target=break_off, args=(listener,), daemon=True).start()
        hosts = ",".join(f"https://127.0.0.1:{listener.getsockname()[1]}" for listener in (one, two))
        server = Server(ElasticsearchSettings(hosts=hosts, ca_file=authority.file))
        with pytest.raises(StoreError):
            server.bytes("POST", "/ledger/_bulk", b"{}\n", lines=True, once=once)
        server.close()
        for listener in (one, two):
            listener.shutdown(socket.SHUT_RDWR)
    assert len(heard) == asked
