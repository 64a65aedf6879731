"""Whether the audit trail is as it was written, by itself and by its checkpoints, and what it tells of is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from api.audit import checkpoints as points
from api.audit import service
from api.audit.chain import Chain, Fault
from api.custody import trail as custody
from api.texts import text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from sqlalchemy.orm import Session

    from api.audit.checkpoints import Checkpoint


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found.

    Attributes:
        entries: entries that hold, from the first on.
        checkpoints: checkpoints that say the same.
        up_to: the newest entry of which one does; 0 where none does.
        fault: the first thing that does not hold; None where all does.
    """

    entries: int
    checkpoints: int
    up_to: int
    fault: Fault | None

    def line(self, language: str) -> str:
        """What was found in one line."""
        if self.fault is not None:
            return text(language, f"audit.fault.{self.fault.kind}", number=self.fault.number, **self.fault.values)
        key = "audit.intact" if self.checkpoints else "audit.intact_alone"
        return text(language, key, entries=self.entries, checkpoints=self.checkpoints, up_to=self.up_to)


def verify(session: Session, found: Sequence[Checkpoint] = (), keys: Mapping[str, Ed25519PublicKey] | None = None) -> Verdict:
    """Follow the whole trail of the session's organisation, and then the custody of all evidence, which it tells of.

    Args:
        session: one that sees one state, unlimited.
        found: checkpoints, by number.
        keys: what may have signed them, by name.
    """
    for checkpoint in found:
        key = (keys or {}).get(checkpoint.key)
        if key is None:
            return Verdict(0, 0, 0, Fault("unknown_key", checkpoint.number, {"file": checkpoint.place, "signer": checkpoint.key}))
        if not points.holds(checkpoint, key):
            return Verdict(0, 0, 0, Fault("unsigned", checkpoint.number, {"file": checkpoint.place}))
    chain = Chain(found)
    while True:
        entries = service.following(session, chain.number)
        for entry in entries:
            fault = chain.follow(entry)
            if fault is not None:
                return Verdict(chain.number, chain.held, chain.checkpoint, fault)
        session.expunge_all()
        if len(entries) < service.CHUNK:
            break
    fault = chain.end(service.written(session)) or custody.differing(session)
    return Verdict(chain.number, chain.held, chain.checkpoint, fault)
