"""The secrets that this process has been told, so that whatever it writes can be kept free of them."""

from __future__ import annotations

from typing import Final

MASK: Final = "********"
"""What stands where a secret would."""

LEAST: Final = 4
"""Shorter secrets are not looked for: they are part of every other word."""

_told: Final[set[str]] = set()


def remember(secret: str) -> str:
    """Never show this from now on; returns it."""
    if len(secret) >= LEAST:
        _told.add(secret)
    return secret


def redacted(text: str) -> str:
    """Text without the secrets that the process knows."""
    for secret in sorted(_told, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text
