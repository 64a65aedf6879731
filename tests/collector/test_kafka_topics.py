"""`icsight kafka apply`: a plan first, then the cluster as declared, and the second time nothing to do."""

# kafka-python leaves its results untyped.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from kafka import KafkaConsumer, KafkaProducer, errors
from kafka.admin import KafkaAdminClient

from collector.stream.kafka_command import kafka as command
from collector.stream.kafka_letters import LetterTopic
from collector.stream.kafka_topics import DECLARATION, DeclarationError, apply, declared, plan
from sensor.kafka_settings import KafkaSettings
from sensor.topics import Topics

if TYPE_CHECKING:
    from pathlib import Path

    from tests.services.kafka import Kafka

OLD_MS = 1_500_000_000_000
"""July 2017: event times of old captures."""


@pytest.fixture
def settings(kafka: Kafka) -> KafkaSettings:
    return KafkaSettings(bootstrap=kafka.bootstrap, security="plaintext", prefix=f"t{secrets.token_hex(6)}")


def test_a_cluster_is_made_as_declared_and_then_there_is_nothing_to_do(settings: KafkaSettings) -> None:
    wanted = declared(DECLARATION, settings.prefix, 1)
    first = plan(settings, wanted)
    assert {topic.name for topic in first.create} == {topic.name for topic in wanted.topics}
    assert set(first.allow) == set(wanted.rights)
    apply(settings, wanted)
    assert plan(settings, wanted).lines() == []


def test_what_somebody_changed_is_shown_and_set_back_and_partitions_only_grow(settings: KafkaSettings, tmp_path: Path) -> None:
    text = DECLARATION.read_text()
    apply(settings, declared(DECLARATION, settings.prefix, 1))
    changed = tmp_path / "topics.toml"
    records, evidence = ('12\n"retention.ms" = 604800000', '12\n"retention.ms" = 86400000')
    assert records in text
    assert evidence in text
    changed.write_text(text.replace(records, '13\n"retention.ms" = 1000000000').replace(evidence, "4"))
    wanted = declared(changed, settings.prefix, 1)
    changes = plan(settings, wanted)
    told = "\n".join(changes.lines())
    assert f"~ topic {settings.prefix}.records: 12 -> 13 partitions" in told
    assert f"~ topic {settings.prefix}.records: retention.ms 604800000 -> 1000000000" in told
    assert f"! topic {settings.prefix}.evidence has 12 partitions, not 4" in told
    apply(settings, wanted)
    assert plan(settings, wanted).is_empty


def test_records_of_old_captures_are_not_deleted_for_their_age(kafka: Kafka, settings: KafkaSettings) -> None:
    apply(settings, declared(DECLARATION, settings.prefix, 1))
    topic = Topics(settings.prefix).records
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap)
    producer.send(topic, b"x", timestamp_ms=OLD_MS).get(30)
    producer.close()
    consumer = KafkaConsumer(topic, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=20_000)
    assert abs(next(iter(consumer)).timestamp / 1000 - time.time()) < 120
    consumer.close()


def test_a_batch_of_the_largest_size_goes_through(kafka: Kafka, settings: KafkaSettings) -> None:
    apply(settings, declared(DECLARATION, settings.prefix, 1))
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap, max_request_size=settings.largest_message_bytes)
    producer.send(Topics(settings.prefix).records, bytes(8 * 1024**2)).get(30)
    producer.close()


def test_a_role_may_do_what_is_declared_and_no_more(kafka: Kafka, settings: KafkaSettings, tmp_path: Path) -> None:
    apply(settings, declared(DECLARATION, settings.prefix, 1))
    certificate, key = kafka.authority.issue("icsight-collect")
    secure: dict[str, Any] = {
        "bootstrap_servers": kafka.tls_bootstrap, "security_protocol": "SSL", "ssl_cafile": str(kafka.authority.file),
        "ssl_certfile": str(certificate), "ssl_keyfile": str(key), "max_block_ms": 5000,
    }  # fmt: skip
    topics = Topics(settings.prefix)
    producer = KafkaProducer(**secure, enable_idempotence=False)
    producer.send(topics.dead_letters, b"x").get(30)
    letters = LetterTopic(
        KafkaSettings(
            bootstrap=kafka.tls_bootstrap,
            prefix=settings.prefix,
            ca_file=kafka.authority.file,
            certificate_file=certificate,
            key_file=key,
        )
    )
    name = letters.keep("why", None, b"y")
    letters.settle()
    assert [letter.name for letter in letters.letters()] == [name]
    letters.remove(name)
    assert list(letters.letters()) == []
    letters.close()
    with pytest.raises(errors.AuthorizationError):
        producer.send(topics.alerts, b"x").get(30)
    producer.close()


def test_the_command_shows_its_plan_asks_and_can_be_repeated(
    kafka: Kafka, settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ICSIGHT_KAFKA_BOOTSTRAP", kafka.bootstrap)
    monkeypatch.setenv("ICSIGHT_KAFKA_SECURITY", "plaintext")
    monkeypatch.setenv("ICSIGHT_KAFKA_PREFIX", settings.prefix)
    runner = CliRunner()
    planned = runner.invoke(command, ["apply", "--replication", "1", "--dry-run"])
    assert planned.exit_code == 1
    assert f"+ topic {settings.prefix}.records: 12 partitions, 1 copies" in planned.output
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    assert f"{settings.prefix}.records" not in admin.list_topics()
    refused = runner.invoke(command, ["apply", "--replication", "1"], input="n\n")
    assert refused.exit_code != 0
    assert f"{settings.prefix}.records" not in admin.list_topics()
    admin.close()
    done = runner.invoke(command, ["apply", "--replication", "1", "--yes"])
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, f"{kafka.bootstrap}: done")
    again = runner.invoke(command, ["apply", "--replication", "1"])
    assert (again.exit_code, again.output.strip()) == (0, f"{kafka.bootstrap}: as declared, nothing to do")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[topics", "not TOML"),
        ("[topics.others]\npartitions = 1\n", "there is no such topic"),
        ("[topics.records]\n", "partitions"),
        ('[topics.records]\npartitions = 1\n[roles.x]\nprincipal = "x"\nread = ["alerts"]\n', "alerts"),
        ('[roles.x]\nprincipal = "x"\nrule = 1\n', "rule is not known"),
    ],
)
def test_a_declaration_that_is_none_is_refused_in_one_line(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "topics.toml"
    path.write_text(text)
    with pytest.raises(DeclarationError, match=told) as caught:
        declared(path, "x")
    assert "\n" not in str(caught.value)
