"""`/api/notifications`: who is told of what beyond this system, by which channels, and what was sent."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response

from api.notification_settings import ChannelName
from api.notifications import content, presentation, service
from api.notifications.collecting import Collecting
from api.notifications.models import NotificationRule
from api.notifications.schemas import (
    ChannelOutput,
    MessageOutput,
    MessagePage,
    MessageQuery,
    RuleContent,
    RuleInput,
    RuleOutput,
)
from api.openapi import problems
from api.problems import Problem
from api.security.access import Caller, Provided, needs
from api.site import service as sites

router = APIRouter(prefix="/api/notifications", tags=["notifications"])

Reader = Annotated[Caller, needs("notification.read")]
Manager = Annotated[Caller, needs("notification.manage")]
Number = Annotated[int, Path(ge=1, le=2**63 - 1, examples=[7])]
Name = Annotated[ChannelName, Path(examples=["shift"])]
IfMatch = Annotated[
    str | None,
    Header(max_length=1024, examples=['"1"'], description="ETag of the rule as the caller saw it; without it 428, else 412."),
]

_DECISION = ("signed_out", "cross_site")
_CHANGE = (*_DECISION, "notification_rule_unknown", "precondition_failed", "precondition_required")


@router.get("", responses=problems("signed_out", "cursor_invalid"))
def messages(query: Annotated[MessageQuery, Query()], caller: Reader, provided: Provided) -> MessagePage:
    """Messages that are to leave, have left, or could not, newest first."""
    del caller
    with provided.database.read() as session:
        found, cursor = service.find(session, query)
        return MessagePage(items=[presentation.message(each) for each in found], next=cursor)


@router.get("/channels", responses=problems("signed_out"))
def channels(caller: Reader, provided: Provided) -> list[ChannelOutput]:
    """The channels that the configuration names, without anything secret."""
    del caller
    return [presentation.channel(name, found) for name, found in provided.channels.items()]


@router.post("/channels/{name}/test", status_code=202, responses=problems(*_DECISION, "channel_unknown"))
def test(name: Name, caller: Manager, response: Response, provided: Provided) -> MessageOutput:
    """Send a message by a channel that only tries it. What came of it is told by `GET /api/notifications/{number}`."""
    if name not in provided.channels:
        raise Problem("channel_unknown", name=name)
    # It belongs to no site; whoever has but some finds it at one of these.
    site = min(caller.sites, default="") if caller.sites is not None else ""
    form = Collecting(provided.channels, provided.settings.address).form(name, "UTC")
    with provided.database.write() as session:
        made = service.test_channel(session, caller.actor, name, site, content.test(form, name))
        shown = presentation.message(made)
    provided.outbox.set()
    response.headers["Location"] = f"/api/notifications/{shown.number}"
    return shown


@router.get("/rules", responses=problems("signed_out"))
def rules(caller: Reader, provided: Provided) -> list[RuleOutput]:
    """All rules, in the order in which they were made; for callers of some sites, those of these."""
    del caller
    with provided.database.read() as session:
        return [presentation.rule(each) for each in service.rules(session)]


@router.post(
    "/rules",
    status_code=201,
    responses=problems(*_DECISION, "notification_unfit", "notification_rules_full", "site_missing", "site_unknown"),
)
def make(body: RuleInput, caller: Manager, response: Response, provided: Provided) -> RuleOutput:
    """Make a rule: of what is told by which channels, in which hours, how often, and by whom else where nobody takes it on.

    What came up before is not told.
    """
    with provided.database.write() as session:
        whole = body.site is None and caller.sites is None
        site = "" if whole else sites.written(session, provided, body.site)
        service.check(session, body, site, provided.channels)
        made = service.make(session, caller.actor, body, site)
        shown = _output(made, response)
    response.headers["Location"] = f"/api/notifications/rules/{shown.number}"
    return shown


@router.get("/rules/{number}", responses=problems("signed_out", "notification_rule_unknown"))
def rule(number: Number, caller: Reader, response: Response, provided: Provided) -> RuleOutput:
    """One rule. The header ETag is what `If-Match` of a change must bring."""
    del caller
    with provided.database.read() as session:
        return _output(service.get(session, number), response)


@router.put("/rules/{number}", responses=problems(*_CHANGE, "notification_unfit"))
def change(
    number: Number, body: RuleContent, caller: Manager, response: Response, provided: Provided, if_match: IfMatch = None
) -> RuleOutput:
    """Let a rule say something else, or nothing for a while (`enabled`). What it brought up stays; the site stays too."""
    with provided.database.write() as session:
        found = service.get(session, number)
        service.check_precondition(found, if_match)
        service.check(session, body, found.site, provided.channels)
        service.change(session, found, body, caller.actor)
        return _output(found, response)


@router.delete("/rules/{number}", status_code=204, responses=problems(*_CHANGE))
def withdraw(number: Number, caller: Manager, provided: Provided, if_match: IfMatch = None) -> None:
    """Take a rule out. What waits because of it is told no more."""
    with provided.database.write() as session:
        found = service.get(session, number)
        service.check_precondition(found, if_match)
        service.withdraw(session, found, caller.actor)


@router.get("/{number}", responses=problems("signed_out", "notification_unknown"))
def message(number: Number, caller: Reader, provided: Provided) -> MessageOutput:
    """One message, and how far it is."""
    del caller
    with provided.database.read() as session:
        return presentation.message(service.message(session, number))


@router.post("/{number}/again", status_code=202, responses=problems(*_DECISION, "notification_unknown", "notification_state"))
def again(number: Number, caller: Manager, provided: Provided) -> MessageOutput:
    """Try a message anew that was given up."""
    with provided.database.write() as session:
        found = service.message(session, number)
        service.again(session, found, caller.actor)
        shown = presentation.message(found)
    provided.outbox.set()
    return shown


def _output(found: NotificationRule, response: Response) -> RuleOutput:
    response.headers["ETag"] = service.etag(found)
    return presentation.rule(found)
