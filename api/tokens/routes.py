"""`/api/tokens`: tokens that programs call with. A token cannot make or end one: only who is signed in can."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from api.audit import service as audit
from api.openapi import problems
from api.security.access import Caller, Provided, needs
from api.times import iso
from api.tokens import service
from api.tokens.models import ApiToken
from api.tokens.schemas import NewToken, TokenInput, TokenOutput

router = APIRouter(prefix="/api/tokens", tags=["accounts"])

Owner = Annotated[Caller, needs("account.own")]


@router.get("", responses=problems("signed_out"))
def tokens(caller: Owner, provided: Provided) -> list[TokenOutput]:
    """The caller's tokens; with `session.manage` everybody's."""
    with provided.database.read() as session:
        found = [_output(each) for each in service.tokens(session, _own(caller))]
    if _own(caller) is None:
        audit.record_read(provided.database, caller.actor, "token.list", "tokens", {"tokens": len(found)})
    return found


@router.post("", status_code=201, responses=problems("signed_out", "cross_site", "permission_unheld", "tokens_full"))
def make(body: TokenInput, caller: Owner, provided: Provided) -> NewToken:
    """Make a token. It is answered this once; whoever loses it makes another."""
    with provided.database.write() as session:
        made, text = service.make(session, caller.actor, caller.user_id, caller.permissions, body)
        return NewToken(**_output(made).model_dump(), token=text)


@router.delete("/{token_id}", status_code=204, responses=problems("signed_out", "cross_site", "token_unknown"))
def revoke(token_id: Annotated[str, Path(max_length=32)], caller: Owner, provided: Provided) -> None:
    """End a token of the caller's; with `session.manage` anybody's."""
    with provided.database.write() as session:
        service.revoke(session, caller.actor, token_id, _own(caller))


def _own(caller: Caller) -> int | None:
    return None if caller.may("session.manage") else caller.user_id


def _output(each: ApiToken) -> TokenOutput:
    return TokenOutput(
        id=each.id, user=each.user.name, name=each.name, permissions=each.permissions, created_at=iso(each.created_at),
        expires_at=iso(each.expires_at), used_at=None if each.used_at is None else iso(each.used_at),
    )  # fmt: skip
