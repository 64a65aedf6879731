"""What people decide about exceptions, on its way down the stream `control`, and the exceptions that hold at a place.

A site has exceptions from two hands: those that stand in its file, for who deploys by file, and those that people made through
the API. Both are `tuning.Exemption`, are held together by `held`, and are applied in one way by `sessions`.
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, cast, get_args

from detection.tuning import EXCEPTIONS, Exemption

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Choice = Literal["except", "withdraw"]

TEXT: Final = 256
"""Most characters of a name in a decision."""

CHOICES: Final[tuple[Choice, ...]] = get_args(Choice)


@dataclass(frozen=True, slots=True)
class Change:
    """A person's decision about one exception.

    Attributes:
        choice: except: it holds as given here, in the place of one that has its name. withdraw: it holds no more.
        name: name of the exception.
        by: name of the person.
        exemption: the exception; None where it is withdrawn.
        id: identity of the decision.
        at: when it was taken, nanoseconds since 1970.
    """

    choice: Choice
    name: str
    by: str
    exemption: Exemption | None = None
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    at: int = field(default_factory=time.time_ns)

    def to_json(self) -> str:
        """The decision as text."""
        exemption = None if self.exemption is None else self.exemption.model_dump(mode="json")
        said = {"choice": self.choice, "name": self.name, "by": self.by, "exemption": exemption, "id": self.id, "at": self.at}
        return json.dumps(said, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Change:
        """The decision that `to_json` wrote. Raises ValueError for any other text."""
        try:
            said = cast("Mapping[str, Any]", json.loads(text))
            given = said["exemption"]
            exemption = None if given is None else Exemption.model_validate(given)
            name, by, identity = texts = [str(said[name]) for name in ("name", "by", "id")]
            fits = all(said[key] == text and 0 < len(text) <= TEXT for key, text in zip(("name", "by", "id"), texts, strict=True))
            change = cls(said["choice"], name, by, exemption, identity, int(said["at"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a decision about an exception: {text[:80]!r}") from error
        fits &= exemption is not None and exemption.name == name if change.choice == "except" else exemption is None
        if change.choice not in CHOICES or not fits:
            raise ValueError(f"not a decision about an exception: {text[:80]!r}")
        return change


def held(of_file: Sequence[Exemption], changes: Sequence[Change]) -> tuple[Exemption, ...]:
    """The exceptions that hold: those of the site's file, then those that people made and have not withdrawn.

    Where both hands made one of the same name the file's holds. Of more than `EXCEPTIONS` that people made those go first that
    had ended when the latest was decided, then the oldest: what has ended takes no room from what holds.
    """
    named = {each.name for each in of_file}
    made: dict[str, Exemption] = {}
    for change in changes:
        made.pop(change.name, None)
        if change.exemption is not None:
            made[change.name] = change.exemption
    kept = [each for name, each in made.items() if name not in named]
    room = max(0, EXCEPTIONS - len(of_file))
    if len(kept) > room:
        # Decided by the changes alone, so that whoever detects anew keeps the same.
        latest = max(change.at for change in changes)
        lasting = {each.name for each in kept if each.span[1] > latest}
        spare = max(0, room - len(lasting))
        ended = [each.name for each in kept if each.name not in lasting]
        stay = lasting.union(ended[max(0, len(ended) - spare) :])
        kept = [each for each in kept if each.name in stay]
    return (*of_file, *kept[max(0, len(kept) - room) :])
