"""The commands `icsight sensor`: packets of interfaces into a spool, and that to Kafka; recording loads no server's libraries."""

from __future__ import annotations

import os
import pwd
import sys
import threading
import time
from collections import Counter
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click

from sensor import _core, logs
from sensor._core import CaptureError, LiveReader
from sensor.control import Requests
from sensor.enrolled import EnrolmentError, read_enrolled
from sensor.names import fault, fault_to_people
from sensor.packets import MIB, PACKETS, QUOTA_MIB, QUOTA_MIB_LEAST
from sensor.recorder import Listening, Recorder, opened
from sensor.recorder_state import KEEP_SECONDS
from sensor.settings_followers import RecorderFollower
from sensor.spool import Spool, SpoolError, SpoolFull, SpoolSettings, SpoolUnwritable
from sensor.spool_files import SPOOL
from sensor.spool_positions import released
from sensor.tables import LOCAL_SENSOR
from sensor.terminal import CommandError, until_signal, warn

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from sensor._core import Reader

WATCH_SECONDS: Final = 0.25
"""How often warnings are looked for."""

RELEASE_SECONDS: Final = 2.0
"""How often is looked what the consumers of the spool, such as the uplink, have done with."""


SPOOL_MIB: Final = 4096
"""Most that the records of a gateway take on disk, where nothing else is said."""

SPOOL_MIB_LEAST: Final = 1

SYNC_SECONDS: Final = 5.0
"""How often a gateway puts records on the disk."""

SEGMENTS: Final = 64
"""Segments that share a gateway's quota, where it is not very small or large: one is what is thinned or removed at once."""

DAY_SECONDS: Final = 24 * 60 * 60


