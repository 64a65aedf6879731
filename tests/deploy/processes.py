"""icsight's own processes as deploy/ starts them: their settings and their commands, by the classes that will read them."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import click

from api.cli import icsight
from api.settings import Settings
from sensor.configuration import VARIABLE, tables
from sensor.sections import sections

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from sensor.configuration import Section


def settings(text: str, environment: Mapping[str, str]) -> list[Section | Settings]:
    """Every table of a file, and what of the API is in the environment, as the process reads them.

    Raises pydantic's ValidationError where a setting cannot be what it is, ConfigurationError where the file is none or names
    something that nothing knows.
    """
    known = sections()
    given = {name: value for name, value in environment.items() if name.startswith("ICSIGHT_")}
    with _file(text) as path, patch.dict("os.environ", {**given, VARIABLE: str(path)}, clear=True):
        read: list[Section | Settings] = [known[name]() for name in tables()]
        if "ICSIGHT_SERVE_HOST" in given:
            read.append(Settings(data=Path("/var/lib/icsight")))
    return read


@contextmanager
def _file(text: str) -> Generator[Path]:
    """A file with a text, as long as it is used."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "icsight.toml"
        path.write_text(text)
        yield path


def files_named(read: Sequence[Section | Settings]) -> set[str]:
    """The files that settings name: certificates, keys, secrets."""

    def of(values: Mapping[str, Any]) -> Iterator[str]:
        for name, value in values.items():
            if isinstance(value, dict):
                yield from of(value)  # pyright: ignore[reportUnknownArgumentType] - settings in settings
            elif isinstance(value, Path) and name not in {"data", "state_folder"}:
                yield str(value)

    return {path for section in read for path in of(section.model_dump())}


def understood(words: Sequence[str]) -> None:
    """Check a command with its arguments as if it were called, up to what it does. Raises click.UsageError."""
    command: click.Command = icsight
    rest, parent = list(words), click.Context(icsight)
    while isinstance(command, click.Group):
        name, found, rest = command.resolve_command(parent, rest)
        assert found is not None
        parent, command = click.Context(found, parent=parent, info_name=name), found
    with command.make_context(command.name, rest, parent=parent):
        pass
