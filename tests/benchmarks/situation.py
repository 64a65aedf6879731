"""`python -m tests.benchmarks.situation [ALERTS]`: the situation over a million alerts, as a ratio to its limit.

Alerts are spread over half a year; of a hundred, ninety are closed, six hidden by an exception (of two thousand one by a window
instead), and four open. What is asked
changes from call to call (now, sites, past times), and between calls alerts change, so that no answer is the one before. Both
databases are measured, PostgreSQL where its packages can be fetched (`make services`).
"""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from api import system
from api.alerts import tally, upserts
from api.alerts.models import Alert, AlertEvent, AlertTechnique
from api.database import advance
from api.server import keep_loaded
from api.settings import DatabaseSettings, Settings
from api.situation import service
from api.situation.schemas import SituationQuery
from api.times import NANOSECONDS, iso, now
from tests.api.alerts import upsert
from tests.api.conftest import on_server
from tests.services.packages import Missing
from tests.services.postgres import Postgres
from tests.services.process import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from api.services import Services

ALERTS: Final = 1_000_000

LIMIT_SECONDS: Final = 0.2
"""The 95th percentile of calls about now."""

SPAN_SECONDS: Final = 182 * 86_400

CALLS: Final = 60

ROWS: Final = 20_000
"""Rows that are written at once."""

SITES: Final = ("north", "south")


def main() -> int:
    """Measure; 1 where the limit is not kept."""
    return over_both("situation", measured)


def over_both(name: str, measured: Callable[[str, Path, DatabaseSettings, int], bool]) -> int:
    """Measure over each database, with as many alerts as the command line says; 1 where a limit is not kept.

    `measured` takes the database's name, a folder that is not there yet, how the database is reached, and the number of alerts.
    """
    count = int(sys.argv[1]) if len(sys.argv) > 1 else ALERTS
    with tempfile.TemporaryDirectory(prefix=f"icsight-{name}-") as folder:
        kept = measured("SQLite", Path(folder) / "data", DatabaseSettings(), count)
        try:
            server = Postgres(Path(folder) / "postgres").start()
        except (Missing, ServiceError) as error:
            print(f"PostgreSQL: not measured ({error})")
            return 0 if kept else 1
        try:
            kept &= measured("PostgreSQL", Path(folder) / "served", on_server(server), count)
        finally:
            server.stop()
    return 0 if kept else 1


def measured(title: str, folder: Path, database: DatabaseSettings, count: int) -> bool:
    """Print what calls take; whether the limit is kept."""
    folder.mkdir(mode=0o700, parents=True)
    with system.opened(Settings(data=folder, database=database)) as services:
        began = time.perf_counter()
        keep_loaded()
        fill(services, count)
        print(f"{title}: {count:,} alerts written in {time.perf_counter() - began:.0f} s")
        return asked(title, services)


