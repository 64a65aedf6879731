"""Exceptions of a site: which alerts it does not want to see, why, and until when. What an exception would hide is shown first.

An exception hides nothing for good: an alert that it covers is made and kept, and marked with it.

    exceptions:
      - name: night-copy
        kind: suppress                      # suppress, normal or maintenance
        rules: [address_sweep]              # names of rules, patterns allowed
        clients: [10.0.0.5, 10.0.1.0/24]
        servers: [10.0.2.7]
        target: {modbus.unit_id: "3"}
        start: 2026-11-28T00:00:00+08:00
        end: 2027-02-28T00:00:00+08:00
        reason: The historian copies all maps at night.
        by: lin.wei
"""

from __future__ import annotations

import fnmatch
import hashlib
import ipaddress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

LOOK_BACK: Final = timedelta(days=30)
"""How far back it is shown what an exception would have hidden."""

EXCEPTIONS: Final = 1_000
"""Most exceptions of a site."""

PROPOSED_DAYS: Final = 90
"""How long a proposed exception holds."""

EVER: Final = 2**63 - 1
"""The latest time that can be told, nanoseconds since 1970 (the year 2262)."""

Kind = Literal["suppress", "normal", "maintenance"]
"""suppress: not wanted until its end. normal: accepted as normal here, until it is taken back. maintenance: planned work."""

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1_000)]

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class Tunable(Protocol):
    """What an exception looks at of an alert: one of detection or one that is stored."""

    @property
    def rule(self) -> str:
        """Name of its rule."""
        ...

    @property
    def client_ip(self) -> str | None:
        """Its client."""
        ...

    @property
    def server_ip(self) -> str | None:
        """Its server."""
        ...

    @property
    def first_seen(self) -> int:
        """Time of its first record, nanoseconds since 1970."""
        ...

    @property
    def body(self) -> Mapping[str, Any]:
        """With `target`: what else it is about."""
        ...


Told = TypeVar("Told", bound=Tunable)


