"""Setting a cluster up for the record store, and what it offers: `icsight elasticsearch`.

What is not on every server is asked for before it is used: the life cycle of indices (ILM) and snapshots. Where they are not,
that is said, and what the store does itself (`retain`) takes their place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from collector.store import StoreError
from collector.store.elastic_server import Refused
from collector.store.elastic_templates import FORMAT_VERSION, ledger, ledger_index, pattern, properties, requests
from sensor.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from collector.store.elastic_server import Server

OLDEST_VERSION: Final = (8, 19)
"""The oldest Elasticsearch that the client library talks to."""

SNAPSHOT_SECONDS: Final = 3_600.0
"""How long a snapshot may take."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a cluster offers.

    Attributes:
        version: its version.
        lifecycle: whether it removes indices by itself (ILM).
        repositories: snapshot repositories that it knows; None where it has no snapshots.
    """

    version: str
    lifecycle: bool
    repositories: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Change:
    """Something that the cluster has to be told.

    Attributes:
        path: what, as a path of the interface.
        body: what it shall be.
        new: whether there is none of that name.
    """

    path: str
    body: Mapping[str, Any]
    new: bool


def probe(server: Server) -> Capabilities:
    """What the cluster offers. Raises StoreError."""
    version = str(server.probe()["version"]["number"])
    if tuple(map(int, version.split("-", maxsplit=1)[0].split(".")[:2])) < OLDEST_VERSION:
        raise StoreError(f"{server.settings.hosts}: Elasticsearch {version} is too old: 8.19 or later is needed")
    repositories = _offered(server, "/_snapshot")
    return Capabilities(
        version,
        # A policy that is not there is told as one (404); without the module there is nobody to ask (400).
        _offered(server, "/_ilm/policy/icsight-is-not-there") is not None,
        None if repositories is None else tuple(sorted(repositories)),
    )


def check(server: Server) -> None:
    """Raise StoreError, with what to do, where the cluster cannot be used as it is."""
    prefix = server.settings.prefix
    server.probe()
    found: Any = server.ask("GET", f"/_index_template/{prefix}-*", absent=True)
    versions = {
        str(item["name"]): int(item["index_template"].get("_meta", {}).get("icsight", {}).get("format", 0))
        for item in cast("list[dict[str, Any]]", found["index_templates"] if found else [])
    }
    _refuse_newer(server, versions.values())
    missing = [table for table in TABLES if f"{prefix}-{table}" not in versions]
    if missing or server.ask("GET", f"/{ledger_index(prefix)}/_mapping", absent=True) is None:
        raise StoreError(f"{server.settings.hosts}: not set up for {prefix}: run icsight elasticsearch apply")


def plan(server: Server) -> list[Change]:
    """What the cluster has to be told so that it is set up, in order; nothing where it is. Raises StoreError."""
    settings = server.settings
    offered = probe(server)
    policy = None
    if settings.retention_days is not None:
        if not offered.lifecycle:
            raise StoreError(
                f"{settings.hosts}: has no index lifecycle management: take retention_days out; "
                "`icsight elasticsearch retain` removes what is old"
            )
        policy = f"{settings.prefix}-records"
    changes: list[Change] = []
    existing = _existing(server)
    if policy is not None:
        life: Any = server.ask("GET", f"/_ilm/policy/{policy}", absent=True)
        if life:
            existing[f"/_ilm/policy/{policy}"] = life[policy]
    for path, body in requests(settings, policy).items():
        found = existing.get(path)
        _refuse_newer(server, [_format(found)])
        if found is None or not _covers(found, body):
            changes.append(Change(path, body, found is None))
    name = ledger_index(settings.prefix)
    if server.ask("GET", f"/{name}/_mapping", absent=True) is None:
        changes.append(Change(f"/{name}", ledger(settings), new=True))
    return [*changes, *_mappings(server)]


def apply(server: Server) -> list[Change]:
    """Set the cluster up; returns what was changed. Doing it again changes nothing. Raises StoreError."""
    changes = plan(server)
    for change in changes:
        try:
            server.ask("PUT", change.path, dict(change.body))
        except Refused as error:
            # Another process has made the ledger in the meantime.
            if error.kind != "resource_already_exists_exception":
                raise
    return changes


def snapshot(server: Server, repository: str, name: str) -> Mapping[str, Any]:
    """Take a snapshot of all records and of the ledger; returns what the cluster says of it. Raises StoreError."""
    offered = probe(server).repositories
    if offered is None:
        raise StoreError(
            f"{server.settings.hosts}: has no snapshots: copy the spools, or store the records in another cluster too"
        )
    if repository not in offered:
        known = ", ".join(offered) or "none"
        raise StoreError(f"{server.settings.hosts}: has no snapshot repository {repository} (known: {known}): register it first")
    prefix = server.settings.prefix
    body = {"indices": f"{pattern(prefix)},{ledger_index(prefix)}", "ignore_unavailable": True, "include_global_state": False}
    answer = server.ask("PUT", f"/_snapshot/{repository}/{name}", body, seconds=SNAPSHOT_SECONDS, wait_for_completion=True)
    taken = cast("dict[str, Any]", answer["snapshot"])
    if taken["state"] != "SUCCESS":
        raise StoreError(f"{repository}/{name}: the snapshot ended as {taken['state']}: look at the cluster's log")
    return taken


def _offered(server: Server, path: str) -> Mapping[str, Any] | None:
    """The answer of an interface that a server may have; None where it has not, empty where it knows nothing of the kind."""
    try:
        return cast("dict[str, Any]", server.ask("GET", path))
    except Refused as error:
        if error.status == 404:
            return {}
        if error.status in {400, 405}:
            return None
        raise


def _existing(server: Server) -> dict[str, Mapping[str, Any]]:
    """What there is of this prefix now, by path."""
    prefix = server.settings.prefix
    found: dict[str, Mapping[str, Any]] = {}
    for kind in ("component_template", "index_template"):
        answer: Any = server.ask("GET", f"/_{kind}/{prefix}-*", absent=True)
        for item in cast("list[dict[str, Any]]", answer[f"{kind}s"] if answer else []):
            found[f"/_{kind}/{item['name']}"] = item[kind]
    return found


def _covers(found: object, wanted: object) -> bool:
    """Whether all that is wanted is there; the cluster adds defaults and writes numbers and truths as text."""
    if isinstance(wanted, dict):
        if not isinstance(found, dict):
            return False
        there = cast("dict[str, object]", found)
        return all(name in there and _covers(there[name], value) for name, value in cast("dict[str, object]", wanted).items())
    if isinstance(wanted, list):
        return found == wanted
    return str(found).lower() == str(wanted).lower()


def _format(found: Mapping[str, Any] | None) -> int:
    told: Mapping[str, Any] = found or {}
    about: Mapping[str, Any] = told.get("_meta") or told.get("policy", {}).get("_meta") or {}
    return int(about.get("icsight", {}).get("format", 0))


def _refuse_newer(server: Server, versions: Any) -> None:
    newest = max(versions, default=0)
    if newest > FORMAT_VERSION:
        raise StoreError(
            f"{server.settings.hosts}: set up by a newer version (format {newest}, this one knows "
            f"{FORMAT_VERSION}): update icsight"
        )


def _mappings(server: Server) -> Iterator[Change]:
    """Columns that indices do not know which were made before the columns were."""
    for table in TABLES.values():
        wanted = properties(table.columns)
        names = pattern(server.settings.prefix, table.name)
        found: Any = server.ask("GET", f"/{names}/_mapping", ignore_unavailable=True, absent=True)
        for index, about in cast("dict[str, dict[str, Any]]", found or {}).items():
            known = about["mappings"].get("properties", {})
            missing = {name: how for name, how in wanted.items() if name not in known}
            if missing:
                yield Change(f"/{index}/_mapping", {"properties": missing}, new=False)
