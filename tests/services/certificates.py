"""An authority of its own for a test, and certificates of it."""

from __future__ import annotations

import datetime as dt
import ipaddress
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

DAYS: Final = 30


class Authority:
    """An authority, and the files of what it has issued, in a folder."""

    def __init__(self, folder: Path, name: str = "icsight-tests") -> None:
        self._folder = folder
        self.file: Final = folder / "ca.pem"
        folder.mkdir(parents=True, exist_ok=True)
        self._name = name
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._builder(name, key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.file.write_bytes(certificate.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        (folder / "ca.key").write_bytes(_private(key))

    def issue(self, name: str, *, days: float = DAYS, password: str = "") -> tuple[Path, Path]:
        """Files of a certificate and its key for a name, which may be a server of this machine's loopback addresses.

        Args:
            name: common name, and what the files are called.
            days: when it ends; in the past where it is negative.
            password: what the key is encrypted with.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        issuer = serialization.load_pem_private_key((self._folder / "ca.key").read_bytes(), None)
        assert isinstance(issuer, ec.EllipticCurvePrivateKey)
        builder = self._builder(name, key.public_key(), days).add_extension(names, critical=False)
        certificate = builder.sign(issuer, hashes.SHA256())
        paths = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(_private(key, password))
        return paths

    def _builder(self, subject: str, key: ec.EllipticCurvePublicKey, days: float = DAYS) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(_named(subject))
            .issuer_name(_named(self._name))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + dt.timedelta(days=min(0, days) - 1))
            .not_valid_after(now + dt.timedelta(days=days))
        )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _private(key: ec.EllipticCurvePrivateKey, password: str = "") -> bytes:
    how = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)
