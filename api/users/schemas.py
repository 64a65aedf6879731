"""What accounts and sessions look like in JSON."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from api.audit.service import MACHINE, SYSTEM
from api.database.scope import SITE_CHARACTERS
from api.security.permissions import Permission, Role
from api.unfit import Unfit
from api.users.service import normalise

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]
NAME_CHARACTERS: Final = 64
"""Longest name of an account, as it is stored."""


def _new_name(name: str) -> str:
    """A name that an account may be given. Raises ValueError."""
    stored = normalise(name)
    if not 0 < len(stored) <= NAME_CHARACTERS:
        raise Unfit("name_long", most=NAME_CHARACTERS)
    if stored == SYSTEM or stored.startswith("token ") or stored.endswith(MACHINE):
        raise Unfit("name_taken")
    return name


NewName = Annotated[Name, AfterValidator(_new_name)]
Site = Annotated[str, StringConstraints(max_length=SITE_CHARACTERS, pattern=r"^[^\x00-\x1f\x7f]*$")]
Sites = Annotated[list[Site], Field(min_length=1, max_length=200)]
Bytes = Annotated[str, StringConstraints(min_length=1, max_length=12_000, pattern=r"^[A-Za-z0-9_-]+$")]
"""Bytes as base64url without padding, as browsers write them."""
Password = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class Input(BaseModel):
    """Body of a request: a field that is not known is an error, not ignored."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class SetupInput(Input):
    """Creates the first account."""

    token: str = Field(min_length=1, max_length=100, examples=["nq2m3PpG0r9zq0o0T0mVb1V0cJc5u3fU6kq1mJx0a4E"])
    """Token of the setup link."""
    name: NewName = Field(examples=["lin.wei"])
    password: Password = Field(examples=["seven pumps, two tanks"])


class AssertionInput(Input):
    """What an authenticator has signed."""

    id: Bytes = Field(examples=["ZoIKP1JQvKdrYj1bTUPJ2eTUsbLeFkv-X5xJQNr4k6s"])
    """What it calls the passkey."""
    client_data: Bytes = Field(examples=["eyJ0eXBlIjoid2ViYXV0aG4uZ2V0In0"])
    authenticator_data: Bytes = Field(examples=["SZYN5YgOjGh0NBcPZHZgW4_krrmihjLHmVzzuoMdl2MFAAAAAQ"])
    signature: Bytes = Field(examples=["MEUCIQDKg1kTY1Y7vXtZwG1x"])


class ProofInput(Input):
    """Shows who is there: a session alone must not change how its account signs in."""

    password: Password = Field(examples=["seven pumps, two tanks"])
    code: Annotated[str, StringConstraints(max_length=32)] | None = Field(default=None, examples=["492039"])
    """A code of the account's authenticator, or a recovery code, where the account has one."""
    passkey: AssertionInput | None = Field(default=None, examples=[None])
    """What a passkey of the account has signed, in place of a code."""


class SignInInput(ProofInput):
    """Signs in with a local account."""

    name: Name = Field(examples=["lin.wei"])


class PasswordChange(ProofInput):
    """Gives the caller's own account another password. `password` is the one that it has."""

    new_password: Password = Field(examples=["eight valves, one spare"])


class RightsInput(Input):
    """What an account is for."""

    role: Role = Field(examples=["operator"])
    sites: Sites | None = Field(default=None, examples=[["waterworks"]])
    """Names of the sites that it is limited to; null for all of the organisation."""


class UserInput(RightsInput):
    """Creates a further account. Its owner chooses the password, by the link in the answer."""

    name: NewName = Field(examples=["chen.jie"])


class LinkUse(Input):
    """Chooses the password of the account of a link."""

    token: str = Field(min_length=1, max_length=100, examples=["nq2m3PpG0r9zq0o0T0mVb1V0cJc5u3fU6kq1mJx0a4E"])
    """Token of the link."""
    password: Password = Field(examples=["morning shift, line 4"])


class SetupState(BaseModel):
    """Whether the first account is still to be made."""

    needed: bool = Field(examples=[False])


class SessionState(BaseModel):
    """The caller's session."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str = Field(examples=["lin.wei"])
    role: Role = Field(examples=["operator"])
    sites: list[str] | None = Field(examples=[["waterworks"]])
    """The sites that the account is limited to; null for all."""
    permissions: list[Permission] = Field(examples=[["account.own", "alert.read"]])
    """What the caller may do."""
    for_tokens: list[Permission] = Field(examples=[["alert.read"]])
    """What of it a token can be given."""
    csrf_token: str = Field(examples=["0f5c6b1a9f3a4f6fb1e07f8e8c3f5a1dd8f0f1a6d9f6c3b6a1f0e9d8c7b6a5f4"])
    """To be sent as the header `X-CSRF-Token` with every change."""


class SessionOutput(BaseModel):
    """A session in a list."""

    id: str = Field(examples=["5f0c1d2e3a4b5c6d"])
    user: str = Field(examples=["lin.wei"])
    created_at: str = Field(examples=["2026-11-23T08:00:00.000000000Z"])
    seen_at: str = Field(examples=["2026-11-23T09:12:00.000000000Z"])
    address: str = Field(examples=["127.0.0.1"])
    agent: str = Field(examples=["Mozilla/5.0"])
    current: bool = Field(examples=[True])


class UserOutput(BaseModel):
    """An account."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: int = Field(examples=[1])
    name: str = Field(examples=["lin.wei"])
    role: Role = Field(examples=["administrator"])
    sites: list[str] | None = Field(examples=[None])
    """The sites that it is limited to; null for all."""
    version: int = Field(examples=[1])
    """Rises with each decision about it: `"1"` is the entity tag that a change must bring."""
    created_at: str = Field(examples=["2026-11-23T08:00:00.000000000Z"])
    disabled: bool = Field(examples=[False])
    password: bool = Field(examples=[True])
    """Whether it has a password."""
    provider: bool = Field(examples=[False])
    """Whether it signs in through the provider, which decides on its role and sites."""
    link_until: str | None = Field(default=None, examples=[None])
    """Until when the link can be used by which its owner chooses its password; null where none waits to be used."""
    second_factor: bool = Field(examples=[True])
    """Whether signing in asks for a code besides the password."""
    locked_until: str | None = Field(default=None, examples=[None])
    """Until when it has to wait after failed sign-ins; null where it may sign in."""


class LinkOutput(BaseModel):
    """A one-time link by which the owner of an account chooses its password. It is told once."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    path: str = Field(examples=["/password#name=chen.jie&token=nq2m3PpG0r9zq0o0T0mVb1V0cJc5u3fU6kq1mJx0a4E"])
    """What follows the address of the server. What stands behind the `#` is sent to no server."""
    expires_at: str = Field(examples=["2026-11-24T08:00:00.000000000Z"])


class InvitedOutput(UserOutput):
    """A new account, and the link for its owner."""

    link: LinkOutput


class LinkUsed(BaseModel):
    """Whose password was chosen."""

    name: str = Field(examples=["chen.jie"])
