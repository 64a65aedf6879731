"""Filter expressions as people write them: SQL over column names with dots in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import polars as pl
from polars.exceptions import PolarsError

if TYPE_CHECKING:
    from collections.abc import Iterable

_TOKEN: Final = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)+""")
"""A text in quotes, a quoted name, or a name with dots."""


def quote_names(sql: str, names: Iterable[str]) -> str:
    """The same SQL with each of these dotted names in double quotes, where it is not in quotes already.

    SQL reads `client.ip` as column `ip` of table `client`; the record tables have columns of that whole name.
    """
    known = frozenset(names)
    return _TOKEN.sub(lambda token: f'"{token[0]}"' if token[0] in known else token[0], sql)


def where(expression: str, names: Iterable[str]) -> pl.Expr:
    """A filter such as `modbus.function_code = 3 AND client.ip LIKE '10.%'` as an expression over columns with these names.

    Raises ValueError with one line if it cannot be read or names a column that is not there.
    """
    known = list(names)
    try:
        parsed = pl.sql_expr(quote_names(expression, known))
    except PolarsError as error:
        raise ValueError(f"the expression {expression!r} cannot be read: {str(error).splitlines()[0]}") from error
    # Of a dotted name that is not there SQL has kept the part before the dot only.
    dotted = {token[0] for token in _TOKEN.finditer(expression) if token[0][0] not in "'\""} - set(known)
    parts = {name.partition(".")[0] for name in dotted}
    unknown = sorted(dotted | (set(parsed.meta.root_names()) - set(known) - parts))
    if unknown:
        raise ValueError(
            f"the expression names {', '.join(unknown)}, which this table does not have; `icsight fields` lists them"
        )
    return parsed
