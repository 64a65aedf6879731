"""Addresses as people write them, in the form in which records have them."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from api.unfit import Unfit

_HARDWARE: Final = re.compile(r"[0-9a-f]{12}")


def normal(text: str) -> str:
    """An address of a network (RFC 5952, a prefix length is left off) or of hardware (lower case with colons).

    Raises ValueError where it is neither.
    """
    plain = text.strip()
    digits = re.sub(r"[:.\-]", "", plain.lower())
    if _HARDWARE.fullmatch(digits) and (plain.count(":") in {0, 5}) and plain.count(".") in {0, 2}:
        return ":".join(digits[place : place + 2] for place in range(0, 12, 2))
    try:
        return str(ipaddress.ip_address(plain.split("/")[0]))
    except ValueError:
        raise Unfit("address", given=repr(plain[:60])) from None


def is_hardware(address: str) -> bool:
    """Whether a normal address is one of hardware."""
    return address.count(":") == 5 and len(address) == 17
