"""What is wrong with a template. Pure."""

from __future__ import annotations


class Fault(Exception):  # noqa: N818 - named for what it tells
    """A template cannot be used.

    Args:
        code: code of the problem that it is answered with.
        values: what the problem's placeholders are filled with.
    """

    def __init__(self, code: str, **values: str) -> None:
        super().__init__(code)
        self.code = code
        self.values = values
