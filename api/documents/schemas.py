"""What templates and documents look like in JSON."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.documents.models import Form, Language
from api.documents.package import FILE_BYTES
from api.incidents.schemas import Key, Short

ENCODED_CHARACTERS: int = (FILE_BYTES + 2) // 3 * 4
"""Longest text of a file in Base64."""


class TemplateInput(BaseModel):
    """A template that a plant brings."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    key: Key = Field(examples=["cac-first"])
    """`report` for all reports, `summary`, or the key of the rule whose reports it is for."""
    language: Language = Field(examples=["zh-CN"])
    """Language of the documents that it is for."""
    name: Short = Field(examples=["首次报告（2026版）.docx"])
    """What people call it."""
    content: Annotated[str, StringConstraints(max_length=ENCODED_CHARACTERS)] = Field(examples=["UEsDBBQAAAAIAA=="])
    """The Word file (.docx), in Base64: at most 2 MiB of it."""


class TemplateOutput(BaseModel):
    """A template."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    key: str = Field(examples=["cac-first"])
    language: Language = Field(examples=["zh-CN"])
    origin: Literal["product", "plant"] = Field(examples=["plant"])
    version: int = Field(examples=[1])
    """Rises each time that it is brought anew; the ETag that a change must bring. 0: the product's."""
    name: str | None = Field(default=None, examples=["首次报告（2026版）.docx"])
    sha256: str | None = Field(default=None, examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"])
    changed_by: str | None = Field(default=None, examples=["chen.yu"])
    changed_at: str | None = Field(default=None, examples=["2026-11-23T08:14:00.000000000Z"])


class DocumentOutput(BaseModel):
    """A document of a report as it was approved, that is kept."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    format: Form = Field(examples=["pdf"])
    language: Language = Field(examples=["zh-CN"])
    sha256: str = Field(examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"])
    template_sha256: str = Field(examples=["60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"])
    """Of the template that it was made from."""
    made_by: str = Field(examples=["lin.wei"])
    made_at: str = Field(examples=["2026-11-23T08:40:00.000000000Z"])
    sent: bool = Field(examples=[True])
    """Whether it is what was submitted, as whoever submitted it says."""
