"""What second factors look like in JSON."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.users.schemas import Input, Password

Code = Annotated[str, StringConstraints(strip_whitespace=True, min_length=6, max_length=32, pattern=r"^[0-9A-Za-z -]+$")]
"""A one-time code of six digits, or a recovery code."""


class CodeInput(Input):
    """A code of the authenticator."""

    code: Code = Field(examples=["492039"])


class RemovalInput(Input):
    """Takes the authenticator away, or makes its recovery codes anew."""

    password: Password = Field(examples=["seven pumps, two tanks"])
    code: Code = Field(examples=["492039"])
    """A code of it, or a recovery code."""


class FactorState(BaseModel):
    """The caller's second factor."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    password: bool = Field(examples=[True])
    """Whether the account has a password; without one it signs in through the provider, and what is asked there is its affair."""

    authenticator: bool = Field(examples=[True])
    """Whether signing in asks for a code."""
    recovery_codes: int = Field(examples=[10])
    """How many recovery codes are left."""


class AuthenticatorOutput(BaseModel):
    """A new authenticator, to be confirmed with a code. Its secret is told this once."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    secret: str = Field(examples=["JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"])
    """To be typed in where the picture cannot be read."""
    address: str = Field(examples=["otpauth://totp/icsight:lin.wei?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=icsight"])
    picture: list[str] = Field(examples=[["00000", "01110", "00000"]])
    """The address as a QR code: rows of light (0) and dark (1) modules."""


class RecoveryOutput(BaseModel):
    """Recovery codes, told this once. Each takes the place of a code once."""

    codes: list[str] = Field(examples=[["mfxg-2zlt-oruw-c3tf-pm4q-7yda-ke"]])
