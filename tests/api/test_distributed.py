"""The API of a system on several machines: alerts from Kafka, decisions and pins to it, whatever happens to Kafka meanwhile."""

# kafka-python ships no types for its clients.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
from kafka import KafkaConsumer
from kafka.structs import TopicPartition

from api.alerts import upserts
from api.alerts.consumer import AlertConsumer
from api.audit.models import AuditEntry
from api.distributed import Distributed, distributed
from api.evidence.statement import sensors_of
from api.main import create_app
from api.server import Server
from api.settings import Settings
from api.site import service as sites
from collector.stream import Position
from detection.baseline.decisions import Decision
from detection.control import SITE
from detection.kept import KeptStream
from detection.publish import Publisher
from detection.published import publish_decision, publish_rules, publish_site
from detection.ruleset import RuleFiles
from detection.site import Site
from sensor.control_records import PIN, encode, rows_of
from sensor.kafka_client import KafkaUnusable
from sensor.kafka_settings import KafkaSettings
from sensor.packets import Statement
from tests.api.alerts import upsert
from tests.api.conftest import Running
from tests.detection.on_kafka import System
from tests.detection.test_grouping import mixed_rules
from tests.detection.test_scaleout import interleaving
from tests.sensor.test_kafka_control import running as at_work
from tests.sensor.test_kafka_control import sensor
from tests.services.topics import make_topic

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from tests.services.kafka import Kafka

SITES: Final = ("east", "west")
SCOPE: Final = {"rules": ["write"], "end": "2100-01-01T00:00:00+08:00", "reason": "known", "seen": 1_000}


@contextmanager
def served(folder: Path, kafka: KafkaSettings) -> Generator[tuple[Running, Distributed]]:
    """The API of a system on this broker."""
    with distributed(Settings(data=folder, port=0), kafka) as (services, parts):
        server = Server(create_app(services), services)
        server.start()
        parts.start()
        try:
            yield Running(services, server), parts
        finally:
            assert parts.stop() == []
            server.stop()


def until(condition: Callable[[], Any], seconds: float = 90) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


@pytest.fixture(autouse=True)
def _always_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.distributed.LOOK_SECONDS", 0.0)


@pytest.fixture
def system(kafka: Kafka, tmp_path: Path) -> System:
    """Two sites of three sensors each, and rules for both."""
    (tmp_path / "rules").mkdir()
    mixed_rules(tmp_path / "rules")
    made = System(kafka, tmp_path, 4, lateness_seconds=2.0)
    make_topic(kafka, made.topics.evidence)
    publish_rules(made.kafka, made.topics, RuleFiles([tmp_path / "rules"]).read())
    return made


def pins(system: System, name: str) -> list[Statement]:
    """What a sensor was asked to pin."""
    place = TopicPartition(system.topics.control(name), 0)
    consumer: Any = KafkaConsumer(bootstrap_servers=system.kafka.bootstrap, group_id=None, enable_auto_commit=False)
    consumer.assign([place])
    consumer.seek_to_beginning(place)
    end, found = consumer.end_offsets([place])[place], []
    while consumer.position(place) < end:
        for message in consumer.poll(timeout_ms=200).get(place, ()):
            found += [Statement.from_json(row["content"]) for row in rows_of(message.value) if row["kind"] == PIN]
    consumer.close()
    return found