class Exemption(BaseModel):
    """One exception. All that it names must hold; a list holds where one of it does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    kind: Kind = "suppress"
    rules: tuple[Line, ...] = ()
    """Names of rules, patterns allowed; none: any rule."""
    clients: tuple[Line, ...] = ()
    """Addresses or networks; none: any client."""
    servers: tuple[Line, ...] = ()
    """Addresses or networks; none: any server."""
    target: dict[str, str] = Field(default_factory=dict[str, str])
    """Fields of what the alert is about, with their values."""
    start: datetime | None = None
    """From when it holds; without it, always before its end."""
    end: datetime | None = None
    """Until when it holds; only what is normal may have none."""
    reason: Line
    by: Line
    """Who decided it."""

    @field_validator("clients", "servers")
    @classmethod
    def _are_networks(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            try:
                ipaddress.ip_network(name, strict=False)
            except ValueError as error:
                raise ValueError(f"{name!r} is neither an address nor a network such as 10.0.1.0/24") from error
        return names

    @model_validator(mode="after")
    def _has_scope_and_end(self) -> Exemption:
        if not (self.rules or self.clients or self.servers):
            raise ValueError("name rules, clients or servers: an exception for everything would hide everything")
        if self.kind != "maintenance" and not self.rules:
            raise ValueError("name the rules: being known as a host is no excuse for whatever it does")
        if self.kind == "normal" and not (self.clients or self.servers):
            raise ValueError("what is normal is normal for somebody: name clients or servers")
        if self.kind != "normal" and self.end is None:
            raise ValueError("give an end: what is forgotten must not hide alerts for ever")
        if self.kind == "maintenance" and self.start is None:
            raise ValueError("a maintenance window needs a start")
        for moment in (self.start, self.end):
            if moment is not None and moment.tzinfo is None:
                raise ValueError("start and end need an offset from UTC, as in 2026-11-20T08:00:00+08:00")
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ValueError("it ends before it starts")
        return self

    @property
    def span(self) -> tuple[int, int]:
        """From when until when it holds, nanoseconds since 1970, the end excluded."""
        return (0 if self.start is None else _ns(self.start)), (EVER if self.end is None else _ns(self.end))

    def names(self, rule: str) -> bool:
        """Whether it can cover alerts of a rule."""
        return not self.rules or any(fnmatch.fnmatchcase(rule, pattern) for pattern in self.rules)

    def covers(self, rule: str, client: str | None, server: str | None, target: Mapping[str, object], at: int) -> bool:
        """Whether it covers what happened at this time, nanoseconds since 1970."""
        start, end = self.span
        return (
            start <= at < end
            and self.names(rule)
            and (not self.clients or within(client, self.clients))
            and (not self.servers or within(server, self.servers))
            and all(name in target and str(target[name]) == value for name, value in self.target.items())
        )

    def hides(self, alert: Tunable) -> bool:
        """Whether it covers an alert, by when that began."""
        return self.covers(alert.rule, alert.client_ip, alert.server_ip, alert.body.get("target", {}), alert.first_seen)

    def would_hide(self, alert: Tunable) -> bool:
        """Whether it would have covered an alert, had it held then."""
        return self.covers(alert.rule, alert.client_ip, alert.server_ip, alert.body.get("target", {}), self.span[0])

    def fields(self) -> dict[str, Any]:
        """What an alert that it hides says of it."""
        end = None if self.end is None else self.end.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return {"name": self.name, "kind": self.kind, "reason": self.reason, "by": self.by, "end": end}


def preview(exemption: Exemption, alerts: Iterable[Told], now: int) -> list[Told]:
    """The alerts of the last `LOOK_BACK` that an exception would have hidden, had it held; the latest first.

    A maintenance window is looked at by its scope as well: what the same work set off before.
    """
    since = now - int(LOOK_BACK.total_seconds()) * 1_000_000_000
    hidden = [alert for alert in alerts if since <= alert.first_seen <= now and exemption.would_hide(alert)]
    return sorted(hidden, key=lambda alert: -alert.first_seen)


def propose(alert: Tunable, false: Sequence[Tunable], true: Sequence[Tunable], now: datetime, by: str) -> list[Exemption]:
    """Exceptions for an alert that was false, narrowest first: it is covered by each, and none that was true is by any.

    The first names rule, client, server and target. Each further one names fewer of them, and is there only if it covers more of
    the alerts that were false. Empty where one that was true cannot be told from this one.
    """
    target = {str(name): str(value) for name, value in alert.body.get("target", {}).items() if value is not None}
    named: dict[str, Any] = {
        "clients": (alert.client_ip,) if alert.client_ip else (),
        "servers": (alert.server_ip,) if alert.server_ip else (),
        "target": target,
    }
    told = [name for name, value in named.items() if value]
    found: list[Exemption] = []
    most = 0
    for count in range(len(told) + 1):
        for general in combinations(reversed(told), count):
            scope = {name: named[name] for name in told if name not in general}
            if not (scope.keys() & {"clients", "servers"}):
                continue
            end = now + timedelta(days=PROPOSED_DAYS)
            name = f"{alert.rule}-{hashlib.blake2b(repr(scope).encode(), digest_size=4).hexdigest()}"[-64:]
            proposed = Exemption(name=name, rules=(alert.rule,), end=end, reason="False positive.", by=by, **scope)
            if any(proposed.would_hide(each) for each in true):
                continue
            covered = sum(proposed.would_hide(each) for each in (alert, *false))
            if covered > most:
                found.append(proposed)
                most = covered
    return found


@lru_cache(maxsize=4_096)
def _network(name: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(name, strict=False)


def within(address: str | None, names: Sequence[str]) -> bool:
    """Whether an address is one of these, or in one of these networks."""
    try:
        found = None if address is None else ipaddress.ip_address(address)
    except ValueError:
        return False
    return found is not None and any(found in _network(name) for name in names)


def _ns(moment: datetime) -> int:
    whole = int(moment.timestamp())
    return min(max(0, whole * 1_000_000_000 + moment.microsecond * 1_000), EVER)
