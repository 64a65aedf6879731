"""What is told where PostgreSQL cannot be used, and what it keeps to as SQLite does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from pydantic import SecretStr, ValidationError
from sqlalchemy.exc import DBAPIError, InternalError, OperationalError

from api.alerts import upserts
from api.alerts.models import Alert
from api.commands import serve
from api.database import Database, UnusableDatabaseError
from api.settings import DatabaseSettings, Settings
from tests.api.alerts import upsert
from tests.api.conftest import POSTGRESQL_ONLY
from tests.sensor.certificates import Authority
from tests.services.certificates import Authority as Certifier
from tests.services.process import free_port, own

if TYPE_CHECKING:
    from tests.services.postgres import Postgres

SECRET = "not-the-password-7b1c"


def refused(settings: DatabaseSettings) -> str:
    opened = Database.of(Settings(data=Path("nowhere"), database=settings))
    with pytest.raises(UnusableDatabaseError) as told:
        opened.migrate()
    opened.close()
    return str(told.value)


def test_a_wrong_password_is_told_in_one_line_without_it(postgres_server: Postgres) -> None:
    url = f"postgresql://app@127.0.0.1:{postgres_server.port}/postgres"
    line = refused(DatabaseSettings(url=url, password=SecretStr(SECRET)))
    assert 'password authentication failed for user "app"' in line
    assert "\n" not in line
    assert SECRET not in line


def test_a_server_that_does_not_run_is_told_in_one_line() -> None:
    line = refused(DatabaseSettings(url=f"postgresql://app@127.0.0.1:{free_port()}/icsight", password=SecretStr(SECRET)))
    assert "Connection refused" in line
    assert "\n" not in line
    assert "table database of the configuration" in line


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"url": f"postgresql://app:{SECRET}@db/icsight"}, "holds a password"),
        ({"url": f"postgresql://app@db/icsight?password={SECRET}"}, "holds a password"),
        ({"url": f"mysql://app:{SECRET}@db/icsight"}, "is written postgresql://"),
        ({"url": f"{SECRET}"}, "write postgresql://"),
        ({"url": "postgresql://app@db/icsight", "password": SECRET, "password_file": "/x"}, "both given"),
    ],
)
def test_settings_that_cannot_be_right_are_refused_without_their_secrets(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told) as refusal:
        DatabaseSettings(**given)
    assert SECRET not in str(refusal.value)


def test_a_server_on_another_machine_must_show_its_certificate() -> None:
    address = DatabaseSettings(url="postgresql://app@db.example/icsight").address()
    assert dict(address.query) == {"sslmode": "verify-full", "sslrootcert": "system"}
    assert dict(DatabaseSettings(url="postgresql://app@127.0.0.1/icsight").address().query) == {}


def test_serve_takes_the_database_from_the_file_of_settings_and_its_password_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "password").write_text(f"{SECRET}\n")
    configuration = tmp_path / "icsight.toml"
    url = f"postgresql://app@127.0.0.1:{free_port()}/icsight"
    configuration.write_text(f'[database]\nurl = "{url}"\npassword_file = "{tmp_path / "password"}"\n')
    monkeypatch.setenv("ICSIGHT_CONFIG", str(configuration))
    result = CliRunner().invoke(serve, ["--data", str(tmp_path)], standalone_mode=False)
    assert "Connection refused" in str(result.exception)
    (tmp_path / "password").unlink()
    result = CliRunner().invoke(serve, ["--data", str(tmp_path)], standalone_mode=False)
    assert "password_file" in str(result.exception)
    assert SECRET not in str(result.exception)


@POSTGRESQL_ONLY
def test_a_query_that_takes_too_long_is_given_up_by_the_server(database: Database) -> None:
    database.query_seconds = 0.1
    with database.read() as session, pytest.raises(OperationalError, match="statement timeout"):
        session.execute(sa.select(sa.func.pg_sleep(30), sa.func.count(Alert.id)))
    with database.read(unlimited=True) as session:
        session.execute(sa.select(sa.func.pg_sleep(0.3), sa.func.count(Alert.id)))


@POSTGRESQL_ONLY
def test_a_session_that_reads_cannot_write(database: Database) -> None:
    with database.read() as session, pytest.raises(InternalError, match="read-only transaction"):
        session.execute(sa.delete(Alert))


def test_a_session_that_reads_sees_one_state_while_others_write(database: Database) -> None:
    def count() -> int | None:
        return session.scalar(sa.select(sa.func.count()).select_from(Alert))

    with database.read() as session:
        assert count() == 0
        with database.write() as writing:
            upserts.apply(writing, [upsert(1)])
        assert count() == 0
    with database.read() as session:
        assert count() == 1


@POSTGRESQL_ONLY
def test_the_values_of_a_statement_that_fails_are_not_told(database: Database) -> None:
    with database.read() as session, pytest.raises(DBAPIError) as failure:
        session.execute(sa.select(Alert).where(Alert.id == SECRET, sa.func.nothing(Alert.id)))
    assert SECRET not in str(failure.value)


def test_a_server_is_believed_by_its_certificate_alone(private_postgres: Postgres, tmp_path: Path) -> None:
    """sslmode verify-full: another authority, another name and no TLS at all are refused, each in one line."""
    server = private_postgres
    folder = server.folder / "tls"
    folder.mkdir()
    (tmp_path / "other").mkdir()
    ours, other = Authority(folder), Authority(tmp_path / "other")
    right, elsewhere = ours.issue("127.0.0.1"), ours.issue("db.example")
    own("postgres", server.folder)
    url = server.dsn("postgres").replace(f":{server.password}@", "@") + "?sslmode=verify-full"
    settings = DatabaseSettings(url=url, password=SecretStr(server.password), ca_file=ours.file)
    assert "does not support SSL" in refused(settings)
    certify(server, *elsewhere)
    assert "does not match host name" in refused(settings)
    certify(server, *right)
    line = refused(settings.model_copy(update={"ca_file": other.file}))
    assert "SSL error: " in line
    assert "\n" not in line
    opened = Database.of(Settings(data=Path("nowhere"), database=settings))
    with opened.back_end.reader.connect() as connection:
        assert connection.exec_driver_sql("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").scalar() is True
    opened.close()


def test_a_server_that_asks_for_a_certificate_is_shown_one_whose_key_is_encrypted(private_postgres: Postgres) -> None:
    server = private_postgres
    folder = server.folder / "tls"
    folder.mkdir()
    ours, clients = Authority(folder), Certifier(folder / "clients")
    right, (certificate, key) = ours.issue("127.0.0.1"), clients.issue("icsight", password="of-the-key")
    access = server.folder / "data" / "pg_hba.conf"
    access.write_text(f"hostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\n{access.read_text()}")
    own("postgres", server.folder)
    certify(server, *right, clients.file)
    # libpq takes no key that others can read, nor one of another user.
    key.chmod(0o600)
    os.chown(key, os.geteuid(), os.getegid())
    url = server.dsn("postgres").replace(f":{server.password}@", "@") + "?sslmode=verify-full"
    settings = DatabaseSettings(
        url=url, password=SecretStr(server.password), ca_file=ours.file, certificate_file=certificate, key_file=key,
        key_password=SecretStr("of-the-key"),
    )  # fmt: skip
    with_none = settings.model_copy(update={"certificate_file": None, "key_file": None, "key_password": None})
    assert "certificate" in refused(with_none)
    for password in (None, SecretStr("another")):
        line = refused(settings.model_copy(update={"key_password": password}))
        assert "could not load private key file" in line
        assert "another" not in line
    opened = Database.of(Settings(data=Path("nowhere"), database=settings))
    with opened.back_end.reader.connect() as connection:
        told = connection.exec_driver_sql("SELECT client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()").scalar()
    assert told == "/CN=icsight"
    opened.close()


def certify(server: Postgres, certificate: Path, key: Path, clients: Path | None = None) -> None:
    """Start the server anew with a certificate, and with the authority of its clients' where they need one."""
    server.kill()
    with (server.folder / "data" / "postgresql.conf").open("a") as file:
        file.write(f"ssl = on\nssl_cert_file = '{certificate}'\nssl_key_file = '{key}'\n")
        file.write(f"ssl_ca_file = '{clients}'\n" if clients else "")
    server.start()
