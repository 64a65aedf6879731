"""The settings in force, each with where it came from. Secrets are masked."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import BaseModel, SecretStr

from sensor.configuration import configuration_file, tables
from sensor.secrets import MASK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.configuration import Section

Origin = Literal["default", "file", "environment", "secret_file"]


@dataclass(frozen=True, slots=True)
class Shown:
    """A setting.

    Attributes:
        name: its name in the table.
        value: as TOML writes it; None where it is not set.
        origin: what gave it.
        place: the file or the variable that did; empty for a default.
    """

    name: str
    value: str | None
    origin: Origin
    place: str


def shown(settings: Section) -> Iterator[Shown]:
    """All settings of a table. Raises ConfigurationError."""
    variables = {name.lower(): name for name in os.environ}
    written: dict[str, Any] = tables().get(settings.table, {})
    for name, field in type(settings).model_fields.items():
        value: object = getattr(settings, name)
        variable = variables.get(f"icsight_{settings.table}_{name}")
        origin: Origin = "environment" if variable else "file" if name in written else "default"
        place = variable or (str(configuration_file()) if name in written else "")
        if (
            "SecretStr" in str(field.annotation)
            and value is None
            and (path := getattr(settings, f"{name}_file", None)) is not None
        ):
            yield Shown(name, toml(MASK), "secret_file", str(path))
        else:
            yield Shown(name, toml(value), origin, place)


def toml(value: object) -> str | None:
    """A value as TOML writes it; None for none. Of a secret it is the mask."""
    if value is None:
        return None
    if isinstance(value, SecretStr):
        return toml(MASK)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, BaseModel):
        return toml({name: each for name in type(value).model_fields if (each := getattr(value, name)) is not None})
    if isinstance(value, dict):
        inner = (f"{toml(name)} = {toml(each)}" for name, each in cast("dict[str, object]", value).items())
        return f"{{{', '.join(inner)}}}"
    if isinstance(value, tuple):
        return f"[{', '.join(str(toml(item)) for item in cast('tuple[object, ...]', value))}]"
    # A text of JSON is one of TOML, but for one character that JSON leaves as it is.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
