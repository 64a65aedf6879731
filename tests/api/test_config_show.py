"""`icsight config show` tells each setting in force and where it came from; no secret is ever shown, by it or by any refusal."""

from __future__ import annotations

import json
import logging
import tomllib
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.cli import icsight
from api.texts import LANGUAGES, catalogue
from sensor.secrets import MASK
from sensor.sections import sections

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "icsight.toml"
    monkeypatch.setenv("ICSIGHT_CONFIG", str(path))
    return path


def told(*words: str) -> tuple[int, str]:
    """Exit status, and all that a command writes."""
    done = CliRunner().invoke(icsight, ["config", *words], standalone_mode=True)
    return done.exit_code, done.output


def test_every_setting_is_told_with_its_origin_and_the_whole_is_a_file_of_settings(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file.parent / "password").write_text("geheim\n")
    file.write_text(f"""
        [kafka]
        security = "plaintext"
        bootstrap = "file:1"
        prefix = "of-file"
        [serve]
        host_names = ["a.example", "quote\\" \\\\ \\u007f"]
        [database]
        url = "postgresql://icsight@db.example/icsight"
        password_file = "{file.parent}/password"
        [uplink]
        retry_seconds = 5
        """)
    monkeypatch.setenv("ICSIGHT_KAFKA_BOOTSTRAP", "environment:1")
    monkeypatch.setenv("ICSIGHT_ELASTICSEARCH_API_KEY", "geheim")
    status, text = told("show", "--language", "en")
    assert status == 0
    lines = text.splitlines()
    assert 'bootstrap = "environment:1"  # environment ICSIGHT_KAFKA_BOOTSTRAP' in [line.replace(",", "") for line in lines]
    assert f'prefix = "of-file"  # file {file}' in lines
    assert "connect_seconds = 10.0  # default" in lines
    assert f'password = "{MASK}"  # secret file {file.parent}/password' in lines
    assert f'api_key = "{MASK}"  # environment, ICSIGHT_ELASTICSEARCH_API_KEY' in lines
    assert "geheim" not in text
    read = tomllib.loads(text)
    assert list(read) == list(sections())
    assert read["serve"]["host_names"] == ["a.example", 'quote" \\ \x7f']
    assert read["uplink"] == {
        "in_flight_mib": 16, "catch_up_mib_per_second": 4.0, "retry_seconds": 5.0, "position_seconds": 5.0, "stop_seconds": 10.0,
    }  # fmt: skip
    assert all(f"# {name}" in text or f"{name} = " in text for section in sections().values() for name in section.model_fields)


def test_it_speaks_the_language_of_the_terminal(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("")
    for name in ("LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert "port = 8420  # 默认值" in told("show")[1]
    monkeypatch.setenv("LC_ALL", "C")
    assert "port = 8420  # default" in told("show")[1]
    ours = {key for key in catalogue("en") if key.startswith(("check.", "config."))}
    assert all(ours <= set(catalogue(language)) for language in LANGUAGES)


def test_tables_that_are_right_are_shown_beside_one_that_is_not(file: Path) -> None:
    file.write_text("[serve]\nport = 70000\n[uplink]\nretry_seconds = 5\n")
    status, text = told("show", "--language", "en")
    assert status == 2
    assert f"retry_seconds = 5.0  # file {file}" in text
    assert "error: serve.port: " in text
    assert "[serve]" not in text


SECRETS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=4, max_size=40).map("Zq9".__add__)

SLIPS = [
    "[kafka]\nsecurity = 'plaintext'\npassword = [{toml}]",
    "[kafka]\nsecurity = {toml}",
    "[kafka]\nsecurity = 'plaintext'\nbootstrap = 'user:{plain}@127.0.0.1:1'",
    "[kafka]\nsecurity = 'sasl_tls'\npassword = {toml}",
    "[elasticsearch]\nhosts = 'https://user:{plain}@127.0.0.1:1'",
    "[elasticsearch]\napi_key = {toml}\nusername = 'u'\npassword = {toml}",
    "[database]\nurl = 'postgresql://user:{plain}@127.0.0.1/icsight'",
    "[database]\nurl = 'postgresql://user@127.0.0.1/icsight?sslpassword={plain}'",
    "[observability]\notlp_endpoint = 'http://user:{plain}@127.0.0.1/'",
    "[serve]\nport = {toml}",
    "[uplink]\npasswort = {toml}",
    "[uplink]\nretry_seconds = {{a = {toml}}}",
    "[uplink\npassword = {toml}",
]
"""Files in which a secret stands where it does not belong, or does not fit what is beside it."""


@settings(max_examples=26, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(secret=SECRETS, slip=st.sampled_from(SLIPS))
def test_a_secret_in_the_wrong_place_is_refused_and_not_shown(
    file: Path, caplog: pytest.LogCaptureFixture, secret: str, slip: str
) -> None:
    plain = "".join(letter for letter in secret if letter.isalnum())
    file.write_text(slip.format(toml=json.dumps(secret, ensure_ascii=False).replace("\x7f", "\\u007f"), plain=plain))
    with caplog.at_level(logging.DEBUG):
        for words, expected in ((["show"], 2), (["check"], 1)):
            status, text = told(*words)
            assert status == expected, text
            for each in (secret, plain):
                assert each not in text
                assert each not in caplog.text


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(secret=SECRETS, way=st.sampled_from(["file", "environment", "secret file"]))
def test_no_secret_is_shown_whatever_it_is_and_however_it_is_given(
    file: Path, caplog: pytest.LogCaptureFixture, secret: str, way: str
) -> None:
    names = ("elasticsearch.password", "database.password", "kafka.password")
    given_as = dict.fromkeys(names, "")
    with pytest.MonkeyPatch.context() as environment:
        for name in names:
            if way == "file":
                given_as[name] = "password = " + json.dumps(secret, ensure_ascii=False).replace("\x7f", "\\u007f")
            elif way == "environment":
                environment.setenv(f"ICSIGHT_{name.replace('.', '_').upper()}", secret)
            else:
                (file.parent / name).write_text(secret)
                given_as[name] = f"password_file = '{file.parent / name}'"
        file.write_text(f"""
            [elasticsearch]
            hosts = "http://127.0.0.1:1"
            username = "u"
            {given_as["elasticsearch.password"]}
            [database]
            url = "postgresql://u@127.0.0.1:1/icsight"
            {given_as["database.password"]}
            [kafka]
            security = "sasl_tls"
            bootstrap = "127.0.0.1:1"
            username = "u"
            {given_as["kafka.password"]}
            """)
        with caplog.at_level(logging.DEBUG):
            for words, expected in ((["show"], 0), (["check"], 1)):
                status, text = told(*words)
                assert status == expected, text
                assert secret not in text
                assert secret not in caplog.text
