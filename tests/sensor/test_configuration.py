"""Settings come from what was given, the environment, the file, in that order; what is wrong is told without its value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from sensor.configuration import ConfigurationError, explain, secret
from sensor.kafka_settings import KafkaSettings

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


def test_other_tables_of_the_file_are_others_business(file: Path) -> None:
    file.write_text('[elasticsearch]\nurl = "x"\n[kafka]\nsecurity = "plaintext"\n')
    assert KafkaSettings().security == "plaintext"


def test_an_unknown_setting_is_told_by_name_and_no_value_is(file: Path) -> None:
    file.write_text('[kafka]\nbotstrap = "geheim1"\nsecurity = "plaintext"\npassword = "geheim2"\nconnect_seconds = "geheim3"\n')
    with pytest.raises(ValidationError) as caught:
        KafkaSettings()
    told = explain("kafka", caught.value)
    assert "kafka.botstrap" in told
    assert "kafka.connect_seconds" in told
    assert "\n" not in told
    assert "geheim" not in told + str(caught.value) + repr(caught.value)


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


@pytest.mark.parametrize(("text", "told"), [("[kafka", "not TOML"), ('kafka = "x"', "is no table"), ("\udcff", "not TOML")])
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
