"""The commands `icsight serve` and `icsight run`."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from pydantic import ValidationError

from api.settings import Settings
from sensor.terminal import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from api.services import Services

_SERVER_OPTIONS: Final = (
    click.option("--host", metavar="ADDRESS", help="Address to listen on [default: 127.0.0.1]. Any but loopback needs TLS."),
    click.option(
        "--port", metavar="N", type=click.IntRange(0, 65_535), help="TCP port to listen on [default: 8420]; 0 takes a free one."
    ),
    click.option(
        "--tls-certificate", metavar="FILE", type=click.Path(path_type=Path), help="PEM file with the certificate and its chain."
    ),
    click.option("--tls-key", metavar="FILE", type=click.Path(path_type=Path), help="PEM file with the private key."),
)


def _server_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_SERVER_OPTIONS):
        command = option(command)
    return command


@click.command()
@click.option(
    "--data", required=True, metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Folder of the system's data."
)
@_server_options
def serve(data: Path, **server: Any) -> None:
    """Serve the API and the console over stored data."""
    from api import system  # noqa: PLC0415  needs all libraries; `--help` does not

    if not data.is_dir():
        raise CommandError(f"{data}: there is no such folder. `icsight run` makes one; give its --data here.")
    settings = _settings(data, server)
    stop = _until_signal()
    try:
        with system.opened(settings) as services:
            _serve(services, stop)
    except system.FolderError as error:
        raise CommandError(str(error)) from error


def _settings(data: Path, given: dict[str, Any]) -> Settings:
    """Settings from the options that were given, the environment for the rest. Raises CommandError."""
    try:
        return Settings(data=data, **{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        text = str(first["msg"]).removeprefix("Value error, ")
        raise CommandError(f"{place}: {text}" if place else text) from error


def _until_signal() -> threading.Event:
    """An event that Ctrl-C and SIGTERM set. A second one ends the process at once: every file is consistent at any moment."""
    stop = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
    return stop


def _serve(services: Services, stop: threading.Event) -> None:
    """Answer until `stop` is set. Raises CommandError."""
    from api import system  # noqa: PLC0415  as above
    from api.main import create_app  # noqa: PLC0415
    from api.server import Server, ServerError  # noqa: PLC0415

    try:
        server = Server(create_app(services), services)
        server.start()
    except ServerError as error:
        raise CommandError(str(error)) from error
    try:
        link = system.setup_link(services, server.url)
        click.echo(f"icsight is at {server.url}")
        if link is not None:
            minutes = services.settings.setup_link_seconds // 60
            click.echo(f"First start: create the first account within {minutes} minutes at\n  {link}")
        while not stop.wait(0.5):
            if not server.running:
                raise CommandError("the server has stopped: see the lines above")
    finally:
        server.stop()
