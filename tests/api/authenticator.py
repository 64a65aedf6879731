"""An authenticator of the tests' own, which can also do what none does (Web Authentication, Level 3)."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from typing import Any, Final

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

PRESENT: Final = 0x01
VERIFIED: Final = 0x04
ATTESTED: Final = 0x40


class Authenticator:
    """One passkey, and the browser that asks for it.

    Args:
        origin: what the browser says it is on.
        party: the name that is signed for.
        flags: what the authenticator says of whoever holds it.

    Attributes:
        told: what the browser says besides.
    """

    def __init__(self, origin: str, party: str = "localhost", flags: int = PRESENT | VERIFIED) -> None:
        self.origin = origin
        self.party = party
        self.flags = flags
        self.told: dict[str, Any] = {}
        self.count = 0
        self.credential: Final = secrets.token_bytes(32)
        self.key: Final = ec.generate_private_key(ec.SECP256R1())

    def make(self, options: dict[str, Any], name: str = "blue key") -> dict[str, Any]:
        """What `POST /api/account/passkeys` takes."""
        point = self.key.public_key().public_numbers()
        public = {1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")}
        attested = bytes(16) + len(self.credential).to_bytes(2, "big") + self.credential + cbor2.dumps(public)
        told: dict[str, Any] = {"fmt": "none", "attStmt": {}, "authData": self._data(self.flags | ATTESTED) + attested}
        return {
            "name": name, "id": written(self.credential), "client_data": written(self._client("webauthn.create", options)),
            "attestation": written(cbor2.dumps(told)),
        }  # fmt: skip

    def sign(self, options: dict[str, Any]) -> dict[str, Any]:
        """What `POST /api/passkeys/session` takes."""
        self.count += 1
        client, data = self._client("webauthn.get", options), self._data(self.flags)
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        return {
            "id": written(self.credential), "client_data": written(client), "authenticator_data": written(data),
            "signature": written(signature),
        }  # fmt: skip

    def _client(self, kind: str, options: dict[str, Any]) -> bytes:
        return json.dumps({"type": kind, "challenge": options["challenge"], "origin": self.origin, **self.told}).encode()

    def _data(self, flags: int) -> bytes:
        return hashlib.sha256(self.party.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big")


def written(content: bytes) -> str:
    """Bytes as browsers write them."""
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