def spool_settings(quota_mib: int, age_days: float | None, sync_seconds: float) -> SpoolSettings:
    """The spool of a gateway that is left alone: it never stops recording for want of room."""
    quota_bytes = quota_mib * MIB
    return SpoolSettings(
        sync_seconds=sync_seconds, segment_bytes=max(64 * 1024, min(quota_bytes // SEGMENTS, 8 * MIB)), quota_bytes=quota_bytes,
        retention_bytes=quota_bytes, age_seconds=(age_days or 0) * DAY_SECONDS, overflow="least_valuable",
    )  # fmt: skip


def _quota(context: click.Context, option: click.Parameter, quota_mib: int) -> int:
    del context, option
    if 0 < quota_mib < QUOTA_MIB_LEAST:
        raise click.BadParameter(f"{quota_mib} is too small for a ring: give 0 for none, or at least {QUOTA_MIB_LEAST}")
    return quota_mib


_LIVE_OPTIONS: Final = (
    click.option("--interface", "interfaces", metavar="IF", multiple=True, help="Interface to listen to; may be repeated."),
    click.option("--filter", "bpf", metavar="EXPR", help="Let only these packets in (pcap-filter(7)); needs libpcap."),
    click.option(
        "--workers", default=1, show_default=True, metavar="N", type=click.IntRange(1, 6),
        help="Threads that work on packets; conversations are spread over them.",
    ),
    click.option(
        "--packets-quota", "quota_mib", default=QUOTA_MIB, show_default=True, metavar="MIB", type=click.IntRange(min=0),
        callback=_quota, help="Most that packets kept as evidence take on disk; 0 keeps none.",
    ),
    click.option(
        "--ring", "ring_mib", default=16, show_default=True, metavar="MIB", type=click.IntRange(1, 1024),
        help="Memory for packets not yet worked on, for each interface and worker.",
    ),
)  # fmt: skip


def live_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of every command that listens to interfaces; `listening` takes them."""
    for option in reversed(_LIVE_OPTIONS):
        command = option(command)
    return command


def listening(options: dict[str, Any]) -> Listening | None:
    """Take the values of `live_options` out of a command's options; None where no interface is named.

    Raises CommandError where one is named twice.
    """
    values = {field.name: options.pop(field.name) for field in fields(Listening) if field.name in options}
    interfaces: tuple[str, ...] = values["interfaces"]
    twice = [name for name, count in Counter(interfaces).items() if count > 1]
    if twice:
        raise CommandError(f"interface {twice[0]} is named twice: its packets would count twice. Name it once.")
    return Listening(**values) if values["interfaces"] else None


user_option: Final = click.option(
    "--user", metavar="NAME", help="Become this user, who owns the data folder, and keep the right to capture only."
)
"""The option of commands that listen to interfaces, for `become`."""


def packets_of(data: Path, options: dict[str, Any]) -> tuple[str, int] | None:
    """Take the ring's quota out of a command's options: folder of the ring in a data folder, and bytes; None for no ring."""
    quota_mib = options.pop("quota_mib")
    return (str(data / PACKETS), quota_mib * MIB) if quota_mib else None


def _named(context: click.Context, option: click.Parameter, name: str | None) -> str | None:
    """The name of a sensor, where it can be one."""
    del context, option
    if name is not None and (wrong := fault_to_people(name)):
        raise click.BadParameter(f"{name[:40]!r} {wrong}: give another name")
    return name


def _sited(context: click.Context, option: click.Parameter, name: str | None) -> str | None:
    """The name of a site, where it can be one: a plant may have one in use that is not printable (an ideographic space)."""
    del context, option
    if name and (wrong := fault(name)):
        raise click.BadParameter(f"{name[:40]!r} {wrong}: give another name")
    return name


@click.group()
def sensor() -> None:
    """Record on a gateway."""


@sensor.command()
@click.option("--data", required=True, metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Data folder.")
@click.option(
    "--name", metavar="NAME", callback=_named, help=f"Name of this sensor [that under which it is enrolled, else {LOCAL_SENSOR}]."
)
@click.option("--site", metavar="NAME", callback=_sited, help="Name of its site [that with which it is enrolled].")
@user_option
@click.option(
    "--spool-quota",
    "spool_mib",
    default=SPOOL_MIB,
    show_default=True,
    metavar="MIB",
    type=click.IntRange(SPOOL_MIB_LEAST),
    help="Most that records take on disk; at this the least valuable go, the oldest first.",
)
@click.option(
    "--spool-age",
    "age_days",
    metavar="DAYS",
    type=click.FloatRange(min=0, min_open=True),
    help="Remove records that are older, whatever they are worth; days in which it ran.",
)
@click.option(
    "--sync",
    "sync_seconds",
    default=SYNC_SECONDS,
    show_default=True,
    metavar="SECONDS",
    type=click.FloatRange(0, 60),
    help="How often records are put on the disk: what a power cut may cost; less often wears flash less.",
)
@click.option("--seccomp/--no-seccomp", default=True, show_default=True, help="Give up system calls that it has no use for.")
@click.option(
    "--capture", metavar="FILE|-", help="Record a capture file, or a capture on standard input, in place of interfaces."
)
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True,
    envvar="ICSIGHT_OBSERVABILITY_LOG_FORMAT", help="How the log is written on standard error.",
)  # fmt: skip
@live_options
def run(  # noqa: PLR0913 - a command's parameters are its face
    data: Path,
    name: str | None,
    site: str | None,
    user: str | None,
    capture: str | None,
    *,
    seccomp: bool,
    log_format: str,
    **options: Any,
) -> None:
    """Record what interfaces receive, or a capture, into the spool of a data folder. Nothing is ever sent on them."""
    logs.set_up("sensor", log_format, "warning")
    settings = spool_settings(options.pop("spool_mib"), options.pop("age_days"), options.pop("sync_seconds"))
    packets = packets_of(data, options)
    source = _source(capture, listening(options))
    stop = until_signal()
    try:
        # First of all, and before there are threads: whatever is opened from here on is opened with the rights of that user.
        become(user, data)
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        name, site = _who(data, name, site)
        with Spool(data / SPOOL, sensor=name, site=site, settings=settings) as spool:
            reader = opened(source, spool, packets)
            if seccomp:
                _core.restrict_system_calls()
            ring = None if packets is None else (Path(packets[0]), packets[1])
            requests = Requests(data, ring, spool.identity.sensor, warn)
            click.echo(f"recording {reader.format} as {spool.identity.sensor} in {data}")
            sys.stdout.flush()
            _record(reader, spool, requests, stop)
    except (CaptureError, EnrolmentError, SpoolError) as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(f"{error.filename or data}: {error.strerror or error}. Check who owns it, and --user.") from error


@sensor.command()
@click.option("--data", required=True, metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Data folder.")
def uplink(data: Path) -> None:
    """Ship what a sensor records to Kafka, as [kafka] and [uplink] of icsight.toml say; runs beside `icsight sensor run`."""
    with_kafka("sensor.uplink_command").ship(data / SPOOL, until_signal())


@sensor.command()
@click.argument("token")
@click.option("--url", required=True, metavar="URL", help="Where the centre answers: https://HOST:PORT.")
@click.option("--data", required=True, metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Data folder.")
@click.option(
    "--config", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
    help="File of settings to write [kafka] into [the one in use, else ./icsight.toml].",
)  # fmt: skip
def enrol(token: str, url: str, data: Path, config: Path | None) -> None:
    """Enrol this sensor with a one-time TOKEN of `icsight enrolment token` (- reads it from standard input).

    `icsight sensor uplink` works after it.
    """
    if token == "-":  # noqa: S105  it stands for standard input
        token = sys.stdin.readline()
    with_kafka("sensor.enrol_command").enrol(token, url, data, config, click.echo)


def with_kafka(module: str) -> ModuleType:
    """A module that needs what a gateway does not have without the extra. Raises CommandError where it is not there."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "sensor":
            raise
        raise CommandError(
            f"this needs the Python package {error.name}, which is not installed. Install it with: pip install 'icsight[kafka]'"
        ) from error


def _who(data: Path, name: str | None, site: str | None) -> tuple[str, str]:
    """Name and site: as given, else as enrolled. Raises EnrolmentError."""
    enrolled = read_enrolled(data)
    if enrolled is None:
        return name or LOCAL_SENSOR, site or ""
    return name or enrolled.sensor, enrolled.site if site is None else site


def _source(capture: str | None, interfaces: Listening | None) -> str | Listening:
    """What is to be recorded. Raises CommandError where that is not said, or twice."""
    if capture is None and interfaces is None:
        raise CommandError("what is to be listened to? Give --interface IF; `ip link` lists the interfaces. Or give --capture.")
    if capture is not None and interfaces is not None:
        raise CommandError("--capture and --interface are both given: give one.")
    return capture if capture is not None else cast("Listening", interfaces)


def _record(reader: Reader | LiveReader, spool: Spool, requests: Requests, stop: threading.Event) -> None:
    """Spool all batches, and follow what is asked for, until `stop` is set."""
    recorder = Recorder(reader, spool, stop, warn)
    ended = threading.Event()
    told = spool.folder.parent
    follower = RecorderFollower(told, spool, warn)
    try:
        # Before the first batch: by the smaller bounds of the command line it would make room with records that are to stay.
        follower.look()
    except OSError as error:
        # The settings are in force all the same; it is told with the next look.
        warn(f"{told}: which settings are followed cannot be told ({error.strerror or error})")
    watch = threading.Thread(target=_watch, args=(reader, recorder, requests, stop, ended, told), name="watch")
    watch.start()
    releasing = threading.Thread(target=release, args=(spool, ended, warn, follower.look), name="release")
    releasing.start()
    following = threading.Thread(target=requests.run, args=(ended,), name="requests")
    following.start()
    try:
        for batch in reader:
            recorder.keep(batch)
        recorder.finish()
        try:
            recorder.state(ended=True).keep(told)
        except OSError as error:
            # All records are where they belong; only how the recorder is, is not told.
            warn(f"{told}: that recording has ended cannot be told ({error.strerror or error})")
    except (SpoolFull, SpoolUnwritable) as error:
        raise CommandError(f"{error}; the last batches were not kept") from error
    finally:
        ended.set()
        watch.join()
        releasing.join()
        following.join()
    batches, rows = recorder.batches, recorder.rows
    if isinstance(reader, LiveReader):
        lost = sum(count for cause, count in reader.losses.items() if cause.startswith("capture_dropped:"))
        click.echo(f"{reader.packets:,} packets, {lost:,} lost; {rows:,} records in {batches:,} batches")
        click.echo(_written(spool.bytes_written, reader.kept_bytes, rows))
    else:
        click.echo(f"{reader.packets:,} packets; {rows:,} records in {batches:,} batches")


def release(spool: Spool, ended: threading.Event, say: Callable[[str], None], look: Callable[[], None] = lambda: None) -> None:
    """Let go of what the consumers of a spool have done with, until `ended` is set: what they have not had stays longest.

    `look` is called each time behind, and follows settings from afar. Where the one cannot be done the other is: on a full disk
    no settings can be told, and to let go is what makes room there again.
    """
    troubles = ["", ""]
    while not ended.wait(RELEASE_SECONDS):
        for at, do in enumerate((lambda: spool.release(released(spool.folder, spool.identity.epoch)), look)):
            trouble = ""
            try:
                do()
            except (SpoolError, OSError) as error:
                # The recorder meets the same disk and does what is to be done; this is tried again.
                trouble = str(error)
            if trouble and not troubles[at]:
                say(trouble)
            troubles[at] = trouble


def _written(spool_bytes: int, ring_bytes: int, rows: int) -> str:
    """How much went to the disk, in one line: as the sensor counts it, and as the system does."""
    told = f"{spool_bytes:,} bytes written to the spool ({spool_bytes / max(1, rows):,.0f} a record), {ring_bytes:,} to the ring"
    try:
        account = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
        return f"{told}; {int(account['write_bytes']):,} in all as the system counts them"
    except (OSError, ValueError, KeyError):
        # Not every system keeps this account.
        return told


def _watch(  # noqa: PLR0913, PLR0917 - one caller wires it
    reader: Reader | LiveReader, recorder: Recorder, requests: Requests, stop: threading.Event, ended: threading.Event, data: Path
) -> None:  # fmt: skip
    """Pass the signal on, say what happens to the interfaces, and tell how things are though no batch comes.

    That goes into table `sensor`, and into the file of the recorder's state.
    """
    kept, is_well = 0.0, True
    while True:
        is_over = ended.wait(WATCH_SECONDS)
        for line in reader.take_warnings():
            warn(line)
        recorder.refused_requests = requests.refused
        recorder.tell()
        if is_over:
            return
        if time.monotonic() - kept >= KEEP_SECONDS:
            kept = time.monotonic()
            try:
                recorder.state().keep(data)
                is_well = True
            except OSError as error:
                if is_well:
                    warn(f"{data}: how the recorder is cannot be told ({error.strerror or error})")
                is_well = False
        if stop.is_set():
            reader.stop()


def become(user: str | None, data: Path) -> None:
    """Give up all rights but that to capture; become `user`. Raises CommandError."""
    entry = None
    if user is not None:
        try:
            entry = pwd.getpwnam(user)
        except KeyError as error:
            raise CommandError(f"{user}: there is no such user. Make one: useradd --system {user}") from error
        if os.geteuid() == 0 and not data.exists():
            data.mkdir(mode=0o700, parents=True)
            os.chown(data, entry.pw_uid, entry.pw_gid)
    try:
        if entry is None:
            _core.drop_privileges()
        else:
            _core.drop_privileges(entry.pw_uid, entry.pw_gid)
    except OSError as error:
        raise CommandError(f"{error}. Only root can become another user.") from error
