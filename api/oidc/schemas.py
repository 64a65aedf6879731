"""What signing in through a provider looks like in JSON."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.users.schemas import Input, SessionState

Place = Annotated[str, StringConstraints(max_length=200, pattern=r"^(#[^\x00-\x1f\x7f]*)?$")]
"""A place in the console: what stands behind `/` in its address. It cannot lead anywhere else."""


class ProviderState(BaseModel):
    """Whether people can sign in through a provider."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str | None = Field(examples=["id.example"])
    """What the provider is called; null where there is none."""


class BeginInput(Input):
    """Begins a sign-in through the provider."""

    place: Place = Field(default="", examples=["#/account"])
    """Where in the console to go on."""


class BegunOutput(BaseModel):
    """Where the browser goes to sign in."""

    address: str = Field(examples=["https://id.example/authorize?client_id=icsight&response_type=code&…"])


class ReturnInput(Input):
    """What the provider has sent the browser back with."""

    state: str = Field(min_length=1, max_length=100, examples=["PbX3nS1kX4qk1q0o0T0mVb1V0cJc5u3fU6kq1mJx0a4"])
    code: str | None = Field(default=None, min_length=1, max_length=2048, examples=["SplxlOBeZQQYbYS6WxSbIA"])
    error: str | None = Field(default=None, max_length=100, examples=[None])
    """The provider's reason, where it sends no code."""
    iss: str | None = Field(default=None, max_length=255, examples=["https://id.example"])
    """Who has sent it (RFC 9207)."""


class ReturnedState(SessionState):
    """The new session."""

    place: str = Field(examples=["#/account"])
    """Where in the console to go on."""
