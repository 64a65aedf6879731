"""What is wrong with Kafka or with how it is reached is told in one clear line within ten seconds."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

import pytest
from kafka import errors
from kafka.record import util as kafka_records
from pydantic import SecretStr

from sensor import kafka_client
from sensor.kafka_client import KafkaUnusable, librdkafka_arguments, probe, sign_in_refusal
from sensor.kafka_settings import KafkaSettings
from tests.sensor.kafka_log import new_topics
from tests.services.certificates import Authority
from tests.services.kafka import ADMIN

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from tests.services.kafka import Kafka

WITHIN_SECONDS = 10.5
"""Ten, and what a busy machine takes to notice that they are over."""


def refusal(settings: KafkaSettings, *topics: str) -> KafkaUnusable:
    """Why Kafka cannot be used so."""
    begun = time.monotonic()
    with pytest.raises(KafkaUnusable) as refused:
        probe(settings, topics)
    assert time.monotonic() - begun < WITHIN_SECONDS
    assert "\n" not in str(refused.value)
    return refused.value


def with_password(kafka: Kafka, **changes: Any) -> KafkaSettings:
    given: dict[str, Any] = {
        "bootstrap": kafka.sasl_bootstrap, "security": "sasl_tls", "ca_file": kafka.authority.file, "username": ADMIN[0],
        "password": SecretStr(ADMIN[1]),
    }  # fmt: skip
    return KafkaSettings(**{**given, **changes})


def with_certificate(kafka: Kafka, name: str, **changes: Any) -> KafkaSettings:
    certificate, key = kafka.authority.issue(name)
    given: dict[str, Any] = {
        "bootstrap": kafka.tls_bootstrap, "security": "tls", "ca_file": kafka.authority.file, "certificate_file": certificate,
        "key_file": key,
    }  # fmt: skip
    return KafkaSettings(**{**given, **changes})


def plain(address: str, **changes: Any) -> KafkaSettings:
    return KafkaSettings(bootstrap=address, security="plaintext", **changes)


def test_a_topic_that_is_there_is_told_with_its_partitions(kafka: Kafka) -> None:
    topics = new_topics(kafka, partitions=3)
    for settings in (plain(kafka.bootstrap), with_password(kafka)):
        assert probe(settings, [topics.records]) == {topics.records: 3}


def test_a_certificate_is_enough_to_connect_and_not_to_see_what_is_not_ours(kafka: Kafka) -> None:
    assert probe(with_certificate(kafka, "somebody")) == {}
    refused = refusal(with_certificate(kafka, "somebody"), new_topics(kafka).records)
    assert "no right" in str(refused)
    assert "somebody.pem" in str(refused)


def test_a_wrong_password_is_told_and_never_shown(kafka: Kafka) -> None:
    refused = refusal(with_password(kafka, password=SecretStr("not-this-one")))
    assert refused.is_lasting
    assert "name or the password is wrong" in str(refused)
    assert "not-this-one" not in str(refused)
    assert "name or the password is wrong" in str(refusal(with_password(kafka, username="nobody")))


def test_a_broker_that_only_closes_at_sign_in_refuses_and_one_that_goes_away_comes_back() -> None:
    settings = KafkaSettings(bootstrap="broker:9093", security="sasl_tls", username="li", password=SecretStr("wrong one"))
    closed, gone = errors.KafkaConnectionError("socket disconnected"), errors.KafkaConnectionError("111 ECONNREFUSED")
    refused = sign_in_refusal(settings, [closed, closed, errors.KafkaTimeoutError("bootstrap")])
    assert (refused.is_lasting, "the name or the password is wrong" in str(refused)) == (True, True)
    for heard in ([closed, gone], [closed]):
        assert not sign_in_refusal(settings, [*heard, errors.KafkaTimeoutError("bootstrap")]).is_lasting


@contextmanager
def balancer(authority: Authority) -> Generator[str]:
    """What takes connections over TLS for a broker that answers once and is gone from then on."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue("localhost"))
    is_over = threading.Event()

    def serve() -> None:
        answers = [bytes(4)]
        while not is_over.is_set():
            with suppress(OSError):
                connection, _ = server.accept()
                with context.wrap_socket(connection, server_side=True) as caller:
                    if answers:
                        caller.recv(1024)
                        caller.sendall(answers.pop())

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            is_over.set()
            thread.join()


