"""Data sets: which captures, whose labels, and our own judgement of each event.

    name: lemay
    about: Modbus traffic of six RTUs (Lemay and Fernandez, CSET 2016).
    root: ICSIGHT_CAPTURES            # paths are below the folder that this variable names; without it, below this file's
    captures:
      - capture: modbus/lemay/characterization.pcap      # or a pattern: modbus/qut/*/*.master.pcap
        site: site.yml                                    # facts of the site, below this file's folder
        learn: [modbus/lemay/normal.pcap]                 # what is normal there; else each capture's own beginning is
        labels: {reader: packets, file: "modbus/lemay/{stem}_labeled.csv"}
        judgements:                                       # by the event's name in the labels; patterns are allowed
          "*": {kind: address_sweep, techniques: [T0861], shown: records, why: every address is read in turn}
      - capture: modbus/mont/impact.pcap
        events:                                           # attacks that no label names by time
          - {name: write, start: 2024-08-28T13:38:40.78Z, end: 2024-08-28T13:38:40.81Z, hosts: [192.168.52.5, 192.168.52.6],
             kind: write, techniques: [T1692.001], shown: records, why: the only write}
      - capture: opcua/normal.pcap                        # no labels, no events: everything is normal

In `file` of labels, {stem} is the capture's name without its suffix, {name} its whole name, and {folder} its folder.
"""

from __future__ import annotations

import fnmatch
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from detection import attack
from detection.evaluation import labels
from detection.evaluation.events import UNJUDGED, Event, Shown

DATASET_FILE: Final = "dataset.yml"
"""Name of a data set's file where a folder is given."""

Reader = Literal["packets", "windows", "flows", "qut", "backtrack", "plant", "whole"]


class DatasetError(Exception):
    """A data set cannot be used. The text is one line: the file, what is wrong, what to do."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Judgement(_Strict):
    """What we say of an event."""

    kind: str = ""
    """What kind of attack it is; empty: what the labels call it."""
    techniques: tuple[str, ...] = ()
    """Techniques of ATT&CK for ICS; empty: what the labels name."""
    shown: Shown
    """Where it shows."""
    why: str = Field(min_length=1)
    """Why it shows there, in one sentence."""

    @field_validator("techniques")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in names if name not in attack.techniques()]
        if unknown:
            raise ValueError(f"{unknown[0]} is no technique of ATT&CK for ICS, release 19")
        return names


class Written(Judgement):
    """An attack that the data set itself describes."""

    name: str = Field(min_length=1)
    """Its name among those of the capture."""
    start: datetime | None = None
    """First packet; without it the capture's."""
    end: datetime | None = None
    """Last packet; without it the capture's."""
    hosts: tuple[str, ...] = ()
    """Addresses that take part."""

    @field_validator("start", "end")
    @classmethod
    def _aware(cls, moment: datetime | None) -> datetime | None:
        if moment is not None and moment.tzinfo is None:
            raise ValueError("start and end need an offset from UTC, as in 2024-08-28T13:38:40.78Z")
        return moment


class LabelSource(_Strict):
    """Where labels are."""

    reader: Reader
    file: str = ""
    """Path below the root; {stem}, {name} and {folder} are the capture's."""


class CaptureEntry(_Strict):
    """One capture, or all that a pattern finds."""

    capture: str
    site: str | None = None
    learn: tuple[str, ...] = ()
    """Captures from which is learned what is normal; without any the capture's own beginning is normal."""
    labels: LabelSource | None = None
    judgements: dict[str, Judgement] = Field(default_factory=dict[str, Judgement])
    events: tuple[Written, ...] = ()


class DatasetFile(_Strict):
    """The file."""

    name: str = Field(min_length=1)
    about: str = ""
    root: str = ""
    captures: tuple[CaptureEntry, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """One capture of a data set with what is known of it."""

    dataset: str
    capture: Path
    site: Path | None
    learn: tuple[Path, ...]
    spans: tuple[tuple[labels.Span, Judgement], ...]

    def events(self, start: int, end: int) -> list[Event]:
        """Its events, given the times of its first and last packet in nanoseconds since 1970."""
        return [
            Event(
                id=f"{self.capture.name.removesuffix('.gz').rpartition('.')[0]}#{span.name}",
                kind=judgement.kind or span.kind or UNJUDGED,
                techniques=judgement.techniques or tuple(filter(None, (span.technique,))),
                start=start if span.start is None else span.start,
                end=end if span.end is None else span.end,
                hosts=span.hosts,
                shown=judgement.shown,
                why=judgement.why,
            )
            for span, judgement in self.spans
        ]


def load(path: Path) -> list[Case]:
    """The captures of a data set: a file, or a folder with `dataset.yml`. Raises DatasetError."""
    file = path / DATASET_FILE if path.is_dir() else path
    try:
        content: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
        dataset = DatasetFile.model_validate(content)
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{file}: cannot be read ({error}). Name its file, or a folder with {DATASET_FILE}.") from error
    except yaml.YAMLError as error:
        raise DatasetError(f"{file}: not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DatasetError(f"{file}: {place or 'the file'}: {first['msg']}. See deploy/docs/detection.md.") from error
    root = file.parent
    if dataset.root:
        named = os.environ.get(dataset.root)
        if not named or not Path(named).is_dir():
            raise DatasetError(f"{file}: its captures are below {dataset.root}; set that variable to their folder.")
        root = Path(named)
    return [case for entry in dataset.captures for case in _cases(file, dataset, entry, root)]


def _cases(file: Path, dataset: DatasetFile, entry: CaptureEntry, root: Path) -> list[Case]:
    captures = sorted(root.glob(entry.capture)) if any(mark in entry.capture for mark in "*?[") else [root / entry.capture]
    if not captures:
        raise DatasetError(f"{file}: no capture is named like {root / entry.capture}. Check the pattern and the root.")
    site = None if entry.site is None else file.parent / entry.site
    learn = tuple(root / name for name in entry.learn)
    missing = [each for each in (*captures, *learn, *filter(None, (site,))) if not each.is_file()]
    if missing:
        raise DatasetError(f"{file}: {missing[0]} is not a file. Check the path and the root.")
    return [Case(dataset.name, capture, site, learn, tuple(_spans(file, entry, capture, root))) for capture in captures]


def _spans(file: Path, entry: CaptureEntry, capture: Path, root: Path) -> list[tuple[labels.Span, Judgement]]:
    found: list[tuple[labels.Span, Judgement]] = []
    if entry.labels is not None:
        words = {"stem": capture.stem, "name": capture.name, "folder": str(capture.parent)}
        try:
            spans = labels.read(entry.labels.reader, capture, root / entry.labels.file.format(**words))
        except labels.LabelError as error:
            raise DatasetError(str(error)) from error
        for span in spans:
            judged = next((each for name, each in entry.judgements.items() if fnmatch.fnmatchcase(span.name, name)), None)
            if judged is None:
                raise DatasetError(f"{file}: {capture.name}: nothing is judged of event {span.name!r}; add it to `judgements`.")
            found.append((span, judged))
    found += [(labels.Span(each.name, _ns(each.start), _ns(each.end), frozenset(each.hosts)), each) for each in entry.events]
    return found


def _ns(moment: datetime | None) -> int | None:
    """Nanoseconds since 1970, exact to the microsecond."""
    if moment is None:
        return None
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1_000
