"""`pip install icsight` alone, and with the extra `kafka`, in environments of their own: what a gateway gets."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INSTALLED_MIB = 260
"""Most that a gateway is asked to store: the packet core, Polars (some 180 MiB of it) and click."""

UNWANTED = ("fastapi", "uvicorn", "sqlalchemy", "sklearn", "kafka", "elasticsearch", "psycopg", "duckdb", "pyarrow", "sigma")


OF_EXTRA_KAFKA = {"cryptography", "kafka", "prometheus_client", "pydantic", "pydantic_settings"}
"""Packages that the extra `kafka` brings."""

SHIPPING = {
    f"sensor.{name}"
    for name in (
        "configuration", "configuration_table", "credentials", "enrol_command", "evidence_uplink", "kafka_client",
        "kafka_control", "kafka_packing", "kafka_producer", "kafka_reading", "kafka_settings", "metrics", "observability",
        "observability_settings", "persistence", "progress", "recorder_metrics", "remote_evidence", "renewal", "reporter",
        "tls_settings", "tracing", "uplink", "uplink_command", "uplink_metrics", "uplink_settings",
    )
}  # fmt: skip
"""Modules that need it: recording, reading and evidence on the gateway do not."""


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the built wheel and its base dependencies; the folder with its commands. One for all workers."""
    return _environment(tmp_path_factory, "gateway", "")


@pytest.fixture(scope="session")
def shipping_gateway(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with the extra `kafka`."""
    return _environment(tmp_path_factory, "shipping-gateway", "[kafka]")


def _environment(factory: pytest.TempPathFactory, name: str, extra: str) -> Path:
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / name
    with (base.parent / "gateway.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            _install(folder, _wheel(shared / "dist"), extra)
            (folder / "made").touch()
    return folder / "venv" / "bin"


def _wheel(folder: Path) -> Path:
    """The wheel, built by the first who asks."""
    if not folder.exists():
        tools = Path(sys.executable).parent
        environment = {**os.environ, "VIRTUAL_ENV": str(tools.parent)}
        build = [tools / "maturin", "build", "--quiet", "--release", "--locked", "--out", folder]
        subprocess.run(build, cwd=ROOT, check=True, env=environment)
    (wheel,) = folder.glob("icsight-*.whl")
    return wheel


def _install(folder: Path, wheel: Path, extra: str) -> None:
    uv, python = Path(sys.executable).with_name("uv"), folder / "venv" / "bin" / "python"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder / "venv"], check=True)
    install = [uv, "pip", "install", "--quiet", "--python", python, "--constraint", ROOT / "requirements.lock", f"{wheel}{extra}"]
    subprocess.run(install, check=True)


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, cwd="/")


def test_a_gateway_reads_a_capture_without_a_servers_libraries(gateway: Path) -> None:
    capture = ROOT / "rules" / "modbus" / "restart_communications.fires.pcap"
    listing = run(gateway / "icsight", "read", capture, "--output", "json")
    assert listing.returncode == 0, listing.stderr
    assert '"modbus.function":"diagnostics"' in listing.stdout
    for module in UNWANTED:
        assert run(gateway / "python", "-c", f"import {module}").returncode != 0, f"{module} is installed on a gateway"


def missing_of(gateway: Path) -> dict[str, str]:
    """The modules of the sensor that cannot be imported, each with the package that it wants."""
    script = (
        "import importlib, json, pkgutil, sensor\n"
        "missing = {}\n"
        "for module in pkgutil.walk_packages(sensor.__path__, 'sensor.'):\n"
        "    try:\n"
        "        importlib.import_module(module.name)\n"
        "    except ModuleNotFoundError as error:\n"
        "        missing[module.name] = error.name.partition('.')[0]\n"
        "print(json.dumps(missing))\n"
    )
    done = run(gateway / "python", "-c", script)
    assert done.returncode == 0, done.stderr
    missing: dict[str, str] = json.loads(done.stdout)
    return missing


def test_every_module_of_the_sensor_is_importable_on_a_gateway_but_those_that_ship_its_records(gateway: Path) -> None:
    missing = missing_of(gateway)
    assert set(missing.values()) <= OF_EXTRA_KAFKA, missing
    assert set(missing) == SHIPPING


def test_every_module_of_the_sensor_is_importable_where_the_extra_for_kafka_is_and_no_servers_library_comes_with_it(
    shipping_gateway: Path,
) -> None:
    assert missing_of(shipping_gateway) == {}
    for module in set(UNWANTED) - OF_EXTRA_KAFKA:
        assert run(shipping_gateway / "python", "-c", f"import {module}").returncode != 0, f"{module} is installed on a gateway"


@pytest.mark.parametrize("command", ["run", "uplink", "enrol"])
def test_a_gateways_commands_start_with_the_extra_for_kafka_alone(shipping_gateway: Path, command: str) -> None:
    done = run(shipping_gateway / "icsight", "sensor", command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"icsight sensor {command}" in done.stdout


def test_a_gateway_with_the_extra_for_kafka_records_and_says_in_a_line_why_it_cannot_ship_or_enrol(
    shipping_gateway: Path, tmp_path: Path
) -> None:
    capture = ROOT / "rules" / "modbus" / "restart_communications.fires.pcap"
    recorded = run(shipping_gateway / "icsight", "sensor", "run", "--capture", capture, "--data", tmp_path)
    assert recorded.returncode == 0, recorded.stderr
    for told, given in (
        ("kafka.bootstrap: no broker is named", ["uplink"]),
        ("token", ["enrol", "icsight-nonsense", "--url", "https://localhost:1"]),
    ):
        done = run(shipping_gateway / "icsight", "sensor", *given, "--data", tmp_path)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
        assert told in done.stderr
        assert "pip install" not in done.stderr


def test_shipping_says_what_to_install(gateway: Path, tmp_path: Path) -> None:
    done = run(gateway / "icsight", "sensor", "uplink", "--data", tmp_path)
    assert done.returncode == 2
    assert "pip install 'icsight[kafka]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_command_of_the_server_says_what_to_install(gateway: Path) -> None:
    done = run(gateway / "icsight", "serve", "--data", "/nowhere")
    assert done.returncode == 2
    assert "pip install 'icsight[server]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_rules_are_in_the_wheel(gateway: Path) -> None:
    done = run(gateway / "python", "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])")
    assert list(Path(done.stdout.strip()).glob("rules/modbus/*.yml"))
    assert (Path(done.stdout.strip()) / "deploy" / "kafka" / "topics.toml").is_file()


def test_a_gateway_stores_no_more_than_it_is_asked_to(gateway: Path) -> None:
    packages = next((gateway.parent / "lib").glob("python3.*/site-packages"))
    size_mib = sum(file.lstat().st_size for file in packages.rglob("*") if file.is_file()) / 2**20
    print(f"installed: {size_mib:.0f} MiB")
    assert size_mib < INSTALLED_MIB
