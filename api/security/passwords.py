"""Passwords: Argon2id with the second recommended setting of RFC 9106 (64 MiB, 3 passes, 4 lanes)."""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING, Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_CHARACTERS: Final = 256
"""Longest password, so that hashing it stays cheap."""

NO_PASSWORD: Final = "!"  # noqa: S105  no password, and none that could be one
"""Stands for the hash of an account that has no password: no password is right."""

_HASHER: Final = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
_AT_A_TIME: Final = threading.BoundedSemaphore(2)
"""Hashes computed at a time: each takes 64 MiB."""


def hash_password(password: str) -> str:
    """The hash to store, in PHC string format, salted."""
    with _AT_A_TIME:
        return _HASHER.hash(password)


@cache
def _nobody() -> str:
    return hash_password("nobody has this account")


def verify_password(password_hash: str | None, password: str) -> bool:
    """Whether the password is the one that was hashed. No hash takes as long as a wrong password: names cannot be found out."""
    known = None if password_hash == NO_PASSWORD else password_hash
    expected = known or _nobody()
    with _AT_A_TIME:
        try:
            return _HASHER.verify(expected, password) and known is not None
        except (VerificationError, InvalidHashError):
            return False


def outdated(password_hash: str) -> bool:
    """Whether a hash was made with other parameters than today's, and should be made anew."""
    return _HASHER.check_needs_rehash(password_hash)


OWN_WORD: Final = "icsight"
"""What the product is called: no password holds it."""


def weakness(password: str, name: str, least_characters: int, words: Sequence[str] = ()) -> str | None:
    """Why a password cannot be taken (a key of the catalogue), or None where it can (NIST SP 800-63B, 5.1.1.2).

    Args:
        password: the password.
        name: name of the account, as it is stored.
        least_characters: how long it has to be.
        words: what it may not hold, besides the product's and the account's name.
    """
    if len(password) < least_characters:
        return "password.short"
    if len(password) > MOST_CHARACTERS:
        return "password.long"
    lower = password.casefold()
    known = {OWN_WORD, *(word.strip().casefold() for word in words)}
    if len(name) > 3:
        known.add(name.casefold())
    if len(set(lower)) < 5 or any(word in lower for word in known):
        return "password.guessable"
    return None
