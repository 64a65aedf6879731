"""The certificates in a real capture of open62541: records tell the application URI that the `cryptography` library reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl
from cryptography import x509

from tests.sensor.records import rows

if TYPE_CHECKING:
    from pathlib import Path

CAPTURE: Final = "opcua/cisagov+icsnpp-opcua-binary/pcaps/open62541_client-server_encrypted.pcap"
POLICY: Final = b"http://opcfoundation.org/UA/SecurityPolicy#"


def uris(capture: bytes) -> set[str]:
    """Application URIs of all certificates that follow the URI of a policy (OPC 10000-6, 6.7.2.3)."""
    found: set[str] = set()
    at = capture.find(POLICY)
    while at >= 0:
        length = int.from_bytes(capture[at - 4 : at], "little")
        size = int.from_bytes(capture[at + length : at + length + 4], "little", signed=True)
        der = capture[at + length + 4 : at + length + 4 + max(size, 0)]
        # The same URIs stand in lists of endpoints, with something else behind them.
        if der.startswith(b"\x30\x82"):
            names = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            found |= set(names.get_values_for_type(x509.UniformResourceIdentifier))
        at = capture.find(POLICY, at + 1)
    return found


def test_application_uris_are_those_that_another_library_reads(captures: Path) -> None:
    path = captures / CAPTURE
    openings = rows(path, "opcua").filter(pl.col("opcua.message_type") == "open")
    columns = ["opcua.certificate_application_uri", "opcua.server_certificate_application_uri"]
    told = {uri for column in columns for uri in openings[column].drop_nulls()}
    assert told == uris(path.read_bytes())
    servers = openings["opcua.server_certificate_application_uri"].drop_nulls().unique().to_list()
    assert servers == ["urn:open62541.server.application"]
