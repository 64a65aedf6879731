"""Whose rows a session sees and writes: those of one organisation, and of some or all of its sites.

Every row belongs to an organisation. A session is opened with a scope, and each of its questions is limited to it: nobody has to
remember a condition, and a question that cannot be limited is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Mapped, Session, mapped_column, with_loader_criteria
from sqlalchemy.sql import visitors

from sensor.names import NAME_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ClauseElement
    from sqlalchemy.orm import ORMExecuteState, UOWTransaction

NAME_CHARACTERS: Final = 64
"""Longest name of an organisation."""

SITE_CHARACTERS: Final = NAME_BYTES
"""Longest name of a site: whatever a sensor may call it fits."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose rows.

    Attributes:
        organisation: the organisation.
        sites: its sites; None for all.
    """

    organisation: str
    sites: frozenset[str] | None = None

    @property
    def whole(self) -> Scope:
        """All sites of the organisation."""
        return Scope(self.organisation)

    def holds(self, site: str) -> bool:
        """Whether rows of a site are in it."""
        return self.sites is None or site in self.sites


class ScopeError(Exception):
    """Code asked for what its session's scope does not hold. A defect, never an answer to a caller."""


class OfOrganisation:
    """A table whose rows belong to organisations."""

    organisation: Mapped[str] = mapped_column(sa.String(NAME_CHARACTERS), sort_order=-2)
    """Name of the organisation; written by the session."""


class KeyedByOrganisation(OfOrganisation):
    """A table whose keys are an organisation's own: another may have the same."""

    organisation: Mapped[str] = mapped_column(sa.String(NAME_CHARACTERS), primary_key=True, sort_order=-2)
    """Name of the organisation; written by the session."""


class OfSite:
    """A table whose rows belong to sites, besides organisations."""

    # SQLite heeds no length: there the column is left as it was made.
    site: Mapped[str] = mapped_column(sa.String(SITE_CHARACTERS).with_variant(sa.String(64), "sqlite"), default="", sort_order=-1)
    """Name of the site; empty where it has none."""


class ScopedSession(Session):
    """A session that sees and writes what its scope holds. Made by `Database.read` and `Database.write`."""

    def __init__(self, bind: sa.Engine, scope: Scope, *, expire_on_commit: bool = True) -> None:
        super().__init__(bind, expire_on_commit=expire_on_commit)
        self.scope: Final = scope


T = TypeVar("T")


def row_of(session: Session, table: type[T], key: str) -> T | None:
    """The row with this key of the session's organisation; None where there is none."""
    (column,) = [column for column in sa.inspect(table).primary_key if column.name != "organisation"]
    return session.get(table, {"organisation": scope_of(session).organisation, str(column.name): key})


def scope_of(session: Session) -> Scope:
    """The scope of a session. Raises ScopeError where it has none."""
    if not isinstance(session, ScopedSession):
        raise ScopeError("a session without a scope: open it by Database.read or Database.write")
    return session.scope


@event.listens_for(ScopedSession, "do_orm_execute")
def _limit(state: ORMExecuteState) -> None:
    """Limit a question to the scope."""
    loads = state.is_column_load or state.is_relationship_load
    if not loads and (not (state.is_select or state.is_update or state.is_delete) or _escapes(state.statement)):
        raise ScopeError("a statement about what is not mapped cannot be limited to a scope")
    scope = scope_of(state.session)
    organisation = scope.organisation
    limits = [with_loader_criteria(OfOrganisation, lambda table: table.organisation == organisation, include_aliases=True)]
    if scope.sites is not None:
        sites: Sequence[str] = sorted(scope.sites)
        limits.append(with_loader_criteria(OfSite, lambda table: table.site.in_(sites), include_aliases=True))
    state.statement = state.statement.options(*limits)


def _escapes(statement: sa.Executable) -> bool:
    """Whether a statement names no mapped class, or a table without its class: SQLAlchemy limits what is mapped only."""
    mapped: set[str] = set()
    named: set[str] = set()
    for element in visitors.iterate(cast("ClauseElement", statement)):
        entity = getattr(element, "_annotations", {}).get("parententity")
        if entity is not None:
            mapped.add(entity.mapper.local_table.name)
        elif isinstance(element, sa.Column) and isinstance(cast("object", element.table), sa.Table):
            named.add(element.table.name)
    return not mapped or not named <= mapped


@event.listens_for(ScopedSession, "before_flush")
def _own(session: Session, context: UOWTransaction, instances: object) -> None:
    """Give new rows to the scope's organisation, and refuse to write those of others."""
    del context, instances
    scope = scope_of(session)
    for row in session.new:
        if isinstance(row, OfOrganisation) and row.organisation is None:  # pyright: ignore[reportUnnecessaryComparison]  before it is written
            row.organisation = scope.organisation
    for row in (*session.new, *session.dirty, *session.deleted):
        if isinstance(row, OfOrganisation) and row.organisation != scope.organisation:
            raise ScopeError(f"a row of {row.organisation} in a session of {scope.organisation}")
        if isinstance(row, OfSite) and scope.sites is not None and (row.site or "") not in scope.sites:
            raise ScopeError(f"a row of site {row.site} in a session of others")
