"""The commands `icsight enrolment`, `icsight sensor revoke` and `icsight sensor set`, at the centre."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from api.at_the_machine import acting, opened
from sensor.configuration import ConfigurationError
from sensor.names import fault_to_people
from sensor.terminal import CommandError

if TYPE_CHECKING:
    from api.enrolment.rights import Rights

_DATA: Final = click.option(
    "--data", required=True, metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Data folder of the centre."
)

HOURS_MOST: Final = 30 * 24
"""Longest life of a token, hours."""


@click.group()
def enrolment() -> None:
    """Let sensors enrol themselves: the authority of their certificates, and one-time tokens."""


@enrolment.command("ca")
@_DATA
@click.option("--name", default="icsight sensors", show_default=True, metavar="NAME", help="Common name of the authority.")
@click.option("--days", default=3650, show_default=True, type=click.IntRange(1, 36_500), metavar="N", help="How long it holds.")
def make_authority(data: Path, name: str, days: int) -> None:
    """Make the authority that issues sensors' certificates. Brokers must trust it for clients."""
    from api.enrolment.authority import AuthorityError, make  # noqa: PLC0415  needs all libraries; `--help` does not
    from api.enrolment.centre import settings_of as enrolment_settings  # noqa: PLC0415

    try:
        certificate, key = enrolment_settings()[0].authority(data)
        make(certificate, key, name, days)
    except (AuthorityError, ConfigurationError) as error:
        raise CommandError(str(error)) from error
    except ValueError as error:
        raise CommandError(f"--name {name}: {error}") from error
    click.echo(f"{certificate}: give it to the brokers as an authority of clients (ssl.truststore)")
    click.echo(f"{key}: its private key; keep a copy where nobody else can read it")


@enrolment.command("token")
@click.argument("sensor")
@_DATA
@click.option("--site", default="", metavar="NAME", help="Name of the sensor's site.")
@click.option("--hours", default=24.0, show_default=True, type=click.FloatRange(0, HOURS_MOST, min_open=True), metavar="N")
@click.option(
    "--tls-certificate", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
    help="PEM file of the certificate that `icsight serve` shows: the sensor then trusts it and no other.",
)  # fmt: skip
def make_token(sensor: str, data: Path, site: str, hours: float, tls_certificate: Path | None) -> None:
    """Print a token with which SENSOR enrols itself, once."""
    for what, name in (("SENSOR", sensor), ("--site", site)):
        wrong = fault_to_people(name) or ("" if name == name.strip() else "begins or ends with a space")
        if wrong and (name or what == "SENSOR"):
            raise CommandError(f"{what} {name[:40]!r} {wrong}: give another name")
    with opened(data) as (settings, database):
        from api.enrolment.rights import RightsError  # noqa: PLC0415  as above
        from api.enrolment.service import Intended, new_token  # noqa: PLC0415
        from sensor.enrolment_token import EnrolmentToken  # noqa: PLC0415

        path = tls_certificate or settings.tls_certificate
        token = EnrolmentToken.new(_pin(path) if path else b"")
        try:
            new_token(database, _rights(), acting(), token, Intended(sensor, site, hours))
        except RightsError as error:
            raise CommandError(f"no token is made: {error}") from error
    click.echo(str(token))
    if path is None:
        click.echo("The sensor's system must trust the centre's certificate: none is named in the token.", err=True)
    click.echo(f"On the gateway, within {hours:g} hours: icsight sensor enrol TOKEN --data DIR --url https://…", err=True)


@click.command("revoke")
@click.argument("sensor")
@_DATA
def revoke_sensor(sensor: str, data: Path) -> None:
    """Shut SENSOR out: brokers refuse it at once, whatever certificate it shows, and none is issued to it any more."""
    with opened(data) as (_, database):
        from api.enrolment.rights import RightsError  # noqa: PLC0415  as above
        from api.enrolment.service import revoke  # noqa: PLC0415

        rights = _rights()
        try:
            rights.check(sensor)
        except RightsError as error:
            raise CommandError(str(error)) from error
        try:
            count = revoke(database, rights, acting(), sensor)
        except RightsError as error:
            raise CommandError(
                f"{sensor}: is revoked here, but the brokers may still let it in: {error}. Do it again."
            ) from error
    click.echo(f"{sensor}: revoked; {count} rights taken away" if count else f"{sensor}: revoked; it had no rights")


@click.command("set")
@click.argument("sensor")
@click.argument("values", metavar="NAME=VALUE...", nargs=-1, required=True)
@_DATA
def set_sensor(sensor: str, values: tuple[str, ...], data: Path) -> None:
    """Send SENSOR settings, which it follows without a restart; NAME= is as it was started. /api/sensors shows the outcome."""
    from sensor.remote_settings import SettingsRefused, given  # noqa: PLC0415  as above

    with opened(data) as (_, database):
        from api.enrolment.centre import settings_of as enrolment_settings  # noqa: PLC0415  as above
        from api.sensors.settings import KafkaPost, Unreachable, change  # noqa: PLC0415

        try:
            version = change(database, KafkaPost(enrolment_settings()[1]), acting(), sensor, given(values))
        except (SettingsRefused, Unreachable) as error:
            raise CommandError(f"{sensor}: {error}") from error
    told = ", ".join(f"{name}={value:g}" for name, value in version.values.items()) or "all as it was started"
    click.echo(f"{sensor}: version {version.number} is on its way ({told})")


def _rights() -> Rights:
    """The brokers' rights, as [kafka] of the configuration reaches them. Raises ConfigurationError."""
    from api.enrolment.centre import settings_of as enrolment_settings  # noqa: PLC0415  as above
    from api.enrolment.rights import KafkaRights  # noqa: PLC0415

    settings, kafka = enrolment_settings()
    return KafkaRights(kafka, settings.replication)


def _pin(path: Path) -> bytes:
    """SHA-256 of the first certificate of a file. Raises CommandError."""
    try:
        text = path.read_text(encoding="ascii")
        begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
        first = text[text.index(begin) : text.index(end) + len(end)]
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first)).digest()
    except OSError as error:
        raise CommandError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise CommandError(f"{path}: not a certificate as PEM file") from error
