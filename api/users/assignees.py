"""Who work can be given to: the accounts that may do it at a site."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.problems import Problem
from api.security.permissions import permissions_of
from api.users import service as users

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from api.security.permissions import Permission
    from api.users.models import User


def of_site(session: Session, permission: Permission, site: str) -> list[str]:
    """Names of those who have a permission at a site, in order."""
    return [user.name for user in users.users(session) if _may(user, permission, site)]


def checked(session: Session, name: str, permission: Permission, site: str) -> str:
    """The name of one of them, as it is stored. Raises Problem `assignee_unfit`."""
    user = users.account(session, name)
    if user is None or not _may(user, permission, site):
        raise Problem("assignee_unfit", name=name)
    return user.name


def _may(user: User, permission: Permission, site: str) -> bool:
    sees = user.limits is None or site in user.limits
    return user.disabled_at is None and sees and permission in permissions_of(user.role, user.limits)
