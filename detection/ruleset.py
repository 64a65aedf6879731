"""A version of the rules: what their files hold, and its hash. Files are looked at again and again while detection runs."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from detection.sigma.rule import Fault, Rule, RuleError, parse_sound, rules_folder, texts_of
from detection.watched import Watched

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VERSION_BYTES: Final = 16

KEPT: Final = 8
"""Versions of which what was parsed is kept, for all sites of a process: a worker has many with the same rules."""


@dataclass(frozen=True)
class Ruleset:
    """Rules as they stood in their files at one time."""

    texts: Mapping[Path, str]
    unreadable: tuple[Fault, ...] = ()
    """Files that could not be read at all."""
    changed: int = 0
    """When the newest of the files was written, nanoseconds since 1970; 0 where that is not known."""

    @cached_property
    def version(self) -> str:
        """A hash of the content: equal files have equal versions, wherever they lie."""
        parts = sorted(f"{len(text)}\x1f{text}" for text in self.texts.values())
        return hashlib.blake2b("\x1e".join(parts).encode(), digest_size=VERSION_BYTES).hexdigest()

    @property
    def rules(self) -> list[Rule]:
        """The rules that can be parsed."""
        return list(self._parsed[0])

    @property
    def faults(self) -> list[Fault]:
        """Why other rules cannot be."""
        return [*self.unreadable, *self._parsed[1]]

    @cached_property
    def _parsed(self) -> tuple[tuple[Rule, ...], tuple[Fault, ...]]:
        return _parsed(tuple(self.texts.items()))

    def to_text(self) -> str:
        """The files' content, packed."""
        content = json.dumps({str(path): text for path, text in self.texts.items()}, ensure_ascii=False)
        return base64.b64encode(zlib.compress(content.encode(), 9)).decode()

    @classmethod
    def from_text(cls, text: str) -> Ruleset:
        """The rules that `to_text` packed. Raises ValueError for any other text."""
        try:
            content = json.loads(zlib.decompress(base64.b64decode(text)))
        except zlib.error as error:
            raise ValueError("not a version of the rules") from error
        return cls({Path(path): each for path, each in content.items()})


@lru_cache(maxsize=KEPT)
def _parsed(texts: tuple[tuple[Path, str], ...]) -> tuple[tuple[Rule, ...], tuple[Fault, ...]]:
    rules, faults = parse_sound(dict(texts))
    return tuple(rules), tuple(faults)


class RuleFiles:
    """The files that rules are read from.

    Args:
        paths: files or folders; none: the rules of the product.
    """

    def __init__(self, paths: Sequence[Path] = ()) -> None:
        self._paths = list(paths) or [rules_folder()]
        self._watched = Watched(self._paths)

    def read(self) -> Ruleset:
        """What they hold now. Raises RuleError where a path is not there, or holds no file."""
        for path in self._paths:
            if not path.exists():
                raise RuleError(f"{path}: no such file or folder of rules: check --rules")
        newest = self._watched.mark()
        texts = texts_of(self._paths)
        unreadable = tuple(
            Fault(path, "", f"cannot be read: {text}") for path, text in texts.items() if not isinstance(text, str)
        )
        return Ruleset({path: text for path, text in texts.items() if isinstance(text, str)}, unreadable, newest)

    def settled(self) -> bool:
        """Whether they have changed since they were read, and not since the last look: nobody is writing them."""
        return self._watched.settled()
