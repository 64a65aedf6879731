"""Handover notes as the API shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.handovers.schemas import Content, HandoverItem, HandoverOutput
from api.times import iso

if TYPE_CHECKING:
    from api.handovers.models import Handover


def item(found: Handover) -> HandoverItem:
    """A note as it stands in a list."""
    return HandoverItem.model_validate(_item(found))


def output(found: Handover, language: str) -> HandoverOutput:
    """A note."""
    content = Content.model_validate(found.content[language])
    return HandoverOutput.model_validate({**_item(found), "remarks": found.remarks, "content": content})


def _item(found: Handover) -> dict[str, Any]:
    names = ("id", "version", "state", "changed_by", "handed_by", "taken_by", "taken_note")
    return {
        **{name: getattr(found, name) for name in names},
        "site": found.site or None,
        "since": iso(found.since),
        "at": iso(found.content_at),
        "handed_at": None if found.handed_at is None else iso(found.handed_at),
        "taken_at": None if found.taken_at is None else iso(found.taken_at),
    }
