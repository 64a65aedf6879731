"""STIX 2.1 bundles of incidents and stories. Pure: whoever has the facts gets the bundle.

An incident is an `incident` with what belongs to it; a story is a `grouping`. Each alert is `observed-data` (addresses, traffic
between them) and a `sighting` of each technique of ATT&CK for ICS that it shows; registered devices are `identity` objects of
class `system`. Identifiers of observables are those of the standard; all others are the same each time where nothing is masked,
so that whoever reads a bundle again sees a new version, and random where something is.
"""

from __future__ import annotations

import ipaddress
import json
import secrets
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from api.sharing.markings import Tlp, marking
from detection import attack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from api.sharing.masking import Mask

NAMESPACE: Final = uuid.UUID("7f1b7d0a-5c1e-4d0b-9a63-0d9f0b1c2e47")
"""Namespace of identifiers that the standard does not make."""

MADE: Final = 1_795_996_800_000_000_000
"""When what has no time of its own was made: techniques, devices, the organisation."""

MOST_COUNTED: Final = 999_999_999
"""Most that STIX counts."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An alert. Times are nanoseconds since 1970."""

    id: str
    title: str
    summary: str
    """May name anything: it is left out where names are masked."""
    client: str | None
    server: str | None
    first_seen: int
    last_seen: int
    changed_at: int
    count: int
    confidence: float
    techniques: Sequence[str]


@dataclass(frozen=True, slots=True)
class Line:
    """What a person wrote."""

    id: str
    at: int
    by: str
    text: str


@dataclass(frozen=True, slots=True)
class Subject:
    """What a bundle is about.

    Attributes:
        kind: an incident or a story.
        id: what it is called here.
        title: its title; of a story its sentence.
        by_hand: whether people wrote the title.
        summary: what people wrote of it.
        category: what it is, in words of the product.
        begun_at: when it began, or was declared.
        changed_at: when it changed last.
        alerts: its alerts.
        devices: names of registered devices by address.
        lines: what people wrote about it.
        organisation: whose it is.
        site: where it is.
    """

    kind: str
    id: str
    title: str
    by_hand: bool
    summary: str
    category: str
    begun_at: int
    changed_at: int
    alerts: Sequence[Seen]
    devices: Mapping[str, str]
    lines: Sequence[Line]
    organisation: str
    site: str


def bundle(subject: Subject, mask: Mask, tlp: Tlp, language: str) -> dict[str, Any]:
    """The bundle of a subject."""
    return _Bundle(subject, mask, tlp, language).made()


