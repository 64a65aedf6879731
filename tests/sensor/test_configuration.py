"""Settings come from what was given, the environment, the file, in that order; what is wrong is told without its value."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from api.settings import ServeSettings
from sensor.configuration import ConfigurationError, Section, configured, secret
from sensor.configuration_table import write_table
from sensor.kafka_settings import KafkaSettings
from sensor.sections import PACKAGES, sections
from sensor.tls_settings import TlsSettings
from sensor.uplink_settings import UplinkSettings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "icsight.toml"
    monkeypatch.setenv("ICSIGHT_CONFIG", str(path))
    return path


def test_the_file_gives_what_neither_the_caller_nor_the_environment_does(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text('[kafka]\nbootstrap = "file:1"\nprefix = "of-file"\nsecurity = "plaintext"\nconnect_seconds = 3\n')
    monkeypatch.setenv("ICSIGHT_KAFKA_BOOTSTRAP", "environment:1")
    monkeypatch.setenv("ICSIGHT_KAFKA_PREFIX", "of-environment")
    settings = KafkaSettings(prefix="given")
    assert (settings.prefix, settings.bootstrap, settings.connect_seconds) == ("given", "environment:1", 3)


def test_what_other_tables_say_is_others_business(file: Path) -> None:
    file.write_text('[elasticsearch]\nhosts = "no address"\n[kafka]\nsecurity = "plaintext"\n')
    assert KafkaSettings().security == "plaintext"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[kafka]\nbotstrap = "geheim"\n', "kafka.botstrap is not known: do you mean bootstrap?"),
        ('[databse]\nurl = "geheim"\n', "table [databse] is not known: do you mean database?"),
        ("[serve]\nprot = 9000\n", "serve.prot is not known: do you mean port?"),
        ('[serve]\ndata = "/geheim"\n', "serve.data is not known"),
        ('kafka = "geheim"\n', "kafka is no table: write [kafka]"),
        ('bootstrap = "geheim"\n[kafka]\n', "bootstrap stands outside of a table"),
    ],
)
def test_a_name_that_nothing_knows_is_refused_by_every_process_and_the_nearest_told(file: Path, text: str, told: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        configured(UplinkSettings)
    assert str(caught.value).startswith(f"{file}: {told}")
    assert "\n" not in str(caught.value)
    assert "geheim" not in str(caught.value).removeprefix(str(file))


def test_values_that_are_none_are_told_by_name_and_never_shown(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text('[kafka]\nsecurity = "plaintext"\npassword = "geheim2"\nconnect_seconds = "geheim3"\n')
    with pytest.raises(ConfigurationError) as caught:
        configured(KafkaSettings)
    assert str(caught.value).startswith("kafka.connect_seconds: ")
    assert "\n" not in str(caught.value)
    assert "geheim" not in str(caught.value) + repr(caught.value)
    monkeypatch.setenv("ICSIGHT_SERVE_HOST_NAMES", "geheim")
    with pytest.raises(ConfigurationError, match="host_names") as caught:
        configured(ServeSettings)
    assert "geheim" not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize("section", sections().values(), ids=sections())
def test_every_setting_of_every_table_is_told_what_it_is(section: type[Section]) -> None:
    assert section.__doc__
    assert not [name for name, field in section.model_fields.items() if not field.description]


def test_no_settings_are_read_by_other_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    known = set(sections().values())
    classes = [BaseSettings]
    for each in classes:
        classes += each.__subclasses__()
    # A class without a table is a part of others, or what all are.
    ours = [each for each in classes if each.__module__.split(".")[0] in PACKAGES and each not in {Section, TlsSettings}]
    assert [each for each in ours if not (issubclass(each, Section) and known & set(each.__mro__))] == []
    assert {"store", "writer", "serve", "detection"} <= set(sections())
    monkeypatch.setenv("ICSIGHT_SERVE_PORT", "9000")
    assert ServeSettings().port == 9000


def test_one_table_has_one_class() -> None:
    with pytest.raises(TypeError, match="kafka"):
        type("Other", (Section,), {}, table="kafka")


def test_a_password_is_shown_nowhere(file: Path) -> None:
    file.write_text('[kafka]\nsecurity = "sasl_tls"\nusername = "u"\npassword = "geheim"\n')
    settings = KafkaSettings()
    assert "geheim" not in f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}"
    assert settings.secret() == "geheim"


def test_a_secret_of_a_file_is_its_content_without_the_line_break(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("geheim \n")
    assert secret(None, path, "password") == "geheim "
    path.write_text("\n")
    with pytest.raises(ConfigurationError, match="holds nothing"):
        secret(None, path, "password")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        secret(None, tmp_path / "none", "password")


@pytest.mark.parametrize(("text", "told"), [("[kafka", "not TOML"), ("\udcff", "not TOML")])
def test_a_file_that_is_none_is_refused_in_one_line(file: Path, text: str, told: str) -> None:
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigurationError, match=told) as caught:
        KafkaSettings()
    assert "\n" not in str(caught.value)


def test_a_file_that_is_named_must_be_there(file: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        KafkaSettings()


@pytest.mark.parametrize(
    "text",
    [
        'security = "sasl_tls"\nusername = "u"\n',
        'security = "tls"\nbootstrap = "a:1"\n',
        'security = "sasl_tls"\nusername = "u"\npassword = "a"\npassword_file = "b"\n',
        'prefix = "Not OK"\n',
    ],
)
def test_settings_that_do_not_belong_together_are_refused(file: Path, text: str) -> None:
    file.write_text("[kafka]\n" + text)
    with pytest.raises(ValidationError):
        KafkaSettings()


def test_a_table_is_written_in_place_of_the_old_one_and_all_else_stays(tmp_path: Path) -> None:
    path = tmp_path / "icsight.toml"
    before = "# ours\n[uplink]\nin_flight_mib = 8 # little\n[kafka] # old\nbootstrap = 'a:1'\nconnect_seconds = 3\n"
    path.write_text(before + "[x.'kafka.y']\nz = 1\n")
    path.chmod(0o640)
    write_table(path, "kafka", {"prefix": '泵"\\'}, gone={"bootstrap"})
    text = path.read_text()
    assert tomllib.loads(text) == {
        "uplink": {"in_flight_mib": 8}, "x": {"kafka.y": {"z": 1}}, "kafka": {"connect_seconds": 3, "prefix": '泵"\\'},
    }  # fmt: skip
    assert "# ours" in text
    assert "# little" in text
    assert path.stat().st_mode & 0o777 == 0o640
    write_table(tmp_path / "new.toml", "kafka", {"prefix": "p"})
    assert tomllib.loads((tmp_path / "new.toml").read_text()) == {"kafka": {"prefix": "p"}}


@pytest.mark.parametrize(
    "text", ['kafka = {prefix = "a"}\n', 'kafka.prefix = "a"\n[uplink]\n', "[kafka.more]\nx = 1\n", "[kafka", 'kafka = "x"\n']
)
def test_a_file_in_which_a_table_cannot_be_replaced_is_left_as_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "icsight.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        write_table(path, "kafka", {"prefix": "p"})
    assert "\n" not in str(caught.value)
    assert path.read_text() == text
