"""`icsight serve` as the compose file starts it: confined, with its certificate, and asked by the health check."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.deploy.checkers import ROOT
from tests.deploy.confined import confined
from tests.services.process import free_port


def test_serve_answers_as_it_is_confined_and_is_healthy_by_the_certificate_that_prepare_makes(
    compose: dict[str, Any], prepared: Path, tmp_path: Path
) -> None:
    service = compose["services"]["serve"]
    secrets = shutil.copytree(prepared, tmp_path / "secrets")
    (tmp_path / "data").mkdir()
    port = str(free_port())

    def here(text: str) -> str:
        return (
            text.replace("/var/lib/icsight", str(tmp_path / "data")).replace("/run/secrets", str(secrets)).replace("8420", port)
        )

    environment = {name: here(value) for name, value in service["environment"].items() if name != "ICSIGHT_CONFIG"}
    # Its own database and records here: Kafka, Elasticsearch and PostgreSQL are looked at by other tests. Loopback alone.
    environment["ICSIGHT_SERVE_HOST"] = "127.0.0.1"
    icsight = Path(sys.executable).with_name("icsight")
    server = confined([icsight, *map(here, service["command"])], tmp_path, environment)
    _, _, healthy, *words = service["healthcheck"]["test"]
    check = [sys.executable, ROOT / "deploy" / "container" / healthy.rpartition("/")[2], *map(here, words)]
    try:
        until = time.monotonic() + 120
        while (done := subprocess.run(check, check=False, capture_output=True, text=True)).returncode:
            assert server.poll() is None, server.communicate()[0]
            assert time.monotonic() < until, done.stdout
            time.sleep(0.3)
        assert '"ready"' in done.stdout
        server.terminate()
        told, _ = server.communicate(timeout=60)
        assert server.returncode == 0, told
        assert "create the first account" in told
    finally:
        server.kill()
        server.wait()
