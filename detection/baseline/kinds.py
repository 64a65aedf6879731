"""The kinds of facts: which acts each is about, by what they are told apart, and what is normal in the place of a new one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from detection.baseline import readers

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fact."""

    name: str
    key: tuple[str, ...]
    """Columns of an act that make a fact."""
    peers: tuple[str, ...]
    """Columns that what is normal in a fact's place shares with it."""
    shown: str
    """Column that is told of what is normal."""
    topic: str = readers.DONE
    """Topic of the acts that it is about."""
    applies: pl.Expr = pl.lit(value=True)  # noqa: RUF009  an expression, which nothing changes
    """Which acts of the topic it is about."""
    told: bool = True
    """Whether a new one is told; else it is told with others only."""
    needs_peers: bool = False
    """Whether a new one is told only where something was normal in its place: who is new has all things new."""


_WRITES: Final = pl.col("access") == "write"
_POINT: Final = pl.col("point").is_not_null()
_OPERATION: Final = pl.col("operation").is_not_null()
_CAME_ABOUT: Final = pl.col("access").ne_missing(readers.REFUSED)
_TALK: Final = ("client", "server", "protocol")

ASKS: Final = Kind("asks", ("client",), (), "client", told=False)
"""Who was ever a client."""

ANSWERS: Final = Kind("answers", ("client", "protocol"), (), "client", told=False)
"""Who was ever a server, in which protocol. Its address stands in column client."""

HOUR: Final = Kind("hour", ("client", "point"), ("client",), "point", needs_peers=True)
"""Who is a client at which hour of the week, from 0, Monday's first (UTC), to 167."""

KINDS: Final[Mapping[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind("program", (*_TALK, "unit", "operation"), ("server", "protocol"), "client", applies=pl.col("access") == "program"),
        Kind("writer", (*_TALK, "unit"), ("server", "protocol", "unit"), "client", applies=_WRITES),
        Kind(
            "server_certificate", ("server", "protocol", "point"), ("server", "protocol"), "point", readers.SERVER_CERTIFICATE,
            needs_peers=True,
        ),
        Kind(
            "client_certificate", ("client", "protocol", "point"), ("client", "protocol"), "point", readers.CLIENT_CERTIFICATE,
            needs_peers=True,
        ),
        Kind("security", (*_TALK, "operation"), _TALK, "operation", readers.SECURITY, needs_peers=True),
        Kind("user", (*_TALK, "operation", "point"), _TALK, "point", readers.USER, needs_peers=True),
        Kind(
            "application", ("client", "protocol", "point"), ("client", "protocol"), "point", readers.APPLICATION, needs_peers=True
        ),
        Kind("written_point", (*_TALK, "unit", "point"), (*_TALK, "unit"), "point", applies=_WRITES & _POINT),
        Kind("conversation", _TALK, ("server", "protocol"), "client", applies=_CAME_ABOUT),
        Kind("operation", (*_TALK, "unit", "operation"), (*_TALK, "unit"), "operation", applies=_OPERATION),
        Kind(
            "block", (*_TALK, "unit", "operation", "point"), (*_TALK, "unit", "operation"), "point",
            applies=_POINT & (pl.col("access") == "read"),
        ),
        Kind("hardware", ("client", "point"), ("client",), "point", readers.HARDWARE),
        Kind(
            "device", ("client", "protocol", "operation", "point"), ("client", "protocol", "operation"), "point", readers.DEVICE,
            needs_peers=True,
        ),
        HOUR,
        ASKS,
        ANSWERS,
    )
}  # fmt: skip
"""By name, those that weigh more first."""

WEIGHT: Final[Mapping[str, int]] = {name: place for place, name in enumerate(KINDS)}
"""Place of each kind in the order of weight."""

GRAVE: Final = ("program", "writer", "conversation")
"""Kinds of which a new fact is told while normality is still being learned."""

IMPLIED: Final[Mapping[str, tuple[str, ...]]] = {
    "program": ("conversation", "operation"),
    "writer": ("written_point", "conversation", "operation", "block"),
    "conversation": ("operation", "block"),
}
"""Kinds of lesser weight that come with one: whoever writes for the first time talks, asks for operations, and writes points."""


KEPT_BY: Final = tuple(
    column
    for column, name in (("client.ip", "client"), ("server.ip", "server"))
    if all(name in (kind.peers or kind.key) for kind in KINDS.values())
)
"""Columns by which what is normal is kept apart: those that the place of a fact of every kind names. `ASKS` and `ANSWERS` are
about one host, whomever it talks to, and every deviation says what they know."""


def scope(kind: str, client: str | None, server: str | None) -> tuple[str, str]:
    """Client and server by which facts of a kind are named that a deviation shows; "" for what they do not tell apart."""
    known = KINDS.get(kind)
    named = ("client", "server") if known is None else known.key
    return (client or "") if "client" in named else "", (server or "") if "server" in named else ""
