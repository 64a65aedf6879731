"""Fourteen days of the plant for `icsight evaluate`: seven normal ones and seven under attack.

    python -m tests.plant days --set development --out /var/tmp/plant-days
    icsight evaluate /var/tmp/plant-days

One normal day and one day under attack are of a plant with 200 controllers and have ten million records, the others are of the
small plant and have less than one million. Two more, one of each plant, are there to learn from what is normal. Nothing of it is
in the repository: the same seed and the same source make the same bytes, so that a day is made once and found again.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from inspect import getdoc
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml

from tests.plant import attacks, scenarios
from tests.plant.clients import SECOND
from tests.plant.day import PACE, START, record
from tests.plant.plant import Plant

SITE: Final = Path(__file__).resolve().parents[2] / "deploy" / "demo" / "site.yml"

DAY_HOURS: Final = 24.0

LARGE_WORKS: Final = 40
"""Works of the large plant: 200 controllers."""

LARGE_PACE: Final = 7.5
"""Its polling: the HMI asks each controller every 15 s, which makes ten million records a day."""

ATTACKS_A_DAY: Final = 8

WORK_HOURS: Final = 9.0
"""A day begins at 08:00 in Shanghai; people work for so long."""

BY_DAY: Final = ("planned_work", "planned_work", "engineer_looks", "engineer_looks", "planned_set_points", "controller_replaced")
"""What people do while they work. Not each day has all of it."""

AT_ANY_HOUR: Final = ("reboot", "failing_cable", "serial_line_down", "reboot")
"""What happens at any hour. Not each day has all of it."""

LEARNED_HOURS: Final = 6.0
"""What is learned of the large plant; of the small one it is a day."""

SHIFT_HOURS: Final = (0.1, 8.0, 16.0)
"""When shifts change."""

BACKUP_HOUR: Final = 18.5
"""When the historian copies all maps: 02:30 in Shanghai."""


@dataclass(frozen=True, slots=True)
class Day:
    """One day."""

    name: str
    seed: int
    attacked: bool = False
    large: bool = False
    hours: float = DAY_HOURS
    learned: bool = False
    """Whether it is only there to learn from what is normal on the others of its plant."""


def _days(seed: int) -> tuple[Day, ...]:
    normal = [Day(f"normal-{number}", seed + number, large=number == 7) for number in range(1, 8)]
    attacked = [Day(f"attacked-{number}", seed + 10 + number, attacked=True, large=number == 7) for number in range(1, 8)]
    lessons = Day("learned", seed, learned=True), Day("learned-large", seed + 50, large=True, hours=LEARNED_HOURS, learned=True)
    return (*lessons, *normal, *attacked)


SETS: Final = {"development": _days(20_100), "evaluation": _days(70_900)}
"""Days by set. Detection is worked on with the days for development; those for evaluation have other seeds, and so other times,
sizes, speeds and orders of the same kinds of attacks, and nobody looks at what detection says of them while working on it."""


def folder_of(chosen: str) -> Path:
    """The folder of a set below the one that ICSIGHT_PLANT_DAYS names."""
    named = os.environ.get("ICSIGHT_PLANT_DAYS")
    if not named:
        raise SystemExit("error: name a folder by --out, or set ICSIGHT_PLANT_DAYS")
    return Path(named) / chosen


def make(chosen: str, folder: Path, only: list[str] | None = None, jobs: int = 1) -> None:
    """Make the days of a set that are not there yet, and the data set that names those that are."""
    known = {day.name: day for day in SETS[chosen]}
    unknown = sorted(set(only or ()) - known.keys())
    if unknown:
        raise SystemExit(f"error: {', '.join(unknown)} is not among {', '.join(known)}")
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [day for day in known.values() if only is None or day.name in only]
    missing = [(day, folder) for day in wanted if not _capture(day, folder).is_file()]
    with ProcessPoolExecutor(jobs) as workers:
        for line in workers.map(_make, missing):
            print(line, flush=True)
    _write_data_set(chosen, folder, [day for day in known.values() if _capture(day, folder).is_file()])


def plan(day: Day, kinds: tuple[str, ...]) -> list[tuple[float, str]]:
    """What happens besides polling: hours from the day's begin, and scenarios and attacks, in order."""
    random = np.random.default_rng([day.seed, 2])
    planned = [(0.02, "normal_day"), (BACKUP_HOUR, "backup_reads"), *((hour, "shift_change") for hour in SHIFT_HOURS)]
    planned += [(float(random.uniform(0.3, WORK_HOURS - 1.6)), name) for name in BY_DAY if random.random() < 0.7]
    planned += [(float(random.uniform(0.3, 23.0)), name) for name in AT_ANY_HOUR if random.random() < 0.7]
    slot = (DAY_HOURS - 1.0) / max(1, len(kinds))
    planned += [(0.5 + slot * (number + float(random.uniform(0.0, 0.6))), name) for number, name in enumerate(kinds)]
    return sorted(planned)


