"""A sensor enrols with a one-time token, ships, renews its certificate, and is refused once it is revoked: on real brokers."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
import tomllib
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic

from api.audit.models import AuditEntry
from api.cli import icsight
from api.enrolment.models import EnrolledSensor, IssuedToken, SensorCertificate
from api.sensors import service
from api.sensors.report_reader import ReportReader
from api.times import NANOSECONDS
from sensor.centre import CentreRefused, post
from sensor.configuration import configured
from sensor.control_records import SETTINGS
from sensor.credentials import Credentials, pem, request_of
from sensor.edge import spool_settings
from sensor.enrolled import CREDENTIALS, FOLDER
from sensor.enrolment_token import EnrolmentToken
from sensor.kafka_control import ControlPoller, send
from sensor.kafka_settings import KafkaSettings
from sensor.remote_settings import applied
from sensor.renewal import PATH as RENEW
from sensor.renewal import Renewal
from sensor.reporter import Reporter
from sensor.self_report import SelfReport
from sensor.settings_followers import RecorderFollower, UplinkFollower
from sensor.spool import Spool
from sensor.terminal import CommandError
from sensor.topics import principal_of
from sensor.uplink import Uplink
from tests.api.conftest import running as served
from tests.sensor.kafka_log import new_topics, read_all
from tests.sensor.test_kafka_control import running as at_work
from tests.sensor.test_uplink import FAST, fill, running, wait_until
from tests.services.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.api.conftest import Running
    from tests.services.kafka import Kafka

PATIENCE_SECONDS = 60

NOBODY = 65_534
"""The number of a user and of a group that own nothing else."""


class Plant:
    """A centre that answers over TLS with a certificate that no authority of the system vouches for, and its brokers."""

    def __init__(self, running: Running, kafka: Kafka, prefix: str, certificate: Path, environment: pytest.MonkeyPatch) -> None:
        self.running = running
        self.url = running.url
        self.data = running.services.settings.data
        self.kafka = kafka
        self.prefix = prefix
        self.sensor = f"泵房{prefix}"
        self.by_admin = KafkaSettings(bootstrap=kafka.bootstrap, security="plaintext", prefix=prefix)
        self._certificate = certificate
        self._environment = environment

    def command(self, *arguments: str | Path) -> str:
        """What a command of the centre prints on standard output."""
        done = CliRunner().invoke(icsight, [str(each) for each in arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    def token(self, sensor: str = "", **options: str) -> str:
        given = [part for name, value in options.items() for part in (f"--{name}", value)]
        pinned = ("--tls-certificate", self._certificate, "--data", self.data)
        return self.command("enrolment", "token", sensor or self.sensor, *pinned, *given).strip()

    def enrol(self, token: str, gateway: Path, url: str = "") -> str:
        """What `icsight sensor enrol` prints, on a gateway with a configuration of its own; raises what it refuses with."""
        given = ["sensor", "enrol", token, "--url", url or self.url, "--data", str(gateway)]
        done = CliRunner().invoke(icsight, [*given, "--config", str(gateway.with_suffix(".toml"))], standalone_mode=False)
        if done.exception is not None:
            raise done.exception
        return done.output

    def uplink(self, gateway: Path) -> subprocess.Popen[str]:
        """`icsight sensor uplink` as a process of its own, with what enrolment wrote and nothing else."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ICSIGHT_")}
        program = "from api.cli import main; main()"
        return subprocess.Popen(
            [sys.executable, "-c", program, "sensor", "uplink", "--data", str(gateway)], cwd=Path(__file__).parents[2], text=True,
            env={**environment, "ICSIGHT_CONFIG": str(gateway.with_suffix(".toml")), "ICSIGHT_UPLINK_POSITION_SECONDS": "0.1"},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def kafka_of(self, gateway: Path) -> KafkaSettings:
        """How the gateway reaches Kafka, by what enrolment wrote and nothing else."""
        with self._environment.context() as environment:
            for name in ("BOOTSTRAP", "SECURITY", "PREFIX"):
                environment.delenv(f"ICSIGHT_KAFKA_{name}")
            environment.setenv("ICSIGHT_CONFIG", str(gateway.with_suffix(".toml")))
            return configured(KafkaSettings)


@pytest.fixture
def plant(kafka: Kafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plant]:
    topics = new_topics(kafka)
    admin: Any = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    admin.create_topics([NewTopic(name, 1, 1) for name in (topics.evidence, topics.sensors)])
    admin.close()
    authority = kafka.authority.file
    settings = {
        "KAFKA_BOOTSTRAP": kafka.bootstrap, "KAFKA_SECURITY": "plaintext", "KAFKA_PREFIX": topics.prefix,
        "ENROLMENT_BOOTSTRAP": kafka.tls_bootstrap, "ENROLMENT_BROKERS_CA_FILE": str(authority), "ENROLMENT_REPLICATION": "1",
        "ENROLMENT_AUTHORITY_FILE": str(authority), "ENROLMENT_AUTHORITY_KEY_FILE": str(authority.with_name("ca.key")),
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(f"ICSIGHT_{name}", value)
    certificate, key = Authority(tmp_path / "other").issue("centre")
    with served(tmp_path / "centre", tls_certificate=certificate, tls_key=key, sign_in_attempts=3) as answering:
        yield Plant(answering, kafka, topics.prefix, certificate, monkeypatch)


def refused(plant: Plant, token: str, gateway: Path, **options: str) -> str:
    with pytest.raises(CommandError) as raised:
        plant.enrol(token, gateway, **options)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_an_enrolled_sensor_ships_without_another_edit_and_is_refused_once_it_is_revoked(plant: Plant, tmp_path: Path) -> None:
    gateway = tmp_path / "gateway"
    assert "enrolled as" in plant.enrol(plant.token(site="waterworks"), gateway)
    credentials = gateway / FOLDER / CREDENTIALS
    assert credentials.stat().st_mode & 0o777 == 0o600
    certificate = x509.load_pem_x509_certificate(credentials.read_bytes())
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    written = tomllib.loads(gateway.with_suffix(".toml").read_text())["kafka"]
    assert (written["bootstrap"], written["prefix"]) == (plant.kafka.tls_bootstrap, plant.prefix)
    with Spool(gateway / "spool", sensor=plant.sensor, site="waterworks") as spool:
        uplink = plant.uplink(gateway)
        try:
            batches = fill(spool, 20)
            until(lambda: told_by(gateway).get("position") == 20, gateway)
            assert "8 rights taken away" in plant.command("sensor", "revoke", plant.sensor, "--data", plant.data)
            batches += fill(spool, 5)
            until(lambda: "no right" in told_by(gateway)["trouble"], gateway)
            assert told_by(gateway)["position"] == 20
            # Let in again, it has another principal: who took the old key away gets nothing by it.
            plant.enrol(plant.token(site="waterworks"), gateway)
            until(lambda: told_by(gateway)["position"] == 25, gateway)
        finally:
            uplink.terminate()
            _, said = uplink.communicate()
    assert len([line for line in said.splitlines() if "records: " in line and "no right" in line]) == 1, said
    assert read_all(plant.kafka, f"{plant.prefix}.records") == batches
    (name,) = x509.load_pem_x509_certificate(credentials.read_bytes()).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert name.value == f"{principal_of(plant.sensor)}_g2"
    assert "8 rights taken away" in plant.command("sensor", "revoke", plant.sensor, "--data", plant.data)
    with plant.running.services.database.read() as session:
        (token, _) = session.query(IssuedToken).order_by(IssuedToken.made_at)
        assert token.used_from == "127.0.0.1"


def test_what_root_enrols_is_the_data_folders_owners_and_nobody_else_reads_it(plant: Plant, open_folder: Path) -> None:
    gateway, config = open_folder / "gateway", open_folder / "icsight.toml"
    gateway.mkdir(mode=0o700)
    os.chown(gateway, NOBODY, NOBODY)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ICSIGHT_")}
    given = ["sensor", "enrol", plant.token(), "--url", plant.url, "--data", str(gateway), "--config", str(config)]
    done = subprocess.run(
        [sys.executable, "-c", "from api.cli import main; main()", *given], cwd=Path(__file__).parents[2], env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    folder = gateway / FOLDER
    assert {file.name for file in folder.iterdir()} == {"authority.pem", "brokers.pem", "enrolment.json", "sensor.pem"}
    for path, mode in [(folder, 0o700), *((file, 0o600) for file in folder.iterdir())]:
        found = path.stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (NOBODY, NOBODY, mode), path
    # Its service's user has all that it needs, and no secret is in what all may read.
    assert (
        subprocess.run(
            ["cat", folder / CREDENTIALS, config],
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            check=False,
            stdout=subprocess.DEVNULL,
        ).returncode
        == 0
    )
    assert (config.stat().st_uid, config.stat().st_mode & 0o777) == (0, 0o644)
    assert "PRIVATE KEY" not in config.read_text()


def test_a_token_works_once_for_its_sensor_and_until_it_expires(plant: Plant, tmp_path: Path) -> None:
    token = plant.token()
    with Spool(tmp_path / "other" / "spool", sensor="another", site=""):
        pass
    assert f"for sensor {plant.sensor}" in refused(plant, token, tmp_path / "other")
    plant.enrol(token, tmp_path / "first")
    assert "has been used" in refused(plant, token, tmp_path / "second")
    assert not (tmp_path / "second" / FOLDER / CREDENTIALS).exists()
    assert not (tmp_path / "second.toml").exists()
    assert "has expired" in refused(plant, plant.token(hours="0.0000001"), tmp_path / "second")
    unused = plant.token()
    plant.command("sensor", "revoke", plant.sensor, "--data", plant.data)
    assert "not known here" in refused(plant, unused, tmp_path / "second")
    assert "no token" in refused(plant, unused[:-9], tmp_path / "second")
    with plant.running.services.database.read() as session:
        assert EnrolmentToken.from_text(token).secret_hash in [each.secret_hash for each in session.query(IssuedToken)]
        told = [(entry.action, entry.actor) for entry in session.query(AuditEntry).order_by(AuditEntry.number)]
    told = [(action, actor) for action, actor in told if action.startswith("enrolment.")]
    assert [action for action, _ in told] == [
        "enrolment.token", "enrolment.use", "enrolment.token", "enrolment.token", "enrolment.revoke",
    ]  # fmt: skip
    assert told[1][1] == f"sensor {plant.sensor}"


def test_a_sensor_sends_its_token_to_no_server_but_the_one_in_it(plant: Plant, tmp_path: Path) -> None:
    wrong = EnrolmentToken.new(hashlib.sha256(b"another certificate").digest())
    assert "not the one in the token" in refused(plant, str(wrong), tmp_path / "gateway")
    unpinned = EnrolmentToken.new()
    assert "certificate is refused" in refused(plant, str(unpinned), tmp_path / "gateway")
    assert "plain HTTP" in refused(plant, str(unpinned), tmp_path / "gateway", url="http://centre.example")
    assert posted(plant) == 0
    plant.enrol(plant.token(), tmp_path / "gateway")
    assert posted(plant) == 1


def test_who_guesses_waits(plant: Plant, tmp_path: Path) -> None:
    good = plant.token()
    pin = EnrolmentToken.from_text(good).pin
    answers = [refused(plant, str(EnrolmentToken.new(pin)), tmp_path / "gateway") for _ in range(4)]
    assert ["Wait" in answer for answer in answers] == [False, False, False, True]
    guessed = EnrolmentToken(EnrolmentToken.from_text(good).id, b"\0" * 24, pin)
    assert "Wait" in refused(plant, str(guessed), tmp_path / "gateway")


def test_an_answer_that_was_lost_comes_again_for_the_same_key(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, gateway = plant.token(), tmp_path / "gateway"

    def cut(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("sensor.enrol_command.take_over", cut)
        assert "No space left" in refused(plant, token, gateway)
    plant.enrol(token, gateway)
    with plant.running.services.database.read() as session:
        assert len(list(session.query(SensorCertificate))) == 1


def test_a_certificate_is_renewed_while_the_uplink_ships_and_not_for_a_revoked_sensor(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 173 s from its issue and an hour for clocks that are behind: less than a third remains from the beginning.
    monkeypatch.setenv("ICSIGHT_ENROLMENT_CERTIFICATE_DAYS", "0.002")
    gateway = tmp_path / "gateway"
    plant.enrol(plant.token(), gateway)
    first = Credentials.read(gateway)
    said: list[str] = []
    renewal = Renewal(gateway, said.append)
    with ExitStack() as stack:
        spool = stack.enter_context(Spool(gateway / "spool", sensor=plant.sensor, site=""))
        uplink = Uplink(spool.folder, plant.kafka_of(gateway), FAST)
        stack.enter_context(running(uplink))
        batches = fill(spool, 10)
        wait_until(uplink, 10)
        with plant.running.services.database.write() as session:
            (row,) = session.query(SensorCertificate)
            row.issued_at -= 3600 * NANOSECONDS
            session.add(
                SensorCertificate(
                    serial="1", sensor=plant.sensor, key_hash="", issued_at=1, expires_at=2, revoked_at=None, content=""
                )
            )
        monkeypatch.setenv("ICSIGHT_ENROLMENT_CERTIFICATE_DAYS", "90")
        with at_work(renewal):
            until(lambda: renewal.renewed, renewal)
        second = Credentials.read(gateway)
        assert second.serial != first.serial
        assert second.key.public_key() != first.key.public_key()
        # Not longer than the authority itself, which tests have for 30 days.
        assert timedelta(days=25) < second.expires - first.expires < timedelta(days=31)
        batches += fill(spool, 10)
        wait_until(uplink, 20)
    assert read_all(plant.kafka, f"{plant.prefix}.records") == batches
    assert not second.is_due()
    with plant.running.services.database.read() as session:
        assert {each.serial for each in session.query(SensorCertificate)} == {first.serial, second.serial}
    other = request_of(ec.generate_private_key(ec.SECP256R1()), "other")
    again = {"serial": first.serial, "request": pem(other), "signature": first.sign(other)}
    with pytest.raises(CentreRefused, match="newer one was issued for another key"):
        post(plant.url, RENEW, again, is_proved_by_answer=True)
    plant.command("sensor", "revoke", plant.sensor, "--data", plant.data)
    monkeypatch.setattr(Credentials, "is_due", always)
    with at_work(renewal):
        until(lambda: renewal.trouble, renewal)
    assert "the sensor has been revoked" in renewal.trouble
    assert len(said) == 2, said
    assert Credentials.read(gateway).serial == second.serial


def test_a_request_for_renewal_that_the_present_key_has_not_signed_is_refused(plant: Plant, tmp_path: Path) -> None:
    plant.enrol(plant.token(), tmp_path / "gateway")
    present = Credentials.read(tmp_path / "gateway")
    other = request_of(ec.generate_private_key(ec.SECP256R1()), "other")
    content = {"serial": present.serial, "request": pem(other), "signature": present.sign(other)}
    with pytest.raises(CentreRefused) as early:
        post(plant.url, RENEW, content, is_proved_by_answer=True)
    assert early.value.code == "renewal_early"
    stranger = Credentials(ec.generate_private_key(ec.SECP256R1()), present.certificate)
    for changed in ({"signature": stranger.sign(other)}, {"signature": "AAAA"}, {"serial": "1"}):
        with pytest.raises(CentreRefused) as refusal:
            post(plant.url, RENEW, {**content, **changed}, is_proved_by_answer=True)
        assert refusal.value.code == "renewal_refused"


def posted(plant: Plant) -> float:
    """How many questions with a body the centre has answered."""
    (counter,) = plant.running.services.metrics.requests.collect()
    return sum(each.value for each in counter.samples if each.name.endswith("_total") and each.labels["method"] == "POST")


def told_by(gateway: Path) -> dict[str, Any]:
    """What the uplink last told of itself."""
    try:
        return json.loads((gateway / "uplink.json").read_text())
    except FileNotFoundError:
        return {}


def always(credentials: Credentials) -> bool:
    return True


def until(condition: Callable[[], object], told: object) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, told
        time.sleep(0.05)


def test_settings_reach_a_sensor_without_a_restart_and_what_became_of_them_is_shown(plant: Plant, tmp_path: Path) -> None:
    gateway, sensor = tmp_path / "gateway", plant.sensor
    plant.enrol(plant.token(site="waterworks"), gateway)
    kafka = plant.kafka_of(gateway)
    with ExitStack() as stack:
        spool = stack.enter_context(
            Spool(gateway / "spool", sensor=sensor, site="waterworks", settings=spool_settings(256, None, 5))
        )
        uplink, renewal = Uplink(spool.folder, kafka, FAST), Renewal(gateway)
        poller = ControlPoller(gateway, kafka, sensor, set_=UplinkFollower(gateway, uplink).take)
        reporter = Reporter(gateway, kafka, (uplink, poller, renewal))
        # Neither what is no report nor one of a sensor that cannot be asked anything keeps the others from being heard.
        stranger = SelfReport(
            sensor=f"stranger-{plant.prefix}", site="", version="1", at=1, epoch="", lag_batches=0, lag_seconds=0, missing=0,
            damaged=0, refused=0, certificate_serial="", certificate_expires=0, renewal_trouble="", settings_uplink=0,
            settings_recorder=0, settings_refused="", control_offset=0, control_waiting=0, answers_waiting=0,
        ).message()  # fmt: skip
        producer: Any = KafkaProducer(bootstrap_servers=plant.kafka.bootstrap)
        producer.send(f"{plant.prefix}.sensors", b"[" * 30_000, b"nested")
        producer.send(f"{plant.prefix}.sensors", stranger.value, stranger.key)
        producer.close()
        set_ = plant.command("sensor", "set", sensor, "catch_up_mib_per_second=2", "spool_quota_mib=512", "--data", plant.data)
        assert "version 1 is on its way" in set_
        reports = plant.running.services.reports
        stack.enter_context(running(uplink))
        stack.enter_context(at_work(poller, reporter, ReportReader(plant.by_admin, reports)))
        until(lambda: uplink.settings.catch_up_mib_per_second == 2, uplink)
        recorder = RecorderFollower(gateway, spool)
        recorder.look()
        assert spool.settings.quota_bytes == 512 * 2**20
        plant.command("sensor", "set", sensor, "spool_quota_mib=", "retry_seconds=60", "--data", plant.data)
        until(lambda: uplink.settings.retry_seconds == 60, uplink)
        recorder.look()
        assert spool.settings.quota_bytes == 256 * 2**20
        # The second report: the first may have been made before.
        until(lambda: any(heard.report.settings_recorder == 2 and heard.in_topic == 0 for heard in reports.all()), reports)
        send(plant.by_admin, sensor, SETTINGS, json.dumps({"version": 9, "values": {"ca_file": 1}}))
        until(lambda: applied(gateway, "uplink")[0] == 9, uplink)
        until(lambda: any(heard.report.settings_refused for heard in reports.all()), reports)
    other, shown = service.health(plant.running.services).model_dump()["uplinks"]
    assert (other["sensor"], other["requests_waiting"]) == (f"stranger-{plant.prefix}", None)
    assert (shown["sensor"], shown["site"], shown["state"]) == (sensor, "waterworks", "enrolled")
    assert shown["certificate_serial"] == Credentials.read(gateway).serial
    assert (shown["settings_version"], shown["settings_recorder"], shown["settings_uplink"]) == (2, 2, 9)
    assert shown["settings"] == {"catch_up_mib_per_second": 2, "retry_seconds": 60}
    assert "ca_file cannot be set from afar" in shown["settings_refused"]
    assert (shown["lag_batches"], shown["lost_batches"], shown["answers_waiting"]) == (0, 0, 0)
    for wrong in ("spool_quota_mib=1", "nothing=1", "retry_seconds=soon", "retry_seconds"):
        done = CliRunner().invoke(icsight, ["sensor", "set", sensor, wrong, "--data", str(plant.data)])
        assert done.exit_code, wrong
    with plant.running.services.database.read() as session:
        assert session.query(EnrolledSensor).one().settings_version == 2
