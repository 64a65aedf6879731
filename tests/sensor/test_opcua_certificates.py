"""Certificates that a real client and server (asyncua) show: records tell of them what the `cryptography` library reads."""

# asyncua's own types are incomplete.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.sensor.opcua_plant import capture
from tests.sensor.records import rows

if TYPE_CHECKING:
    from pathlib import Path

SIGNATURES = {"1.2.840.113549.1.1.11": "sha256WithRSAEncryption"}
"""Names of signature algorithms by identifier (RFC 8017, A.2.4)."""


def application_uri(certificate: x509.Certificate) -> str:
    """The URI among the alternative names (OPC 10000-6, 6.2.2)."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.UniformResourceIdentifier)[0]


def read(path: Path) -> dict[str, Any]:
    """Facts of a certificate as `cryptography` reads them."""
    data = path.read_bytes()
    read = x509.load_der_x509_certificate(data)
    key = read.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    return {
        "certificate": hashlib.sha1(data, usedforsecurity=False).hexdigest(),
        "certificate_subject": read.subject.rfc4514_string(),
        "certificate_application_uri": application_uri(read),
        "certificate_issuer": read.issuer.rfc4514_string(),
        "certificate_not_before": read.not_valid_before_utc,
        "certificate_not_after": read.not_valid_after_utc,
        "certificate_key_bits": key.key_size,
        "certificate_signature": SIGNATURES[read.signature_algorithm_oid.dotted_string],
    }


@pytest.mark.parametrize("mode", ["Sign", "SignAndEncrypt"])
def test_certificates_are_told_as_another_library_reads_them(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "work.pcap"
    path.write_bytes(asyncio.run(capture(tmp_path, mode)))
    client, server = (read(tmp_path / f"{name}.der") for name in ("client", "server"))
    assert client["certificate"] != server["certificate"]
    expected = {f"opcua.{name}": value for name, value in client.items()}
    expected |= {f"opcua.server_{name}": value for name, value in server.items()}
    openings = rows(path, "opcua").filter(
        (pl.col("opcua.message_type") == "open") & (pl.col("opcua.security_policy") == "Basic256Sha256")
    )
    assert openings.height >= 1
    for opening in openings.select(list(expected)).iter_rows(named=True):
        assert opening == expected
