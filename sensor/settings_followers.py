"""The two that follow settings from afar: the uplink as they come, the recorder as they lie in the data folder."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from sensor.packets import MIB
from sensor.remote_settings import NONE, SettingsRefused, Version, applied, keep, newest, tell_applied

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
        self._set(newest(data))

    def take(self, text: str) -> None:
        """Follow a version, or refuse it, one that is older than that in force too. Raises OSError."""
        try:
            version = Version.from_json(text)
        except SettingsRefused as error:
            number = _number(text)
            if number > newest(self._data).number:
                tell_applied(self._data, "uplink", number, str(error))
            self._say(f"settings of version {number} are refused: {error}")
            return
        if keep(self._data, version):
            self._set(version)
            self._say(f"settings of version {version.number} are in force")
            return
        present = newest(self._data)
        # The one in force may come again, when the last of a number of requests does.
        refused = "" if version == present else f"version {version.number} came, which is not newer than {present.number}"
        if applied(self._data, "uplink") != (present.number, refused):
            tell_applied(self._data, "uplink", present.number, refused)
            self._say(
                f"settings of version {version.number} are refused: {refused}"
                if refused
                else f"settings of version {version.number} are in force"
            )

    def _set(self, version: Version) -> None:
        self._uplink.adjust(self._started.model_copy(update=version.of("uplink")))
        if version.number > applied(self._data, "uplink")[0]:
            tell_applied(self._data, "uplink", version.number, "")


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
        self._version = NONE

    def look(self) -> None:
        """Follow the newest version where it has not been followed. Raises OSError."""
        version = newest(self._data)
        if version == self._version:
            return
        values = version.of("recorder")
        changes: dict[str, Any] = {}
        if "spool_quota_mib" in values:
            quota_bytes = int(values["spool_quota_mib"]) * MIB
            changes |= {"quota_bytes": quota_bytes, "retention_bytes": quota_bytes}
        if "spool_age_days" in values:
            changes["age_seconds"] = values["spool_age_days"] * DAY_SECONDS
        if "sync_seconds" in values:
            changes["sync_seconds"] = values["sync_seconds"]
        try:
            self._spool.adjust(replace(self._started, **changes))
        except ValueError as error:
            told, refused = f"are refused: {error}", str(error)
        else:
            told, refused = "are in force", ""
        tell_applied(self._data, "recorder", version.number, refused)
        self._version = version
        self._say(f"settings of version {version.number} {told}")


def _number(text: str) -> int:
    """What a text that is no version says of its number; 0 where it does not."""
    try:
        return int(cast("dict[str, Any]", json.loads(text))["version"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return 0
