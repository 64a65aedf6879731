"""`icsight trace`: where a batch is and what came of it, on one machine and over Kafka and Elasticsearch."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from api import system
from api.alerts.consumer import AlertConsumer
from api.settings import Settings
from collector.stream import Outgoing
from collector.stream.kafka import KafkaStream
from collector.stream.kafka_letters import LetterTopic
from collector.stream.kafka_topics import DECLARATION, apply, declared
from detection.published import publish_rules
from detection.ruleset import RuleFiles
from sensor._core import Reader
from sensor.spool import Spool
from sensor.spool_positions import keep_position
from tests.batches import encode, sample
from tests.detection.on_kafka import System
from tests.detection.test_gaps import minutes
from tests.detection.test_grouping import rule, write_rules

if TYPE_CHECKING:
    from tests.services.elasticsearch import Elasticsearch
    from tests.services.kafka import Kafka

ICSIGHT: Final = Path(sys.executable).with_name("icsight")
TOPICS: Final = "[topics.records]\npartitions = 1\n[topics.dead_letters]\npartitions = 1\n"
CAPTURE: Final = Path(__file__).parents[2] / "rules" / "modbus" / "restart_communications.fires.pcap"


def icsight(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ICSIGHT, *arguments], env={**os.environ, **environment}, capture_output=True, text=True, timeout=240, check=False
    )


def trace(status: int, *arguments: str | Path, **environment: str) -> dict[str, dict[str, Any]]:
    """What each place says, by its name."""
    done = icsight("trace", *arguments, "--json", **environment)
    assert done.returncode == status, (done.stdout, done.stderr)
    return {each["place"]: each for each in json.loads(done.stdout)["places"]}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a system on one machine that has looked at a capture."""
    folder = tmp_path_factory.mktemp("one") / "data"
    done = icsight("run", "--capture", CAPTURE, "--data", folder, "--port", "0", "--exit-when-done")
    assert done.returncode == 0, done.stderr
    return folder


def test_on_one_machine_each_place_says_what_it_did_with_a_batch(data: Path) -> None:
    reader = Reader(str(CAPTURE), sensor="local")
    batches = [(batch.sequence, batch.table, batch.rows) for batch in reader]
    named: list[tuple[str, str]] = []
    for sequence, table, rows in batches:
        told = trace(0, f"local/{reader.epoch}/{sequence}", "--data", data)
        assert (told["spool"]["state"], told["spool"]["number"], told["spool"]["table"]) == ("done", sequence, table)
        assert told["records"]["rows"] == {table: rows}
        assert told["dead letters"]["state"] == "absent"
        assert (told["detection"]["state"], told["detection"]["seen"]) == ("done", len(batches) - 1)
        named += [(table, alert["rule"]) for alert in told["alerts"]["alerts"]]
    assert named == [("modbus", "restart_communications")]


def test_what_was_never_recorded_is_told_with_the_reason_and_status_1(data: Path) -> None:
    epoch = Reader(str(CAPTURE), sensor="local").epoch
    later = trace(1, "local", epoch, "4711", "--data", data)
    assert "not recorded yet" in later["spool"]["text"]
    assert later["records"]["state"] == "absent"
    assert "never held" in trace(1, "south", epoch, "0", "--data", data)["spool"]["text"]
    people = icsight("trace", "local", epoch, "0", "--data", data)
    assert [line.split()[0] for line in people.stdout.splitlines()] == ["spool", "records", "dead", "detection", "alerts"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("a/b",), "names no batch"),
        (("a", "b", "x"), "names no batch"),
        (("a", "b", "1"), "--data"),
        (("a/b/1", "--data", "/no"), "no such"),
    ],
)
def test_what_cannot_be_asked_is_told_in_one_line(arguments: tuple[str, ...], told: str) -> None:
    done = icsight("trace", *arguments)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert told in done.stderr


