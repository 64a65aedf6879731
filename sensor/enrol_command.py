"""What `icsight sensor enrol` does: makes a key, has it certified by the centre, and writes down how Kafka is reached."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from cryptography import x509

from sensor.centre import post
from sensor.configuration import ConfigurationError, configuration_file
from sensor.configuration_table import check_table, write_table
from sensor.credentials import drop_keys, enrolment_key, issued_for, pem, request_of, take_over
from sensor.enrolled import (
    AUTHORITY,
    BROKERS,
    CREDENTIALS,
    FOLDER,
    Enrolled,
    EnrolmentError,
    as_owner,
    keep,
    keep_enrolled,
)
from sensor.enrolment_token import EnrolmentToken, TokenError
from sensor.kafka_settings import KafkaSettings
from sensor.remote_settings import forget
from sensor.spool_files import IDENTITY, SPOOL
from sensor.terminal import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable

PATH: Final = "/api/enrolments"

_IDENTITY: Final = frozenset({
    "bootstrap", "prefix", "security", "ca_file", "certificate_file", "key_file", "key_password", "key_password_file",
    "username", "password", "password_file",
})  # fmt: skip
"""Settings of table `kafka` that an enrolment sets; what else is there stays."""


def enrol(text: str, url: str, data: Path, config: Path | None, say: Callable[[str], None]) -> None:
    """Enrol the sensor of a data folder with a token, so that `icsight sensor uplink` ships its records.

    Args:
        text: the token.
        url: where the centre answers.
        data: the data folder; made where it is missing.
        config: the file of settings; that in use where none is given, else `icsight.toml` in the working folder.
        say: is called with each line about what was done.

    Raises:
        CommandError: the sensor cannot be enrolled. Its certificate is still that of before, and the token may be tried again.
    """
    try:
        token = EnrolmentToken.from_text(text)
        path = (config or configuration_file() or Path("icsight.toml")).absolute()
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        told = _certified(token, url, data.absolute(), path)
    except (TokenError, EnrolmentError, ConfigurationError) as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(f"{error.filename or data}: {error.strerror or error}. Check who owns it.") from error
    sensor, site = told["sensor"], told["site"]
    say(f"enrolled as {sensor}{f' of site {site}' if site else ''}; the certificate holds until {told['expires']}")
    say(
        f"{path}: [kafka] is written; `icsight sensor uplink --data {data}` ships what `icsight sensor run --data {data}` records"
    )


def _certified(token: EnrolmentToken, url: str, data: Path, path: Path) -> dict[str, Any]:
    """The centre's answer, once all of it is on the disk. Raises EnrolmentError, ConfigurationError, OSError."""
    # Before the token is used up.
    check_table(path, KafkaSettings.table)
    with as_owner(data):
        identity = _spool_identity(data)
        key = enrolment_key(data, token)
    request = pem(request_of(key, "sensor"))
    told = post(url, PATH, {"token": str(token), "request": request, **identity}, pin=token.pin)
    try:
        sensor, site, principal = (str(told[name]) for name in ("sensor", "site", "principal"))
        kafka = cast("dict[str, Any]", told["kafka"])
        certificate, authority, brokers = str(told["certificate"]), str(told["authority"]), kafka["authorities"]
        values = {
            "bootstrap": str(kafka["bootstrap"]), "prefix": str(kafka["prefix"]), "security": "tls",
            **({"ca_file": str(data / FOLDER / BROKERS)} if brokers else {}),
            "certificate_file": str(data / FOLDER / CREDENTIALS), "key_file": str(data / FOLDER / CREDENTIALS),
        }  # fmt: skip
    except (KeyError, TypeError, AttributeError) as error:
        raise EnrolmentError(f"{url}: the centre's answer lacks {error}: is it of the same version?") from error
    _, issuer = issued_for(key, certificate, authority)
    write_table(path, KafkaSettings.table, values, gone=_IDENTITY)
    with as_owner(data):
        if brokers:
            keep(data, BROKERS, str(brokers).encode())
        if not _is_known(data, issuer):
            # Another centre numbers its versions of settings anew, and what this one has set is none of its business.
            forget(data)
        take_over(data, key, certificate, authority)
        keep_enrolled(data, Enrolled(sensor, site, url, principal))
        drop_keys(data)
    return told


def _is_known(data: Path, issuer: x509.Certificate) -> bool:
    """Whether an authority is that with which the sensor is enrolled already."""
    try:
        return x509.load_pem_x509_certificate((data / FOLDER / AUTHORITY).read_bytes()) == issuer
    except (FileNotFoundError, ValueError):
        return False


def _spool_identity(data: Path) -> dict[str, str]:
    """Who writes the spool of a data folder, where there is one. Raises EnrolmentError."""
    path = data / SPOOL / IDENTITY
    try:
        content = json.loads(path.read_bytes())
        return {"sensor": str(content["sensor"]), "site": str(content["site"])}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise EnrolmentError(f"{path}: not the identity of a spool ({error}): use a new data folder") from error
