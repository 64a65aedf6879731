"""A check of what PDF files are made with: LibreOffice, and fonts that have Chinese."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final

from api.configuration.checks import PATIENCE_SECONDS, Finding, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

FONTS: Final = ("fc-list", ":lang=zh-cn", "family")
"""What names the fonts that have simplified Chinese (fontconfig)."""


def documents() -> Iterator[Finding]:
    """Whether reports can be made as PDF, with Chinese that can be read. Word files need neither."""
    from api.documents.pdf import PACKAGES, program  # noqa: PLC0415  a gateway has none of this

    found = program()
    if found is None:
        yield warning("documents", "documents.none", packages=PACKAGES)
        return
    try:
        told = subprocess.run(FONTS, capture_output=True, check=False, text=True, timeout=PATIENCE_SECONDS)  # noqa: S603  fixed arguments
    except (OSError, subprocess.TimeoutExpired):
        fonts = ""
    else:
        fonts = told.stdout.strip()
    if fonts:
        yield ok("documents", "documents.made", program=found)
    else:
        yield warning("documents", "documents.fonts", packages=PACKAGES)