def test_a_batch_that_waits_for_the_uplink_says_why(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool", sensor="north") as spool:
        for batch in minutes(range(4)):
            spool.append(batch.header, batch.data)
        keep_position(tmp_path / "spool", "uplink", 1, spool.identity.epoch)
    (tmp_path / "uplink.json").write_text(json.dumps({"trouble": "no broker answers"}))
    header = minutes([3])[0].header
    told = trace(0, header.sensor, header.epoch, "3", "--data", tmp_path)
    assert (told["spool"]["state"], told["spool"]["before"]) == ("waits", {"uplink": 2})
    assert told["spool"]["text"].endswith("the uplink says: no broker answers")


def test_over_kafka_and_elasticsearch_each_place_says_what_it_did_with_a_batch(
    kafka: Kafka, elasticsearch_server: Elasticsearch, tmp_path: Path
) -> None:
    made = System(kafka, tmp_path, 2)
    apply(made.kafka, declared(DECLARATION, made.kafka.prefix, 1))
    (tmp_path / "rules").mkdir()
    write_rules(tmp_path / "rules", rule("diagnostic", "medium", {"selection": {"modbus.function_code": 8}}))
    publish_rules(made.kafka, made.topics, RuleFiles([tmp_path / "rules"]).read())
    environment = {
        **made.environment(),
        "ICSIGHT_ELASTICSEARCH_HOSTS": elasticsearch_server.url,
        "ICSIGHT_ELASTICSEARCH_PREFIX": made.kafka.prefix,
    }
    good, strange = minutes([0, 1, 5]), minutes([2])[0]
    made.send([*good[:2], Outgoing(strange.header, b"strange"), good[2]])
    later = replace(good[0].header, sensor="south", epoch="e2", rows=3)
    run = good[0].header.sensor, good[0].header.epoch
    assert icsight("elasticsearch", "apply", **environment).returncode == 0
    done = icsight("collect", "--exit-when-done", **environment)
    assert done.returncode == 0, done.stderr
    made.work("one")
    made.send([Outgoing(later, encode(later, sample("modbus", 3)))])
    with system.opened(Settings(data=tmp_path / "data", port=0)) as services:
        AlertConsumer(KafkaStream(made.kafka, made.topics.alerts), services).drain()

    told = trace(0, *run, "1", "--data", tmp_path / "data", **environment)
    assert (told["kafka"]["state"], told["kafka"]["topic"], told["kafka"]["offset"]) == ("there", made.topics.records, 1)
    assert told["records"]["rows"] == {"modbus": 1}
    assert told["detection"]["state"] == "done"
    assert [alert["rule"] for alert in told["alerts"]["alerts"]] == ["diagnostic"]
    letter = trace(0, *run, "2", **environment)
    assert "not an Arrow stream" in letter["dead letters"]["text"]
    assert (letter["records"]["state"], "passed by" in letter["records"]["text"]) == ("absent", True)
    missing = trace(0, *run, "3", "--data", tmp_path / "data", **environment)
    assert (missing["kafka"]["below"], missing["kafka"]["above"]) == (2, 5)
    assert "removed from the sensor's spool" in missing["kafka"]["text"]
    assert [alert["rule"] for alert in missing["alerts"]["alerts"]] == ["sensor_batches_missing"]
    waiting = trace(0, "south", "e2", "0", **environment)
    assert (waiting["kafka"]["state"], waiting["records"]["state"], waiting["detection"]["state"]) == ("there", "waits", "waits")
    assert trace(1, "nobody", "e", "1", **environment)["kafka"]["state"] == "absent"


def shown(kafka: Kafka, prefix: str, principal: str) -> dict[str, str]:
    """The settings of a process that shows the brokers a certificate of this principal."""
    certificate, key = kafka.authority.issue(principal)
    return {
        "ICSIGHT_KAFKA_BOOTSTRAP": kafka.tls_bootstrap,
        "ICSIGHT_KAFKA_PREFIX": prefix,
        "ICSIGHT_KAFKA_CA_FILE": str(kafka.authority.file),
        "ICSIGHT_KAFKA_CERTIFICATE_FILE": str(certificate),
        "ICSIGHT_KAFKA_KEY_FILE": str(key),
    }


@pytest.fixture(scope="module")
def guarded(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> System:
    """A system whose topics and rights are as declared, with a batch that was looked at and one that is a dead letter."""
    made = System(kafka, tmp_path_factory.mktemp("guarded"), 1)
    apply(made.kafka, declared(DECLARATION, made.kafka.prefix, 1))
    good, strange = minutes([0])[0], minutes([1])[0]
    made.send([good])
    made.work("one")
    letters = LetterTopic(made.kafka)
    letters.keep("strange", strange.header, bytes(strange.data))
    letters.settle()
    letters.close()
    return made


@pytest.mark.parametrize("principal", ["icsight-serve", "icsight-collect"])
def test_the_rights_that_are_declared_of_a_service_are_all_that_is_needed(kafka: Kafka, guarded: System, principal: str) -> None:
    environment = shown(kafka, guarded.kafka.prefix, principal)
    run = minutes([0])[0].header.run
    told = trace(0, *run, "0", **environment)
    assert {name: each["state"] for name, each in told.items()} == {
        "kafka": "there", "dead letters": "absent", "detection": "done",
    }  # fmt: skip
    assert trace(0, *run, "1", **environment)["dead letters"]["state"] == "there"
    assert trace(1, *run, "2", **environment)["kafka"]["state"] == "absent"


def test_who_has_no_rights_is_told_so_of_each_place_and_status_2(kafka: Kafka, guarded: System) -> None:
    told = trace(2, "north", "e", "0", **shown(kafka, guarded.kafka.prefix, "nobody-in-particular"))
    assert {each["state"] for each in told.values()} == {"unknown"}
    for name, each in told.items():
        assert "nobody-in-particular.pem has no right to it" in each["text"], name
        assert len(each["text"].splitlines()) == 1


@pytest.mark.parametrize("rights", ['read = ["records"]\nwrite = ["dead_letters"]\n', 'write = ["records"]\n'])
def test_what_the_rights_are_too_few_for_is_told_in_a_line_and_not_taken_for_absent(
    kafka: Kafka, guarded: System, tmp_path: Path, rights: str
) -> None:
    principal = f"looker-{secrets.token_hex(4)}"
    (tmp_path / "topics.toml").write_text(f'{TOPICS}[roles.looker]\nprincipal = "{principal}"\n{rights}')
    apply(guarded.kafka, declared(tmp_path / "topics.toml", guarded.kafka.prefix, 1))
    environment = shown(kafka, guarded.kafka.prefix, principal)
    run, may_read = minutes([0])[0].header.run, "read" in rights
    found = trace(0 if may_read else 2, *run, "0", **environment)
    lines = {name: each["text"] for name, each in found.items() if each["state"] == "unknown"}
    assert set(lines) == {"dead letters", "detection"} | (set() if may_read else {"kafka"})
    assert "may not do this (GroupAuthorizationFailedError)" in lines["detection"]
    assert "may not do this (TopicAuthorizationFailedError)" in lines["dead letters" if may_read else "kafka"]
    assert all(len(line.splitlines()) == 1 for line in lines.values())
    # It may be among the dead letters.
    assert trace(2, *run, "2", **environment)["dead letters"]["state"] == "unknown"
