"""`icsight config check` connects to all that settings name: real services, right and wrong, and files that cannot be used."""

from __future__ import annotations

import json
import secrets
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from api.cli import icsight
from api.configuration.checks import Check, Finding, findings, ok
from api.configuration.files import AUTHORITIES, KEYS
from api.database import Database
from api.settings import DatabaseSettings, Settings
from collector.settings import ElasticsearchSettings
from collector.store import elastic_setup
from collector.store.elastic_server import Server
from collector.stream.kafka_topics import DECLARATION, apply, declared
from sensor.kafka_settings import KafkaSettings
from sensor.sections import sections
from tests.sensor.certificates import Authority
from tests.services.certificates import Authority as Certifier
from tests.services.kafka import ADMIN
from tests.services.process import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.services.elasticsearch import Elasticsearch
    from tests.services.kafka import Kafka
    from tests.services.postgres import Postgres

Tables = dict[str, dict[str, object]]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "icsight.toml"
    path.touch()
    monkeypatch.setenv("ICSIGHT_CONFIG", str(path))
    return path


def checked(file: Path, tables: Mapping[str, Mapping[str, object]], *words: str) -> tuple[int, list[str]]:
    """Exit status and lines of a check of these tables."""
    lines: list[str] = []
    for table, values in tables.items():
        lines.append(f"[{table}]")
        lines += [f"{name} = {json.dumps(str(value) if isinstance(value, Path) else value)}" for name, value in values.items()]
    file.write_text("\n".join(lines))
    done = CliRunner().invoke(icsight, ["config", "check", "--language", "en", *words])
    assert done.stderr == ""
    return done.exit_code, done.stdout.splitlines()


def about(subject: str, lines: list[str]) -> list[str]:
    """What was found of one subject, without it."""
    return [line.replace(f"  {subject}: ", " ", 1) for line in lines if f"  {subject}: " in line]


def secret(file: Path, text: str) -> Path:
    path = file.parent / f"secret-{secrets.token_hex(4)}"
    path.touch(mode=0o600)
    path.write_text(text)
    return path


@pytest.fixture
def system(file: Path, kafka: Kafka, elasticsearch_server: Elasticsearch, postgres_server: Postgres) -> Tables:
    """Tables of a system whose services are set up."""
    prefix = f"t{secrets.token_hex(6)}"
    apply(KafkaSettings(bootstrap=kafka.bootstrap, security="plaintext", prefix=prefix), declared(DECLARATION, prefix, 1))
    server = Server(ElasticsearchSettings(hosts=elasticsearch_server.url, prefix=prefix, replicas=0))
    elastic_setup.apply(server)
    server.close()
    url = postgres_server.dsn(postgres_server.new_database()).replace(f":{postgres_server.password}@", "@")
    password = secret(file, postgres_server.password)
    database = Database.of(Settings(data=Path("nowhere"), database=DatabaseSettings(url=url, password_file=password)))
    database.migrate()
    database.close()
    return {
        "kafka": {
            "bootstrap": kafka.sasl_bootstrap, "security": "sasl_tls", "ca_file": kafka.authority.file, "username": ADMIN[0],
            "password_file": secret(file, ADMIN[1]), "prefix": prefix,
        },
        "elasticsearch": {"hosts": elasticsearch_server.url, "prefix": prefix, "replicas": 0},
        "database": {"url": url, "password_file": password},
    }  # fmt: skip


def test_a_system_that_is_set_up_is_told_right_service_by_service_and_each_fault_by_what_to_do(
    file: Path, system: Tables, kafka: Kafka
) -> None:
    status, lines = checked(file, system, "--data", str(file.parent))
    assert status == 0, lines
    assert "ok 127.0.0.1" in about("kafka", lines)[0]
    assert about("kafka", lines)[1:] == ["ok topics and rights are as declared"]
    assert [line.split()[0] for line in about("elasticsearch", lines)] in (["ok", "ok", "ok"], ["ok", "warning", "ok"])
    (told,) = about("database", lines)
    assert told.startswith("ok ")
    assert "its schema is this version's" in told
    # The broker's authority is made anew for each run, for 30 days.
    assert "ends in 29 days" in about("kafka.ca_file", lines)[0]

    mistaken = secret(file, "geheim-geheim")
    system["kafka"]["password_file"] = system["database"]["password_file"] = mistaken
    system["elasticsearch"]["prefix"] = "t-not-set-up"
    status, lines = checked(file, system)
    assert status == 1
    (told,) = about("kafka", lines)
    assert told.startswith("wrong ")
    assert "the name or the password is wrong" in told
    (told,) = about("database", lines)
    assert "password authentication failed" in told
    assert "run icsight elasticsearch apply" in about("elasticsearch", lines)[-1]
    assert "geheim" not in "".join(lines).replace(str(mistaken), "")

    closed = free_port()
    system["kafka"] |= {"bootstrap": f"127.0.0.1:{closed}"}
    system["elasticsearch"]["hosts"] = f"http://127.0.0.1:{closed}"
    system["database"]["url"] = f"postgresql://app@127.0.0.1:{closed}/icsight"
    status, lines = checked(file, system)
    assert status == 1
    for subject in ("kafka", "elasticsearch", "database"):
        (told,) = about(subject, lines)
        assert told.startswith("wrong ")
        assert str(closed) in told
    assert all("geheim-geheim" not in line for line in lines)


