"""HTTPS to others, with certificates checked as the configuration says and nothing taken from the environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter

if TYPE_CHECKING:
    import ssl

    import requests


class Adapter(HTTPAdapter):
    """Checks certificates as a context says, not against what a package brings."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *given: Any, **options: Any) -> None:
        """Make the pool of connections, with the context."""
        super().init_poolmanager(*given, **options, ssl_context=self._context)  # pyright: ignore[reportUnknownMemberType]

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """The context has all of it."""


def closed_in(session: requests.Session, adapter: Adapter) -> None:
    """Let a session speak HTTPS alone, with neither proxies, authorities nor passwords from the environment."""
    session.trust_env = False
    session.adapters.clear()
    session.mount("https://", adapter)
