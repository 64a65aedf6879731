"""Templates that a plant brought, and documents of reports that were approved."""

from __future__ import annotations

from typing import Literal

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from api.database import Base, Number
from api.database.scope import KeyedByOrganisation, OfOrganisation

Language = Literal["en", "zh-CN"]
"""Language of a document."""

Form = Literal["docx", "pdf"]
"""What kind of file a document is."""


class ReportTemplate(KeyedByOrganisation, Base):
    """A template that a plant brought; it takes the place of one of the product."""

    __tablename__ = "report_template"

    key: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    """`report`, `summary`, or the key of the rule whose reports it is for."""
    language: Mapped[str] = mapped_column(sa.String(8), primary_key=True)
    version: Mapped[int]
    """Rises each time that it is brought anew."""
    name: Mapped[str] = mapped_column(sa.String(200))
    sha256: Mapped[str] = mapped_column(sa.String(64))
    content: Mapped[str] = mapped_column(sa.Text())
    """The Word file, in Base64."""
    withdrawn: Mapped[bool]
    """Whether it is in force no more. Its version goes on: what was seen of it never is that of another."""
    changed_by: Mapped[str] = mapped_column(sa.String(64))
    changed_at: Mapped[int]


class ReportDocument(OfOrganisation, Base):
    """A document of a report as it was approved: made once for each form and language, and kept."""

    __tablename__ = "report_document"

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    obligation: Mapped[int] = mapped_column(index=True)
    approved_at: Mapped[int]
    """Of which approval it is."""
    form: Mapped[str] = mapped_column(sa.String(8))
    language: Mapped[str] = mapped_column(sa.String(8))
    template: Mapped[str] = mapped_column(sa.String(64))
    """SHA-256 of the template that it was made from."""
    sha256: Mapped[str] = mapped_column(sa.String(64))
    content: Mapped[str] = mapped_column(sa.Text())
    """The file, in Base64."""
    made_by: Mapped[str] = mapped_column(sa.String(64))
    made_at: Mapped[int]
