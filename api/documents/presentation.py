"""Templates and kept documents as the API shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.documents import service
from api.documents.schemas import DocumentOutput, TemplateOutput
from api.texts import LANGUAGES
from api.times import iso

if TYPE_CHECKING:
    from collections.abc import Sequence

    from api.documents.models import ReportDocument, ReportTemplate
    from api.obligations.models import Obligation


def templates(stored: Sequence[ReportTemplate]) -> list[TemplateOutput]:
    """The plant's templates, and the product's where there is none of the plant."""
    own = {(each.key, each.language) for each in stored}
    ours = [(key, language) for key in (service.REPORT, service.SUMMARY) for language in LANGUAGES]
    shown = [
        TemplateOutput.model_validate({"key": key, "language": language, "origin": "product", "version": 0})
        for key, language in ours
        if (key, language) not in own
    ]
    return sorted([*shown, *map(template, stored)], key=lambda each: (each.key, each.language))


def template(stored: ReportTemplate) -> TemplateOutput:
    """A template of the plant."""
    names = ("key", "language", "version", "name", "sha256", "changed_by")
    shown = {name: getattr(stored, name) for name in names}
    return TemplateOutput.model_validate({**shown, "origin": "plant", "changed_at": iso(stored.changed_at)})


def documents(kept: Sequence[ReportDocument], found: Obligation) -> list[DocumentOutput]:
    """Documents of a report that are kept."""
    return [
        DocumentOutput.model_validate(
            {
                "format": each.form, "language": each.language, "sha256": each.sha256, "template_sha256": each.template,
                "made_by": each.made_by, "made_at": iso(each.made_at), "sent": each.sha256 == found.document,
            }
        )
        for each in kept
    ]  # fmt: skip
