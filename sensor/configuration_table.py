"""One table of `icsight.toml`, written by a command; all else in the file stays as people wrote it."""

from __future__ import annotations

import json
import os
import re
import tomllib
from typing import TYPE_CHECKING, Any, cast

from sensor.configuration import ConfigurationError
from sensor.spool_files import replace_file

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path


def write_table(path: Path, table: str, values: Mapping[str, str], gone: Collection[str] = ()) -> None:
    """Put settings of a table into the file; the file is made where there is none.

    Args:
        path: the file.
        table: name of the table.
        values: settings that it shall have. What else it has stays, but its comments.
        gone: settings that it shall not have.

    The result is read again before it is put in place: where anything else would have changed, nothing is.

    Raises:
        ConfigurationError: the file cannot be read or written, or the table is written in a way that cannot be replaced.
    """
    after = _changed(path, table, values, gone)
    try:
        old = path.stat() if path.exists() else None
        replace_file(path, after.encode())
        # No secret is in it, and several processes read it.
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fchmod(file, 0o644 if old is None else old.st_mode & 0o777)
            if old is not None and os.geteuid() == 0:
                os.fchown(file, old.st_uid, old.st_gid)
        finally:
            os.close(file)
    except OSError as error:
        raise ConfigurationError(
            f"{path}: cannot be written ({error.strerror}): run as a user who may, or give --config"
        ) from error


def check_table(path: Path, table: str) -> None:
    """Look whether `write_table` can put a table into the file, without changing it. Raises ConfigurationError."""
    _changed(path, table, {}, ())
    if not os.access(path.parent, os.W_OK | os.X_OK, effective_ids=True):
        raise ConfigurationError(f"{path}: cannot be written: run as a user who may, or give --config")


def _changed(path: Path, table: str, values: Mapping[str, str], gone: Collection[str]) -> str:
    """What the file shall hold. Raises ConfigurationError."""
    try:
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        parsed = tomllib.loads(before)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not TOML: {error}") from error
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror})") from error
    old_values = parsed.get(table, {})
    if not isinstance(old_values, dict):
        raise ConfigurationError(f"{path}: {table} is no table: write [{table}]")
    stays = cast("dict[str, Any]", old_values)
    wanted = {**{name: value for name, value in stays.items() if name not in gone}, **values}
    lines = [f"[{table}]", *(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in wanted.items())]
    kept = _without(before, table).rstrip()
    after = "\n".join([*([kept, ""] if kept else []), *lines, ""])
    if _parsed(after) != {**parsed, table: wanted}:
        raise ConfigurationError(f"{path}: [{table}] is written in a way that cannot be replaced: take it out and try again")
    return after


def _without(text: str, table: str) -> str:
    """The text without the lines of a table."""
    header = re.compile(rf"\s*\[\s*{re.escape(table)}\s*\]\s*(#.*)?")
    kept: list[str] = []
    inside = False
    for line in text.splitlines():
        if line.lstrip().startswith("["):
            inside = header.fullmatch(line) is not None
        if not inside:
            kept.append(line)
    return "\n".join(kept)


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None
