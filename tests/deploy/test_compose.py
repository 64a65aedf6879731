"""The compose file: Docker Compose takes it, nothing in it has a right that it does not need, and its files fit together."""

from __future__ import annotations

import re
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.deploy import checkers, confinement, processes
from tests.services import packages

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCE = checkers.COMPOSE / "compose.yaml"


def test_docker_compose_takes_the_file_and_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    assert set(checkers.compose()["services"]) == set(confinement.REACHED)
    broken = tmp_path / "compose.yaml"
    broken.write_text(SOURCE.read_text().replace("    restart: unless-stopped", "    restarts: unless-stopped", 1))
    with pytest.raises(ValueError, match="restarts"):
        checkers.compose(broken)


def test_it_does_not_start_before_it_was_prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in checkers.PREPARED:
        monkeypatch.setitem(checkers.PREPARED, name, "")
    with pytest.raises(ValueError, match=r"run prepare\.sh first"):
        checkers.compose()


def test_every_container_is_confined(compose: dict[str, Any]) -> None:
    assert confinement.of_compose(compose) == []


def _with(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(config: dict[str, Any]) -> None:
        *parents, last = path.split("/")
        place: Any = config
        for part in parents:
            place = place[part]
        if value is None:
            del place[last]
        else:
            place[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_with("services/collector/user", "0:0"), "collector: runs as root"),
        (_with("services/kafka/user", None), "kafka: runs as root"),
        (_with("services/serve/read_only", False), "serve: can write to its file system"),
        (_with("services/serve/cap_drop", None), "serve: has capabilities"),
        (_with("services/serve/cap_add", ["NET_RAW"]), "serve: has capabilities"),
        (_with("services/postgres/security_opt", None), "postgres: can gain privileges"),
        (_with("services/detection-1/network_mode", "host"), "detection-1: shares a namespace"),
        (_with("services/detection-1/deploy/resources/limits/memory", None), "detection-1: no limit of memory"),
        (_with("services/detection-1/deploy/resources/limits/pids", None), "detection-1: no limit of pids"),
        (_with("services/collector/image", "icsight:latest"), "collector: its image has no version"),
        (_with("services/collector/healthcheck", None), "collector: no health check"),
        (_with("services/collector/restart", "always"), "collector: is not started again"),
        (_with("services/collector/tmpfs", ["/tmp:size=1g,exec,nosuid,nodev"]), "collector: /tmp is not bounded"),
        (_with("services/serve/volumes", [{"type": "bind", "source": "/etc"}]), "serve: mounts /etc of the host"),
        (_with("services/postgres/environment/POSTGRES_PASSWORD", "postgres"), "postgres: POSTGRES_PASSWORD is a secret"),
        (_with("services/postgres/command", ["postgres", "--password=x"]), "postgres: a secret is among its arguments"),
        (_with("services/postgres/networks/people", {}), "postgres: is in networks"),
        (_with("services/postgres/ports", [{"target": 5432, "published": "5432"}]), "postgres: can be reached from outside"),
        (_with("networks/records/internal", False), "elasticsearch: can be reached from outside"),
        (_with("secrets/serve.key", {"environment": "SERVE_KEY"}), "secret serve.key: from no file"),
    ],
)  # fmt: skip
def test_what_is_not_confined_is_told(compose: dict[str, Any], change: Callable[[dict[str, Any]], None], told: str) -> None:
    config = deepcopy(compose)
    change(config)
    found = confinement.of_compose(config)
    assert any(each.startswith(told) for each in found), found


def test_each_process_reads_settings_that_it_has_and_files_that_it_is_given(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        files = {each["target"]: compose["configs"][each["source"]]["file"] for each in service.get("configs", [])}
        if (settings := files.get("/etc/icsight/icsight.toml")) is None:
            continue
        given = {"/run/secrets/" + each["target"].removeprefix("/run/secrets/") for each in service["secrets"]}
        environment: dict[str, str] = service["environment"]
        read = processes.settings(Path(settings).read_text(), environment)
        named = processes.files_named(read) | {value for value in environment.values() if value.startswith("/run/secrets/")}
        assert named <= given, f"{name} has no {named - given}"
        if not name.endswith("-setup"):
            assert given == named | {"/run/secrets/ca.pem"}, f"{name} is given {given - named} and does not read it"


def test_each_process_is_started_as_its_command_is_written(compose: dict[str, Any]) -> None:
    started = {
        name: service["command"] for name, service in compose["services"].items() if service["image"].startswith("icsight:")
    }
    assert len(started) == 6
    for words in started.values():
        processes.understood(words)


def test_each_secret_is_one_that_prepare_makes_and_is_used(compose: dict[str, Any], prepared: Path) -> None:
    declared = {name: Path(secret["file"]).name for name, secret in compose["secrets"].items()}
    used = {each["source"] for service in compose["services"].values() for each in service.get("secrets", [])}
    assert used == set(declared)
    assert {file for file in declared.values() if not (prepared / file).is_file()} == set()


def test_images_are_of_the_versions_that_the_tests_run_against(compose: dict[str, Any]) -> None:
    images = {name: service["image"] for name, service in compose["services"].items()}
    assert images["kafka"].endswith(packages.KAFKA.replace("kafka-", "kafka:"))
    assert images["elasticsearch"].endswith(packages.ELASTICSEARCH.replace("elasticsearch-", "elasticsearch:"))
    assert f"/postgresql/{re.split('[:.]', images['postgres'].rpartition('/')[2])[1]}/" in f"{packages.postgres()}/"


def test_no_file_holds_a_secret(prepared: Path) -> None:
    written = [
        path for path in checkers.COMPOSE.rglob("*") if path.is_file() and "secrets" not in path.parts and path.name != ".env"
    ]
    assert len(written) > 15
    for path in written:
        text = path.read_text()
        assert not re.search(r"(?im)^\s*(password|api_key)\s*[=:]\s*(?!\$\()", text), path
        assert "PRIVATE KEY" not in text, path
    environment = (prepared.parent / "env").read_text()
    for secret in prepared.iterdir():
        if secret.is_file() and secret.suffix != ".pem":
            assert secret.read_text().strip() not in environment


def test_containers_are_told_the_files_that_they_start(compose: dict[str, Any]) -> None:
    # The scripts name files that the compose file mounts; a name that is written in one place alone is a mistake.
    for service in ("kafka", "elasticsearch", "elasticsearch-accounts"):
        told: dict[str, Any] = compose["services"][service]
        configs = {each["target"] for each in told["configs"]}
        for each in told["configs"]:
            text = Path(compose["configs"][each["source"]]["file"]).read_text()
            assert set(re.findall(r"/etc/icsight/[\w.-]+", text)) <= configs
            secrets = {f"/run/secrets/{secret['target'].removeprefix('/run/secrets/')}" for secret in told["secrets"]}
            assert set(re.findall(r"/run/secrets/[\w.-]+", text)) <= secrets


def test_the_roles_are_what_the_record_store_asks_for() -> None:
    from collector.store.elastic_templates import role  # noqa: PLC0415 - needs the extra elasticsearch, other tests here do not

    written = yaml.safe_load((checkers.COMPOSE / "elasticsearch" / "role-records.json").read_text())
    assert written == role("icsight")
