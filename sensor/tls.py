"""TLS towards a service as its settings say, and what is wrong when it fails: one clear line with the setting to look at."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from sensor.tls_settings import TlsSettings

SUITES: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Cipher suites that a server of this system speaks in TLS 1.2: a key for each connection, and authenticated encryption. Those of
TLS 1.3 are all of that kind."""

_EXPIRED: Final = 10
_NOT_YET: Final = 9
_OTHER_NAME: Final = (62, 64)
"""X509_V_ERR_CERT_NOT_YET_VALID, …_CERT_HAS_EXPIRED, …_HOSTNAME_MISMATCH and …_IP_ADDRESS_MISMATCH (OpenSSL, x509_vfy.h)."""


class Tls(Protocol):
    """A part of a table that says what is checked of a service, and shown to it, as `TlsSettings` do for a whole table."""

    @property
    def table(self) -> str:
        """The table that says it, for errors."""
        ...

    @property
    def ca_file(self) -> Path | None:
        """PEM file of the authorities."""
        ...

    @property
    def certificate_file(self) -> Path | None:
        """PEM file of this process' certificate."""
        ...

    @property
    def key_file(self) -> Path | None:
        """PEM file of its private key."""
        ...

    def secret_key_password(self) -> str | None:
        """The private key's password. Raises ConfigurationError."""
        ...


class TlsUnusable(Exception):  # noqa: N818 - named for what it reports
    """A file of certificates or of a key cannot be used. The text is one line: which setting, what is wrong, what to do."""


def client_context(settings: TlsSettings | Tls) -> ssl.SSLContext:
    """What is checked of a service and shown to it: certificates for the name that it is called by, TLS 1.2 or later.

    Raises:
        TlsUnusable: a file cannot be used.
        ConfigurationError: the file of the key's password cannot be read.
    """
    table = settings.table
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise TlsUnusable(f"{table}.ca_file {settings.ca_file}: {why(error)}: give a PEM file of certificates") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.certificate_file is not None:
        for name, path in (("certificate_file", settings.certificate_file), ("key_file", settings.key_file)):
            try:
                if path is not None:
                    path.read_bytes()
            except OSError as error:
                raise TlsUnusable(f"{table}.{name} {path}: {why(error)}: give a PEM file that this user may read") from error
        _show(context, settings, settings.certificate_file)
    return context


def _show(context: ssl.SSLContext, settings: TlsSettings | Tls, certificate: Path) -> None:
    """Have the certificate of this process shown. Raises TlsUnusable."""
    table, password = settings.table, settings.secret_key_password()
    asked: list[bool] = []

    def told() -> str:
        # Without an answer OpenSSL would ask on the terminal.
        asked.append(True)
        return password or ""

    try:
        context.load_cert_chain(certificate, settings.key_file, told)
    except (OSError, ssl.SSLError, ValueError) as error:
        if asked and password is None:
            raise TlsUnusable(
                f"{table}.key_file {settings.key_file}: the key is encrypted: give {table}.key_password_file"
            ) from None
        if asked:
            raise TlsUnusable(
                f"{table}.key_file {settings.key_file}: {table}.key_password does not open it: check the password"
            ) from None
        raise TlsUnusable(
            f"{table}.certificate_file {certificate}, {table}.key_file {settings.key_file}: "
            f"not a certificate and its key ({why(error)})"
        ) from error


def refusal(error: ssl.SSLError, settings: TlsSettings | Tls, service: str, address: str, switch: str) -> str:
    """Why TLS with a service failed, in a few words with the setting to look at.

    Args:
        error: how it failed.
        settings: what was checked and shown.
        service: what it is called in a sentence, as in `the broker`.
        address: the setting that says where it is, as in `kafka.bootstrap`.
        switch: the setting that says that TLS is spoken, as in `kafka.security`.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        told = error.verify_message.rstrip(".") or why(error)
        remedy = f"check {settings.table}.ca_file"
        if error.verify_code in {_EXPIRED, _NOT_YET}:
            remedy = "have it renewed there, or check the clock"
        elif error.verify_code in _OTHER_NAME:
            remedy = f"check {address}, or have the certificate issued for that name"
        return f"{service}'s certificate is refused ({told}): {remedy}"
    reason = (error.reason or str(error)).upper()
    has_certificate = settings.certificate_file is not None
    if "CERTIFICATE_REQUIRED" in reason or (not has_certificate and _is_refusal_of_ours(reason)):
        return f"{service} asks for a certificate: give {settings.table}.certificate_file and {settings.table}.key_file"
    if "REVOKED" in reason:
        return f"{service} refuses our certificate: it has been revoked; get another"
    if "EXPIRED" in reason:
        return f"{service} refuses our certificate: it has expired; get another, or check the clock"
    if _is_refusal_of_ours(reason):
        return f"{service} refuses our certificate ({reason.lower().replace('_', ' ')}): it trusts another authority"
    if any(word in reason for word in ("WRONG_VERSION_NUMBER", "RECORD_LAYER", "UNEXPECTED_EOF", "HTTP_REQUEST")):
        return f"does not speak TLS: check {switch} and the port"
    return f"TLS failed ({reason.lower().replace('_', ' ')})"


def _is_refusal_of_ours(reason: str) -> bool:
    """Whether an alert of TLS is about the certificate that we have shown, or have not."""
    return "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason)


def why(error: BaseException) -> str:
    """An error's own words in one line."""
    told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(told.split()) or type(error).__name__