def test_what_takes_connections_for_a_broker_that_is_gone_says_nothing_of_the_password(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with balancer(authority) as address:
        settings = KafkaSettings(
            bootstrap=address, security="sasl_tls", ca_file=authority.file, username="li", password=SecretStr("the right one")
        )
        refused = refusal(settings)
    assert not refused.is_lasting
    assert "password" not in str(refused)


def test_what_other_clients_of_the_process_meet_says_nothing_of_this_one(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(settings: KafkaSettings) -> str:
        return settings.bootstrap

    class Admin:
        def __init__(self, **_: Any) -> None:
            other = threading.Thread(
                target=logging.getLogger("kafka.net").error,
                args=("lost: %s", errors.SaslAuthenticationFailedError("of another")),
                name="kafka-io-icsight-uplink-north",
            )
            other.start()
            other.join()
            raise errors.KafkaTimeoutError("bootstrap")

    monkeypatch.setattr(kafka_client, "knock", asked)
    monkeypatch.setattr(kafka_client, "KafkaAdminClient", Admin)
    refused = refusal(plain(silent))
    assert not refused.is_lasting
    assert "password" not in str(refused)


def test_a_missing_certificate_is_told(kafka: Kafka) -> None:
    refused = refusal(with_certificate(kafka, "a").model_copy(update={"certificate_file": None, "key_file": None}))
    assert refused.is_lasting
    assert "asks for a certificate" in str(refused)


def test_a_certificate_of_another_authority_is_told(kafka: Kafka, tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path, "another").issue("sensor")
    refused = refusal(with_certificate(kafka, "a", certificate_file=certificate, key_file=key))
    assert refused.is_lasting
    assert "refuses our certificate" in str(refused)


def test_a_broker_of_another_authority_is_told(kafka: Kafka, tmp_path: Path) -> None:
    refused = refusal(with_certificate(kafka, "a", ca_file=Authority(tmp_path, "another").file))
    assert refused.is_lasting
    assert "check kafka.ca_file" in str(refused)


def test_a_file_that_is_not_there_or_is_none_is_told_by_its_name(kafka: Kafka, tmp_path: Path) -> None:
    assert "key_file" in str(refusal(with_certificate(kafka, "a", key_file=tmp_path / "away.key")))
    (tmp_path / "text.pem").write_text("no certificate")
    assert "ca_file" in str(refusal(with_certificate(kafka, "a", ca_file=tmp_path / "text.pem")))
    assert "certificate_file" in str(refusal(with_certificate(kafka, "a", certificate_file=tmp_path / "text.pem")))


def test_an_unknown_topic_is_told_by_its_name(kafka: Kafka) -> None:
    refused = refusal(plain(kafka.bootstrap), "icsight-nowhere.records")
    assert refused.is_lasting
    assert "icsight-nowhere.records" in str(refused)
    assert "icsight kafka apply" in str(refused)


def test_tls_where_there_is_none_and_none_where_there_is_are_told(kafka: Kafka) -> None:
    assert "kafka.security" in str(refusal(with_password(kafka, bootstrap=kafka.bootstrap)))
    assert "kafka" in str(refusal(plain(kafka.sasl_bootstrap, connect_seconds=5)))


def test_no_broker_is_told_and_may_come_back(kafka: Kafka) -> None:
    refused = refusal(plain("127.0.0.1:1"))
    assert not refused.is_lasting
    assert "127.0.0.1:1" in str(refused)


@pytest.fixture
def silent() -> Iterator[str]:
    """Address of something that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_a_silent_broker_is_told_and_does_not_hide_one_that_answers(kafka: Kafka, silent: str) -> None:
    assert "does not answer" in str(refusal(plain(silent, connect_seconds=2)))
    topics = new_topics(kafka)
    assert probe(plain(f"{silent},{kafka.bootstrap}", connect_seconds=9), [topics.records]) == {topics.records: 1}


def test_something_that_is_no_broker_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        assert "does not speak as a Kafka broker" in str(refusal(plain(f"127.0.0.1:{server.getsockname()[1]}")))


@pytest.mark.parametrize("address", ["", "broker", "broker:", ":9092", "broker:0", "broker:99999"])
def test_an_address_that_is_none_is_told(address: str) -> None:
    assert "kafka.bootstrap" in str(refusal(plain(address)))


def test_clients_of_librdkafka_get_the_same_settings(kafka: Kafka) -> None:
    found = librdkafka_arguments(with_password(kafka))
    assert found == {
        "bootstrap.servers": kafka.sasl_bootstrap, "security.protocol": "SASL_SSL", "ssl.ca.location": str(kafka.authority.file),
        "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": ADMIN[0], "sasl.password": ADMIN[1],
    }  # fmt: skip


def test_checksums_of_messages_are_not_taken_byte_by_byte_in_python() -> None:
    """Without its optional package the library takes 0.2 s of CPU for a MiB, and is silent about it."""
    assert cast("Any", kafka_records).crc32c_c is not None
