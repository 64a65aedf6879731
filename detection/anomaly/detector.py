"""The anomaly detector: what is outside of all that was seen, by more than the site's history makes probable. Pure.

While learning, models grow with what they see. In its second half each minute is scored first and learned from then: what a score
is worth is told by the scores of that half. Afterwards a day begins with what was learned; what goes beyond is told if it is rare
enough, and counts as seen for the rest of that day (UTC): a value that rises is told when it jumps and not with each step.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import polars as pl

from detection.anomaly import conversations, keyed, naming, order, points, told
from detection.anomaly.extremes import THINGS, WINDOW_NS, beyond
from detection.anomaly.history import FALSE_ALARMS_A_DAY, allowed
from detection.anomaly.state import DAY_NS, SCALES, AnomalyState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.store import RecordBatch


def step(
    state: AnomalyState, batches: Sequence[RecordBatch], false_alarms_a_day: float = FALSE_ALARMS_A_DAY
) -> tuple[AnomalyState, pl.DataFrame]:
    """Take the batches of whole cuts of one run in; the anomalies in order of their records, as rows of table `anomaly`."""
    values = points.rows_of(batches)
    requests = conversations.rows_of(batches, *state.heard)
    if requests.height:
        last, deaf = requests.select("event", "deaf").row(-1)
        state = replace(state, heard=(int(last), int(deaf)))
    until = max((batch.header.cut_end for batch in batches), default=0)
    values = values.with_columns(part=state.part_of(pl.col("event")))
    requests = requests.with_columns(part=state.part_of(pl.col("event")))
    waiting = state.minutes.select(part=state.part_of(pl.col("window") * WINDOW_NS))
    parts = pl.concat([frame.get_column("part") for frame in (values, requests, waiting)]).unique().sort()
    found: list[pl.DataFrame] = []
    for part in parts.to_list():
        end = state.scored_from if part == -2 else state.until if part == -1 else (part + 1) * DAY_NS
        inside = [frame.filter(pl.col("part") == part).drop("part") for frame in (values, requests)]
        state, rows = _part(state, int(part), inside, min(until, end), allowed(false_alarms_a_day))
        found += rows
    return state, told.rows(found, state.phase, state.history.blocks)


def _part(
    state: AnomalyState, part: int, records: Sequence[pl.DataFrame], until: int, most: float
) -> tuple[AnomalyState, list[pl.DataFrame]]:
    """Take in the values and requests of one part of a run."""
    values, requests = records
    learns = part < 0
    if not learns and part != state.day:
        state = replace(state, seen=state.learned, day=part)
    known = dict(state.learned if learns else state.seen)
    if not learns:
        values = keyed.only_known(values, "key", known["value"])
        requests = keyed.only_known(requests, "talk", known["volume"])
    # What the first half of learning scores is of no use.
    scores = part != -2
    looked_at, latest_points = points.features(state.latest_points, values)
    kinds = requests if learns else keyed.only_known(requests, "key", known["interval"])
    looked_at["interval"], latest_requests = conversations.intervals(state.latest_requests, kinds)
    over, minutes = conversations.minutes(state.minutes, requests, until)
    looked_at |= conversations.of_minutes(over)
    outside: dict[str, pl.DataFrame] = {}
    forgotten = state.forgotten
    for model, rows in looked_at.items():
        outside[model], known[model], more = beyond(known[model], rows, SCALES[model], learns=learns, scores=scores)
        forgotten += more
    followed, latest_operations = order.transitions(state.latest_operations, requests)
    outside["order"], known["order"], more = order.unusual(known["order"], followed, learns=learns, scores=scores)
    forgotten += more
    scored = [
        rows.select(model=pl.lit(model), window=(pl.col("event") - (model in _AT_END)) // WINDOW_NS, score="score")
        for model, rows in outside.items()
    ]
    heard = pl.concat([values.get_column("event"), requests.get_column("event")]) // WINDOW_NS
    grown = replace(
        state,
        latest_points=keyed.renewed(state.latest_points, latest_points, _LATEST, THINGS)[0],
        latest_requests=keyed.renewed(state.latest_requests, latest_requests, _LATEST, THINGS)[0],
        latest_operations=keyed.renewed(state.latest_operations, latest_operations, _LATEST, THINGS)[0],
        minutes=minutes.head(THINGS),
        forgotten=forgotten,
    )
    if learns:
        grown = replace(grown, learned=known, names=naming.with_more(state.names, values, requests))
        if part == -1:
            grown = replace(grown, history=grown.history.with_more(heard, pl.concat(scored)))
        return grown, []
    found = [told.judged(model, rows, state.history, most) for model, rows in outside.items() if rows.height]
    found = [rows for rows in found if rows.height]
    if state.learned["order"].height:
        found = [told.with_usual(rows, state.learned["order"]) if rows.item(0, "model") == "order" else rows for rows in found]
    alarms = [rows.select("model", window="block", score="score") for rows in found]
    grown = replace(
        grown,
        seen=known,
        since=grown.since.with_more(heard, pl.concat(scored)),
        told=grown.told.with_more(heard, pl.concat(alarms)) if alarms else grown.told,
    )
    return grown, found


_LATEST: Final = ("ts", "key")
"""Order in which latest rows take the room that there is."""

_AT_END: Final = frozenset({"volume", "response"})
"""Models of minutes: what they find is known at a minute's end, which is the next one's begin."""
