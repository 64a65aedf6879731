"""Settings of a sensor that the centre may change from afar: a closed list with bounds, in versions.

A version names all settings that are set so; what it does not name is as the sensor was started. The uplink takes versions from
the control topic, keeps the newest in `settings.json` of the data folder and follows what concerns it; the recorder looks there
and follows what concerns it. Each says what it made of it in a file of its own, with what it goes by: that holds on where
`settings.json` cannot be read, since a quota that falls back would cost records. What listens, where records go and who the
sensor is are not among them: a centre that has been taken over must not be able to blind a sensor or lead its records
elsewhere.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, cast, get_args

from sensor.spool_files import replace_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE: Final = "settings.json"
"""The newest version that came, in the data folder."""

Part = Literal["uplink", "recorder"]
"""The processes that follow settings: `icsight sensor uplink` and `icsight sensor run`."""

VERSION_MOST: Final = 2**53
"""Versions are below this."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """A setting that may be changed from afar.

    Attributes:
        part: which process follows it.
        least: least value.
        most: most value.
        is_whole: whether it is a whole number.
        text: what it is, with its unit.
        is_switch: whether 0 is allowed too, though it is below the least: it stands for none.
    """

    part: Part
    least: float
    most: float
    is_whole: bool
    text: str
    is_switch: bool = False


ALLOWED: Final[Mapping[str, Allowed]] = {
    "catch_up_mib_per_second": Allowed("uplink", 0.01, 10_000, False, "Pace for what waited during an outage, MiB/s."),
    "retry_seconds": Allowed("uplink", 1, 3_600, False, "Longest wait between two tries to reach the brokers, seconds."),
    "spool_quota_mib": Allowed("recorder", 64, 1_048_576, True, "Most that records take on the sensor's disk, MiB."),
    "spool_age_days": Allowed(
        "recorder", 1, 3_650, False, "Records that are older are removed, days; 0 for no bound.", is_switch=True
    ),
    "sync_seconds": Allowed("recorder", 0, 60, False, "How often records are put on the disk, seconds."),
}
"""All settings that may be changed from afar."""


class SettingsRefused(ValueError):  # noqa: N818 - named for what it reports
    """A version of settings is not followed. The text says why, in one line."""


class SettingsUnreadable(Exception):  # noqa: N818 - named for what it reports
    """What is kept of settings cannot be read. The text says what and why, in one line."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of settings.

    Attributes:
        number: rises with each change; 0 for none.
        values: the settings that it names.
    """

    number: int
    values: Mapping[str, float]

    def to_json(self) -> str:
        """The version as text."""
        return json.dumps({"version": self.number, "values": dict(self.values)})

    @classmethod
    def from_json(cls, text: str | bytes) -> Version:
        """The version that `to_json` wrote. Raises SettingsRefused for any other text, and for what is not allowed."""
        try:
            content = cast("dict[str, Any]", json.loads(text))
            number, values = content["version"], cast("dict[str, Any]", content["values"])
            if isinstance(number, bool) or not isinstance(number, int) or not 0 < number < VERSION_MOST:
                raise SettingsRefused("the version is no number")
            return cls(number, {str(name): checked(str(name), value) for name, value in values.items()})
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise SettingsRefused("not a version of settings") from error

    def of(self, part: Part) -> dict[str, float]:
        """Those settings that a process follows."""
        return {name: value for name, value in self.values.items() if ALLOWED[name].part == part}


NONE: Final = Version(0, {})
"""No version: all is as the sensor was started."""


def checked(name: str, value: object) -> float:
    """A value of a setting. Raises SettingsRefused where the setting is not one of `ALLOWED` or the value out of its bounds."""
    allowed = ALLOWED.get(name)
    if allowed is None:
        raise SettingsRefused(f"{name[:64]} cannot be set from afar; these can: {', '.join(sorted(ALLOWED))}")
    is_off = allowed.is_switch and value == 0
    if isinstance(value, bool) or not isinstance(value, int | float) or not (allowed.least <= value <= allowed.most or is_off):
        raise SettingsRefused(
            f"{name} {'is 0, or ' if allowed.is_switch else ''}lies between {allowed.least:g} and {allowed.most:g}"
        )
    if allowed.is_whole and value != int(value):
        raise SettingsRefused(f"{name} is a whole number")
    return int(value) if allowed.is_whole else float(value)


def given(texts: tuple[str, ...]) -> dict[str, float | None]:
    """Settings as people write them: NAME=VALUE, or NAME= for what shall be as the sensor was started. Raises SettingsRefused."""
    found: dict[str, float | None] = {}
    for text in texts:
        name, mark, value = text.partition("=")
        try:
            found[name] = float(value) if value else None
        except ValueError:
            mark = ""
        if not mark:
            raise SettingsRefused(f"{text[:80]}: write NAME=VALUE, with a number")
    return found


def newest(data: Path) -> Version:
    """The newest version that came; `NONE` where none has. Raises SettingsUnreadable where there is one that cannot be read."""
    path = data / FILE
    try:
        return Version.from_json(path.read_bytes())
    except FileNotFoundError:
        return NONE
    except OSError as error:
        raise SettingsUnreadable(f"{path}: cannot be read ({error.strerror})") from error
    except SettingsRefused as error:
        raise SettingsUnreadable(f"{path}: {error}") from error


def keep(data: Path, version: Version) -> bool:
    """Keep a version that came; False where one that is as new is there already. Raises OSError."""
    try:
        present = newest(data).number
    except SettingsUnreadable:
        # The version that the uplink goes by may come again, and mends the file.
        present = in_force(data, "uplink").number - 1
    if version.number <= present:
        return False
    replace_file(data / FILE, version.to_json().encode())
    return True


def forget(data: Path) -> None:
    """Take all versions away: the sensor is as it was started until one comes. Raises OSError."""
    for name in (FILE, *(f"{part}-settings.json" for part in get_args(Part))):
        (data / name).unlink(missing_ok=True)


def tell_applied(data: Path, part: Part, number: int, refused: str, going_by: Version) -> None:
    """Say what a process has made of a version: followed it, or not, and why; and which it goes by. Raises OSError."""
    told = {"version": number, "refused": refused, "in_force": json.loads(going_by.to_json())}
    replace_file(data / f"{part}-settings.json", json.dumps(told).encode())


def applied(data: Path, part: Part) -> tuple[int, str]:
    """The version that a process has looked at last, and why it was refused (empty where it was not); 0 where there was none."""
    try:
        content = _told(data, part)
        return int(content["version"]), str(content["refused"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return 0, ""


def in_force(data: Path, part: Part) -> Version:
    """The version that a process goes by; `NONE` where it has told of none."""
    try:
        return Version.from_json(json.dumps(_told(data, part)["in_force"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return NONE


def _told(data: Path, part: Part) -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads((data / f"{part}-settings.json").read_bytes()))
