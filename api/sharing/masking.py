"""Pseudonyms for what a bundle must not tell. Pure.

A pseudonym is a number that was given in the order in which things came up, and nothing of what it stands for: trying all
addresses brings nobody back to one. Within a bundle the same thing has the same pseudonym; the next bundle begins anew.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Masked = Literal["addresses", "names", "people", "texts"]
"""addresses: of networks and hardware. names: of devices, sites, zones, sensors, the organisation; and what values alerts name.
people: accounts and whoever is named as a person. texts: whatever people wrote, as a whole."""

MASKED: Final[tuple[Masked, ...]] = get_args(Masked)

Kind = Literal["device", "place", "person"]
"""What a name is of; pseudonyms begin with it."""

_HARDWARE: Final = r"(?<![0-9A-Fa-f:])(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}(?![0-9A-Fa-f:])"
_VERSION_6: Final = r"(?<![0-9A-Za-z:])(?=[0-9A-Fa-f:.]*:[0-9A-Fa-f.]*:)(?:[0-9A-Fa-f:]*:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f:]+)"
_VERSION_4: Final = r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?!\d|\.\d)"
_ADDRESS: Final = re.compile(f"(?P<hardware>{_HARDWARE})|(?P<six>{_VERSION_6})|(?P<four>{_VERSION_4})")

_FOUR: Final = int(ipaddress.IPv4Address("198.18.0.0"))
"""Network for measurements (RFC 2544): nobody's."""

_SIX: Final = int(ipaddress.IPv6Address("2001:db8::"))
"""Network for documents (RFC 3849): nobody's."""


class Mask:
    """What of a bundle is masked, and the pseudonyms that were given.

    Args:
        what: what is masked.
        names: every name that is known, and what it is of.
        addresses: every address that the bundle is about: none of them is given as a pseudonym.
    """

    def __init__(self, what: Iterable[Masked], names: Mapping[str, Kind], addresses: Iterable[str]) -> None:
        self.what: Final = frozenset(what)
        self._taken = set(addresses)
        self._given: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._kinds: dict[str, Kind] = {
            name.casefold(): kind for name, kind in names.items() if name.strip() and _group(kind) in self.what
        }  # fmt: skip
        # The longest first: a name may be the beginning of another.
        ordered = sorted(self._kinds, key=len, reverse=True)
        self._names = re.compile("|".join(_word(name) for name in ordered), re.IGNORECASE) if ordered else None

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

    def _masked(self, text: str) -> str:
        if self._names is not None:
            text = self._names.sub(lambda found: self._numbered(self._kinds[found[0].casefold()], found[0]), text)
        return _ADDRESS.sub(self._of_text, text) if "addresses" in self.what else text

    def _of_text(self, found: re.Match[str]) -> str:
        written = found[0]
        if found["six"] is None:
            return self._pseudonym(written)
        bare = written.rstrip(":") if not written.endswith("::") else written
        try:
            ipaddress.IPv6Address(bare)
        except ValueError:
            # A time of day, or a port after an address of version 4, which is looked for by itself.
            return written
        return self._pseudonym(bare) + written[len(bare) :]

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


def _word(name: str) -> str:
    """The name by itself: `lin` is not in `line`. Chinese has no such bounds."""
    before = r"(?<![A-Za-z0-9_])" if re.match(r"[A-Za-z0-9_]", name) else ""
    after = r"(?![A-Za-z0-9_])" if re.search(r"[A-Za-z0-9_]$", name) else ""
    return f"{before}{re.escape(name)}{after}"


def _canonical(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address.lower().replace("-", ":")
