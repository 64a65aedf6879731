"""What passkeys look like in JSON. Bytes are base64url without padding, as browsers write them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from api.users.schemas import Bytes, Input, Name


class RegistrationInput(Input):
    """What an authenticator says of a new passkey."""

    name: Name = Field(examples=["blue key"])
    """What its owner calls it."""
    id: Bytes = Field(examples=["ZoIKP1JQvKdrYj1bTUPJ2eTUsbLeFkv-X5xJQNr4k6s"])
    client_data: Bytes = Field(examples=["eyJ0eXBlIjoid2ViYXV0aG4uY3JlYXRlIn0"])
    attestation: Bytes = Field(examples=["o2NmbXRkbm9uZWdhdHRTdG10oGhhdXRoRGF0YVik"])


class BeginInput(Input):
    """Asks for a challenge to sign in with."""

    alone: bool = Field(default=True, examples=[True])
    """Whether the passkey is to be all that is shown, so that the authenticator must verify who holds it; else a password was."""


class OptionsOutput(BaseModel):
    """What a browser is given to ask the authenticator with."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    options: dict[str, Any] = Field(examples=[{"challenge": "ZoIKP1JQvKdrYj1bTUPJ2eTUsbLeFkv", "rpId": "icsight.example"}])
    """As `PublicKeyCredential.parseCreationOptionsFromJSON` and `parseRequestOptionsFromJSON` read it."""


class PasskeyOutput(BaseModel):
    """A passkey."""

    id: str = Field(examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"])
    name: str = Field(examples=["blue key"])
    created_at: str = Field(examples=["2026-11-23T08:00:00.000000000Z"])
    used_at: str | None = Field(examples=[None])
