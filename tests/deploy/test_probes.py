"""Health checks and probes ask each process at an address and for a path that it really serves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from starlette.routing import Route

from api import probes
from api.settings import Settings
from sensor.observability import Endpoint
from sensor.observability_settings import ObservabilitySettings
from tests.deploy import checkers, processes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HEALTHY = checkers.ROOT / "deploy" / "container" / "healthy.py"

IN_IMAGE = "/opt/icsight/healthy.py"

Asked = tuple[str, str, str, dict[str, str]]
"""A process, what it is asked as a URL, its file of settings, its environment."""


def of_compose(config: dict[str, Any]) -> Iterator[Asked]:
    """Health checks of icsight's own processes that stay."""
    for name, service in config["services"].items():
        if service["image"].startswith("icsight:") and service["restart"] != "no":
            files = {each["target"]: config["configs"][each["source"]]["file"] for each in service["configs"]}
            text = Path(files["/etc/icsight/icsight.toml"]).read_text()
            yield name, of_words(service["healthcheck"]["test"][1:]), text, service["environment"]


def of_chart(objects: list[dict[str, Any]]) -> Iterator[Asked]:
    """Probes of pods that stay."""
    texts = {each["metadata"]["name"]: each["data"]["icsight.toml"] for each in objects if each["kind"] == "ConfigMap"}
    for each in objects:
        if each["kind"] != "StatefulSet":
            continue
        name: str = each["metadata"]["name"]
        (container,) = each["spec"]["template"]["spec"]["containers"]
        environment = {variable["name"]: variable.get("value", "a name") for variable in container["env"]}
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            told = container[probe]
            if "exec" in told:
                url = of_words(told["exec"]["command"])
            else:
                get = told["httpGet"]
                url = f"{get['scheme'].lower()}://localhost:{ports[get['port']]}{get['path']}"
            assert url.endswith("/readyz" if probe == "readinessProbe" else "/healthz"), (name, probe, url)
            yield name, url, texts[name], environment


def of_words(words: Sequence[str]) -> str:
    """What the program of the image is told to ask."""
    assert words[:2] == ["/opt/icsight/bin/python", IN_IMAGE]
    return words[2]


def wrong(asked: Asked) -> str:
    """Why a process would not answer what it is asked; empty where it would."""
    _, told, text, environment = asked
    url = urlsplit(told)
    read = processes.settings(text, environment)
    served = next((each for each in read if isinstance(each, Settings)), None)
    watched = next((each for each in read if isinstance(each, ObservabilitySettings)), None)
    if served is not None:
        listens = ("https" if served.encrypted else "http", served.port)
        paths = {route.path for route in probes.router.routes if isinstance(route, Route)}
        return "" if (url.scheme, url.port) == listens and url.path in paths else f"it serves {listens} {paths}"
    if watched is None or watched.address is None:
        return "it does not listen"
    if (url.hostname, url.port) != watched.address:
        return f"it listens on {watched.listen}"
    # What it answers is asked of the part that answers, on a free port: another process of this machine may have its own.
    endpoint = Endpoint(watched.model_copy(update={"listen": "127.0.0.1:0"}), bytes, dict)
    try:
        if urlsplit(endpoint.url).scheme != url.scheme:
            return f"it speaks {endpoint.url}"
        done = subprocess.run([sys.executable, HEALTHY, f"{endpoint.url}{url.path}"], capture_output=True, text=True, check=False)
        return done.stdout if done.returncode else ""
    finally:
        endpoint.close()


def test_the_health_checks_of_the_compose_file_ask_what_is_served(compose: dict[str, Any]) -> None:
    found = list(of_compose(compose))
    assert {name for name, *_ in found} == {"collector", "detection-1", "detection-2", "serve"}
    for asked in found:
        assert urlsplit(asked[1]).path == "/readyz"
        assert wrong(asked) == "", asked


def test_the_probes_of_the_chart_ask_what_is_served(chart: list[dict[str, Any]]) -> None:
    found = list(of_chart(chart))
    assert {name for name, *_ in found} == {"monitor-collector", "monitor-detection", "monitor-serve"}
    for asked in found:
        assert wrong(asked) == "", asked


@pytest.mark.parametrize(
    ("component", "change", "told"),
    [
        ("collector", (":9464", ":9465"), "it listens on"),
        ("collector", ("/readyz", "/ready"), "404"),
        ("collector", ("http:", "https:"), "it speaks"),
        ("serve", (":8420", ":8421"), "it serves"),
        ("serve", ("/readyz", "/ready"), "it serves"),
    ],
)
def test_a_question_that_nobody_answers_is_told(
    compose: dict[str, Any], component: str, change: tuple[str, str], told: str
) -> None:
    name, url, text, environment = next(each for each in of_compose(compose) if each[0] == component)
    assert told in wrong((name, url.replace(*change), text, environment))
