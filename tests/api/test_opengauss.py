"""What is said to a server that is no PostgreSQL but openGauss 5: nothing outside of a list of what it has.

No openGauss has run here: the words of statements are compared with its lists of keywords, and with its SQL reference.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from api.alerts import service as alerts
from api.alerts import upserts
from api.audit import service as audit
from api.audit.verification import verify
from api.database import Database
from api.database.schema import METADATA
from api.settings import Settings
from tests.api.alerts import upsert
from tests.api.conftest import on_server

if TYPE_CHECKING:
    from tests.services.postgres import Postgres


def said(server: Postgres) -> list[str]:
    """Every statement of migrations and of the work with alerts and the audit trail, without partitions."""
    settings = Settings(data=Path(), database=on_server(server).model_copy(update={"partitioned": False}))
    database = Database.of(settings)
    statements: list[str] = []

    def note(*given: Any) -> None:
        statements.append(given[2])

    event.listen(database.engine, "before_cursor_execute", note)
    database.migrate()
    with database.write() as session:
        upserts.apply(session, [upsert(1), upsert(2)])
        upserts.apply(session, [upsert(2, 3)])
        alerts.acknowledge(session, alerts.get(session, f"{1:032x}"), audit.Actor("lin"), "x")
    with database.read() as session:
        alerts.counts(session)
        verify(session)
        alerts.history(session, f"{1:032x}", None, 100)
    database.close()
    return statements


def words(statement: str) -> set[str]:
    plain = re.sub(r"'(?:[^']|'')*'|\"[^\"]*\"|%\(\w+\)s|\$\$.*?\$\$", " ", statement, flags=re.DOTALL)
    return {word.lower() for word in re.findall(r"[A-Za-z_]\w*", plain)}


def listed(*lines: str) -> frozenset[str]:
    """The words of lines."""
    return frozenset(" ".join(lines).split())


# The words are those of src/include/parser/kwlist.h of github.com/opengauss-mirror/openGauss-server at two commits, one before
# and one after 5.0: f9fc8c0d685067f068e019969918a1b4358f1e29 does not have EVENT yet, which came with the event triggers of 5.0.0
# (github.com/opengauss-mirror/docs, page Event Trigger); 0eda63f6e1510d69f70fa6f562121c42d416c0f8 has it. What both have, 5.0
# has; what is reserved in neither is not reserved in 5.0.

KEYWORDS = listed(
    "add alter and any array as asc before bigint boolean by coalesce column constraint create default delete desc distinct",
    "double drop each execute false for foreign from function group in index insert integer into is join key language limit",
    "local not null on or order precision primary procedure references rename returning returns row select set smallint table",
    "text to trigger true type unique update values varchar where",
)
"""Keywords of its grammar that are used: in both."""

OTHERS = frozenset(
    # Types, functions and a language that are no keywords.
    [
        "bigserial",
        "json",
        "max",
        "plpgsql",
        "pg_catalog",
        "pg_class",
        "pg_namespace",
        "pg_table_is_visible",
        "nspname",
        "oid",
        "relkind",
        "relname",
        "sum",
        "relnamespace",
        "pg_advisory_xact_lock",
        "lock_timeout",
        "statement_timeout",
    ]
)
"""What is no keyword. All but `lock_timeout`, which came with PostgreSQL 9.3, is in 9.2, which openGauss comes from."""

REFUSED = (
    # github.com/opengauss-mirror/docs, content/en/docs/SQLReference; ALTER COLUMN … TYPE is in its alter-table.md
    # (04e942e1c0325a011af7ec5b59cafc0af86b8fdf).
    # The trigger's function is named after PROCEDURE: SQL reference, CREATE TRIGGER.
    r"\bEXECUTE\s+FUNCTION\b",
    # Partitions have words of their own there.
    r"\bPARTITION\s+(?:OF|BY)\b",
    r"\bON\s+CONFLICT\b",
    r"\bGENERATED\s+(?:ALWAYS|BY\s+DEFAULT)\s+AS\s+IDENTITY\b",
)

RESERVED = listed(
    "all analyse analyze and any array as asc asymmetric authid both buckets case cast check collate column constraint",
    "create current_catalog current_date current_role current_time current_timestamp current_user default deferrable desc",
    "distinct do else end except excluded false fenced fetch for foreign from grant group groupparent having imcstored in",
    "initially intersect into is leading less limit localtime localtimestamp maxvalue minus modify nocycle not null",
    "offset on only or order performance placing primary priorer procedure references reject returning rownum select self",
    "session_user share_memory shrink some symmetric sysdate table then to trailing true unimcstored union unique user",
    "using variadic verify when where window with",
)
"""Words that name nothing there, without quotation marks: RESERVED_KEYWORD in one of both."""

OF_TYPES_AND_FUNCTIONS = listed(
    "authorization binary collation compact concurrently cross csn current_schema deltamerge freeze full hdfsdirectory",
    "ilike inner join left like natural notnull outer overlaps recyclebin right similar tablesample timecapsule verbose",
)
"""Words that name types and functions there and no table and no column: TYPE_FUNC_NAME_KEYWORD in one of both."""


@pytest.fixture(scope="module")
def statements(postgres_server: Postgres) -> list[str]:
    return said(postgres_server)


def test_no_statement_has_a_word_that_opengauss_does_not_know(statements: list[str]) -> None:
    ours = {"alembic_version", "version_num", "alembic_version_pkc", "audit_entry_append_only", "audit_entry_refuse"}
    ours |= {"evidence_item_append_only", "evidence_custody_append_only", "evidence_refuse"}
    for table in METADATA.tables.values():
        ours |= {table.name, *(column.name for column in table.columns)}
    made = re.compile(r"(?:pk|fk|uq|ix)_\w+|(?:\w+_)?\d+|p\d+|imp_sen|sen_counter|(?:count|max|anon)_\d+")
    found = set[str]().union(*map(words, statements))
    assert len(found & KEYWORDS) > 30
    assert {word for word in found - KEYWORDS - OTHERS - ours if made.fullmatch(word) is None} == set()


def test_no_statement_has_what_only_later_versions_of_postgresql_have(statements: list[str]) -> None:
    for phrase in REFUSED:
        assert [statement for statement in statements if re.search(phrase, statement, re.IGNORECASE)] == []


def test_no_table_and_no_column_has_a_reserved_name() -> None:
    for table in METADATA.tables.values():
        assert {table.name, *(column.name for column in table.columns)} & (RESERVED | OF_TYPES_AND_FUNCTIONS) == set()
