"""The commands `icsight serve` and `icsight run`."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from api.audit_settings import AuditSettings
from api.notification_settings import NotificationSettings
from api.oidc_settings import OidcSettings
from api.settings import DatabaseSettings, Settings
from sensor.configuration import ConfigurationError, configured
from sensor.edge import become, listening, live_options, packets_of, user_option
from sensor.kafka_settings import KafkaSettings
from sensor.terminal import EXIT_COULD_NOT, CommandError, until_signal, warn

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Generator

    from api.embedded import Embedded
    from api.server import Server
    from api.services import Services

CHECKPOINTS: Final = "checkpoints"
"""Name of the part that signs how far the audit trail is."""

JOBS: Final = "jobs"
"""Name of the part that carries out decisions about many alerts."""

CHECKPOINT_SECONDS: Final = 2.0
"""How long the last checkpoint may take."""

WATCH_SECONDS: Final = 0.25
"""How often the command looks at the parts that it runs."""

_SERVER_OPTIONS: Final = (
    click.option("--host", metavar="ADDRESS", help="Address to listen on [127.0.0.1]. Any but loopback needs TLS."),
    click.option("--port", metavar="N", type=click.IntRange(0, 65_535), help="TCP port to listen on [8420]; 0 takes a free one."),
    click.option(
        "--tls-certificate", metavar="FILE", type=click.Path(path_type=Path), help="PEM file of the certificate and its chain."
    ),
    click.option("--tls-key", metavar="FILE", type=click.Path(path_type=Path), help="PEM file of the private key."),
)


def _server_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_SERVER_OPTIONS):
        command = option(command)
    return command


_FILE: Final = click.Path(path_type=Path)

_DATA: Final = click.option(
    "--data", required=True, metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Data folder."
)


@click.command()
@_DATA
@_server_options
def serve(data: Path, **server: Any) -> None:
    """Serve the API and the console: over stored data, or, where icsight.toml names a broker, of a system on several machines."""
    kafka = configured(KafkaSettings)
    if kafka.bootstrap:
        _serve_distributed(settings_of(data, server), kafka)
        return
    from api import system  # noqa: PLC0415  needs all libraries; `--help` does not
    from detection.checkpoint import CHECKPOINT_FILE, CheckpointError, check  # noqa: PLC0415
    from sensor.observability import heard  # noqa: PLC0415

    if not data.is_dir():
        raise CommandError(f"{data}: there is no such folder. `icsight run` makes one; give its --data here.")
    settings = settings_of(data, server)
    stop = until_signal()
    try:
        with heard("serve"), system.opened(settings) as services, _served(services) as running:
            system.catch_up(services)
            try:
                check(data / CHECKPOINT_FILE)
            except CheckpointError as error:
                # All but what was learned can be shown.
                warn(str(error))
            while not stop.wait(WATCH_SECONDS):
                if not running.running:
                    raise CommandError("the server has failed: see the lines above")
    except (system.FolderError, ConfigurationError) as error:
        raise CommandError(str(error)) from error


def _serve_distributed(settings: Settings, kafka: KafkaSettings) -> None:
    """Serve until the process is asked to end. Raises CommandError."""
    from api import system  # noqa: PLC0415  needs all libraries; `--help` does not
    from api.distributed import distributed  # noqa: PLC0415
    from sensor.kafka_client import KafkaUnusable  # noqa: PLC0415
    from sensor.observability import heard  # noqa: PLC0415

    stop = until_signal()
    try:
        with heard("serve"), distributed(settings, kafka) as (services, parts), _served(services) as running:
            parts.start()
            while not stop.wait(WATCH_SECONDS):
                parts.observe()
                if parts.ended is not None:
                    raise CommandError(f"{parts.ended} has failed: {services.status.failures().get(parts.ended, 'see the log')}")
                if not running.running:
                    raise CommandError("the server has failed: see the lines above")
            left = parts.stop()
            if left:
                _leave(left, None)
    except (KafkaUnusable, ConfigurationError, system.FolderError) as error:
        raise CommandError(str(error)) from error


@click.command()
@click.option("--capture", metavar="FILE|-", help="Capture file, or - for a capture on standard input.")
@live_options
@user_option
@_DATA
@click.option("--site", "site_file", metavar="FILE", type=_FILE, help="Facts of the site (site.yml).")
@click.option("--rules", "folders", metavar="PATH", multiple=True, type=_FILE, help="Rules; may be repeated.")
@click.option("--budget", metavar="N/TIME[,...]", help="Alerts that people can look at (144/day,10/10min); the site's own else.")
@click.option("--exit-when-done", is_flag=True, help="End once the capture has ended and its alerts are stored.")
@_server_options
def run(  # noqa: PLR0913 - a command's parameters are its face
    capture: str | None,
    data: Path,
    site_file: Path | None,
    folders: tuple[Path, ...],
    budget: str | None,
    *,
    user: str | None,
    exit_when_done: bool,
    **options: Any,
) -> None:
    """Run the whole system in one process."""
    packets = packets_of(data, options)
    source = listening(options) or capture
    if source is None or (capture is not None and source is not capture):
        raise CommandError("what is to be looked at? Give either --capture FILE or --interface IF.")
    if user is not None or source is not capture:
        # Before anything is loaded that has threads: each thread has capabilities of its own.
        become(user, data)
    from api import embedded, system  # noqa: PLC0415  needs all libraries; `--help` does not
    from collector.stream import StreamError  # noqa: PLC0415
    from detection.checkpoint import CheckpointError  # noqa: PLC0415
    from detection.sigma.rule import RuleError  # noqa: PLC0415
    from detection.site import Site, SiteError, with_budget  # noqa: PLC0415
    from detection.site_file import SiteFile  # noqa: PLC0415
    from sensor._core import CaptureError  # noqa: PLC0415
    from sensor.observability import heard  # noqa: PLC0415
    from sensor.spool import SpoolError  # noqa: PLC0415

    settings = settings_of(data, options)
    stop = until_signal()
    try:
        file = SiteFile(site_file, budget) if site_file else None
        site = file.read() if file is not None else Site() if budget is None else with_budget(Site(), budget)
        with (
            heard("run"),
            system.opened(settings) as services,
            embedded.embedded(services, source, (site, file), folders, packets) as parts,
        ):
            failure = _run(services, parts, stop, exit_when_done=exit_when_done)
            left = parts.stop()
            if left:
                # What is still at work must not find its files closed: the data is consistent at any moment, so just leave.
                _leave(left, failure)
    except (
        CaptureError, CheckpointError, ConfigurationError, RuleError, SiteError, SpoolError, StreamError, system.FolderError,
    ) as error:  # fmt: skip
        raise CommandError(str(error)) from error
    if failure is not None:
        raise CommandError(failure)


def _run(services: Services, parts: Embedded, stop: threading.Event, *, exit_when_done: bool) -> str | None:
    """Start the parts and watch them until they shall end, or one fails; returns why it failed."""
    with _served(services) as server:
        parts.start()
        ended = False
        while not stop.is_set():
            parts.wait(WATCH_SECONDS)
            for line in parts.take_warnings():
                warn(line)
            for line in parts.take_lines():
                click.echo(line)
            for part, reason in services.status.failures().items():
                return f"{part} has failed: {reason}"
            if not server.running:
                return "the server has failed: see the lines above"
            if not ended and parts.done():
                ended = True
                if exit_when_done:
                    break
                click.echo("The capture has ended; everything in it has been looked at. Ctrl-C stops.")
        parts.end()
    return None


def _leave(left: list[str], failure: str | None) -> NoReturn:
    """End the process without waiting for those who are still at work."""
    warn(f"ended while at work: {', '.join(left)}; nothing is lost")
    if failure is not None:
        CommandError(failure).show()
    sys.stdout.flush()
    os._exit(0 if failure is None else EXIT_COULD_NOT)


def settings_of(data: Path, given: dict[str, Any]) -> Settings:
    """Settings from the options that were given, the environment and the file of settings for the rest. Raises CommandError."""
    return configured(
        Settings, data=data, database=configured(DatabaseSettings), audit=configured(AuditSettings),
        oidc=configured(OidcSettings), notifications=configured(NotificationSettings),
        **{name: value for name, value in given.items() if value is not None},
    )  # fmt: skip


@contextmanager
def _served(services: Services) -> Generator[Server]:
    """The API and the console, answering. Raises CommandError."""
    from api import system  # noqa: PLC0415  needs all libraries; `--help` does not
    from api.audit.keeping import Schedule  # noqa: PLC0415
    from api.jobs.worker import JobWorker  # noqa: PLC0415
    from api.main import create_app  # noqa: PLC0415
    from api.notifications import sending  # noqa: PLC0415
    from api.parts import Parts  # noqa: PLC0415
    from api.server import Server, ServerError, keep_loaded  # noqa: PLC0415
    from api.ticking import ticking  # noqa: PLC0415

    try:
        server = Server(create_app(services), services)
        keep_loaded()
        server.start()
    except ServerError as error:
        raise CommandError(str(error)) from error
    parts = Parts(services.status)
    parts.start(JOBS, JobWorker(services).run)
    parts.start(sending.PART, sending.Sender(services).run)
    parts.start(CHECKPOINTS, Schedule(services.database, services.settings, _told(services)).run)
    try:
        link = system.setup_link(services, server.url)
        click.echo(f"icsight is at {server.url}")
        if link is not None:
            minutes = services.settings.setup_link_seconds // 60
            click.echo(f"First start: create the first account within {minutes} minutes at\n  {link}")
        sys.stdout.flush()
        with ticking(services):
            yield server
    finally:
        server.stop()
        parts.stop(CHECKPOINT_SECONDS)


def _told(services: Services) -> Callable[[str], None]:
    """Tells why there is no checkpoint: all else goes on meanwhile, so that it is no failure."""
    return lambda trouble: services.status.tell(CHECKPOINTS, detail=trouble) and None