def test_missing_topics_are_told_and_who_may_not_look_at_rights_is_told_what_it_sees(file: Path, kafka: Kafka) -> None:
    prefix = f"t{secrets.token_hex(6)}"
    everybody: dict[str, object] = {"bootstrap": kafka.bootstrap, "security": "plaintext", "prefix": prefix}
    status, lines = checked(file, {"kafka": everybody})
    assert status == 1
    assert any(f"+ topic {prefix}.records" in line and "run icsight kafka apply" in line for line in about("kafka", lines))

    certificate, key = kafka.authority.issue("icsight-collect")
    collector: dict[str, object] = {
        "bootstrap": kafka.tls_bootstrap, "ca_file": kafka.authority.file, "certificate_file": certificate, "key_file": key,
        "prefix": prefix,
    }  # fmt: skip
    status, lines = checked(file, {"kafka": collector})
    assert status == 1
    assert "sees none of the declared topics" in about("kafka", lines)[-1]
    apply(KafkaSettings(bootstrap=kafka.bootstrap, security="plaintext", prefix=prefix), declared(DECLARATION, prefix, 1))
    status, lines = checked(file, {"kafka": collector})
    assert status == 0, lines
    assert f"{prefix}.records" in about("kafka", lines)[-1]


def test_what_pdf_files_lack_is_told_where_reports_are_made(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs, data = tmp_path / "programs", tmp_path / "data"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))

    def brings(name: str, printed: str) -> None:
        (programs / name).write_text(f"#!/bin/sh\necho '{printed}'\n")
        (programs / name).chmod(0o755)

    told: list[str] = []
    for name, printed in (("", ""), ("soffice", ""), ("fc-list", ""), ("fc-list", "Noto Sans CJK SC")):
        if name:
            brings(name, printed)
        status, lines = checked(file, {}, "--data", str(data))
        assert status == 0, "Word files are made all the same"
        told += about("documents", lines)
    assert [line.split()[0] for line in told] == ["warning", "warning", "warning", "ok"]
    assert "cannot be made" in told[0]
    assert all("fonts-noto-cjk" in line for line in told[:3])
    assert "boxes in place of Chinese" in told[1]
    assert told[3].endswith(str(programs / "soffice"))
    _, lines = checked(file, {"serve": {"port": free_port()}})
    assert about("documents", lines) == told[3:]
    assert about("documents", checked(file, {})[1]) == [], "a gateway makes no reports"


