"""An OpenID provider (`openid/provider.mjs`): accounts, clients and keys are set while it runs."""

from __future__ import annotations

import json
import re
import signal
import ssl
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx
from joserfc.jwk import RSAKey

from api.oidc_settings import OidcSettings
from tests.services import packages
from tests.services.certificates import Authority
from tests.services.process import READY_SECONDS, Process, Service, ServiceError, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SECRET: Final = "of-the-tests-client-secret-0123456789"

CLIENT: Final = "icsight"

OTHER_CLIENT: Final = "history"
"""Another client of the same provider."""


class OpenIdProvider(Service):
    """A provider with its configuration in a folder."""

    def __init__(self, folder: Path, *, owner: int | None = None) -> None:
        super().__init__(folder)
        self._owner = owner
        self.port: Final = free_port()
        self.issuer: Final = f"https://localhost:{self.port}"
        authority = Authority(folder / "authority")
        self.ca_file: Final = authority.file
        certificate, key = authority.issue("provider")
        self._told: dict[str, Any] = {
            "issuer": self.issuer, "port": self.port, "certificate": str(certificate), "key": str(key), "generation": 0,
            "clients": [], "accounts": {}, "keys": [new_key("first")],
        }  # fmt: skip
        self._write()

    def begin(self) -> Process:
        """Its process."""
        command = [str(packages.node()), str(packages.OPENID / "provider.mjs"), str(packages.openid()), str(self._file)]
        return Process(command, self.folder / "log", owner=self._owner)

    def ask(self) -> None:
        """Ask for its document."""
        self.browser().get(f"{self.issuer}/.well-known/openid-configuration").raise_for_status()

    def configure(self, **told: Any) -> None:
        """Change accounts (claims by name), keys or clients, and wait until it works with them."""
        self._told.update(told, generation=self._told["generation"] + 1)
        self._write()
        assert self.process is not None
        self.process.send(signal.SIGHUP)
        until = time.monotonic() + READY_SECONDS
        while self.browser().get(f"{self.issuer}/generation").text != str(self._told["generation"]):
            if time.monotonic() > until:
                raise ServiceError(f"does not take its configuration:\n{self.process.tail()}")
            time.sleep(0.02)

    def serves(self, url: str, accounts: Mapping[str, Mapping[str, Any]], **client: Any) -> None:
        """Serve a system at an address, and another one, for these accounts; a name is the subject too where none is given."""
        clients = [
            {"client_id": name, "client_secret": SECRET, "redirect_uris": [f"{url}/sign-in/oidc"], **client}
            for name in (CLIENT, OTHER_CLIENT)
        ]
        whole = {name: {"sub": name, "preferred_username": name, **claims} for name, claims in accounts.items()}
        self.configure(clients=clients, accounts=whole)

    def rotate(self, name: str) -> None:
        """Sign with a new key, and forget the one before."""
        self.configure(keys=[new_key(name)])

    def settings(self, **given: Any) -> OidcSettings:
        """How a system signs people in through it."""
        roles = {"shift": "operator", "office": "viewer", "root": "administrator"}
        values: dict[str, Any] = {
            "issuer": self.issuer, "client_id": CLIENT, "client_secret": SECRET, "ca_file": self.ca_file,
            "scopes": ("openid", "profile", "groups"), "roles": roles,
        }  # fmt: skip
        return OidcSettings(**(values | given))

    def browser(self) -> httpx.Client:
        """A browser, with cookies of its own."""
        return httpx.Client(verify=ssl.create_default_context(cafile=self.ca_file), timeout=30)

    def sign_in(self, address: str, name: str, browser: httpx.Client | None = None) -> dict[str, str]:
        """Go where a sign-in begins, and sign in by name; returns what the browser is sent back with."""
        browser = browser or self.browser()
        answer = browser.get(address)
        for _ in range(10):
            if answer.is_redirect:
                target = urljoin(str(answer.url), answer.headers["Location"])
                if not target.startswith(self.issuer):
                    return dict(parse_qsl(urlsplit(target).query))
                answer = browser.get(target)
            else:
                # Its own form has an action and hidden fields: it ends the session of whoever was there before.
                action = re.search(r'<form[^>]* action="([^"]+)"', answer.text)
                hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', answer.text)
                target = str(answer.url) if action is None else urljoin(str(answer.url), action[1])
                answer = browser.post(target, data=dict(hidden) if action else {"name": name})
        raise AssertionError(answer.text)

    @property
    def _file(self) -> Path:
        return self.folder / "configuration.json"

    def _write(self) -> None:
        draft = self._file.with_suffix(".new")
        draft.write_text(json.dumps(self._told), encoding="utf-8")
        draft.replace(self._file)


def new_key(name: str) -> dict[str, Any]:
    """A key that signs."""
    return RSAKey.generate_key(2048, {"kid": name, "use": "sig", "alg": "RS256"}).as_dict(private=True)
