"""A plan of zones and conduits, and where an address lies in it. Pure."""

from __future__ import annotations

import ipaddress
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from api.unfit import Unfit

if TYPE_CHECKING:
    from collections.abc import Iterable

Level = Literal["0", "1", "2", "3", "3.5", "4", "5"]
"""Level of the Purdue model; 3.5 is the demilitarised zone between plant and enterprise."""

LEVELS: Final[tuple[Level, ...]] = get_args(Level)

ZONES: Final = 200
"""Most zones of a site."""

CONDUITS: Final = 1_000
"""Most conduits of a site."""

NETWORKS: Final = 200
"""Most networks of a zone."""

REMEMBERED: Final = 50_000
"""Addresses of which is remembered where they lie."""


def _network(text: str) -> str:
    return str(ipaddress.ip_network(text, strict=False))


ZoneName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64, pattern=r"^[^\x00]*$")]

Network = Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f.:]{2,45}(/\d{1,3})?$"), AfterValidator(_network)]

Note = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1_000, pattern=r"^[^\x00]*$")]


class Zone(BaseModel):
    """Devices with the same need of protection."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    name: ZoneName = Field(examples=["Cell 1"])
    level: Level | None = Field(default=None, examples=["1"])
    """Purdue level."""
    networks: list[Network] = Field(default=[], max_length=NETWORKS, examples=[["192.0.2.0/24"]])
    """Addresses and networks that lie in it; of several that hold an address the narrowest counts."""
    target: int | None = Field(default=None, ge=0, le=4, examples=[2])
    """Security level that is aimed at (SL-T)."""
    note: Note = Field(default="", examples=["Filling line with its safety controller"])


class Conduit(BaseModel):
    """What may be said between two zones, whoever begins."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    zones: list[ZoneName] = Field(min_length=2, max_length=2, examples=[["Cell 1", "Supervision"]])
    """Names of the two zones."""
    protocols: list[Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,64}$")]] = Field(
        default=[], max_length=64, examples=[["modbus", "opcua"]]
    )
    """Protocols that may be spoken; none: any."""
    note: Note = Field(default="", examples=["HMI to controllers"])

    @property
    def pair(self) -> tuple[str, str]:
        """Its zones in order of their names."""
        one, other = sorted(self.zones)
        return one, other


class Plan(BaseModel):
    """The zones and conduits of a site."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    zones: list[Zone] = Field(default=[], max_length=ZONES)
    conduits: list[Conduit] = Field(default=[], max_length=CONDUITS)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if twice := _twice(zone.name for zone in self.zones):
            raise Unfit("zone_twice", name=twice)
        if twice := _twice(network for zone in self.zones for network in zone.networks):
            raise Unfit("zone_network", network=twice)
        names = {zone.name for zone in self.zones}
        pairs: set[tuple[str, str]] = set()
        for pair in (conduit.pair for conduit in self.conduits):
            if unknown := [name for name in pair if name not in names]:
                raise Unfit("conduit_zone", name=unknown[0])
            if pair[0] == pair[1]:
                raise Unfit("conduit_self", name=pair[0])
            if pair in pairs:
                raise Unfit("conduit_twice", one=pair[0], other=pair[1])
            pairs.add(pair)
        return self


def _twice(texts: Iterable[str]) -> str | None:
    """The first text, in their order, that is there more than once."""
    return min((text for text, count in Counter(texts).items() if count > 1), default=None)


class Places:
    """Where addresses lie in a plan. Each answer is remembered, for the same few are asked for again and again.

    Args:
        plan: the plan.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan: Final = plan
        self._found: dict[str, Zone | None] = {}

    @cached_property
    def by_name(self) -> dict[str, Zone]:
        """Zones by name."""
        return {zone.name: zone for zone in self.plan.zones}

    @cached_property
    def conduits(self) -> dict[tuple[str, str], Conduit]:
        """Conduits by the names of their zones, in order."""
        return {conduit.pair: conduit for conduit in self.plan.conduits}

    def zone(self, address: str) -> Zone | None:
        """The zone that an address lies in; None where it lies in none, or is no address."""
        try:
            return self._found[address]
        except KeyError:
            pass
        found = self._look(address)
        if len(self._found) >= REMEMBERED:
            self._found.clear()
        self._found[address] = found
        return found

    @cached_property
    def _networks(self) -> dict[tuple[int, int], dict[int, Zone]]:
        """Zones by the networks that lie in them: by version and length, narrowest first, then by the network's number."""
        found: dict[tuple[int, int], dict[int, Zone]] = {}
        for zone in self.plan.zones:
            for text in zone.networks:
                network = ipaddress.ip_network(text)
                found.setdefault((network.version, network.prefixlen), {})[int(network.network_address)] = zone
        return dict(sorted(found.items(), key=lambda each: -each[0][1]))

    def _look(self, text: str) -> Zone | None:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return None
        number = int(address)
        for (version, length), zones in self._networks.items():
            shift = address.max_prefixlen - length
            if version == address.version and (zone := zones.get(number >> shift << shift)) is not None:
                return zone
        return None
