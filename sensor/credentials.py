"""A sensor's key pair (EC P-256) and its certificates. The private key is made here and never leaves the machine."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sensor.enrolled import AUTHORITY, CREDENTIALS, FOLDER, NEXT_KEY, EnrolmentError, keep

if TYPE_CHECKING:
    from pathlib import Path

    from sensor.enrolment_token import EnrolmentToken

RENEWAL: Final = b"icsight renewal\n"
"""What stands before the bytes of a request for a certificate that the key of the present one signs."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A private key and the certificate of it."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def read(cls, data: Path) -> Self:
        """Those of an enrolled sensor. Raises EnrolmentError."""
        path = data / FOLDER / CREDENTIALS
        try:
            content = path.read_bytes()
            key = serialization.load_pem_private_key(content, None)
            certificate = x509.load_pem_x509_certificates(content)[0]
        except OSError as error:
            raise EnrolmentError(f"{path}: cannot be read ({error.strerror}): check who owns it, or enrol anew") from error
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise EnrolmentError(f"{path}: not a key and its certificate ({error}): enrol anew with a new token") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise EnrolmentError(f"{path}: not the key that an enrolment makes: enrol anew with a new token")
        return cls(key, certificate)

    @property
    def serial(self) -> str:
        """Serial number of the certificate, as hexadecimal digits."""
        return f"{self.certificate.serial_number:x}"

    @property
    def expires(self) -> datetime:
        """When the certificate ends."""
        return self.certificate.not_valid_after_utc

    def is_due(self, now: datetime | None = None) -> bool:
        """Whether a third of its life or less remains: it is time to renew it."""
        life = self.expires - self.certificate.not_valid_before_utc
        return self.expires - (now or datetime.now(UTC)) <= life / 3

    def sign(self, request: x509.CertificateSigningRequest) -> str:
        """The signature of this key over a request for the next certificate (ECDSA with SHA-256), as base64."""
        content = RENEWAL + request.public_bytes(serialization.Encoding.DER)
        return base64.b64encode(self.key.sign(content, ec.ECDSA(hashes.SHA256()))).decode()


def next_key(data: Path, present: ec.EllipticCurvePrivateKey) -> ec.EllipticCurvePrivateKey:
    """The key of the next certificate: that of an earlier try, so that an answer that was lost comes again.

    Args:
        data: the data folder.
        present: the key in use, which is not used for another certificate.

    Raises:
        OSError: it cannot be kept.
    """
    kept = _kept(data, NEXT_KEY)
    return kept if kept is not None and kept.public_key() != present.public_key() else _new(data, NEXT_KEY)


def enrolment_key(data: Path, token: EnrolmentToken) -> ec.EllipticCurvePrivateKey:
    """The key that is enrolled with a token: that of an earlier try with this token, and of no other. Raises OSError."""
    name = f"token-{token.id.hex()}.key"
    return _kept(data, name) or _new(data, name)


def drop_keys(data: Path) -> None:
    """Drop all keys that wait for a certificate: the sensor has been enrolled. Raises OSError."""
    for path in (data / FOLDER).glob("*.key"):
        path.unlink(missing_ok=True)


def _kept(data: Path, name: str) -> ec.EllipticCurvePrivateKey | None:
    try:
        key = serialization.load_pem_private_key((data / FOLDER / name).read_bytes(), None)
    except (FileNotFoundError, ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def _new(data: Path, name: str) -> ec.EllipticCurvePrivateKey:
    key = ec.generate_private_key(ec.SECP256R1())
    keep(data, name, _private(key))
    return key


def request_of(key: ec.EllipticCurvePrivateKey, name: str) -> x509.CertificateSigningRequest:
    """A request for a certificate of a key (PKCS #10, RFC 2986); the centre sets the name that the certificate carries."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())


def pem(request: x509.CertificateSigningRequest) -> str:
    """A request as text."""
    return request.public_bytes(serialization.Encoding.PEM).decode()


def take_over(data: Path, key: ec.EllipticCurvePrivateKey, certificate: str, authority: str) -> x509.Certificate:
    """Put a new certificate with its key in place of the old ones, at once; only what the authority issued for this key.

    Args:
        data: the data folder.
        key: the key that was asked a certificate for.
        certificate: the answer, PEM.
        authority: the authority that must have issued it, PEM.

    Raises:
        EnrolmentError: it is not a certificate of that authority for that key.
        OSError: it cannot be written; the old one stays.
    """
    found, issuer = issued_for(key, certificate, authority)
    issued = found.public_bytes(serialization.Encoding.PEM)
    keep(data, AUTHORITY, issuer.public_bytes(serialization.Encoding.PEM))
    keep(data, CREDENTIALS, _private(key) + issued)
    return found


def issued_for(key: ec.EllipticCurvePrivateKey, certificate: str, authority: str) -> tuple[x509.Certificate, x509.Certificate]:
    """A certificate for a key, and that of the authority that issued it. Raises EnrolmentError where they are not that."""
    try:
        found = x509.load_pem_x509_certificate(certificate.encode())
        issuer = x509.load_pem_x509_certificate(authority.encode())
        found.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise EnrolmentError("the centre's answer holds no certificate of its authority: it is not taken") from error
    if found.public_key() != key.public_key():
        raise EnrolmentError("the centre's answer holds a certificate of another key: it is not taken")
    return found, issuer


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
