"""prepare.sh: what it makes before the compose file is started the first time, and again when certificates end."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from tests.deploy import checkers
from tests.deploy.conftest import prepare

if TYPE_CHECKING:
    from pathlib import Path


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def names(path: Path) -> set[str]:
    return set(
        certificate(path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    )


def contents(secrets: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in secrets.iterdir() if path.is_file()}


def test_every_password_is_drawn_anew_and_every_file_is_its_readers_alone(tmp_path: Path) -> None:
    first = prepare(tmp_path / "first", "--keep-owner", "a.example")
    second = prepare(tmp_path / "second", "--keep-owner", "a.example")
    drawn = {name: content for name, content in contents(first).items() if re.fullmatch(r"[0-9a-f]{48}", content.decode())}
    assert len(drawn) == 10
    assert len(set(drawn.values())) == 6, "four of them are there for two readers"
    assert not set(drawn.values()) & set(contents(second).values())
    for path in first.iterdir():
        assert path.stat().st_mode & 0o077 == (0o044 if path.name == "ca.pem" else 0), path
    with pytest.raises(ValueError, match="how do browsers"):
        prepare(tmp_path / "third", "--keep-owner")


def test_certificates_are_for_the_names_by_which_servers_are_called(tmp_path: Path) -> None:
    secrets = prepare(tmp_path, "--keep-owner", "a.example", "b.example")
    assert names(secrets / "kafka-broker.pem") == {"kafka", "a.example", "b.example"}
    assert names(secrets / "serve.pem") == {"serve", "localhost", "a.example", "b.example"}
    assert names(secrets / "postgres.pem") == {"postgres"}
    authority = certificate(secrets / "ca.pem")
    for file in secrets.glob("*.pem"):
        if file.name not in {"ca.pem", "kafka.pem"}:
            certificate(file).verify_directly_issued_by(authority)


def test_processes_are_called_on_kafka_as_its_rules_call_them(tmp_path: Path) -> None:
    secrets = prepare(tmp_path, "--keep-owner", "a.example")
    called: set[object] = set()
    for name in ("admin", "collector", "detection", "serve"):
        (common,) = certificate(secrets / f"kafka-{name}.pem").subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        called.add(common.value)
    roles = tomllib.loads((checkers.ROOT / "deploy" / "kafka" / "topics.toml").read_text())["roles"]
    assert called == {role["principal"] for role in roles.values()} | {"icsight-admin"}


def test_doing_it_again_changes_nothing_and_renewing_changes_certificates_alone(tmp_path: Path) -> None:
    secrets = prepare(tmp_path, "--keep-owner", "a.example")
    before = contents(secrets)
    environment = (tmp_path / "env").read_text()
    prepare(tmp_path, "--keep-owner", "a.example")
    assert contents(secrets) == before
    prepare(tmp_path, "--keep-owner", "--renew")
    after = contents(secrets)
    assert {name for name in before if before[name] == after[name]} == {
        name for name in before if name == "ca.pem" or not name.endswith((".pem", ".key"))
    }
    assert (tmp_path / "env").read_text() == environment


def test_other_names_bring_other_certificates(tmp_path: Path) -> None:
    secrets = prepare(tmp_path, "--keep-owner", "a.example")
    prepare(tmp_path, "--keep-owner", "c.example")
    assert names(secrets / "serve.pem") == {"serve", "localhost", "c.example"}
    assert 'ICSIGHT_SERVE_HOST_NAMES=["c.example"]' in (tmp_path / "env").read_text()


@pytest.mark.parametrize("name", ["a b", "-x", "a;b", "", '"'])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no host name"):
        prepare(tmp_path, "--keep-owner", name)
    assert not (tmp_path / "secrets" / "ca.pem").exists()


@pytest.mark.skipif(os.geteuid() != 0 and os.environ.get("CI") != "true", reason="only root can give files away")
def test_files_are_given_to_the_users_of_the_containers_that_read_them(tmp_path: Path) -> None:
    secrets = prepare(tmp_path, "a.example")
    config = checkers.compose()
    for name, service in config["services"].items():
        user = int(service["user"].partition(":")[0])
        for secret in service.get("secrets", []):
            file = secrets / config["secrets"][secret["source"]]["file"].rpartition("/")[2]
            readable = file.stat().st_uid == user or file.stat().st_mode & 0o004
            assert readable, f"{name} cannot read {file.name}"


def test_scripts_are_what_a_shell_understands() -> None:
    scripts = sorted(checkers.COMPOSE.rglob("*.sh"))
    assert len(scripts) == 5
    for script in scripts:
        assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