@pytest.mark.parametrize("split", [False, True])
def test_alerts_of_two_sites_come_decisions_go_and_pins_reach_the_sensors(
    kafka: Kafka, system: System, tmp_path: Path, *, split: bool
) -> None:
    for site in SITES if split else ():
        publish_site(system.kafka, system.topics, Site(site=site, split=True))
    batches = {site: interleaving(3, site) for site in SITES}
    half = len(batches["east"]) // 2
    for name in {batch.header.sensor for each in batches.values() for batch in each}:
        # One sensor is none of ours: its alerts come all the same.
        if name != "sensor-2-west":
            make_topic(kafka, system.topics.control(name))
    for site in SITES:
        system.send(batches[site][:half])
    idle_seconds = 6.0 if split else 3.0
    system.work(idle_seconds=idle_seconds)
    assert (system.shared() > 0) is split
    with served(tmp_path / "api", system.kafka) as (api, parts):
        client = api.signed_in(name="lin")

        def alerts(**query: str) -> list[dict[str, Any]]:
            return client.get("/api/alerts", params={"limit": "200", **query}).json()["items"]

        told = {alert.id: site for site, alert in system.alerts_by_site()}
        assert set(told.values()) == set(SITES)
        until(lambda: _stored(api) == len(told))
        until(lambda: _waiting(api, parts) == 0)

        assert {each["site"] for each in alerts(site="west")} == {"west"}

        # What was learned of all sensors of both sites is shown, wherever it was.
        shown = {(each["site"], each["sensor"]) for each in client.get("/api/baseline").json()}
        assert shown == {(site, batch.header.sensor) for site in SITES for batch in batches[site][:half]}

        # A decision must say of which site it is; of an alert that is known.
        refused = client.post("/api/exceptions", json={**SCOPE, "name": "any"})
        assert (refused.status_code, refused.json()["code"]) == (422, "site_missing")
        unknown = client.post("/api/exceptions", json={**SCOPE, "name": "any", "site": "north"})
        assert (unknown.status_code, unknown.json()["code"]) == (404, "site_unknown")
        alert = next(each for each in alerts(rule="write") if told[each["id"]] == "west")
        made = client.post("/api/exceptions", json={**SCOPE, "name": "known", "alert": alert["id"]})
        assert (made.status_code, made.json()["site"], made.json()["state"]) == (201, "west", "waiting")
        publish_decision(system.kafka, system.topics, "east", Decision("accept", "wu", "by hand", client="10.9.9.9"))
        until(lambda: _sent(api))
        publish_site(system.kafka, system.topics, Site(site="east", split=split, critical={"10.0.0.1": 2.0}))

        # It holds for what comes then, at its site only.
        for site in SITES:
            system.send(batches[site][half:])
        system.work("two", idle_seconds)
        until(lambda: client.get("/api/exceptions").json()[0]["state"] == "in_force")
        hidden = {site: [each for each in system.alerts_by_site() if each[0] == site and each[1].exception] for site in SITES}
        assert hidden["west"]
        assert not hidden["east"]
        ids = {each.id for _, each in hidden["west"]}
        until(lambda: {each["id"] for each in alerts(exception="known")} == ids)
        assert client.get("/api/exceptions").json()[0]["hidden"] == len(ids)
        (by_hand,) = until(lambda: client.get("/api/baseline/decisions").json())
        assert (by_hand["by"], by_hand["waiting"]) == ("wu", False)

        told_by_ours = [each for _, each in system.alerts_by_site() if set(sensors_of(each.body)) - {"sensor-2-west"}]
        wanted = {each.id for each in told_by_ours if each.client_ip}
        assert wanted
        until(lambda: {each.alert for name in _sensors(system) for each in pins(system, name)} >= wanted)

    # Started anew it goes on where it was: nothing is doubled.
    with served(tmp_path / "api", system.kafka) as (api, parts):
        until(lambda: _waiting(api, parts) == 0)
        with api.services.database.read() as session:
            actions = [entry.action for entry in session.query(AuditEntry).all()]
        assert [actions.count(name) for name in ("exception.make", "baseline.accept")] == [1, 1]