def asked(title: str, services: Services) -> bool:
    """Print what calls about the alerts of `fill` take; whether the limit is kept."""
    begin = now() - SPAN_SECONDS * NANOSECONDS
    past = [iso(begin + turn * (SPAN_SECONDS * NANOSECONDS // CALLS)) for turn in range(CALLS)]
    kinds: Mapping[str, list[SituationQuery]] = {
        "now": [SituationQuery()] * CALLS,
        "now, one site": [SituationQuery(site=SITES[turn % 2]) for turn in range(CALLS)],
        "a past time": [SituationQuery.model_validate({"as_of": at}) for at in past],
    }
    kept = True
    for kind, queries in kinds.items():
        taken = sorted(timed(services, query, turn) for turn, query in enumerate(queries))
        high = quantiles(taken, n=20)[-1]
        judged = kind.startswith("now")
        kept &= high <= LIMIT_SECONDS or not judged
        told = f"{high / LIMIT_SECONDS:.2f} × the limit of {LIMIT_SECONDS * 1000:.0f} ms" if judged else "no limit"
        print(
            f"{title}: situation, {kind}: median {taken[len(taken) // 2] * 1000:.0f} ms, p95 {high * 1000:.0f} ms, {told}",
            flush=True,
        )
    return kept


def timed(services: Services, query: SituationQuery, turn: int) -> float:
    """Seconds of one call, the answer as JSON included, after an alert has changed."""
    with services.database.write() as session:
        upserts.apply(session, [upsert(turn, 10_000_000 + int(time.time_ns() % 1_000_000_000))], SITES[0])
    began = time.perf_counter()
    service.situation(services, query, "en").model_dump_json()
    return time.perf_counter() - began


def fill(services: Services, count: int) -> None:
    """Write alerts with their history and techniques, past the objects: that of a million takes too long."""
    organisation = services.database.scope.organisation
    with services.database.write() as session:
        advance(session, "change", count + 1)
    with services.database.engine.begin() as connection, roomy(connection):
        for start in range(0, count, ROWS):
            made = [rows(organisation, number, count) for number in range(start, min(start + ROWS, count))]
            connection.execute(sa.insert(Alert), [alert for alert, _, _ in made])
            connection.execute(sa.insert(AlertEvent), [step for _, steps, _ in made for step in steps])
            connection.execute(sa.insert(AlertTechnique), [technique for _, _, technique in made])
    with services.database.write() as session:
        tally.count_anew(session)
    # As a database is that has run for long: else one does it by itself while it is measured.
    with services.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM ANALYZE" if connection.dialect.name == "postgresql" else "ANALYZE"))


@contextmanager
def roomy(connection: sa.Connection) -> Generator[None]:
    """Memory for all that SQLite changes at once: it would write pages of its indexes again and again to make room for others."""
    if connection.dialect.name != "sqlite":
        yield
        return
    before = connection.exec_driver_sql("PRAGMA cache_size").scalar_one()
    connection.exec_driver_sql("PRAGMA cache_size=-4194304")
    yield
    connection.exec_driver_sql(f"PRAGMA cache_size={before}")


Row = dict[str, Any]


def rows(organisation: str, number: int, count: int) -> tuple[Row, list[Row], Row]:
    """An alert, its steps, and its technique."""
    at = now() - SPAN_SECONDS * NANOSECONDS + number * (SPAN_SECONDS * NANOSECONDS // count)
    kind = number % 100
    state = "closed" if kind < 90 else "triaging" if number % 2_000 == 99 else "escalated" if number % 2_000 == 98 else "new"
    windowed = number % 2_000 == 95
    hidden = 90 <= kind < 96 and not windowed
    has = None if state == "new" else "lin" if state == "closed" else "wang"
    decided = None if state == "new" else at + 3_600 * NANOSECONDS
    body = {**upsert(number).body, "target": {"modbus.unit_id": "1", "modbus.address": str(number % 50)}}
    identity = f"{number:032x}"
    alert: Row = {
        "organisation": organisation, "id": identity, "site": SITES[number % 2], "revision": 1, "rule": f"rule_{number % 40}",
        "severity": number % 5, "confidence": 0.9, "rank": (number * 7919 % 100_000) / 1_000, "first_seen": at,
        "last_seen": at + NANOSECONDS, "count": number * 31 % 997 + 1, "client_ip": f"10.0.{number % 8}.{number % 200}",
        "server_ip": f"10.0.{number % 5}.{number % 97}", "part_of": None, "exception": "night-copy" if hidden else None,
        "suppressed_by": 1 if windowed else None,
        "body": body, "change": number + 1, "triage_state": state, "triage_version": 0,
        "triage_by": has, "triage_at": decided, "triage_note": None, "triage_disposition": None,
        "triage_permit": None, "triage_count": None,
    }  # fmt: skip
    step: Row = {
        "organisation": organisation, "alert_id": identity, "at": at, "kind": "raised", "actor": "system", "note": None,
        "disposition": None, "permit": None, "count": 1,
    }  # fmt: skip
    steps = [step]
    if decided is not None:
        kinds = {"closed": "closed", "triaging": "acknowledged", "escalated": "escalated"}
        steps.append({**step, "at": decided, "kind": kinds[state], "actor": has})
    return alert, steps, {"organisation": organisation, "technique": "T0836", "alert_id": identity}


if __name__ == "__main__":
    raise SystemExit(main())
