"""How a bundle is asked for, and what it looks like."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.sharing.markings import Tlp
from api.sharing.masking import MASKED, Masked


class ShareInput(BaseModel):
    """What is masked, and who may read it."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    mask: Annotated[list[Masked], Field(max_length=len(MASKED))] = Field(
        default=list(MASKED), examples=[["addresses", "names", "people", "texts"]]
    )
    """addresses: pseudonyms. names: of devices, sites, zones, sensors and the organisation, and the sentences of alerts, which
    may name anything. people: accounts and who is named as a person. texts: what people wrote is left out. Without it, all."""
    tlp: Tlp = Field(default="amber", examples=["amber"])
    """Traffic light protocol 2.0: who may read it."""


class StixBundle(BaseModel):
    """A STIX 2.1 bundle (OASIS), whole; its form is the standard's."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)

    type: Literal["bundle"] = Field(examples=["bundle"])
    id: str = Field(examples=["bundle--44af6c39-c09b-49c5-9de2-394224b04982"])
    objects: list[dict[str, Any]] = Field(examples=[[]])
