"""Saved views: whose they are, who sees them, and which each account begins with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from api.audit import service as audit
from api.database import advance, row_of
from api.pages import read_cursor, write_cursor
from api.problems import Problem
from api.times import now
from api.views.models import DefaultView, SavedView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from api.security.access import Caller
    from api.security.permissions import Permission
    from api.views.schemas import ViewInput, ViewQuery

COUNTER: Final = "view"
"""Counter that numbers views."""

MOST: Final = 100
"""Most views of an account."""

MANAGES: Final[Permission] = "user.manage"
"""Who may change and remove what others share."""


def find(session: Session, caller: Caller, query: ViewQuery) -> tuple[Sequence[SavedView], str | None]:
    """One page of the views that the caller sees, and the cursor of the next one. Raises Problem `cursor_invalid`."""
    statement = sa.select(SavedView).where(_seen(caller)).order_by(SavedView.number).limit(query.limit + 1)
    if query.cursor is not None:
        (place,) = read_cursor("views", query.cursor, (int,))
        statement = statement.where(SavedView.number > place)
    found = session.scalars(statement).all()
    if len(found) <= query.limit:
        return found, None
    return found[: query.limit], write_cursor("views", found[query.limit - 1].number)


def get(session: Session, caller: Caller, number: int) -> SavedView:
    """A view that the caller sees. Raises Problem `view_unknown`."""
    found = session.scalar(sa.select(SavedView).where(SavedView.number == number, _seen(caller)))
    if found is None:
        raise Problem("view_unknown", number=number)
    return found


def default_of(session: Session, caller: Caller) -> int | None:
    """The number of the view that the caller begins with; None where he has none, or sees it no more."""
    chosen = row_of(session, DefaultView, caller.name)
    if chosen is None:
        return None
    return session.scalar(sa.select(SavedView.number).where(SavedView.number == chosen.view, _seen(caller)))


def etag(view: SavedView) -> str:
    """The entity tag of a view: its version."""
    return f'"{view.version}"'


def check_precondition(view: SavedView, if_match: str | None) -> None:
    """Whether a change was made on what it is now. Raises Problem `precondition_required` or `precondition_failed`."""
    if if_match is None:
        raise Problem("precondition_required")
    if etag(view) not in [tag.strip() for tag in if_match.split(",")] and if_match.strip() != "*":
        raise Problem("precondition_failed", by=view.changed_by)


def make(session: Session, caller: Caller, given: ViewInput) -> SavedView:
    """Save a view. Raises Problem `views_full`, `site_unknown`."""
    mine = session.scalar(sa.select(sa.func.count(SavedView.number)).where(SavedView.owner == caller.name)) or 0
    if mine >= MOST:
        raise Problem("views_full", most=MOST)
    made = SavedView(number=advance(session, COUNTER), version=0, owner=caller.name)
    _write(made, caller, given)
    session.add(made)
    session.flush()
    audit.record(session, caller.actor, "view.make", str(made.number), _told(made))
    return made


def change(session: Session, caller: Caller, view: SavedView, given: ViewInput) -> None:
    """Let a view be another. Raises Problem `forbidden`, `site_unknown`."""
    _check_kept(caller, view)
    before = _told(view)
    _write(view, caller, given)
    audit.record(session, caller.actor, "view.change", str(view.number), {"before": before, **_told(view)})


def remove(session: Session, caller: Caller, view: SavedView) -> None:
    """Remove a view; who began with it begins with none. Raises Problem `forbidden`."""
    _check_kept(caller, view)
    session.execute(sa.delete(DefaultView).where(DefaultView.view == view.number))
    audit.record(session, caller.actor, "view.remove", str(view.number), _told(view))
    session.delete(view)


def choose(session: Session, caller: Caller, number: int | None) -> None:
    """Begin with a view from now on, or with none. Raises Problem `view_unknown`."""
    chosen = row_of(session, DefaultView, caller.name)
    if number is None:
        if chosen is not None:
            session.delete(chosen)
    else:
        view = get(session, caller, number)
        if chosen is None:
            session.add(DefaultView(account=caller.name, view=view.number))
        else:
            chosen.view = view.number
    audit.record(session, caller.actor, "view.choose", caller.name, {"view": number})


def _seen(caller: Caller) -> sa.ColumnElement[bool]:
    """The caller's own, and what is shared with him."""
    shared = SavedView.shared == "site"
    if caller.sites is not None:
        shared = sa.and_(shared, SavedView.shared_site.in_(sorted(caller.sites)))
    return sa.or_(SavedView.owner == caller.name, SavedView.shared == "organisation", shared)


def _check_kept(caller: Caller, view: SavedView) -> None:
    if view.owner != caller.name and not caller.may(MANAGES):
        raise Problem("forbidden", permission=MANAGES)


def _write(view: SavedView, caller: Caller, given: ViewInput) -> None:
    if given.site is not None and caller.sites is not None and given.site not in caller.sites:
        raise Problem("site_unknown", site=given.site)
    view.name, view.sort, view.shared, view.shared_site = given.name, given.sort, given.shared, given.site
    view.said = given.filter.model_dump(mode="json", by_alias=True, exclude_none=True)
    view.version += 1
    view.changed_by, view.changed_at = caller.name, now()


def _told(view: SavedView) -> dict[str, Any]:
    """What the audit trail tells of a view."""
    return {"name": view.name, "filter": view.said, "sort": view.sort, "shared": view.shared, "site": view.shared_site}
