"""The chain of the audit trail: how an entry becomes a hash, and how the first entry that does not hold is found.

Each entry's hash is over all that it says and the hash of the entry before, so that nothing in the middle can be edited, taken
away or moved. What was written anew from some entry on to the end, or cut at the end, shows in a checkpoint that says how far the
trail was, and with which hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import rfc8785

from api.times import iso

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from api.audit.checkpoints import Checkpoint
    from api.audit.models import AuditEntry

FIRST_PREVIOUS: Final = "0" * 64
"""`previous_hash` of entry 1."""

OLD_FORM: Final = 1
"""Entries hashed as a JSON array, as versions up to 0.1 wrote them."""

FORM: Final = 2
"""Entries hashed as a JSON object in canonical form (RFC 8785)."""

LARGEST: Final = 2**53 - 1
"""Largest integer that all readers of JSON take for the same (RFC 7493, 2.2)."""

Kind = Literal["changed", "missing", "moved", "cut", "cut_counter", "rewritten", "unsigned", "unknown_key", "custody"]
"""What is wrong with a trail, or with a checkpoint of it; its text is `audit.fault.<kind>` in the catalogue."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing that does not hold.

    Attributes:
        kind: what it is.
        number: the entry at which it shows.
        values: what fills the text's placeholders besides the number.
    """

    kind: Kind
    number: int
    values: Mapping[str, object]


def plain(value: object) -> Any:
    """A value as every reader of JSON has it: a number that some would round becomes its text.

    Half a pair of UTF-16, which no text holds, becomes U+FFFD: whatever is told, the entry can be written.
    """
    match value:
        case None | bool():
            return value
        case str():
            return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        case int():
            return value if abs(value) <= LARGEST else str(value)
        case float():
            return value if value - value == 0 else str(value)
        case Mapping():
            return {plain(str(name)): plain(inner) for name, inner in cast("Mapping[object, object]", value).items()}
        case list() | tuple():
            return [plain(inner) for inner in cast("Iterable[object]", value)]
        case _:
            raise TypeError(f"{type(value).__name__} has no JSON")


def content(entry: AuditEntry) -> dict[str, Any]:
    """All that an entry says but its hash, as an object; `at` is nanoseconds in the old form, RFC 3339 since."""
    return {
        "action": entry.action, "actor": entry.actor, "address": entry.address,
        "at": entry.at if entry.form == OLD_FORM else iso(entry.at),
        "detail": entry.detail, "form": entry.form, "number": entry.number, "organisation": entry.organisation,
        "previous_hash": entry.previous_hash, "subject": entry.subject,
    }  # fmt: skip


def digest(entry: AuditEntry) -> str:
    """SHA-256 of an entry: its content in canonical JSON (RFC 8785).

    Of an entry in the old form: number, at, actor, address, action, subject, detail and previous hash as a JSON array without
    spaces, keys sorted, in UTF-8.
    """
    if entry.form == OLD_FORM:
        array = [
            entry.number, entry.at, entry.actor, entry.address, entry.action, entry.subject, entry.detail, entry.previous_hash,
        ]  # fmt: skip
        hashed = json.dumps(array, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    else:
        hashed = rfc8785.dumps(content(entry))
    return hashlib.sha256(hashed).hexdigest()


class Chain:
    """Follows a trail from its first entry on.

    Args:
        checkpoints: what the trail was, in the order of numbers.
    """

    def __init__(self, checkpoints: Sequence[Checkpoint] = ()) -> None:
        self._checkpoints = list(checkpoints)
        self._form = OLD_FORM
        self._hash: str = FIRST_PREVIOUS
        self.number = 0
        """The last entry that holds."""
        self.checkpoint = 0
        """The last entry of which a checkpoint says the same."""
        self.held = 0
        """Checkpoints that say the same."""

    def follow(self, entry: AuditEntry) -> Fault | None:
        """Go one entry on; what is wrong with it, if anything is."""
        expected = self.number + 1
        if entry.number != expected:
            return Fault("missing", expected, {"found": entry.number})
        if entry.form not in {OLD_FORM, FORM} or entry.form < self._form or entry.hash != _hash_of(entry):
            return Fault("changed", expected, {})
        if entry.previous_hash != self._hash:
            return Fault("moved", expected, {"before": self.number})
        self.number, self._hash, self._form = expected, entry.hash, entry.form
        while self._checkpoints and self._checkpoints[0].number == expected:
            checkpoint = self._checkpoints.pop(0)
            if checkpoint.hash != entry.hash:
                return Fault("rewritten", expected, {"file": checkpoint.place, "after": self.checkpoint})
            self.held, self.checkpoint = self.held + 1, expected
        return None

    def end(self, written: int) -> Fault | None:
        """What is wrong with the end of the trail, of which so many entries were written."""
        if self._checkpoints:
            furthest = self._checkpoints[-1]
            return Fault("cut", self.number + 1, {"last": self.number, "written": furthest.number, "told": furthest.place})
        if written != self.number:
            return Fault("cut_counter", self.number + 1, {"last": self.number, "written": written})
        return None


def _hash_of(entry: AuditEntry) -> str | None:
    """The hash of an entry; None where it says what none that was written here says."""
    try:
        return digest(entry)
    except (rfc8785.CanonicalizationError, ValueError, OverflowError):
        return None
