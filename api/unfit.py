"""What is wrong with an input, in words of the catalogue: validators raise it, and callers are told in their language."""

from __future__ import annotations

from typing import Final

from api.texts import text


class Unfit(ValueError):  # noqa: N818 - named for what it says of an input
    """An input does not fit. Its text is in English; `told` says it in another language.

    Args:
        key: names the text `unfit.KEY` of the catalogue.
        values: what fills it.
    """

    def __init__(self, key: str, **values: object) -> None:
        self.key: Final = key
        self.values: Final = values
        super().__init__(self.told("en"))

    def told(self, language: str) -> str:
        """What is wrong, in a language."""
        return text(language, f"unfit.{self.key}", **self.values)
