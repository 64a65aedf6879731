"""The authority that issues sensors' certificates: a certificate and its key in files that the centre holds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sensor.spool_files import replace_file

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

CLOCK_HOURS: Final = 1
"""How much earlier than now a certificate begins to hold: clocks of brokers and sensors may be behind."""

REQUEST_BYTES: Final = 8192
"""Longest request for a certificate."""


class AuthorityError(Exception):
    """The authority cannot be used, or made. The text is one line."""


class RequestError(ValueError):
    """A request for a certificate cannot be followed. The text is one line."""


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority. Issues for EC P-256 keys only, as sensors make them."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

    @classmethod
    def read(cls, certificate_file: Path, key_file: Path) -> Self:
        """That of two files. Raises AuthorityError."""
        path = certificate_file
        try:
            certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
            path = key_file
            key: CertificateIssuerPrivateKeyTypes = serialization.load_pem_private_key(key_file.read_bytes(), None)  # pyright: ignore[reportAssignmentType]  others are refused below
        except FileNotFoundError as error:
            raise AuthorityError(f"{path}: there is no such file: `icsight enrolment ca` makes an authority") from error
        except OSError as error:
            raise AuthorityError(f"{path}: cannot be read ({error.strerror})") from error
        except TypeError as error:
            raise AuthorityError(f"{path}: the key has a password: give it without one, readable by this user only") from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise AuthorityError(f"{path}: not a PEM file of an authority's certificate or key") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise AuthorityError(f"{key_file}: neither an EC nor an RSA key: give one of these")
        if key.public_key() != certificate.public_key():
            raise AuthorityError(f"{key_file}: not the key of {certificate_file}")
        try:
            is_authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        except x509.ExtensionNotFound:
            is_authority = False
        if not is_authority:
            raise AuthorityError(
                f"{certificate_file}: not the certificate of an authority (basic constraints, RFC 5280, 4.2.1.9)"
            )
        return cls(certificate, key)

    @property
    def pem(self) -> str:
        """Its certificate as text."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, request: x509.CertificateSigningRequest, name: str, days: float) -> x509.Certificate:
        """A certificate for the key of a request, for clients only. Raises AuthorityError.

        Args:
            request: of which only the key counts (`request_of` has checked that its sender holds it).
            name: common name, and the sensor's name in its URI.
            days: how long it holds; not longer than the authority itself.
        """
        now = datetime.now(UTC).replace(microsecond=0)
        until = min(now + timedelta(days=days), self.certificate.not_valid_after_utc)
        if until <= now:
            raise AuthorityError("the authority's own certificate has ended: make or give another")
        usage = x509.KeyUsage(
            digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
            key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        return (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(self.certificate.subject)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(max(now - timedelta(hours=CLOCK_HOURS), self.certificate.not_valid_before_utc))
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"urn:icsight:sensor:{name}")]), critical=False
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(request.public_key()), critical=False)
            .add_extension(_issuer_key(self.certificate), critical=False)
            .sign(self.key, hashes.SHA256())
        )


def request_of(text: str) -> x509.CertificateSigningRequest:
    """A request whose sender holds the key, an EC P-256 key. Raises RequestError."""
    if len(text) > REQUEST_BYTES:
        raise RequestError(f"longer than {REQUEST_BYTES} bytes")
    try:
        request = x509.load_pem_x509_csr(text.encode())
        key = request.public_key()
        is_signed = request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise RequestError("not a PEM request for a certificate (PKCS #10)") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise RequestError("its key is not an EC key on P-256")
    if not is_signed:
        raise RequestError("its signature is not that of its key")
    return request


def key_hash(request: x509.CertificateSigningRequest) -> str:
    """SHA-256 of the public key of a request."""
    spki = request.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def make(certificate_file: Path, key_file: Path, name: str, days: int) -> None:
    """Make a new authority (EC P-256). Raises AuthorityError where either file is there: no authority is written over."""
    for path in (certificate_file, key_file):
        if path.exists():
            raise AuthorityError(f"{path}: is there already: an authority is never written over")
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC).replace(microsecond=0)
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=CLOCK_HOURS))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    try:
        for path, content in ((key_file, private), (certificate_file, certificate.public_bytes(serialization.Encoding.PEM))):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(path, content)
        certificate_file.chmod(0o644)
    except OSError as error:
        raise AuthorityError(f"{error.filename or key_file}: cannot be written ({error.strerror})") from error


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _issuer_key(certificate: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(certificate.public_key())  # pyright: ignore[reportArgumentType]  EC or RSA
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(found)