def test_packets_come_from_the_sensor_that_an_alert_names(kafka: Kafka, system: System, tmp_path: Path) -> None:
    from tests.api.test_evidence import ALERT  # noqa: PLC0415

    make_topic(kafka, system.topics.control("local"))
    with served(tmp_path / "api", system.kafka) as (api, _):
        api.alerts(ALERT)
        client = api.signed_in(name="lin")
        with at_work(*sensor(tmp_path / "gateway", system.kafka, "local")):
            answer = client.get(f"/api/alerts/{ALERT.id}/evidence", params={"form": "zip"})
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/zip"), answer.text
        other = client.get(f"/api/alerts/{ALERT.id}/evidence", params={"sensor": "elsewhere"})
        assert (other.status_code, other.json()["code"]) == (404, "evidence_none")


def test_decisions_wait_while_kafka_is_away_and_are_sent_when_it_is_back(private_kafka: Kafka, tmp_path: Path) -> None:
    system = System(private_kafka, tmp_path, 1)
    make_topic(private_kafka, system.topics.evidence)
    impatient = system.kafka.model_copy(update={"connect_seconds": 2.0})
    with served(tmp_path / "api", impatient) as (api, parts):
        client = api.signed_in(name="lin")
        api.alerts(upsert(1))
        assert client.get("/readyz").json()["status"] == "ready"
        private_kafka.stop()
        made = client.post("/api/exceptions", json={**SCOPE, "name": "known"})
        assert (made.status_code, made.json().get("state")) == (201, "waiting"), made.text

        def failing() -> bool:
            parts.observe()
            answer = client.get("/readyz")
            return answer.status_code == 503 and {"alerts", "decisions"} <= set(answer.json()["failures"])

        until(failing)
        assert client.get("/api/alerts").status_code == 200
        private_kafka.start()

        def ready() -> bool:
            parts.observe()
            return client.get("/readyz").status_code == 200

        until(ready)
        assert _sent(api)


def test_what_another_server_has_read_already_is_written_once(system_running: Running) -> None:
    services, stream = system_running.services, KeptStream()
    publisher = Publisher(stream, "control", "1", "control")
    versions = [Site(site="east"), Site(site="east", critical={"10.0.0.1": 2.0})]
    for site in versions:
        publisher.publish(encode(1, SITE, site.model_dump_json(by_alias=True, exclude_none=True)), 1, "east", (1, 1))
    consumers = [AlertConsumer(stream, services) for _ in range(2)]
    standing = [consumer.subscribe() for consumer in consumers]
    for consumer, each in zip(consumers, standing, strict=True):
        assert consumer.apply_next(each, 0)
    with services.database.read() as session:
        assert sites.in_force(session, "east") == versions[-1]
        actions = [entry.action for entry in session.query(AuditEntry).all()]
        upserts_position = upserts.position(session)
    assert actions.count("site.take_over") == 2
    with services.database.write() as session:
        upserts.stand(session, Position({"0": 1}))
        assert upserts.position(session) == upserts_position


def test_a_broker_that_will_never_do_is_told_in_one_line(kafka: Kafka, tmp_path: Path) -> None:
    settings = KafkaSettings(bootstrap=kafka.bootstrap, security="plaintext", prefix="nothing-here")
    with pytest.raises(KafkaUnusable, match=r"topic nothing-here\.alerts.*icsight kafka apply"), served(tmp_path, settings):
        pass


def _sent(api: Running) -> bool:
    """Whether all decisions are on Kafka."""
    from api.decisions.models import Decision as Stored  # noqa: PLC0415

    with api.services.database.read() as session:
        return all(each.sent_at is not None for each in session.query(Stored).all())


def _stored(api: Running) -> int:
    """How many alerts the database has."""
    from api.alerts.models import Alert  # noqa: PLC0415

    with api.services.database.read() as session:
        return session.query(Alert).count()


def _waiting(api: Running, parts: Distributed) -> int | None:
    """How many alerts wait; None where that is not known."""
    parts.observe()
    found = {part.name: part for part in api.services.status.parts()}["alerts"]
    return found.waiting if found.state == "working" else None


def _sensors(system: System) -> list[str]:
    return [f"sensor-{number}-{site}" for site in SITES for number in range(3) if (number, site) != (2, "west")]
