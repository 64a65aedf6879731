"""Normality: facts learned from records, in a file of their own, proposed until a person approves them.

The file is a zip archive: `baseline.json` says what holds of the whole, `facts.parquet` holds the facts, and other detectors add
members of their own (`Normality.extras`). Each member has a checksum, so that a damaged file is told and never half believed.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final, Literal, Self, cast

import polars as pl

from detection.anomaly.learned import joined
from detection.baseline import rarity
from detection.baseline.facts import NORMAL, SCHEMA, added, keyed
from detection.baseline.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Phase = Literal["provisional", "proposed", "enforced"]

SAID: Final = "baseline.json"
"""Member of the file that says what holds of the whole."""

FACTS: Final = "facts.parquet"
"""Member of the file that holds the facts."""

FORMAT: Final = 2
"""Version of the file."""

MEMBERS: Final = 64
"""Most members of a file."""

MEMBER_BYTES: Final = 512 * 1024 * 1024
"""Most bytes of a member."""

LATE_PARTS: Final = 3
"""The share of facts that were first seen in the last third of learning tells how much of what comes later will be new anyway."""


class BaselineError(Exception):
    """A baseline cannot be used. The text is one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Normality:
    """What is normal.

    Attributes:
        facts: what was seen, with the columns of `facts.SCHEMA`.
        start: time of the first record learned from, nanoseconds since 1970.
        until: time of the last.
        learned_ns: how long was learned, pauses between sources left out.
        phase: provisional: the beginning of the same records; proposed: learned, and looked at by nobody; enforced: approved.
        site: site that it is of; "" where none was named.
        sources: what it was learned from.
        approved_by: who approved it.
        approved: when, nanoseconds since 1970; 0: not yet.
        assets: where the phase of a server differs from the whole's: address → phase.
        parties: addresses that stand for another, such as the second of a redundant pair: address → the one that facts name.
        extras: what other detectors learned from the same records, by name of the file's member, such as `anomaly/points.json`.
            Whoever adds one reads it, too; here they are carried only, and not in a checkpoint.
    """

    facts: pl.DataFrame
    start: int
    until: int
    learned_ns: int
    phase: Phase
    site: str = ""
    sources: tuple[str, ...] = ()
    approved_by: str = ""
    approved: int = 0
    assets: Mapping[str, Phase] = field(default_factory=dict[str, "Phase"])
    parties: Mapping[str, str] = field(default_factory=dict[str, str])
    extras: Mapping[str, bytes] = field(default_factory=dict[str, bytes])

    def novelty(self) -> Mapping[str, float]:
        """By kind of fact, the share first seen in the last third of learning: how much of what comes will be new anyway.

        Few facts tell little, so that to each kind as many are added that came early as there are parts.
        """
        late_from = self.until - (self.until - self.start) // LATE_PARTS
        learned = self.facts.filter("learned").group_by("kind")
        late = learned.agg(late=(pl.col("event") >= late_from).sum() / (pl.len() + LATE_PARTS))
        shares = dict(cast("list[tuple[str, float]]", late.rows()))
        return {kind: shares.get(kind, 0.0) for kind in KINDS}

    @property
    def normal(self) -> pl.DataFrame:
        """The facts that are normal."""
        return self.facts.filter(NORMAL)

    def with_rare_apart(self) -> Normality:
        """The same, with what was rare while learning set apart."""
        return replace(self, facts=rarity.apart(self.facts, self.learned_ns))

    def with_more(self, more: Normality) -> Normality:
        """Both together: what is normal in either, such as of two captures, or of a redundant pair."""
        return replace(
            self,
            facts=added(self.facts, more.facts),
            start=min(self.start, more.start),
            until=max(self.until, more.until),
            learned_ns=self.learned_ns + more.learned_ns,
            sources=(*self.sources, *more.sources),
            extras=joined(self.extras, more.extras),
        ).with_rare_apart()

    def approved_as(self, name: str, moment: int, *, with_rare: bool = False) -> Normality:
        """The same, enforced from now on; what was rare becomes normal only where that is said."""
        facts = self.facts.with_columns(apart=pl.lit(value=False)) if with_rare else self.facts
        return replace(self, facts=facts, phase="enforced", approved_by=name, approved=moment, assets={})

    @property
    def said(self) -> dict[str, Any]:
        """All but the facts and the extras, as JSON can hold it."""
        names = [each.name for each in fields(self) if each.name not in {"facts", "extras"}]
        return {name: getattr(self, name) for name in names}

    @classmethod
    def of(cls, facts: pl.DataFrame, said: Mapping[str, Any]) -> Self:
        """Facts, with or without keys, and what `said` gave. Raises TypeError or PolarsError for anything else."""
        whole: dict[str, Any] = {**said, "sources": tuple(said["sources"])}
        return cls(read_facts(facts), **whole)

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all; the same content gives the same bytes. Raises BaselineError."""
        said = json.dumps({"format": FORMAT, **self.said}, ensure_ascii=False, indent=1).encode()
        facts = io.BytesIO()
        self.facts.drop("key").write_parquet(facts)
        part = path.with_name(f".{path.name}.part")
        try:
            with part.open("wb") as file:
                with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                    for name, content in {SAID: said, FACTS: facts.getvalue(), **self.extras}.items():
                        archive.writestr(zipfile.ZipInfo(name), content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            raise BaselineError(f"{path}: cannot be written ({error.strerror}): name a file in a folder that is yours") from error

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file. Raises BaselineError."""
        try:
            members = _members(path)
            said = cast("dict[str, Any]", json.loads(members.pop(SAID)))
            if (version := int(said.pop("format"))) > FORMAT:
                raise BaselineError(
                    f"{path}: written by a newer version (format {version}, this one reads {FORMAT}): update icsight"
                )
            if version < FORMAT:
                raise BaselineError(f"{path}: a baseline of an older version: learn it anew with `icsight baseline learn`")
            facts = pl.read_parquet(io.BytesIO(members.pop(FACTS)))
            return replace(cls.of(facts, said), extras=members)
        except (
            OSError, KeyError, TypeError, ValueError, pl.exceptions.PolarsError, pl.exceptions.PanicException, zipfile.BadZipFile,
        ) as error:  # fmt: skip
            reason = " ".join(str(error).split())
            raise BaselineError(f"{path}: not a baseline ({reason}): `icsight baseline learn` writes one") from error


def read_facts(facts: pl.DataFrame) -> pl.DataFrame:
    """Facts from a file, with or without keys, as they were. Raises PolarsError where they are none."""
    columns = {name: kind for name, kind in SCHEMA.items() if name != "key"}
    return keyed(facts.select([*columns]).cast({**columns}))


def _members(path: Path) -> dict[str, bytes]:
    """The members of a file, their checksums tested. Raises OSError, BadZipFile, or ValueError where a bound is passed."""
    with zipfile.ZipFile(path) as archive:
        listed = archive.infolist()
        if len(listed) > MEMBERS:
            raise ValueError(f"it has more than {MEMBERS} members")
        for member in listed:
            if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1 or member.file_size > MEMBER_BYTES:
                raise ValueError(f"{member.filename[:40]} is compressed, encrypted or larger than {MEMBER_BYTES >> 20} MiB")
        return {member.filename: archive.read(member) for member in listed}
