"""Which tables and settings `icsight.toml` knows: each class of settings registers itself when its module is loaded.

The file is one for all processes, so the modules of all packages are loaded to know its names. They are those named `settings` or
`*_settings` at the top of a package, and need no library but pydantic.
"""

from __future__ import annotations

import difflib
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from sensor.configuration import Section

PACKAGES: Final = ("sensor", "collector", "detection", "api")
"""Where modules of settings are looked for."""

_registered: Final[dict[str, type[Section]]] = {}


def register(table: str, section: type[Section]) -> None:
    """Make a table known. Raises TypeError where another class has it."""
    if table in _registered:
        raise TypeError(f"table {table} is that of {_registered[table].__qualname__}")
    _registered[table] = section


def sections() -> Mapping[str, type[Section]]:
    """The class of each table, by its name."""
    _load()
    return dict(sorted(_registered.items()))


@cache
def _load() -> None:
    for package in PACKAGES:
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            for path in sorted(Path(folder).glob("*settings.py")):
                import_module(f"{package}.{path.stem}")


def unknown(content: Mapping[str, Any]) -> list[str]:
    """What of a file's content is no table or no setting of it, each in a few words with the nearest name that is."""
    return list(_unknown(content))


def _unknown(content: Mapping[str, Any]) -> Iterator[str]:
    known = sections()
    for table, values in content.items():
        if not isinstance(values, dict):
            yield f"{table} is no table: write [{table}]" if table in known else f"{table} stands outside of a table"
        elif table not in known:
            yield f"table [{table}] is not known: do you mean {nearest(table, known)}?"
        else:
            names = known[table].model_fields
            for name in cast("dict[str, Any]", values):
                if name not in names:
                    yield f"{table}.{name} is not known: do you mean {nearest(name, names)}?"


def nearest(name: str, known: Collection[str]) -> str:
    """The known name that is most like one that is not known."""
    return difflib.get_close_matches(name.lower(), known, 1, cutoff=0.0)[0]