def kinds_of(day: Day, days: tuple[Day, ...]) -> tuple[str, ...]:
    """The attacks of a day: over the days of its set every kind comes, none twice a day."""
    if not day.attacked:
        return ()
    order = [str(name) for name in np.random.default_rng([days[0].seed, 3]).permutation(sorted(attacks.ATTACKS))]
    place = [each for each in days if each.attacked].index(day) * ATTACKS_A_DAY
    return tuple(order[(place + number) % len(order)] for number in range(ATTACKS_A_DAY))


def _make(work: tuple[Day, Path]) -> str:
    day, folder = work
    days = next(days for days in SETS.values() if day in days)
    begin = START + days.index(day) * int(DAY_HOURS * 3_600) * SECOND
    works, pace = (LARGE_WORKS, LARGE_PACE) if day.large else (1, PACE)
    plant = Plant(begin, day.seed, pace, works, varied=True)
    for hour, name in plan(day, kinds_of(day, days)):
        happening = attacks if name in attacks.ATTACKS else scenarios
        happening.schedule(plant, name, begin + int(hour * 3_600 * SECOND))
    capture = _capture(day, folder)
    unfinished = capture.with_suffix(".unfinished")
    with unfinished.open("wb", buffering=1 << 20) as out:
        packets, truth = record(plant, out, begin + int(day.hours * 3_600) * SECOND)
    capture.with_suffix(".jsonl").write_text("".join(attack.line() + "\n" for attack in truth), encoding="utf-8")
    unfinished.rename(capture)
    return f"{capture.name}: {packets:,} packets, {len(truth)} attacks"


def _capture(day: Day, folder: Path) -> Path:
    return folder / f"{day.name}-{day.seed}-{_source()}.pcap"


def _source() -> str:
    """A hash of what makes days: another source, other days."""
    digest = hashlib.blake2b(digest_size=4)
    for file in sorted(Path(__file__).parent.rglob("*.py")):
        if not file.name.startswith("test_"):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _write_data_set(chosen: str, folder: Path, days: list[Day]) -> None:
    """The data set of the days that are there, and the site's facts."""
    site: dict[str, Any] = yaml.safe_load(SITE.read_text(encoding="utf-8"))
    # The works beyond the first.
    site["lists"]["control_networks"].append("10.21.0.0/16")
    site["lists"]["own_networks"].append("10.21.0.0/16")
    (folder / "site.yml").write_text(yaml.safe_dump(site, allow_unicode=True), encoding="utf-8")
    judgements = {
        pattern: {"shown": "records", "why": " ".join((getdoc(attack.steps) or name).split())}
        for name, attack in attacks.ATTACKS.items()
        for pattern in (name, f"{name}-*")
    }
    captures = [
        {
            "capture": _capture(day, folder).name,
            "site": "site.yml",
            "labels": {"reader": "plant", "file": "{stem}.jsonl"},
            "judgements": judgements if day.attacked else {},
        }
        | {"learn": [_capture(lesson, folder).name for lesson in days if lesson.learned and lesson.large == day.large]}
        for day in days
        if not day.learned
    ]
    content = {
        "name": f"plant_{chosen}",
        "about": "Days of the virtual plant, made by python -m tests.plant days.",
        "captures": captures,
    }
    (folder / "dataset.yml").write_text(yaml.safe_dump(content, sort_keys=False, width=130), encoding="utf-8")
