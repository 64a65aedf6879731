"""Pseudonyms for what a bundle must not tell. Pure.

A pseudonym is a number that was given in the order in which things came up, and nothing of what it stands for: trying all
addresses brings nobody back to one. Within a bundle the same thing has the same pseudonym; the next bundle begins anew.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any, Final, Literal, cast, get_args

if TYPE_CHECKING:
    from collections.abc import Iterable

Masked = Literal["addresses", "names", "people", "texts"]
"""addresses: of networks and hardware. names: of devices, sites, zones, sensors, the organisation; and what values alerts name.
people: accounts and whoever is named as a person. texts: whatever people wrote, as a whole."""

MASKED: Final[tuple[Masked, ...]] = get_args(Masked)

Kind = Literal["device", "place", "person"]
"""What a name is of; pseudonyms begin with it."""

# Each matches so much and no more, wherever it is tried: a text is gone through once, whatever stands in it.
_HARDWARE: Final = re.compile(r"[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4,6}[0-9A-Fa-f]{2}(?![0-9A-Fa-f])")
_DOTTED: Final = re.compile(r"[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}(?![0-9A-Za-z_.])")
_BARE: Final = re.compile(r"[0-9A-Fa-f]{12}(?![0-9A-Za-z_-])")
_VERSION_4: Final = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}(?!\d)")
_VERSION_6: Final = re.compile(r"(?:[0-9A-Fa-f]{0,4}:){2,8}(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{0,4})")
_RUN: Final = re.compile(r"[0-9A-Fa-f.:-]{3,}")
"""Where there may be addresses: nothing shorter is one."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9_]+|[^A-Za-z0-9_]")
"""What names begin and end with: `lin` is not in `line`. Chinese has no such bounds."""

_FOUR: Final = int(ipaddress.IPv4Address("198.18.0.0"))
"""Network for measurements (RFC 2544): nobody's."""

_SIX: Final = int(ipaddress.IPv6Address("2001:db8::"))
"""Network for documents (RFC 3849): nobody's."""


_Node = dict[str, Any]
"""What may follow in a name, by the next part of it; under `_END` what is called so."""

_END: Final = ""


