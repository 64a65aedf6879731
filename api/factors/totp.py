"""One-time codes by time (RFC 6238: SHA-1, 6 digits, 30 s), and recovery codes. Pure: whoever calls says what time it is."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import b32encode
from typing import Final

import pyotp
import segno
from pyotp.totp import TOTP

ISSUER: Final = "icsight"
"""What authenticators show beside the account's name."""

STEP_SECONDS: Final = 30

DRIFT_STEPS: Final = 1
"""How many steps a clock may be off, either way (RFC 6238, 5.2)."""

RECOVERY_CODES: Final = 10

_RECOVERY_BYTES: Final = 16


def new_secret() -> str:
    """A secret of 160 bits, in base32 (RFC 4226, 4)."""
    return pyotp.random_base32()


def address(secret: str, name: str) -> str:
    """The `otpauth:` address that authenticators read."""
    return TOTP(secret).provisioning_uri(name=name, issuer_name=ISSUER)


def picture(text: str) -> list[str]:
    """A QR code with its quiet zone: a line of 0 (light) and 1 (dark) for each row of modules."""
    rows = segno.make(text, micro=False).matrix_iter(border=4)
    return ["".join("1" if module else "0" for module in row) for row in rows]


def step_of(secret: str, code: str, at: float, after: int) -> int | None:
    """The time step that a code belongs to; None where it is wrong, or no later than a step that was used.

    Args:
        secret: the secret.
        code: the code.
        at: the time, seconds since 1970.
        after: the last step that was used. One that is still to come, further than clocks may be off, is of a clock that was
            wrong, and counts for nothing: else no code would be right until then.
    """
    current = int(at) // STEP_SECONDS
    if is_ahead(after, at):
        after = 0
    made = TOTP(secret, interval=STEP_SECONDS)
    found = None
    for step in range(max(0, current - DRIFT_STEPS), current + DRIFT_STEPS + 1):
        if hmac.compare_digest(made.at(step * STEP_SECONDS).encode(), code.encode()) and step > after:
            found = step
    return found


def is_ahead(step: int, at: float) -> bool:
    """Whether a step that was used is still to come: the clock was ahead then."""
    return step > int(at) // STEP_SECONDS + DRIFT_STEPS


def new_recovery_codes() -> list[str]:
    """Recovery codes of 128 bits, in groups of four: so many that a plain hash of one cannot be turned back."""
    return [_grouped(b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode().rstrip("=").lower()) for _ in range(RECOVERY_CODES)]


def recovery_hash(code: str) -> str:
    """SHA-256 of a recovery code, however it is grouped. Codes are random, so a plain hash cannot be turned back."""
    return hashlib.sha256("".join(code.split()).replace("-", "").lower().encode()).hexdigest()


def _grouped(text: str) -> str:
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))
