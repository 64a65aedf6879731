"""The files of deploy/ as those who run them understand them."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.deploy import checkers
from tests.services.packages import Missing

if TYPE_CHECKING:
    from pathlib import Path

VALUES: Final[dict[str, Any]] = {
    "image": {"repository": "registry.example/icsight"},
    "kafka": {"bootstrap": "kafka-0.example:9093,kafka-1.example:9093", "peers": [{"ipBlock": {"cidr": "10.1.0.0/24"}}]},
    "elasticsearch": {"hosts": "https://elastic.example:9200", "peers": [{"ipBlock": {"cidr": "10.1.1.0/24"}}]},
    "database": {"url": "postgresql://icsight@postgres.example:5432/icsight", "peers": [{"ipBlock": {"cidr": "10.1.2.0/24"}}]},
    "serve": {
        "hostNames": ["icsight.example"],
        "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}],
    },
}
"""What the chart asks for, and nothing else."""


@pytest.fixture(scope="session", autouse=True)
def _fetched() -> None:
    try:
        checkers.folder()
    except Missing as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    """The compose file, by Docker Compose."""
    return checkers.compose()


@pytest.fixture(scope="session")
def chart() -> list[dict[str, Any]]:
    """The objects of the chart, by Helm."""
    return checkers.helm(VALUES)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What prepare.sh makes for a machine called localhost; files stay this user's, as services here run as no container's."""
    return prepare(tmp_path_factory.mktemp("prepared"), "--keep-owner", "localhost")


def prepare(folder: Path, *words: str) -> Path:
    """Run prepare.sh with its files in a folder; returns the folder of the secrets. Raises ValueError with what it says."""
    done = subprocess.run(
        ["bash", checkers.COMPOSE / "prepare.sh", *words],
        env={**os.environ, "ICSIGHT_SECRETS": str(folder / "secrets"), "ICSIGHT_ENVIRONMENT": str(folder / "env")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise ValueError(done.stderr)
    return folder / "secrets"
