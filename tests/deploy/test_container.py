"""The container file, the libraries that it installs, and the health check that it carries."""

from __future__ import annotations

import http.server
import re
import subprocess
import sys
import threading
import tomllib
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from api.documents import pdf
from tests.deploy import checkers

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

FOLDER = checkers.ROOT / "deploy" / "container"

FILE = FOLDER / "Containerfile"

HEALTHY = FOLDER / "healthy.py"


def stages() -> list[str]:
    """The stages of the container file, without comments."""
    text = "".join(line for line in FILE.read_text().splitlines(keepends=True) if not line.startswith("#"))
    return re.split(r"(?m)^(?=FROM )", text)[1:]


def test_hadolint_finds_nothing(tmp_path: Path) -> None:
    assert checkers.hadolint(FILE) == ""
    broken = tmp_path / "Containerfile"
    broken.write_text(FILE.read_text().replace("USER 10001:10001", "USER root"))
    assert "DL3002" in checkers.hadolint(broken)


def test_the_image_runs_as_nobody_who_could_change_it_and_has_nothing_that_builds() -> None:
    *building, final = stages()
    assert re.findall(r"(?m)^USER (.*)$", final) == ["10001:10001"]
    assert "--from=build /opt/icsight /opt/icsight" in final
    assert "make wheel" in building[-1]
    assert not re.search(r"build-essential|cargo|rustup|make", final)
    assert re.findall(r"apt-get install --no-install-recommends -y ([\w ]+-[\w -]*\w) ", final) == [pdf.PACKAGES.replace(",", "")]
    assert "pip uninstall" in final
    assert not re.search(r"(?m)^\s*ADD ", FILE.read_text())


def test_images_are_named_with_a_version() -> None:
    images = dict(re.findall(r"(?m)^ARG (\w+_IMAGE)=(\S+)$", FILE.read_text()))
    assert set(images) == {"PYTHON_IMAGE", "RUST_IMAGE"}
    core = tomllib.loads((checkers.ROOT / "sensor" / "core" / "Cargo.toml").read_text())
    rust = re.search(r":(\d+)\.(\d+)\.\d+-", images["RUST_IMAGE"])
    assert rust is not None
    assert (int(rust[1]), int(rust[2])) >= tuple(map(int, core["workspace"]["package"]["rust-version"].split(".")))
    assert re.search(r":3\.(1[1-9])-slim-", images["PYTHON_IMAGE"])


def pins(file: Path) -> dict[str, str]:
    return dict(re.findall(r"(?m)^([a-z0-9.-]+)==([^\s;]+)", file.read_text()))


def test_the_image_has_the_versions_that_the_tests_ran_with_and_no_tools_of_the_tests() -> None:
    image, tested = pins(FOLDER / "requirements.lock"), pins(checkers.ROOT / "requirements.lock")
    assert len(image) > 30
    assert {name: version for name, version in image.items() if tested.get(name) != version} == {}
    assert not {"pytest", "ruff", "maturin", "uv", "playwright"} & image.keys()


@contextmanager
def answering(status: int) -> Generator[str]:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"told")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/readyz"
    finally:
        server.shutdown()
        server.server_close()


def healthy(*words: str) -> tuple[int, str]:
    environment = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-I", "-S", HEALTHY, *words], capture_output=True, text=True, check=False, env=environment
    )
    return done.returncode, done.stdout.strip() + done.stderr


def test_the_health_check_tells_a_process_that_works_from_one_that_does_not() -> None:
    with answering(200) as url:
        assert healthy(url) == (0, "told")
    assert healthy(url)[0] == 1
    with answering(503) as url:
        assert healthy(url) == (1, "503: told")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "nonsense", "http://127.0.0.1:port/"])
def test_the_health_check_asks_http_alone(url: str) -> None:
    code, told = healthy(url)
    assert (code, len(told.splitlines())) == (1, 1)
