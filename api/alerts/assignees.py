"""Who alerts can be given to: the accounts that may decide on alerts of a site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from api.problems import Problem
from api.security.permissions import Permission, permissions_of
from api.users import service as users

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from api.users.models import User

DECIDES: Final[Permission] = "alert.decide"
"""What whoever has an alert must be allowed to do."""


def of_site(session: Session, site: str) -> list[str]:
    """Their names, in order."""
    return [user.name for user in users.users(session) if _decides(user, site)]


def checked(session: Session, name: str, site: str) -> str:
    """The name of one of them, as it is stored. Raises Problem `assignee_unfit`."""
    user = users.account(session, name)
    if user is None or not _decides(user, site):
        raise Problem("assignee_unfit", name=name)
    return user.name


def _decides(user: User, site: str) -> bool:
    sees = user.limits is None or site in user.limits
    return user.disabled_at is None and sees and DECIDES in permissions_of(user.role, user.limits)
