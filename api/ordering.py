"""Pages of lists that can be sorted by one of several columns, with the identifier to tell apart what is the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import sqlalchemy as sa

from api.pages import read_cursor, write_cursor
from api.times import LATEST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import InstrumentedAttribute, Session

T = TypeVar("T")


class Asked(Protocol):
    """What is asked of a list."""

    cursor: str | None
    limit: int

    @property
    def sort(self) -> str:
        """A column; with `-` the most first."""
        ...

    def question(self) -> str:
        """What is asked, without where the page starts and how long it is."""
        ...


def page(
    session: Session, statement: sa.Select[T], columns: Mapping[str, InstrumentedAttribute[Any]],
    identity: InstrumentedAttribute[int], query: Asked,
) -> tuple[Sequence[T], str | None]:  # fmt: skip
    """One page, and the cursor of the next one; what has no value counts as the most. Raises Problem `cursor_invalid`.

    Args:
        session: the session.
        statement: the rows that are asked for, in no order.
        columns: what can be sorted by: whole numbers.
        identity: the identifier of a row.
        query: the order, and the place.
    """
    descending, column = query.sort.startswith("-"), columns[query.sort.removeprefix("-")]
    # The column itself where it can be: an index is in its order.
    by = sa.func.coalesce(column, LATEST) if column.property.columns[0].nullable else column
    question = query.question()
    if query.cursor is not None:
        place = sa.tuple_(*read_cursor(question, query.cursor, (int, int)))
        key = sa.tuple_(by, identity)
        statement = statement.where(key < place if descending else key > place)
    order = (by.desc(), identity.desc()) if descending else (by, identity)
    rows = session.scalars(statement.order_by(*order).limit(query.limit + 1)).all()
    if len(rows) <= query.limit:
        return rows, None
    last = rows[query.limit - 1]
    value = getattr(last, column.key)
    return rows[: query.limit], write_cursor(question, LATEST if value is None else value, getattr(last, identity.key))
