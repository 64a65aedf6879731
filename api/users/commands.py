"""The commands `icsight accounts unlock` and `icsight accounts reset`: for who is locked out, and has the machine."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from api.at_the_machine import acting, opened
from sensor.terminal import CommandError

if TYPE_CHECKING:
    from collections.abc import Generator

    from sqlalchemy.orm import Session

    from api.users.models import User

_DATA: Final = click.option(
    "--data", required=True, metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Data folder of the system."
)


@click.group()
def accounts() -> None:
    """Let people in again who are locked out. Each command is in the audit trail."""


@accounts.command()
@click.argument("name")
@_DATA
def unlock(name: str, data: Path) -> None:
    """Let NAME sign in at once who has to wait after failed attempts."""
    with _account(name, data) as (session, user):
        from api.audit import service as audit  # noqa: PLC0415  needs all libraries; `--help` does not
        from api.users import lockout  # noqa: PLC0415

        waited = lockout.forget(session, user.name)
        if waited:
            audit.record(session, acting(), "user.unlock", user.name)
    click.echo(f"{name}: may sign in" if waited else f"{name}: had no failed attempts")


@accounts.command()
@click.argument("name")
@_DATA
def reset(name: str, data: Path) -> None:
    """Take the authenticator away from NAME, who has lost it and the recovery codes. The account's sessions end."""
    with _account(name, data) as (session, user):
        from api.factors import service as factors  # noqa: PLC0415  as above
        from api.problems import Problem  # noqa: PLC0415
        from api.users import service  # noqa: PLC0415

        try:
            factors.remove(session, acting(), user.id)
        except Problem:
            raise CommandError(f"{name}: has no authenticator") from None
        service.end_sessions(session, user.id)
    click.echo(f"{name}: signs in with the password alone now, and should set up an authenticator anew")


@contextmanager
def _account(name: str, data: Path) -> Generator[tuple[Session, User]]:
    """A transaction, and the enabled account of a name. Raises CommandError."""
    with opened(data) as (_, database):
        from api.users import service  # noqa: PLC0415  as above

        with database.write() as session:
            user = service.account(session, name)
            if user is None:
                raise CommandError(f"{name}: there is no such account, or it is disabled")
            yield session, user
