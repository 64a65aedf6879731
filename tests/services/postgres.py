"""PostgreSQL, with databases made as they are needed."""

from __future__ import annotations

import secrets
import signal
from typing import TYPE_CHECKING, Final

import psycopg

from tests.services import packages
from tests.services.process import Process, Service, free_port, own

if TYPE_CHECKING:
    from pathlib import Path

USER: Final = "app"


class Postgres(Service):
    """A server with its data in a folder. Written data is on the disk when it says so (fsync on), as in production."""

    STOP = signal.SIGINT
    """Sessions are ended."""

    def __init__(self, folder: Path, *, owner: int | None = None) -> None:
        super().__init__(folder)
        self._owner = owner
        self.port: Final = free_port()
        self.password: Final = secrets.token_urlsafe(12)
        folder.mkdir(parents=True, exist_ok=True)
        for place in (folder, *folder.parents):
            if place.stat().st_mode & 0o001 == 0 and place.owner() != "postgres":
                place.chmod(place.stat().st_mode | 0o011)
        (folder / "password").write_text(self.password)
        (folder / "data").mkdir()
        own("postgres", folder)
        self._run(
            str(packages.postgres() / "initdb"), "-D", str(folder / "data"), "-A", "scram-sha-256",
            f"--pwfile={folder / 'password'}", "-U", USER, "-E", "UTF8", "--locale=C.UTF-8",
        )  # fmt: skip
        settings = {
            "listen_addresses": "'127.0.0.1'", "port": str(self.port), "unix_socket_directories": "''", "max_connections": "200",
            "shared_buffers": "64MB",
        }  # fmt: skip
        with (folder / "data" / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in settings.items())

    def begin(self) -> Process:
        """Its process."""
        command = [str(packages.postgres() / "postgres"), "-D", str(self.folder / "data")]
        return Process(command, self.folder / "log", user="postgres", owner=self._owner)

    def ask(self) -> None:
        """Open a session."""
        psycopg.connect(self.dsn("postgres"), connect_timeout=5).close()

    def dsn(self, database: str) -> str:
        """How a database is reached, as libpq says it."""
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def address(self, database: str) -> str:
        """The address of a database as icsight's settings take it, without the password."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def url(self, database: str) -> str:
        """How a database is reached, as SQLAlchemy says it."""
        return self.dsn(database).replace("postgresql://", "postgresql+psycopg://")

    def new_database(self, template: str = "template0") -> str:
        """A new database, empty or as another that nobody is connected to; returns its name."""
        name = f"t{secrets.token_hex(8)}"
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        return name

    def _run(self, *command: str) -> None:
        process = Process(command, self.folder / "log", user="postgres", owner=self._owner)
        if process.wait():
            raise RuntimeError(f"{command[0]} failed:\n{process.tail()}")
