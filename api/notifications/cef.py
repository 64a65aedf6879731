"""Notices as collectors of events read them: CEF in messages of RFC 5424, framed as RFC 5425 has it. Pure.

CEF: ArcSight Common Event Format, version 0 (Implementing ArcSight CEF, revision 25).
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from api.notifications.content import one_line
from api.times import NANOSECONDS, parse
from sensor import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from api.notifications.content import Content, Item

FACILITY: Final = 13
"""Log audit (RFC 5424, 6.2.1)."""

SYSLOG: Final = {"critical": 2, "high": 3, "medium": 4, "low": 5, "informational": 6}
"""Severity of the frame, by the notice's."""

CEF: Final = {"critical": 10, "high": 8, "medium": 5, "low": 3, "informational": 1}
"""Severity of the event, by the notice's."""

BOM: Final = b"\xef\xbb\xbf"
"""Says that what follows is UTF-8 (RFC 5424, 6.4)."""


def frames(content: Content, key: str, site: str, host: str, made_at: int) -> Iterator[bytes]:
    """The frames of a message: one for each notice, or that of a test."""
    for place, item in enumerate(content["items"]):
        yield _frame(_event(item, f"{key}-{place}", site), SYSLOG[item["urgency"]], "notice", host, made_at)
    if not content["items"]:
        fields = {"externalId": key, "rt": str(made_at // 1_000_000), "msg": " ".join(content["lines"])}
        yield _frame(_cef("test", content["title"], 0, fields), 6, "test", host, made_at)


def _event(item: Item, key: str, site: str) -> str:
    told = item["told"]
    fields = {
        "externalId": item["subject"],
        "rt": str(parse(item["at"]) // 1_000_000),
        "cat": item["kind"],
        "act": item["why"],
        "msg": item["line"],
        "src": told.get("client", ""),
        "dst": told.get("server", ""),
        "cnt": str(told.get("count", "")),
        "request": told.get("link", ""),
        "cs1Label": "site", "cs1": site,
        "cs2Label": "occasion", "cs2": item["occasion"],
        "cs3Label": "key", "cs3": key,
    }  # fmt: skip
    return _cef(str(told.get("rule", item["kind"])), told["what"], CEF[item["urgency"]], fields)


def _cef(signature: str, name: str, severity: int, fields: Mapping[str, str]) -> str:
    head = "|".join(_head(each) for each in ("icsight", "icsight", __version__, signature, name, str(severity)))
    return f"CEF:0|{head}|{' '.join(f'{name}={_value(value)}' for name, value in fields.items() if value)}"


def _head(value: str) -> str:
    """A field of the header: no line breaks, and what separates fields is escaped."""
    return one_line(value).replace("\\", "\\\\").replace("|", "\\|")


def _value(value: str) -> str:
    """A value of the extension: what separates values is escaped; it has nothing that ends a line, or a text elsewhere."""
    return one_line(value).replace("\\", "\\\\").replace("=", "\\=")


def _frame(event: str, severity: int, kind: str, host: str, made_at: int) -> bytes:
    seconds, rest = divmod(made_at, NANOSECONDS)
    stamp = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"
    name = "".join(each for each in host if "!" <= each <= "~")[:255] or "-"
    head = f"<{FACILITY * 8 + severity}>1 {stamp} {name} icsight {os.getpid()} {kind} - "
    frame = head.encode() + BOM + event.encode()
    return f"{len(frame)} ".encode() + frame
