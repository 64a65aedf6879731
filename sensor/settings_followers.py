"""The two that follow settings from afar: the uplink as they come, the recorder as they lie in the data folder."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from sensor.packets import MIB
from sensor.remote_settings import (
    NONE,
    VERSION_MOST,
    SettingsRefused,
    SettingsUnreadable,
    Version,
    applied,
    in_force,
    keep,
    newest,
    tell_applied,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sensor.spool import Spool
    from sensor.uplink import Uplink

DAY_SECONDS: Final = 86_400


class UplinkFollower:
    """Takes versions of settings from the control topic, and sets the uplink.

    Args:
        data: the data folder.
        uplink: what is set; its settings at this moment hold where a version names none.
        say: is called with one line for each version.
    """

    def __init__(self, data: Path, uplink: Uplink, say: Callable[[str], None] = lambda _: None) -> None:
        self._data: Final = data
        self._uplink: Final = uplink
        self._started: Final = uplink.settings
        self._say: Final = say
        self._version = NONE
        try:
            version, trouble = newest(data), ""
        except SettingsUnreadable as error:
            version, trouble = in_force(data, "uplink"), str(error)
            say(_stays(error, version))
        self._set(version)
        try:
            if trouble or version.number > applied(data, "uplink")[0]:
                tell_applied(data, "uplink", version.number, trouble, version)
        except OSError as error:
            # The settings are in force all the same. To ship is what makes room on the disk.
            say(f"{data}: which settings are followed cannot be told ({error.strerror or error})")

    def take(self, text: str) -> None:
        """Follow a version, or refuse it, one that is older than that in force too. Raises OSError."""
        try:
            version = Version.from_json(text)
        except SettingsRefused as error:
            number = _number(text)
            if number > self._version.number:
                tell_applied(self._data, "uplink", number, str(error), self._version)
            self._say(f"settings of version {number} are refused: {error}")
            return
        if keep(self._data, version):
            self._set(version)
            tell_applied(self._data, "uplink", version.number, "", version)
            self._say(f"settings of version {version.number} are in force")
            return
        present = self._version
        # The one in force may come again, when the last of a number of requests does.
        refused = "" if version == present else f"version {version.number} came, which is not newer than {present.number}"
        if applied(self._data, "uplink") != (present.number, refused):
            tell_applied(self._data, "uplink", present.number, refused, present)
            self._say(
                f"settings of version {version.number} are refused: {refused}"
                if refused
                else f"settings of version {version.number} are in force"
            )

    def _set(self, version: Version) -> None:
        self._uplink.adjust(self._started.model_copy(update=version.of("uplink")))
        self._version = version


class RecorderFollower:
    """Looks for a new version of settings in the data folder, and sets the spool.

    Args:
        data: the data folder.
        spool: what is set; its settings at this moment hold where a version names none.
        say: is called with one line for each version.
    """

    def __init__(self, data: Path, spool: Spool, say: Callable[[str], None] = lambda _: None) -> None:
        self._data: Final = data
        self._spool: Final = spool
        self._started: Final = spool.settings
        self._say: Final = say
        self._looked_at = NONE
        self._trouble = ""
        self._version = in_force(data, "recorder")
        """What the spool goes by; until something was looked at, what it went by before this process."""

    def look(self) -> None:
        """Follow the newest version where it has not been followed. Raises OSError."""
        try:
            version, trouble = newest(self._data), ""
        except SettingsUnreadable as error:
            version, trouble = self._version, str(error)
        if (version, trouble) == (self._looked_at, self._trouble):
            return
        refused = trouble
        try:
            self._spool.adjust(replace(self._started, **_of_spool(version)))
        except ValueError as error:
            refused = str(error)
        else:
            self._version = version
        tell_applied(self._data, "recorder", version.number, refused, self._version)
        self._looked_at, self._trouble = version, trouble
        if trouble:
            self._say(_stays(trouble, version))
        elif refused:
            self._say(f"settings of version {version.number} are refused: {refused}")
        else:
            self._say(f"settings of version {version.number} are in force")


def _of_spool(version: Version) -> dict[str, Any]:
    """What a version says, as settings of a spool."""
    values = version.of("recorder")
    changes: dict[str, Any] = {}
    if "spool_quota_mib" in values:
        quota_bytes = int(values["spool_quota_mib"]) * MIB
        changes |= {"quota_bytes": quota_bytes, "retention_bytes": quota_bytes}
    if "spool_age_days" in values:
        changes["age_seconds"] = values["spool_age_days"] * DAY_SECONDS
    if "sync_seconds" in values:
        changes["sync_seconds"] = values["sync_seconds"]
    return changes


def _stays(trouble: object, version: Version) -> str:
    """What holds where the newest version cannot be read."""
    held = f"settings of version {version.number} stay in force" if version.number else "no settings from afar are in force"
    return f"{trouble}: {held}; set them again at the centre (icsight sensor set)"


def _number(text: str) -> int:
    """What a text that is no version says of its number; 0 where it does not, or what it says is none.

    A number that none can follow would hide for ever what is made of those that come later.
    """
    try:
        number: object = cast("dict[str, Any]", json.loads(text))["version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return 0
    return number if type(number) is int and 0 < number < VERSION_MOST else 0
