"""The one-time token with which a sensor enrols: what the centre prints and a person carries to the gateway."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from dataclasses import dataclass
from typing import Final

PREFIX: Final = "icsight-"
"""What every token begins with, so that people and scanners of secrets know one."""

ID_BYTES: Final = 8

SECRET_BYTES: Final = 24

PIN_BYTES: Final = 32


class TokenError(ValueError):
    """A text is no token. The text is one line."""


@dataclass(frozen=True, slots=True)
class EnrolmentToken:
    """A token, told to nobody but the sensor that it is for.

    Attributes:
        id: by which the centre finds what it knows of it; no secret.
        secret: random bytes, of which the centre keeps the hash only.
        pin: SHA-256 of the certificate that the centre's server shows; empty where the system's authorities vouch for it.
    """

    id: bytes
    secret: bytes
    pin: bytes = b""

    @classmethod
    def new(cls, pin: bytes = b"") -> EnrolmentToken:
        """A token that nobody can guess (192 random bits)."""
        return cls(secrets.token_bytes(ID_BYTES), secrets.token_bytes(SECRET_BYTES), pin)

    @classmethod
    def from_text(cls, text: str) -> EnrolmentToken:
        """The token that `str` wrote. Raises TokenError for any other text."""
        try:
            content = base64.b64decode(text.strip().removeprefix(PREFIX).encode("ascii"), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError, ValueError) as error:
            raise TokenError("this is no token: copy the whole of what `icsight enrolment token` printed") from error
        rest = content[ID_BYTES + SECRET_BYTES :]
        if not text.strip().startswith(PREFIX) or len(content) < ID_BYTES + SECRET_BYTES or len(rest) not in {0, PIN_BYTES}:
            raise TokenError("this is no token: copy the whole of what `icsight enrolment token` printed")
        return cls(content[:ID_BYTES], content[ID_BYTES : ID_BYTES + SECRET_BYTES], rest)

    def __str__(self) -> str:
        """The token as people copy it."""
        return PREFIX + base64.urlsafe_b64encode(self.id + self.secret + self.pin).decode()

    def __repr__(self) -> str:
        """Its name, without the secret."""
        return f"EnrolmentToken({self.id.hex()})"

    @property
    def secret_hash(self) -> str:
        """SHA-256 of the secret: what the centre keeps. The secret is random, so that a plain hash cannot be turned back."""
        return hashlib.sha256(self.secret).hexdigest()
