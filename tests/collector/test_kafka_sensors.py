"""A sensor may do on the cluster what it needs and no more, is refused once it is revoked, and loses nothing by that."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from kafka.admin import KafkaAdminClient, NewTopic

from collector.stream.kafka_command import kafka as command
from collector.stream.kafka_sensors import revoke
from sensor.control_records import PIN
from sensor.kafka_client import KafkaUnusable, probe
from sensor.kafka_control import ControlPoller, send
from sensor.kafka_settings import KafkaSettings
from sensor.packets import Statement
from sensor.spool import Spool
from sensor.topics import plain
from sensor.uplink import Uplink
from tests.sensor.kafka_log import new_topics, read_all, taken
from tests.sensor.test_kafka_control import running as at_work
from tests.sensor.test_uplink import FAST, PATIENCE_SECONDS, fill, running, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.services.kafka import Kafka


def test_a_sensor_is_let_in_by_its_certificate_refused_when_revoked_and_ships_on_when_let_in_again(
    kafka: Kafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics = new_topics(kafka)
    admin: Any = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    admin.create_topics([NewTopic(topics.evidence, 1, 1)])
    admin.close()
    name = f"南{topics.prefix}"  # a principal that no other test has
    certificate, key = kafka.authority.issue(plain(name))
    settings = KafkaSettings(
        bootstrap=kafka.tls_bootstrap, security="tls", ca_file=kafka.authority.file, certificate_file=certificate, key_file=key,
        prefix=topics.prefix, connect_seconds=5,
    )  # fmt: skip
    by_admin = KafkaSettings(bootstrap=kafka.bootstrap, security="plaintext", prefix=topics.prefix)
    for setting in ("bootstrap", "security", "prefix"):
        monkeypatch.setenv(f"ICSIGHT_KAFKA_{setting.upper()}", getattr(by_admin, setting))
    with pytest.raises(KafkaUnusable, match="no right"):
        probe(settings, [topics.records])
    let_in = ["sensor", "add", name, "--replication", "1", "--yes"]
    added = CliRunner().invoke(command, let_in)
    assert added.exit_code == 0, added.output
    assert f"common name {plain(name)}" in added.output
    assert "nothing to do" in CliRunner().invoke(command, let_in).output
    probe(settings, [topics.records, topics.evidence, topics.control(name)])
    send(by_admin, name, PIN, Statement(1, 2, alert="a1").to_json())
    with ExitStack() as stack:
        spool = stack.enter_context(Spool(tmp_path / "spool", sensor=name))
        uplink, poller = Uplink(spool.folder, settings, FAST), ControlPoller(tmp_path, settings, name)
        stack.enter_context(running(uplink))
        stack.enter_context(at_work(poller))
        batches = fill(spool, 20)
        wait_until(uplink, 20)
        until = time.monotonic() + PATIENCE_SECONDS
        while not poller.records:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert revoke(by_admin, name) == 8
        batches += fill(spool, 20)
        while "no right" not in uplink.counters.trouble:
            assert time.monotonic() < until, uplink.counters
            time.sleep(0.05)
        assert uplink.position == 20
        assert CliRunner().invoke(command, let_in).exit_code == 0
        wait_until(uplink, 40)
    assert taken(read_all(kafka, topics.records)) == batches
