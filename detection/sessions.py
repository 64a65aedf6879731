"""A rule's findings by cause, cut where a pause is longer than the rule's window or an exception of the site begins or ends.

Whole frames, no look at single rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from detection.gathering import ORDER
from detection.rules import IDENTITY, SEEN
from detection.sigma.correlate import AMOUNT, KNOWN
from detection.texts import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collector.stream import Run
    from detection.sigma.rule import Rule
    from detection.tuning import Exemption

FIRST_RECORDS: Final = 80
"""Records that an alert names from its beginning."""

LAST_RECORDS: Final = 20
"""Records that it names from its end, where there are more."""

_MARKS: Final = frozenset({*IDENTITY, *KNOWN})
"""Columns of a finding that are no fields of its record."""


@dataclass(frozen=True, slots=True)
class Session:
    """Findings of one cause without a pause."""

    rule: Rule
    cause: tuple[str, ...]
    order: tuple[int, int, int, str]
    """Where in the order of all records its first finding became known: event, sequence, row, and the rule's name."""
    first: int
    """Event time of its first record; for a correlation that may be earlier than when it became known."""
    last: int
    seen: tuple[int, int]
    """Earliest and latest time of its records, which need not be in order of event time."""
    count: int
    places: tuple[tuple[int, int, int, str], ...]
    """Its first records with their place in the order of all: event, sequence, row, identity."""
    records_first: tuple[str, ...]
    records_last: tuple[str, ...]
    client: str | None
    server: str | None
    target: tuple[tuple[str, str], ...]
    """Fields of the rule's target with their values as text."""
    sample: Mapping[str, Any]
    """Fields that texts are made of: those of the first record, for a correlation those of its latest window."""
    exception: str | None = None
    """Name of the site's exception that covers it."""


def sessions(rule: Rule, findings: pl.DataFrame, run: Run, exemptions: Sequence[Exemption] = ()) -> list[Session]:
    """The sessions in a rule's findings in a run, in no order, each wholly in or out of each of the site's exceptions."""
    if findings.is_empty():
        return []
    cause = [name for name in rule.cause if name in findings.columns]
    window_ns = rule.window_seconds * 1_000_000_000
    pauses = (pl.col("event").diff().fill_null(0) > window_ns).cum_sum()
    naming = [each for each in exemptions if each.names(rule.name)]
    edges = sorted({edge for each in naming for edge in each.span})
    held = pl.sum_horizontal(pl.col("event") >= edge for edge in edges) if edges else pl.lit(0)
    counts = "count" in findings.columns
    fields = [name for name in findings.columns if name not in _MARKS and name not in cause]
    samples = [_sampled(name, counts=counts).alias(f"sample {name}") for name in fields]
    ordered = findings.sort(ORDER)
    known = KNOWN if KNOWN[0] in findings.columns else ORDER
    summary = (
        ordered.with_columns(session=(pauses.over(cause) if cause else pauses) + held)
        .group_by([*cause, "session"], maintain_order=True)
        .agg(
            *(pl.col(name).first().alias(f"known {place}") for place, name in enumerate(known)),
            *samples,
            pl.col("event").first().alias("first"),
            pl.col("event").last().alias("last"),
            pl.col(SEEN).min().alias("earliest"),
            pl.col(SEEN).max().alias("latest"),
            pl.len().alias("size"),
            pl.col("count").max().alias("highest") if counts else pl.lit(0).alias("highest"),
            pl.col("event").head(FIRST_RECORDS).alias("first events"),
            pl.col("sequence").head(FIRST_RECORDS).alias("first sequences"),
            pl.col("row").head(FIRST_RECORDS).alias("first rows"),
            pl.col("sequence").tail(LAST_RECORDS).alias("last sequences"),
            pl.col("row").tail(LAST_RECORDS).alias("last rows"),
        )
    )
    found = [_session(rule, cause, "/".join(run), row, counts=counts) for row in summary.iter_rows(named=True)]
    return [_exempt(session, naming) for session in found] if naming else found


def _exempt(session: Session, exemptions: Sequence[Exemption]) -> Session:
    """A session that an exception covers has a cause of its own."""
    for each in exemptions:
        if each.covers(session.rule.name, session.client, session.server, dict(session.target), session.first):
            return replace(session, cause=(*session.cause, f"exception={each.name}"), exception=each.name)
    return session


def _sampled(name: str, *, counts: bool) -> pl.Expr:
    """Which of a session's values is told: of a correlation that of its latest window."""
    told = pl.col(name).drop_nulls() if name == AMOUNT else pl.col(name)
    return told.last() if counts else told.first()


def _session(rule: Rule, cause: list[str], run: str, row: Mapping[str, Any], *, counts: bool) -> Session:
    sample = {name.removeprefix("sample "): plain(value) for name, value in row.items() if name.startswith("sample ")}
    sample |= {name: plain(row[name]) for name in cause}
    if counts:
        sample["count"] = row["highest"]
    first = _identities(run, row["first sequences"], row["first rows"])
    return Session(
        rule=rule,
        cause=(rule.name, *(f"{name}={'' if row[name] is None else row[name]}" for name in cause)),
        order=(row["known 0"], row["known 1"], row["known 2"], rule.name),
        first=row["first"],
        last=row["last"],
        seen=(row["earliest"], row["latest"]),
        count=row["size"],
        places=tuple(zip(row["first events"], row["first sequences"], row["first rows"], first, strict=True)),
        records_first=first,
        records_last=_identities(run, row["last sequences"], row["last rows"]),
        client=row["client.ip"] if "client.ip" in cause else None,
        server=row["server.ip"] if "server.ip" in cause else None,
        target=tuple((name, str(row[name])) for name in rule.target if name in cause),
        sample=sample,
    )


def _identities(run: str, sequences: list[int], rows: list[int]) -> tuple[str, ...]:
    """Records as sensor/epoch/sequence/row."""
    return tuple(f"{run}/{sequence}/{row}" for sequence, row in zip(sequences, rows, strict=True))
