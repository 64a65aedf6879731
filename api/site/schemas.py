"""What sites look like in JSON."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class SiteOutput(BaseModel):
    """A site."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str = Field(examples=["waterworks"])
    """What it is called; empty where it has no name."""
