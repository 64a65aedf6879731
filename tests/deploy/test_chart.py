"""The Helm chart: Helm and the schemas of Kubernetes take it, its pods have no right that they do not need, and its files fit."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

from sensor.configuration import ConfigurationError
from tests.deploy import checkers, confinement, processes
from tests.deploy.conftest import VALUES

if TYPE_CHECKING:
    from pathlib import Path

Objects = list[dict[str, Any]]

OLDEST, NEWEST = "1.30", "1.37"
"""Versions of Kubernetes: the oldest that the chart names, the newest whose schemas are here."""


def named(objects: Objects, kind: str, name: str) -> dict[str, Any]:
    (found,) = [each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


def pods(objects: Objects) -> dict[str, dict[str, Any]]:
    return {
        each["metadata"]["labels"]["app.kubernetes.io/component"]: each["spec"]["template"]["spec"]
        for each in objects
        if each["kind"] in {"StatefulSet", "Job"}
    }


def changed(path: str, value: object) -> dict[str, Any]:
    values = deepcopy(VALUES)
    *parents, last = path.split("/")
    place: Any = values
    for part in parents:
        place = place.setdefault(part, {})
    place[last] = value
    return values


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kubernetes_knows_every_field(chart: Objects, tmp_path: Path, version: str) -> None:
    assert checkers.kubernetes(chart, tmp_path, version) == ""
    broken = deepcopy(chart)
    named(broken, "StatefulSet", "monitor-serve")["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    assert "readynessProbe" in checkers.kubernetes(broken, tmp_path, version)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("image/repository", "", "/image/repository"),
        ("image/tag", "latest", "/image/tag"),
        ("image/digest", "sha256:abc", "/image/digest"),
        ("kafka/peers", [], "/kafka/peers"),
        ("kafka/password", "secret", "password"),
        ("elasticsearch/hosts", "http://elastic.example:9200", "/elasticsearch/hosts"),
        ("database/url", "postgresql://icsight:secret@postgres.example/icsight", "/database/url"),
        ("serve/hostNames", [], "/serve/hostNames"),
        ("serve/from", [dict[str, str]()], "/serve/from"),
        ("serve/replicas", 2, "replicas"),
        ("detection/resources", {"limits": {"memory": "much"}}, "/detection/resources"),
    ],
)
def test_values_that_cannot_be_right_are_refused(path: str, value: object, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        checkers.helm(changed(path, value))


def test_without_values_it_says_what_is_missing() -> None:
    with pytest.raises(ValueError, match="/kafka/bootstrap"):
        checkers.helm({})


def test_an_image_is_named_by_its_digest_where_one_is_given() -> None:
    digest = "sha256:" + "0123456789abcdef" * 4
    for pod in pods(checkers.helm(changed("image/digest", digest))).values():
        assert {container["image"] for container in pod["containers"]} == {f"registry.example/icsight@{digest}"}


def test_every_pod_is_confined(chart: Objects) -> None:
    assert set(pods(chart)) == {"setup", "collector", "detection", "serve"}
    assert confinement.of_chart(chart) == []


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("securityContext/runAsNonRoot", False, "may run as root"),
        ("securityContext/seccompProfile", {}, "no filter of system calls"),
        ("automountServiceAccountToken", True, "has a token of the cluster"),
        ("hostNetwork", True, "shares a namespace"),
        ("volumes/0", {"name": "x", "hostPath": {"path": "/etc"}}, "mounts /etc"),
        ("volumes/1/secret/defaultMode", 0o444, "secret kafka can be read by others"),
        ("containers/0/securityContext/readOnlyRootFilesystem", False, "can write to its file system"),
        ("containers/0/securityContext/capabilities", {"drop": []}, "has capabilities"),
        ("containers/0/securityContext/allowPrivilegeEscalation", True, "can gain privileges"),
        ("containers/0/resources/limits", {}, "no limits of memory"),
        ("containers/0/resources/requests", {}, "no requests of cpu"),
        ("containers/0/readinessProbe", None, "no readinessProbe"),
        ("containers/0/livenessProbe", None, "no livenessProbe"),
        ("containers/0/image", "registry.example/icsight", "its image has no version"),
        ("containers/0/env/0", {"name": "ICSIGHT_KAFKA_PASSWORD", "value": "kafka"}, "ICSIGHT_KAFKA_PASSWORD is a secret"),
        (
            "containers/0/env/0",
            {"name": "X", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}},
            "X is a secret that is not in a file",
        ),
    ],
)
def test_what_is_not_confined_is_told(chart: Objects, path: str, value: object, told: str) -> None:
    objects = deepcopy(chart)
    place: Any = named(objects, "StatefulSet", "monitor-serve")["spec"]["template"]["spec"]
    *parents, last = path.split("/")
    for part in parents:
        place = place[int(part) if part.isdecimal() else part]
    place[int(last) if last.isdecimal() else last] = value
    found = confinement.of_chart(objects)
    assert any(each.startswith(f"StatefulSet monitor-serve: {told}") for each in found), found


@pytest.mark.parametrize(
    ("kind", "name", "told"),
    [
        ("NetworkPolicy", "monitor-setup", "Job monitor-setup: no policy closes its network"),
        ("PodDisruptionBudget", "monitor-detection", "StatefulSet monitor-detection: no disruption budget"),
    ],
)
def test_an_object_that_is_missing_is_told(chart: Objects, kind: str, name: str, told: str) -> None:
    assert told in confinement.of_chart([each for each in chart if (each["kind"], each["metadata"]["name"]) != (kind, name)])


def test_networks_are_closed_unless_a_policy_opens_them(chart: Objects) -> None:
    deny = named(chart, "NetworkPolicy", "monitor-deny")["spec"]
    assert deny["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & deny.keys()
    for each in chart:
        if each["kind"] == "StatefulSet":
            labels = each["spec"]["template"]["metadata"]["labels"]
            assert deny["podSelector"]["matchLabels"].items() <= labels.items()
    opened = deepcopy(chart)
    named(opened, "NetworkPolicy", "monitor-serve")["spec"]["ingress"][0]["from"] = []
    assert "NetworkPolicy monitor-serve: ingress lets everybody, or every port" in confinement.of_chart(opened)


def test_each_process_reaches_the_services_that_it_is_configured_for_and_no_other(chart: Objects) -> None:
    reached = {
        component: {
            peer["ipBlock"]["cidr"]
            for rule in named(chart, "NetworkPolicy", f"monitor-{component}")["spec"]["egress"]
            for peer in rule["to"]
            if "ipBlock" in peer
        }
        for component in ("setup", "collector", "detection", "serve")
    }
    kafka, elasticsearch, database = "10.1.0.0/24", "10.1.1.0/24", "10.1.2.0/24"
    assert reached == {
        "setup": {kafka, elasticsearch},
        "collector": {kafka, elasticsearch},
        "detection": {kafka},
        "serve": {kafka, elasticsearch, database},
    }
    entered = {
        each["metadata"]["name"] for each in chart if each["kind"] == "NetworkPolicy" and each["spec"].get("ingress") is not None
    }
    assert entered == {"monitor-serve"}


def test_each_process_reads_settings_that_it_has_and_files_that_it_is_given(chart: Objects) -> None:
    for component, pod in pods(chart).items():
        text: str = named(chart, "ConfigMap", f"monitor-{component}")["data"]["icsight.toml"]
        volumes = {volume["name"]: volume.get("secret") for volume in pod["volumes"]}
        for container in pod["containers"]:
            given = {
                f"{mount['mountPath']}/{item['path']}"
                for mount in container["volumeMounts"]
                if (secret := volumes.get(mount["name"]))
                for item in secret["items"]
            }
            environment = {each["name"]: each.get("value", "a name") for each in container["env"]}
            read = processes.settings(text, environment)
            named_files = processes.files_named(read)
            assert named_files == given, (component, named_files ^ given)


def test_settings_that_values_give_arrive(chart: Objects) -> None:
    told = checkers.helm(changed("elasticsearch/retentionDays", 400))
    read = processes.settings(
        named(told, "ConfigMap", "monitor-collector")["data"]["icsight.toml"], {"ICSIGHT_ELASTICSEARCH_USERNAME": "c"}
    )
    assert {section.retention_days for section in read if hasattr(section, "retention_days")} == {400}  # pyright: ignore
    with pytest.raises(ConfigurationError, match="do you mean kafka"):
        processes.settings("[kafca]\n", {})


def test_each_process_is_started_as_its_command_is_written(chart: Objects) -> None:
    started = [container["args"] for pod in pods(chart).values() for container in pod["containers"]]
    assert len(started) == 5
    for words in started:
        processes.understood(words)


def test_a_pod_starts_anew_when_its_settings_change(chart: Objects) -> None:
    def sums(objects: Objects) -> dict[str, str]:
        return {
            each["metadata"]["name"]: each["spec"]["template"]["metadata"]["annotations"]["checksum/configuration"]
            for each in objects
            if each["kind"] == "StatefulSet"
        }

    before, after = sums(chart), sums(checkers.helm(changed("elasticsearch/replicas", 2)))
    assert {name for name in before if before[name] != after[name]} == {"monitor-collector", "monitor-serve"}
