"""Passkeys as they come in with a request and are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.passkeys.schemas import PasskeyOutput
from api.passkeys.service import Party, Shown
from api.security.access import origin_of
from api.security.browsers import browser_of
from api.times import iso

if TYPE_CHECKING:
    from fastapi import Request

    from api.passkeys.models import Passkey
    from api.services import Services
    from api.users.schemas import AssertionInput


def party(request: Request, provided: Services, holder: str) -> Party:
    """For whom authenticators sign that this request asks."""
    return Party(origin_of(request, provided.settings), holder)


def shown(request: Request, provided: Services, given: AssertionInput | None) -> Shown | None:
    """The passkey that a browser shows; None where it shows none."""
    if given is None:
        return None
    return Shown(given, party(request, provided, browser_of(request, encrypted=provided.settings.encrypted)))


def output(each: Passkey) -> PasskeyOutput:
    """A passkey, as its owner sees it."""
    return PasskeyOutput(
        id=each.id, name=each.name, created_at=iso(each.created_at), used_at=None if each.used_at is None else iso(each.used_at)
    )