class _Bundle:
    def __init__(self, subject: Subject, mask: Mask, tlp: Tlp, language: str) -> None:
        # It takes a second to be imported, and most processes never need it.
        self._stix: Any = import_module("stix2.v21")
        self._subject, self._mask = subject, mask
        self._name = secrets.token_hex(32) if mask.what else subject.organisation
        self._marking: Any = self._stix.MarkingDefinition(**marking(tlp))
        self._objects: dict[str, Any] = {}
        self._addresses: dict[str, str | None] = {}
        self._common: dict[str, Any] = {"object_marking_refs": [self._marking["id"]]}
        place = " / ".join(part for part in (subject.organisation, subject.site) if part)
        self._creator: str = self._add("Identity", "identity", "organisation", name=self._mask.name(place, "place"),
                                  identity_class="organization", **_times(MADE))  # fmt: skip
        self._common |= {"created_by_ref": self._creator}
        self._language = {"lang": language}

    def made(self) -> dict[str, Any]:
        """The bundle."""
        subject = self._subject
        told = [each for alert in subject.alerts for each in self._alert(alert)]
        told += self._devices()
        if subject.kind == "incident":
            about = {"name": self._title(), **self._described(), **self._language, **_times(subject.begun_at, subject.changed_at)}
            root = self._add("Incident", "incident", subject.id, **about)
            told.append(root)
            for each in dict.fromkeys(told[:-1]):
                if each.startswith(("attack-pattern", "observed-data")):
                    told.append(self._related(root, each))
        else:
            root = None
        told += [self._line(line, root) for line in subject.lines if root is not None and not self._mask.hides("texts")]
        self._add(
            "Grouping", "grouping", f"{subject.kind} {subject.id}", name=self._title(), context="suspicious-activity",
            object_refs=list(dict.fromkeys(told)) or [self._creator], **self._language,
            **_times(subject.begun_at, subject.changed_at),
        )  # fmt: skip
        made = self._stix.Bundle(self._marking, *self._objects.values())
        return json.loads(made.serialize())

    def _title(self) -> str:
        subject = self._subject
        if subject.by_hand and self._mask.hides("texts"):
            return subject.category
        return self._mask.text(subject.title) or subject.category

    def _described(self) -> dict[str, str]:
        if not self._subject.summary or self._mask.hides("texts"):
            return {}
        return {"description": self._mask.text(self._subject.summary)}

    def _alert(self, alert: Seen) -> list[str]:
        observables = self._observables(alert)
        span = _times(min(alert.first_seen, alert.changed_at), alert.changed_at)
        first, last = _moment(alert.first_seen), _moment(max(alert.first_seen, alert.last_seen))
        count = max(1, min(alert.count, MOST_COUNTED))
        found = list(observables)
        observed: list[str] = []
        if observables:
            observed.append(
                self._add("ObservedData", "observed-data", alert.id, first_observed=first, last_observed=last,
                          number_observed=count, object_refs=observables, **span)
            )  # fmt: skip
        summary = "" if self._mask.hides("names") else alert.summary
        said = self._mask.text("\n".join(part for part in (alert.title, summary) if part))
        known = [name for name in alert.techniques if name in attack.techniques()]
        for technique in known:
            pattern = self._technique(technique)
            evidence = {"observed_data_refs": observed} if observed else {}
            sighting = self._add(
                "Sighting", "sighting", f"{alert.id} {technique}", sighting_of_ref=pattern, where_sighted_refs=[self._creator],
                first_seen=first, last_seen=last, count=count, confidence=round(alert.confidence * 100), description=said,
                **evidence, **self._language, **span,
            )  # fmt: skip
            found += [pattern, sighting]
        if not known:
            about = observed or [self._creator]
            found.append(self._add("Note", "note", alert.id, content=said, object_refs=about, **self._language, **span))
        return [*found, *observed]

    def _observables(self, alert: Seen) -> list[str]:
        """The addresses of an alert, and the traffic between them."""
        sides = {"src_ref": self._address(alert.client), "dst_ref": self._address(alert.server)}
        there = {name: each for name, each in sides.items() if each is not None}
        if not there:
            return []
        version = "ipv6" if next(iter(there.values())).startswith("ipv6") else "ipv4"
        return [*dict.fromkeys(there.values()), self._observable("NetworkTraffic", **there, protocols=[version])]

    def _address(self, address: str | None) -> str | None:
        if address is None:
            return None
        if address not in self._addresses:
            self._addresses[address] = self._made_address(address)
        return self._addresses[address]

    def _made_address(self, address: str) -> str | None:
        try:
            kind = f"IPv{ipaddress.ip_address(address).version}Address"
        except ValueError:
            return None
        return self._observable(kind, value=self._mask.address(address))

    def _technique(self, name: str) -> str:
        identity = f"attack-pattern--{uuid.uuid5(NAMESPACE, name)}"
        if identity in self._objects:
            return identity
        known = attack.techniques()[name]
        made = self._stix.AttackPattern(
            id=identity, name=known.name,
            external_references=[
                {
                    "source_name": "mitre-attack", "external_id": name,
                    "url": f"https://attack.mitre.org/techniques/{name.replace('.', '/')}",
                }
            ],
            kill_chain_phases=[{"kill_chain_name": "mitre-ics-attack", "phase_name": tactic} for tactic in known.tactics],
            **self._common, **_times(MADE),
        )  # fmt: skip
        return self._keep(made)

    def _devices(self) -> list[str]:
        found: list[str] = []
        for address, name in self._subject.devices.items():
            observable = self._address(address)
            if observable is not None:
                about = {"name": self._mask.name(name, "device"), "identity_class": "system"}
                device = self._add("Identity", "identity", f"device {self._subject.site} {name}", **about, **_times(MADE))
                found += [device, self._related(device, observable)]
        return found

    def _line(self, line: Line, root: str) -> str:
        return self._add(
            "Note", "note", f"line {line.id}", content=self._mask.text(line.text), authors=[self._mask.name(line.by, "person")],
            object_refs=[root], **self._language, **_times(line.at),
        )  # fmt: skip

    def _related(self, one: str, other: str) -> str:
        return self._add(
            "Relationship", "relationship", f"{one} {other}", source_ref=one, target_ref=other, relationship_type="related-to",
            **_times(MADE),
        )  # fmt: skip

    def _add(self, kind: str, type_name: str, key: str, /, **fields: Any) -> str:
        identity = f"{type_name}--{uuid.uuid5(NAMESPACE, f'{self._name} {type_name} {key}')}"
        return self._keep(getattr(self._stix, kind)(id=identity, **self._common, **fields))

    def _observable(self, kind: str, **fields: Any) -> str:
        return self._keep(getattr(self._stix, kind)(**fields, object_marking_refs=self._common["object_marking_refs"]))

    def _keep(self, made: Any) -> str:
        identity = str(made["id"])
        self._objects.setdefault(identity, made)
        return identity


def _moment(nanoseconds: int) -> datetime:
    """A time to the millisecond, as STIX has it."""
    seconds, rest = divmod(nanoseconds // 1_000_000, 1_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1_000)


def _times(created: int, modified: int | None = None) -> dict[str, datetime]:
    return {"created": _moment(created), "modified": _moment(max(created, created if modified is None else modified))}
