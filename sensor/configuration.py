"""One file of settings for every process, `icsight.toml`, and the environment over it.

Each part of the system has a table in the file and reads nothing else of it. A setting is, in order: what the program was
called with, the environment (`ICSIGHT_KAFKA_BOOTSTRAP`), the file, its default. The file is that named by `ICSIGHT_CONFIG`, else
`icsight.toml` in the working folder, else `/etc/icsight/icsight.toml`; without one, defaults and environment hold. A table or a
setting in it that nothing knows is refused by every process, whichever tables it reads: it is a slip of the pen that would
otherwise leave a default in force.

A secret is given by the environment or by the name of a file that holds nothing else (`password_file`); it is never shown.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar, cast

from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from sensor import sections
from sensor.secrets import remember
from sensor.terminal import CommandError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import SecretStr
    from pydantic.fields import FieldInfo

VARIABLE: Final = "ICSIGHT_CONFIG"
"""Environment variable that names the file."""

PLACES: Final = (Path("icsight.toml"), Path("/etc/icsight/icsight.toml"))
"""Where the file is looked for when no one names it."""


class ConfigurationError(CommandError):
    """The configuration cannot be used. The text is one line that says what is wrong where, without any secret."""


def configuration_file() -> Path | None:
    """The file of settings in use; None where there is none. Raises ConfigurationError where one is named that is not there."""
    named = os.environ.get(VARIABLE)
    if named:
        path = Path(named)
        if not path.is_file():
            raise ConfigurationError(f"{path}: there is no such file; {VARIABLE} or --config names it")
        return path
    return next((path for path in PLACES if path.is_file()), None)


def tables() -> Mapping[str, Any]:
    """The content of the file of settings by table; empty where there is none.

    Raises:
        ConfigurationError: it cannot be read, is no TOML, or names a table or a setting that nothing knows.
    """
    path = configuration_file()
    if path is None:
        return {}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        # The error would say what the bytes are.
        raise ConfigurationError(f"{path}: not TOML: byte {error.start} is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: not TOML: {error}") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror})") from error
    if wrong := sections.unknown(content):
        raise ConfigurationError(f"{path}: {'; '.join(wrong)}")
    return content


class _File(PydanticBaseSettingsSource):
    """The values of one table of the file."""

    def __init__(self, settings_cls: type[Section]) -> None:
        super().__init__(settings_cls)
        self._values = cast("dict[str, Any]", tables().get(settings_cls.table, {}))

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        del field
        return self._values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return self._values


class Section(BaseSettings):
    """One table of the configuration. A subclass names its table and declares its settings, each with a docstring.

    A class that names none adds to its parent's table what only the program gives.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)

    table: ClassVar[str]
    """Name of the table in the file; in the environment its settings are `ICSIGHT_<TABLE>_<NAME>`."""

    def __init_subclass__(cls, *, table: str | None = None, **options: Any) -> None:
        if table is not None:
            cls.table = table
            cls.model_config["env_prefix"] = f"ICSIGHT_{table.upper()}_"
            sections.register(table, cls)
        super().__init_subclass__(**options)

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource, dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:  # fmt: skip
        """What was given, the environment, the file: the first that has a setting counts."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, _File(cast("type[Section]", settings_cls))


def secret(value: SecretStr | None, path: Path | None, name: str) -> str | None:
    """A secret that is given itself or as a file that holds it; None where it is not given.

    Args:
        value: the secret.
        path: the file; one line break at its end is not part of the secret.
        name: what the setting is called, for the error.

    Raises:
        ConfigurationError: both are given, or the file cannot be read or holds nothing.
    """
    if path is None:
        return None if value is None else remember(value.get_secret_value())
    if value is not None:
        raise ConfigurationError(f"{name} and {name}_file are both given: give one")
    try:
        text = path.read_text(encoding="utf-8").removesuffix("\n")
    except OSError as error:
        raise ConfigurationError(f"{name}_file {path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError:
        # The error would say what the bytes are.
        raise ConfigurationError(f"{name}_file {path}: cannot be read (not UTF-8)") from None
    if not text:
        raise ConfigurationError(f"{name}_file {path}: holds nothing")
    return remember(text)


def explain(section: str, error: ValidationError) -> str:
    """What is wrong with the settings of a table, in one line, without their values."""
    told = [
        f"{'.'.join((section, *map(str, item['loc'])))}: {item['msg'].removeprefix('Value error, ')}"
        for item in error.errors(include_input=False)
    ]
    return "; ".join(told)


S = TypeVar("S", bound=Section)


def configured(section: type[S], **given: Any) -> S:
    """A table of the configuration, with what the program was called with. Raises ConfigurationError where it cannot be used."""
    try:
        return section(**given)
    except ValidationError as error:
        raise ConfigurationError(explain(section.table, error)) from None
    except SettingsError as error:
        # A list in the environment that is no JSON; the cause would show it.
        raise ConfigurationError(f"{section.table}: {error}: write a list as JSON") from None
