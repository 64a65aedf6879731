"""What sites, sensors and epochs may be called.

Everything that keeps a name takes what is told here: a spool, the header of a message, a database's columns. A name that comes
from elsewhere is held against it where it enters the process, so that nothing behind that can stumble over it.
"""

from __future__ import annotations

import unicodedata
from typing import Final

NAME_BYTES: Final = 255
"""Most bytes of a name of a site, a sensor, an epoch or a table in UTF-8: a spool's frame has one byte for the length."""

_CONTROLS: Final = frozenset({"Cc", "Zl", "Zp"})
"""Categories of characters that are none of a name: controls (PostgreSQL keeps no NUL) and ends of lines."""


def fault(name: str) -> str:
    """What is wrong with a name, to be read behind it; empty where it can be one."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "is no text"
    if size > NAME_BYTES:
        return f"has {size} bytes, more than {NAME_BYTES}"
    if not name.isprintable() and any(unicodedata.category(letter) in _CONTROLS for letter in name):
        return "has control characters"
    return "" if name.strip() else "is empty"


def fault_of_epoch(name: str) -> str:
    """As `fault`, of an epoch. It has no "/": a record is `sensor/epoch/sequence/row`, and a sensor's name may have some."""
    return fault(name) or ("has a /" if "/" in name else "")


def fault_to_people(name: str) -> str:
    """As `fault`, of a name that is given anew: people must be able to read it. What has been in use is held to `fault` alone."""
    return fault(name) or ("" if name.isprintable() else "cannot be read by people: it has characters that are not seen")
