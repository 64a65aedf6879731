"""The commands `icsight accounts unlock`, `reset` and `password`: for who is locked out, and has the machine."""

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

    from api.settings import Settings
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
    """Let NAME sign in at once who has to wait after failed attempts.

    A server that runs counts failures of each address by itself: from there NAME signs in once that wait is over, or once an
    administrator unlocks the account in the console.
    """
    with _account(name, data) as (_, session, user):
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
    """Take authenticator and passkeys away from NAME, who has lost them. The account's sessions end."""
    with _account(name, data) as (_, session, user):
        from api.factors import service as factors  # noqa: PLC0415  as above
        from api.problems import Problem  # noqa: PLC0415
        from api.users import service  # noqa: PLC0415

        try:
            factors.reset(session, acting(), user.id)
        except Problem:
            raise CommandError(f"{name}: has no authenticator") from None
        service.end_sessions(session, user.id)
    click.echo(f"{name}: signs in with the password alone now, and should set up an authenticator anew")


@accounts.command()
@click.argument("name")
@_DATA
def password(name: str, data: Path) -> None:
    """Print a one-time link by which NAME chooses a password: who has forgotten it, or has none yet.

    Nobody else gets to know it. Once it is chosen the account's sessions end, its tokens do not. An account of the OpenID
    provider's signs in with it past the provider, with the rights that it had there last.
    """
    with _account(name, data) as (settings, session, user):
        from api.tokens.service import tokens  # noqa: PLC0415  as above
        from api.users import links, lockout  # noqa: PLC0415

        of_provider, going_on = user.id in links.of_provider(session), len(tokens(session, user.id))
        made = links.make(session, settings, acting(), user)
        lockout.forget(session, user.name)
    hours = settings.password_link_seconds / 3600
    click.echo(f"{name}: chooses a password, once and within {hours:g} hours, at\n  {settings.address}{made.path}")
    if not settings.address:
        click.echo("  which stands behind the address of this system, as browsers call it")
    if of_provider:
        click.echo(f"{name}: signed in through the provider, which no longer has the last word about this account then")
    if going_on:
        click.echo(f"{name}: has {going_on} API tokens, which go on; their owner or an administrator ends them")


@contextmanager
def _account(name: str, data: Path) -> Generator[tuple[Settings, Session, User]]:
    """The settings, a transaction, and the enabled account of a name. Raises CommandError."""
    with opened(data) as (settings, database):
        from api.users import service  # noqa: PLC0415  as above

        with database.write() as session:
            user = service.account(session, name)
            if user is None:
                raise CommandError(f"{name}: there is no such account, or it is disabled")
            yield settings, session, user
