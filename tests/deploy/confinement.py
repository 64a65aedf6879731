"""What must hold for every container in deploy/, as lists of what does not.

A rule is told as `where: what`, so that a test can break one thing and find it named, and nothing else.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

Table = dict[str, Any]

SECRET: Final = re.compile(r"PASS|SECRET|TOKEN|KEY|CREDENTIAL", re.IGNORECASE)
"""Names of variables that could hold a secret."""

FILES: Final = "/run/secrets/"
"""Where secrets are, as files."""

UNPACKERS: Final = {"kafka", "elasticsearch"}
"""Services whose Java unpacks libraries into /tmp and loads them; nobody else may run what is in a temporary folder."""

OUTSIDE: Final = {"kafka": "sensors", "serve": "people"}
"""Services that other machines talk to, and the network that they do it by."""

REACHED: Final = {
    "kafka": {"sensors", "stream"}, "elasticsearch": {"records"}, "postgres": {"database"},
    "elasticsearch-accounts": {"records"}, "elasticsearch-setup": {"records"}, "kafka-setup": {"stream"},
    "collector": {"stream", "records"}, "detection-1": {"stream"}, "detection-2": {"stream"},
    "serve": {"people", "stream", "records", "database"},
}  # fmt: skip
"""The networks of each service: what it needs and no other."""


def of_compose(config: Table) -> list[str]:
    """What is wrong with a compose file, as Docker Compose tells it."""
    found: list[str] = []
    for name, service in cast("dict[str, Table]", config["services"]).items():
        found += [
            f"{name}: {fault}" for fault in chain(_confined(name, service), _secrets(service), _networks(name, service, config))
        ]
        if service.get("restart") == "no":
            continue
        if not service.get("healthcheck", {}).get("test"):
            found.append(f"{name}: no health check")
        if service.get("restart") != "unless-stopped":
            found.append(f"{name}: is not started again")
    for name, secret in cast("dict[str, Table]", config["secrets"]).items():
        if "/deploy/compose/secrets/" not in secret.get("file", ""):
            found.append(f"secret {name}: from no file of secrets/")
    return found


def _confined(name: str, service: Table) -> Iterator[str]:
    if not re.fullmatch(r"[1-9]\d*:\d+", str(service.get("user", ""))):
        yield "runs as root, or as whom its image says"
    if service.get("read_only") is not True:
        yield "can write to its file system"
    if service.get("cap_drop") != ["ALL"] or service.get("cap_add"):
        yield "has capabilities"
    if service.get("privileged") or "no-new-privileges:true" not in service.get("security_opt", []):
        yield "can gain privileges"
    if any(service.get(space) for space in ("pid", "ipc", "userns_mode", "devices", "network_mode")):
        yield "shares a namespace or a device of the host"
    limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
    yield from (f"no limit of {limit}" for limit in ("cpus", "memory", "pids") if not limits.get(limit))
    if not re.search(r":[^/]+$|@sha256:[0-9a-f]{64}$", service["image"]) or service["image"].endswith(":latest"):
        yield "its image has no version"
    for volume in service.get("volumes", []):
        if volume["type"] != "volume":
            yield f"mounts {volume.get('source')} of the host"
    for place in service.get("tmpfs", []):
        options = place.partition(":")[2].split(",")
        unpacks = name in UNPACKERS and place.startswith("/tmp:")
        if not {"nosuid", "nodev", "exec" if unpacks else "noexec"} <= set(options) or not any(
            option.startswith("size=") for option in options
        ):
            yield f"{place.partition(':')[0]} is not bounded, or runs programs"


def _secrets(service: Table) -> Iterator[str]:
    for variable, value in cast("dict[str, str | None]", service.get("environment") or {}).items():
        if SECRET.search(variable) and not (value or "").startswith(FILES):
            yield f"{variable} is a secret that is not in a file"
    words: list[str] = [*(service.get("command") or []), *(service.get("entrypoint") or [])]
    if any(re.search(r"pass(word)?=", word, re.IGNORECASE) and FILES not in word for word in words):
        yield "a secret is among its arguments"


def _networks(name: str, service: Table, config: Table) -> Iterator[str]:
    networks = set(service.get("networks", {}))
    if networks != REACHED.get(name):
        yield f"is in networks {sorted(networks)}"
    outside = {network for network in networks if not config["networks"][network].get("internal")}
    if outside - {OUTSIDE.get(name)} or (service.get("ports") and name not in OUTSIDE):
        yield "can be reached from outside, or reach it"


def of_chart(objects: list[Table]) -> list[str]:
    """What is wrong with the objects of the chart."""
    found = [
        f"{each['kind']} {each['metadata']['name']}: secrets are made by people" for each in objects if each["kind"] == "Secret"
    ]
    policies = [each for each in objects if each["kind"] == "NetworkPolicy"]
    budgets = [each for each in objects if each["kind"] == "PodDisruptionBudget"]
    for each in objects:
        if each["kind"] not in {"StatefulSet", "Deployment", "DaemonSet", "Job", "CronJob", "Pod"}:
            continue
        name = f"{each['kind']} {each['metadata']['name']}"
        template = each["spec"]["template"]
        labels = template["metadata"]["labels"]
        found += [f"{name}: {fault}" for fault in chain(_pod(template["spec"]), _policed(labels, policies, each))]
        for container in [*template["spec"]["containers"], *template["spec"].get("initContainers", [])]:
            found += [f"{name}: {fault}" for fault in _container(container, lasting=each["kind"] != "Job")]
        if each["kind"] != "Job" and not any(
            _selects(budget["spec"]["selector"], labels) and budget["spec"].get("maxUnavailable") for budget in budgets
        ):
            found.append(f"{name}: no disruption budget")
    for policy in policies:
        found += [f"NetworkPolicy {policy['metadata']['name']}: {fault}" for fault in _narrow(policy["spec"])]
    return found


def _pod(spec: Table) -> Iterator[str]:
    context = spec.get("securityContext", {})
    if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
        yield "may run as root"
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "no filter of system calls"
    if spec.get("automountServiceAccountToken") is not False:
        yield "has a token of the cluster"
    if any(spec.get(space) for space in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace")):
        yield "shares a namespace of the host"
    for volume in spec.get("volumes", []):
        if "hostPath" in volume:
            yield f"mounts {volume['hostPath']['path']} of the host"
        if "secret" in volume and volume["secret"].get("defaultMode") != 0o440:
            yield f"secret {volume['name']} can be read by others"
        if "emptyDir" in volume and not volume["emptyDir"].get("sizeLimit"):
            yield f"{volume['name']} has no bound"


def _container(container: Table, *, lasting: bool) -> Iterator[str]:
    context = container.get("securityContext", {})
    if context.get("readOnlyRootFilesystem") is not True:
        yield "can write to its file system"
    if context.get("capabilities") != {"drop": ["ALL"]}:
        yield "has capabilities"
    if context.get("allowPrivilegeEscalation") is not False or context.get("privileged"):
        yield "can gain privileges"
    resources = container.get("resources", {})
    for kind in ("requests", "limits"):
        yield from (f"no {kind} of {what}" for what in ("cpu", "memory") if not resources.get(kind, {}).get(what))
    if lasting:
        yield from (f"no {probe}" for probe in ("startupProbe", "livenessProbe", "readinessProbe") if not container.get(probe))
    if container["image"].endswith(":latest") or not re.search(r":[^/]+$", container["image"]):
        yield "its image has no version"
    for variable in container.get("env", []):
        taken = variable.get("valueFrom", {}).get("secretKeyRef")
        if (taken and taken["key"] != "username") or (
            SECRET.search(variable["name"]) and not variable.get("value", "").startswith(FILES)
        ):
            yield f"{variable['name']} is a secret that is not in a file"
    if container.get("envFrom"):
        yield "takes variables from elsewhere"


def _selects(selector: Table, labels: dict[str, str]) -> bool:
    wanted: dict[str, str] = selector.get("matchLabels", {})
    return not selector.get("matchExpressions") and wanted.items() <= labels.items()


def _policed(labels: dict[str, str], policies: list[Table], owner: Table) -> Iterator[str]:
    """Each pod is closed in both directions, a hook's by a policy that is there before it."""
    is_hook = "helm.sh/hook" in owner["metadata"].get("annotations", {})
    closed: set[str] = set()
    for policy in policies:
        before = "helm.sh/hook" in policy["metadata"].get("annotations", {})
        if _selects(policy["spec"]["podSelector"], labels) and before == is_hook:
            closed |= set(policy["spec"]["policyTypes"])
    if closed != {"Ingress", "Egress"}:
        yield "no policy closes its network"


def _narrow(spec: Table) -> Iterator[str]:
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for rule in spec.get(direction, []):
            if not rule.get(side) or not rule.get("ports") or any(not peer for peer in rule[side]):
                yield f"{direction} lets everybody, or every port"
    if not spec["podSelector"].get("matchLabels"):
        yield "is for pods of others too"
