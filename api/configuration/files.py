"""Checks of files, folders, certificates and ports that the configuration names."""

from __future__ import annotations

import errno
import shutil
import socket
import tempfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from api.configuration.checks import Check, Finding, ok, warning, wrong
from sensor.tls_settings import TlsSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cryptography.x509 import Certificate

    from sensor.configuration import Section

RENEW_DAYS: Final = 30
"""A certificate that ends within so many days has to be renewed."""

LITTLE_BYTES: Final = 2**30
"""Less free room than this is little."""

FILE_BYTES: Final = 16 * 2**20
"""Most bytes that are read of a file of certificates."""

KEYS: Final = {"certificate_file": "key_file", "tls_certificate": "tls_key", "authority_file": "authority_key_file"}
"""Setting of a certificate → that of its key."""

AUTHORITIES: Final = ("ca_file", "client_ca_file", "brokers_ca_file")
"""Settings of files of authorities."""


def files_of(settings: Section) -> Iterator[Check]:
    """A check for each file and folder that a table names."""
    for name in type(settings).model_fields:
        path = getattr(settings, name)
        subject = f"{settings.table}.{name}"
        if not hasattr(path, "read_bytes"):
            continue
        if name in KEYS:
            key = getattr(settings, KEYS[name])
            password = settings.secret_key_password if isinstance(settings, TlsSettings) else None
            yield Check(subject, lambda path=path, key=key, subject=subject, of=password: certificate(subject, path, key, of))
        elif name in AUTHORITIES:
            yield Check(subject, lambda path=path, subject=subject: authorities(subject, path))
        elif name.endswith("_folder"):
            yield Check(subject, lambda path=path, subject=subject: folder(subject, path))
        else:
            yield Check(subject, lambda path=path, subject=subject: secret_file(subject, path))


def folder(subject: str, path: Path) -> Iterator[Finding]:
    """Whether a folder, or where it will be made, can be written into and has room."""
    there = next(each for each in (path, *path.absolute().parents) if each.exists())
    if not there.is_dir():
        yield wrong(subject, "folder.missing", path=path)
        return
    try:
        with tempfile.TemporaryFile(dir=there) as probe:
            probe.write(b"\0")
    except OSError as error:
        yield wrong(subject, "folder.unwritable", path=there, reason=error.strerror)
        return
    free = shutil.disk_usage(there).free
    level, key = (ok, "folder.room") if there == path else (ok, "folder.absent")
    if free < LITTLE_BYTES:
        level, key = warning, "folder.little"
    yield level(subject, key, path=path, free=f"{free / 2**30:.1f}")


def secret_file(subject: str, path: Path) -> Iterator[Finding]:
    """Whether a file with a secret can be read, and by its owner alone. What it holds is not looked at."""
    try:
        with path.open("rb") as file:
            holds = bool(file.read(1))
        mode = path.stat().st_mode
    except OSError as error:
        yield _unreadable(subject, path, error)
        return
    if not holds:
        yield wrong(subject, "file.empty", path=path)
    elif mode & 0o004:
        yield warning(subject, "file.open", path=path)
    else:
        yield ok(subject, "file.readable", path=path)


def authorities(subject: str, path: Path) -> Iterator[Finding]:
    """Whether a file has certificates of authorities, and how long the last of them is valid."""
    try:
        found = _certificates(path)
    except OSError as error:
        yield _unreadable(subject, path, error)
    except ValueError:
        yield wrong(subject, "certificate.damaged", path=path)
    else:
        yield _validity(subject, path, max(found, key=lambda each: each.not_valid_after_utc))


def certificate(
    subject: str, path: Path, key: Path | None, password: Callable[[], str | None] | None = None
) -> Iterator[Finding]:
    """Whether a file has a certificate with its chain, how long all of it is valid, and whether the key is that of the first.

    `password` gives that of the key, where the table can have one. Raises ConfigurationError where its file cannot be read.
    """
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key  # noqa: PLC0415

    try:
        found = _certificates(path)
    except OSError as error:
        yield _unreadable(subject, path, error)
        return
    except ValueError:
        yield wrong(subject, "certificate.damaged", path=path)
        return
    yield _validity(subject, path, min(found, key=lambda each: each.not_valid_after_utc))
    if key is None:
        return
    is_closed = password is not None and _is_encrypted(key)
    told = password() if password is not None and is_closed else None
    try:
        private = load_pem_private_key(_content(key), None if told is None else told.encode())
    except OSError as error:
        yield _unreadable(subject, key, error)
        return
    except (ValueError, TypeError):
        yield wrong(subject, "certificate.key_closed" if is_closed else "certificate.key_damaged", path=key)
        return
    pair = (private.public_key(), found[0].public_key())
    if len({each.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for each in pair}) != 1:
        yield wrong(subject, "certificate.key_other", path=path, key_path=key)


def listening(subject: str, host: str, port: int) -> Iterator[Finding]:
    """Whether an address can be listened on; one that is in use may be icsight's own."""
    place = f"{host}:{port}"
    try:
        family, _, _, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            yield warning(subject, "port.used", place=place)
        else:
            yield wrong(subject, "port.unusable", place=place, reason=error.strerror or type(error).__name__)
    else:
        yield ok(subject, "port.free", place=place)


def _certificates(path: Path) -> list[Certificate]:
    """The certificates of a file. Raises OSError, or ValueError where it holds none that can be read."""
    from cryptography.x509 import load_pem_x509_certificates  # noqa: PLC0415  comes with the server's packages

    return load_pem_x509_certificates(_content(path))


def _is_encrypted(key: Path) -> bool:
    """Whether a key has to be opened by a password (RFC 7468, 11; RFC 1421, 4.6.1.1 for the older form)."""
    try:
        content = _content(key)
    except OSError:
        return False
    return b"ENCRYPTED PRIVATE KEY" in content or b"Proc-Type: 4,ENCRYPTED" in content


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(FILE_BYTES)


def _validity(subject: str, path: Path, of: Certificate) -> Finding:
    now = datetime.now(UTC)
    begins, ends = of.not_valid_before_utc, of.not_valid_after_utc
    days = (ends - now).days
    if ends <= now:
        return wrong(subject, "certificate.ended", path=path, date=ends.date())
    if begins > now:
        return wrong(subject, "certificate.begins", path=path, date=begins.isoformat())
    level, key = (warning, "certificate.ends") if days < RENEW_DAYS else (ok, "certificate.valid")
    return level(subject, key, path=path, days=days, date=ends.date())


def _unreadable(subject: str, path: Path, error: OSError) -> Finding:
    return wrong(subject, "file.unreadable", path=path, reason=error.strerror)
