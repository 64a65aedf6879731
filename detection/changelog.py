"""A checkpoint in a store of keys and values whose changes go to a topic: in chunks, of which only new ones are written.

`index` names the chunks of the table of contents, which names the chunks of each member. A chunk's key is the hash of its
content, so that what did not change since the checkpoint before is not written again, wherever in the state it has moved. All
writes of one checkpoint belong to one transaction of the store, so that they hold together or not at all.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from detection.checkpoint import CheckpointError, learned_of, members_of, of_members
from detection.remembered import folder
from sensor.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from collector.stream import Run
    from detection.checkpoint import Checkpoint
    from detection.pipeline import State
    from detection.remembered import Learned

STORE: Final = "default"
"""Name of Quix' store, which is in the name of the changelog topic."""

SITE: Final = b"site/"
"""What the keys of a site begin with; its name follows."""

PARTITION: Final = b"partition"
"""What the keys of what is kept of a partition begin with."""

SITES_MET: Final = "sites"
"""Key, there, of how many sites a partition has: forgetting one makes room."""

CHUNK_BYTES: Final = 512 * 1024
"""Most bytes of a chunk: well below what a message may have."""

FORMAT: Final = 1
"""Version of the table of contents; a newer one is refused and not touched. The checkpoint in it has a version of its own."""

FORGET: Final = "stop all workers and throw it away with `icsight detect --forget SITE`"
"""What to do about a site of which something is gone."""

ANEW: Final = f"start the version that wrote it, or {FORGET}"
"""What to do about a checkpoint that cannot be used."""

INDEX: Final = "index"
"""Key of the table of contents; a site is kept where it is there."""

OWN: Final = "checkpoint/"
"""What the names of a checkpoint's members begin with in the table of contents."""

_BESIDE: Final = "beside/"


def group_of(prefix: str) -> str:
    """The consumer group of all workers."""
    return f"{prefix}-detection"


def changelog_of(prefix: str) -> str:
    """Name of the topic that what is remembered goes to: compacted, with as many partitions as that of records."""
    return f"changelog__{group_of(prefix)}--{Topics(prefix).records}--{STORE}"


def shares_changelog_of(prefix: str) -> str:
    """The same for what is remembered of shares of sites that are split."""
    return f"changelog__{group_of(prefix)}--{Topics(prefix).shares}--{STORE}"


class Store(Protocol):
    """Values by key."""

    def get_bytes(self, key: str) -> bytes | None:
        """The value; None where there is none."""
        ...

    def set_bytes(self, key: str, value: bytes) -> None:
        """Put a value."""
        ...

    def delete(self, key: str) -> None:
        """Remove a value."""
        ...


class ChangelogCheckpoints:
    """A `CheckpointStore` in a store of keys and values.

    Args:
        store: the store; it commits what is written here, with what else belongs to it.
        name: what the checkpoint is of, for errors.
    """

    def __init__(self, store: Store, name: str) -> None:
        self.name: Final = name
        self._store = store

    @property
    def exists(self) -> bool:
        """Whether anything is kept."""
        return self._store.get_bytes(INDEX) is not None

    def read(self) -> Checkpoint | None:
        """As `CheckpointStore.read`."""
        members = self._members(OWN)
        return of_members(members, self.name, ANEW) if members else None

    def beside(self) -> dict[str, bytes]:
        """What was written beside the checkpoint, by name. Raises CheckpointError."""
        return self._members(_BESIDE)

    def learned(self) -> list[Learned]:
        """What was learned of the runs in the checkpoint; nothing where there is none. Raises CheckpointError."""
        members = {name.removeprefix(OWN): keys for name, keys in self._table().items() if name.startswith(OWN)}
        return learned_of(list(members), lambda name: self._joined(members[name]), self.name, ANEW) if members else []

    def write(
        self, checkpoint: Checkpoint, beside: Mapping[str, bytes] | None = None, written: State | None = None
    ) -> None:  # fmt: skip
        """As `CheckpointStore.write`.

        Args:
            checkpoint: the checkpoint.
            beside: what else belongs to it, by name, in the place of what there was.
            written: the state of the checkpoint that is there, where it is known: a run that did not change since is not taken
                apart again.
        """
        held = self._table()
        kept = {} if written is None else _unchanged(checkpoint.state, written, held)
        members = {f"{OWN}{name}": content for name, content in members_of(checkpoint, kept.keys()).items()}
        members |= {f"{_BESIDE}{name}": content for name, content in (beside or {}).items()}
        chunks: dict[str, bytes] = {}
        contents = {name: _split(content, chunks) for name, content in members.items()}
        contents |= {name: keys for names in kept.values() for name, keys in names.items()}
        table = _split(json.dumps({"format": FORMAT, "members": contents}, separators=(",", ":")).encode(), chunks)
        before = {*self._index(), *(key for keys in held.values() for key in keys)}
        after = {*table, *(key for keys in contents.values() for key in keys)}
        for key in sorted(chunks.keys() - before):
            self._store.set_bytes(f"chunk/{key}", chunks[key])
        for key in sorted(before - after):
            self._store.delete(f"chunk/{key}")
        self._store.set_bytes(INDEX, json.dumps(table).encode())

    def _members(self, folder: str) -> dict[str, bytes]:
        found = {name: keys for name, keys in self._table().items() if name.startswith(folder)}
        return {name.removeprefix(folder): self._joined(keys) for name, keys in found.items()}

    def _index(self) -> list[str]:
        index = self._store.get_bytes(INDEX)
        return [] if index is None else cast("list[str]", json.loads(index))

    def _table(self) -> dict[str, list[str]]:
        index = self._index()
        if not index:
            return {}
        table = cast("dict[str, Any]", json.loads(self._joined(index)))
        version = int(table["format"])
        if version != FORMAT:
            raise CheckpointError(
                f"{self.name}: written by a newer version of icsight (changelog {version}, this one reads {FORMAT}): "
                "update icsight on this worker"
            )
        return cast("dict[str, list[str]]", table["members"])

    def _joined(self, keys: Iterable[str]) -> bytes:
        chunks = [self._store.get_bytes(f"chunk/{key}") for key in keys]
        if None in chunks:
            raise CheckpointError(
                f"{self.name}: damaged (a part is missing): remove the worker's state folder and start it again"
            )
        return b"".join(chunk for chunk in chunks if chunk is not None)


def _unchanged(state: State, written: State, table: Mapping[str, list[str]]) -> dict[Run, dict[str, list[str]]]:
    """Of each run that is as it was written: its members by their names now, with the chunks that they are in already."""
    before = {folder(number): run for number, run in enumerate(written.runs)}
    now = {run: folder(number) for number, run in enumerate(state.runs) if written.runs.get(run) is state.runs[run]}
    kept: dict[Run, dict[str, list[str]]] = {run: {} for run in now}
    for name, keys in table.items():
        begin, rest = "/".join(name.removeprefix(OWN).split("/")[:2]) + "/", name.removeprefix(OWN).split("/")[2:]
        run = before.get(begin)
        if run is not None and run in now:
            kept[run][f"{OWN}{now[run]}{'/'.join(rest)}"] = keys
    return kept


def _split(content: bytes, chunks: dict[str, bytes]) -> list[str]:
    """Put the chunks of a content among others; their keys."""
    keys: list[str] = []
    for begin in range(0, len(content), CHUNK_BYTES):
        chunk = content[begin : begin + CHUNK_BYTES]
        key = hashlib.blake2b(chunk, digest_size=16).hexdigest()
        chunks[key] = chunk
        keys.append(key)
    return keys