def test_the_schema_of_a_database_is_told_and_the_file_not_touched(file: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    status, lines = checked(file, {}, "--data", str(data))
    assert status == 0
    assert "the first start makes it" in about("database", lines)[0]
    assert not data.exists()
    database = Database.of(Settings(data=data))
    database.migrate()
    with database.engine.connect() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        connection.commit()
    database.close()
    before = {path.name: path.read_bytes() for path in data.iterdir()}
    status, lines = checked(file, {}, "--data", str(data))
    assert status == 1
    assert "written by a newer version of icsight" in about("database", lines)[0]
    assert {path.name: path.read_bytes() for path in data.iterdir()} == before


@pytest.mark.parametrize(
    ("days", "level", "told"),
    [(90.5, "ok", "valid for 90 days"), (12.5, "warning", "ends in 12 days"), (-0.5, "wrong", "ended on")],
)
def test_a_certificate_is_told_with_its_days(file: Path, tmp_path: Path, days: float, level: str, told: str) -> None:
    certificate, key = Authority(tmp_path).issue("127.0.0.1", days)
    port = free_port()
    status, lines = checked(file, {"serve": {"port": port, "tls_certificate": certificate, "tls_key": key}})
    (line,) = about("serve.tls_certificate", lines)
    assert line.startswith(f"{level} ")
    assert told in line
    assert status == (level == "wrong")


def test_files_that_cannot_be_used_are_told_each_by_its_setting(file: Path, tmp_path: Path) -> None:
    certificate, _ = Authority(tmp_path).issue("a.example")
    _, other = Authority(tmp_path).issue("b.example")
    (tmp_path / "text").write_text("no certificate")
    (tmp_path / "empty").touch(mode=0o600)
    (tmp_path / "open").write_text("geheim-geheim")
    (tmp_path / "open").chmod(0o644)
    tables: Tables = {
        "serve": {"port": free_port(), "tls_certificate": certificate, "tls_key": other},
        "observability": {
            "listen": "127.0.0.1:0", "certificate_file": tmp_path / "text", "key_file": other,
            "client_ca_file": tmp_path / "away",
        },
        "database": {"password_file": tmp_path / "empty"},
        "kafka": {"security": "plaintext", "password_file": tmp_path / "open"},
        "detection": {"state_folder": "/sys/kernel"},
    }  # fmt: skip
    status, lines = checked(file, tables)
    assert status == 1
    expected = {
        "serve.tls_certificate": ("wrong", "is not the key of"),
        "observability.certificate_file": ("wrong", "no certificate that can be read"),
        "observability.client_ca_file": ("wrong", "cannot be read (No such file or directory)"),
        "database.password_file": ("wrong", "holds nothing"),
        "kafka.password_file": ("warning", "every user of this machine can read it"),
        "detection.state_folder": ("wrong", "cannot be written into"),
        "observability.listen": ("ok", "can be listened on"),
    }
    for subject, (level, told) in expected.items():
        assert any(line.startswith(f"{level} ") and told in line for line in about(subject, lines)), (subject, lines)
    assert "geheim" not in "".join(lines)


def test_a_key_that_is_encrypted_is_opened_by_its_password_in_the_table_of_any_service(file: Path, tmp_path: Path) -> None:
    certificate, key = Certifier(tmp_path).issue("collector", password="geheim-geheim")
    words = {"certificate_file": certificate, "key_file": key, "key_password_file": secret(file, "geheim-geheim\n")}
    for table in ("kafka", "elasticsearch", "database"):
        _, lines = checked(file, {table: words})
        assert about(f"{table}.certificate_file", lines)[0].startswith("warning ")
        assert len(about(f"{table}.certificate_file", lines)) == 1, lines
        for wrong in ({**words, "key_password_file": secret(file, "another")}, {**words, "key_password_file": None}):
            given = {name: value for name, value in wrong.items() if value is not None}
            status, lines = checked(file, {table: given})
            assert status == 1
            assert "the key is encrypted" in about(f"{table}.certificate_file", lines)[-1]
    status, lines = checked(file, {"kafka": {"key_password_file": words["key_password_file"]}})
    assert (status, "key_password needs key_file" in about("kafka", lines)[0]) == (1, True)
    assert "geheim" not in "".join(lines)


def test_every_certificate_that_a_table_can_name_is_looked_at_as_one() -> None:
    fields = [each for section in sections().values() for each in section.model_fields.items()]
    paths = {name for name, field in fields if "Path" in str(field.annotation)}
    private = {
        "key_file", "tls_key", "authority_key_file", "key_password_file", "password_file", "api_key_file", "client_secret_file",
    }  # fmt: skip
    assert paths == {*KEYS, *AUTHORITIES, *private, "state_folder", "checkpoint_folder", "evidence_folder"}
    assert set(KEYS.values()) <= private


def test_a_port_in_use_may_be_icsights_own_and_an_address_of_another_machine_is_none(file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, lines = checked(file, {"serve": {"port": port}, "observability": {"listen": f"127.0.0.1:{port}"}})
    assert status == 0
    assert about("serve.port", lines)[0].startswith("warning ")
    certificate, key = Authority(file.parent).issue("a.example")
    status, lines = checked(file, {"serve": {"host": "192.0.2.1", "port": 1, "tls_certificate": certificate, "tls_key": key}})
    assert status == 1
    assert "cannot be listened on" in about("serve.port", lines)[0]


def test_a_variable_that_looks_like_a_setting_and_is_none_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICSIGHT_KAFKA_BOTSTRAP", "geheim")
    monkeypatch.setenv("ICSIGHT_HOST_NAMES", "geheim")
    status, lines = checked(file, {})
    assert status == 1
    assert "ICSIGHT_KAFKA_BOOTSTRAP?" in about("ICSIGHT_KAFKA_BOTSTRAP", lines)[0]
    assert "ICSIGHT_SERVE_HOST_NAMES?" in about("ICSIGHT_HOST_NAMES", lines)[0]
    assert "geheim" not in "".join(lines)


def test_one_that_hangs_and_one_with_a_fault_keep_no_other_from_being_made() -> None:
    for_ever = threading.Event()

    def hangs() -> Iterator[Finding]:
        yield ok("a", "kafka.declared")
        for_ever.wait()

    def fails() -> Iterator[Finding]:
        raise RuntimeError("geheim")

    try:
        found = list(findings([Check("a", hangs), Check("b", fails), Check("c", lambda: [ok("c", "kafka.declared")])], 0.5))
    finally:
        for_ever.set()
    assert [(each.subject, each.level, each.key) for each in found] == [
        ("a", "ok", "kafka.declared"), ("a", "wrong", "slow"), ("b", "wrong", "fault"), ("c", "ok", "kafka.declared"),
    ]  # fmt: skip
    assert "geheim" not in "".join(each.line("zh-CN") for each in found)