class Mask:
    """What of a bundle is masked, and the pseudonyms that were given.

    Args:
        what: what is masked.
        names: every name that is known, with each that it is of.
        addresses: every address that the bundle is about: none of them is given as a pseudonym.
    """

    def __init__(self, what: Iterable[Masked], names: Iterable[tuple[str, Kind]], addresses: Iterable[str]) -> None:
        self.what: Final = frozenset(what)
        self._taken = set(addresses)
        self._given: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._names: _Node = {}
        for name, kind in names:
            if name.strip() and _group(kind) in self.what:
                self._add(name, kind)

    def hides(self, what: Masked) -> bool:
        """Whether something is masked."""
        return what in self.what

    def address(self, address: str) -> str:
        """An address as it is told."""
        return self._pseudonym(address) if "addresses" in self.what else address

    def name(self, name: str, kind: Kind) -> str:
        """A name as it is told."""
        return self._numbered(kind, name) if _group(kind) in self.what else self.text(name)

    def text(self, text: str) -> str:
        """A text as it is told: every name that is known, and whatever looks like an address."""
        if text not in self._texts:
            self._texts[text] = self._masked(text)
        return self._texts[text]

    def _add(self, name: str, kind: Kind) -> None:
        node = self._names
        for token in _TOKEN.findall(name.strip()):
            node = cast("_Node", node.setdefault(token.casefold(), {}))
        node.setdefault(_END, kind)

    def _masked(self, text: str) -> str:
        if self._names:
            text = self._without_names(text)
        return self._without_addresses(text) if "addresses" in self.what else text

    def _without_names(self, text: str) -> str:
        """A text with a pseudonym for the longest name wherever one begins."""
        tokens = _TOKEN.findall(text)
        folded = [token.casefold() for token in tokens]
        told: list[str] = []
        at = 0
        while at < len(tokens):
            node, end, kind = self._names, at, None
            place = at
            while place < len(tokens) and folded[place] in node:
                node = cast("_Node", node[folded[place]])
                place += 1
                if _END in node:
                    end, kind = place, cast("Kind", node[_END])
            if kind is None:
                told.append(tokens[at])
                at += 1
            else:
                told.append(self._numbered(kind, "".join(tokens[at:end])))
                at = end
        return "".join(told)

    def _without_addresses(self, text: str) -> str:
        told: list[str] = []
        done = 0
        for run in _RUN.finditer(text):
            told.append(text[done : run.start()])
            at = done = run.start()
            while at < run.end():
                end = _end_of_address(text, at)
                if end:
                    told += [text[done:at], self._pseudonym(text[at:end])]
                    at = done = end
                else:
                    at += 1
            told.append(text[done : run.end()])
            done = run.end()
        return "".join([*told, text[done:]])

    def _numbered(self, kind: Kind, name: str) -> str:
        key = f"{kind} {name.casefold()}"
        if key not in self._given:
            self._given[key] = f"{kind}-{self._next(kind)}"
        return self._given[key]

    def _pseudonym(self, address: str) -> str:
        key = _canonical(address)
        while key not in self._given:
            made = self._made(key)
            if made not in self._taken:
                self._given[key] = made
        return self._given[key]

    def _made(self, key: str) -> str:
        try:
            version = ipaddress.ip_address(key).version
        except ValueError:
            version = 4 if "." in key else 0
        if version == 4:
            return str(ipaddress.IPv4Address(_FOUR + self._next("4")))
        if version == 6:
            return str(ipaddress.IPv6Address(_SIX + self._next("6")))
        return ":".join(re.findall("..", f"{0x02 << 40 | self._next('hardware'):012x}"))

    def _next(self, what: str) -> int:
        self._counts[what] = self._counts.get(what, 0) + 1
        return self._counts[what]


def _group(kind: Kind) -> Masked:
    return "people" if kind == "person" else "names"


def _end_of_address(text: str, at: int) -> int:
    """Where the address ends that begins at a place of a text; 0 where none does."""
    before = text[max(at - 2, 0) : at]
    if before[-1:].isdigit():
        return 0
    if not (before[-1:].isascii() and (before[-1:].isalpha() or before[-1:] == "_")):
        six = _end_of_version_6(text, at)
        if six:
            return six
        bare = () if before[-1:] == "-" else (_BARE,)
        for form in (_HARDWARE, _DOTTED, *bare):
            found = form.match(text, at)
            if found is not None:
                return found.end()
    # A letter may stand before: `v10.0.0.5` may be one.
    four = None if before[:1].isdigit() and before[-1:] == "." else _VERSION_4.match(text, at)
    return 0 if four is None else four.end()


def _end_of_version_6(text: str, at: int) -> int:
    """The same of version 6: of what looks like one, as much as is. A port may stand behind it, and a time of day is none."""
    found = _VERSION_6.match(text, at)
    if found is None or found[0].startswith(":::") or (found[0][0] == ":" and text[at - 1 : at] == ":"):
        return 0
    if "::" not in found[0] and found[0].count(":") + 2 * ("." in found[0]) < 7:
        return 0
    colons = [place for place in range(at, found.end()) if text[place] == ":"]
    for end in dict.fromkeys([found.end(), *(each + more for each in reversed(colons) for more in (1, 0))]):
        behind = text[end : end + 1]
        if behind.isascii() and (behind.isalnum() or behind == "_"):
            continue
        try:
            address = ipaddress.IPv6Address(text[at:end])
        except ValueError:
            continue
        if int(address):
            return end
    return 0


def _canonical(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        digits = re.sub("[^0-9a-f]", "", address.lower())
        return ":".join(re.findall("..", digits))
