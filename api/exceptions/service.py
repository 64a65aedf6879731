"""Exceptions that people make: looked at before, written with who and why, and sent to detection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from sqlalchemy.exc import IntegrityError

from api.alerts.models import Alert
from api.alerts.tuning import Hidden, hidden_by
from api.audit import service as audit
from api.baseline.service import COMMAND
from api.database import row_of
from api.decisions import service as decisions
from api.exceptions.models import SiteException
from api.problems import Problem
from api.site import service as site
from api.times import now
from detection.exceptions import Change
from detection.tuning import EXCEPTIONS, Exemption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from api.audit.service import Actor
    from api.exceptions.schemas import Decided, OfSite, Scope
    from api.services import Services

ACTIONS: Final[Mapping[str, str]] = {"except": "make", "withdraw": "withdraw"}
"""What the audit trail calls a decision that was not taken here."""

TRIED: Final = "preview"
"""Name, reason and person of an exception that is only looked at."""


def exemption(scope: Scope, name: str = TRIED, reason: str = TRIED, by: str = TRIED) -> Exemption:
    """The exception of an input. Raises RequestValidationError where it makes no sense."""
    fields = scope.model_dump(include={"kind", "rules", "clients", "servers", "target", "start", "end"})
    try:
        return Exemption.model_validate({**fields, "name": name, "reason": reason, "by": by})
    except ValidationError as error:
        raise RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in error.errors()]) from error


def check_seen(session: Session, proposed: Exemption, site_name: str, seen: int) -> Hidden:
    """What it would have hidden at a site. Raises Problem `exception_hides_more` where that is more than the person saw."""
    found = hidden_by(session, proposed, site_name)
    if len(found.alerts) > seen:
        raise Problem("exception_hides_more", hides=len(found.alerts), seen=seen)
    return found


def get(session: Session, name: str) -> SiteException:
    """An exception that people made. Raises Problem `exception_unknown`."""
    stored = row_of(session, SiteException, name)
    if stored is None:
        raise Problem("exception_unknown", name=name)
    return stored


def check_precondition(stored: SiteException, if_match: str | None) -> None:
    """Whether a change was made on what it is now. Raises Problem `precondition_required` or `precondition_failed`."""
    if if_match is None:
        raise Problem("precondition_required")
    if etag(stored) not in [tag.strip() for tag in if_match.split(",")] and if_match.strip() != "*":
        raise Problem("precondition_failed", by=stored.changed_by)


def etag(stored: SiteException) -> str:
    """The entity tag of an exception: its version."""
    return f'"{stored.version}"'


def make(session: Session, made: Exemption, actor: Actor, site_name: str, alert_id: str | None = None) -> SiteException:
    """Make an exception of a site; one that was withdrawn, or has ended, makes room for it.

    Raises Problem `exception_taken` where another has its name, `exceptions_full` where there are too many.
    """
    of_file = site.in_force(session, site_name).exceptions
    stored = row_of(session, SiteException, made.name)
    if made.name in {each.name for each in of_file} or (stored is not None and _holds(stored)):
        raise Problem("exception_taken", name=made.name)
    _check_room(session, site_name)
    if stored is None:
        stored = SiteException(name=made.name, version=0)
        session.add(stored)
    stored.site, stored.alert_id = site_name, alert_id
    try:
        return _change(session, stored, made, actor, ("exception.make", {"alert": alert_id}))
    except IntegrityError as error:
        # Another site has an exception of that name, which the session does not see.
        raise Problem("exception_taken", name=made.name) from error


def change(session: Session, stored: SiteException, changed: Exemption, actor: Actor) -> SiteException:
    """Put another scope, reason or end in the place of an exception's.

    Raises Problem `exception_withdrawn`; `exceptions_full` where one that has ended would hold again and there are too many.
    """
    if stored.withdrawn:
        raise Problem("exception_withdrawn", name=stored.name)
    if not _holds(stored):
        _check_room(session, stored.site)
    return _change(session, stored, changed, actor, ("exception.change", {"before": stored.content}))


def withdraw(session: Session, stored: SiteException, actor: Actor, reason: str) -> SiteException:
    """Take an exception back. Raises Problem `exception_withdrawn`."""
    if stored.withdrawn:
        raise Problem("exception_withdrawn", name=stored.name)
    stored.withdrawn = True
    return _decide(
        session, stored, Change("withdraw", stored.name, actor.name), actor, ("exception.withdraw", {"reason": reason})
    )


def adopt(session: Session, taken: Sequence[Change], site_name: str) -> None:
    """Write down what detection has taken up at a site, and is not known here: left by hand, or before the database was restored.

    What it has not taken up comes after, and is left as it is.
    """
    new = decisions.take_up(session, taken)
    waiting = decisions.waiting(session)
    for change in new:
        said = None if change.exemption is None else change.exemption.model_dump(mode="json", exclude_defaults=True)
        decisions.leave(session, change, site_name, taken=True)
        actor = audit.Actor(change.by[:64], COMMAND)
        audit.record(
            session, actor, f"exception.{ACTIONS[change.choice]}", change.name, {} if said is None else {"exception": said}
        )
    # What was decided last of a name is what holds.
    for name, change in {change.name: change for change in taken}.items():
        stored = row_of(session, SiteException, name)
        if stored is not None and (stored.decision == change.id or stored.decision in waiting):
            continue
        if stored is not None and stored.site != site_name and change.at <= stored.changed_at:
            # Told late, by a site that had the name before: the name is another's now.
            continue
        if change.exemption is not None:
            content = change.exemption.model_dump(mode="json", exclude_defaults=True)
            if stored is None:
                stored = SiteException(name=name, version=0)
                session.add(stored)
            stored.site, stored.content = site_name, content
        if stored is None:
            continue
        stored.withdrawn = change.exemption is None
        stored.version += 1
        stored.changed_by, stored.changed_at, stored.decision = change.by[:64], change.at, change.id
    session.flush()


def given(decided: Decided, name: str, by: str) -> Exemption:
    """The exception that a person decided on. Raises RequestValidationError."""
    return exemption(decided, name, decided.reason, by)


def site_of(session: Session, services: Services, asked: OfSite) -> str:
    """The site that an exception is meant for: that of its alert, else the one that is named, or the only one.

    Raises Problem `alert_unknown`, `site_unknown`, `site_missing`.
    """
    if asked.alert is None:
        return site.meant(session, services, asked.site)
    alert = row_of(session, Alert, asked.alert)
    if alert is None:
        raise Problem("alert_unknown", id=asked.alert)
    if asked.site not in {None, alert.site}:
        raise Problem("site_unknown", site=asked.site)
    return alert.site


def hidden_now(session: Session) -> dict[tuple[str, str], int]:
    """How many alerts each exception hides, by site and name."""
    found = sa.select(Alert.site, Alert.exception, sa.func.count()).where(Alert.exception.is_not(None))
    rows = session.execute(found.group_by(Alert.site, Alert.exception))
    return {(str(site_name), str(name)): int(count) for site_name, name, count in rows}


def _check_room(session: Session, site_name: str) -> None:
    """Whether one more exception can hold at a site. Raises Problem `exceptions_full`."""
    standing = sum(_holds(each) for each in session.scalars(sa.select(SiteException).where(SiteException.site == site_name)))
    if standing + len(site.in_force(session, site_name).exceptions) >= EXCEPTIONS:
        raise Problem("exceptions_full", most=EXCEPTIONS)


def _holds(stored: SiteException) -> bool:
    return not stored.withdrawn and Exemption.model_validate(stored.content).span[1] > now()


Told = tuple[str, Mapping[str, Any]]
"""What the audit trail tells of a change: the action, and its detail."""


def _change(session: Session, stored: SiteException, content: Exemption, actor: Actor, told: Told) -> SiteException:
    said = content.model_dump(mode="json", exclude_defaults=True)
    stored.content, stored.withdrawn = said, False
    decision = Change("except", content.name, actor.name, content)
    return _decide(session, stored, decision, actor, (told[0], {**told[1], "exception": said}))


def _decide(session: Session, stored: SiteException, decision: Change, actor: Actor, told: Told) -> SiteException:
    stored.version += 1
    stored.changed_by, stored.changed_at, stored.decision = actor.name, now(), decision.id
    decisions.leave(session, decision, stored.site)
    audit.record(session, actor, told[0], stored.name, told[1])
    session.flush()
    return stored
