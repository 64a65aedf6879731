"""The rate of false alarms that models promise beside the one that is measured, as a person reads them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from detection.anomaly.detector import step
from detection.anomaly.drift import Drift
from detection.anomaly.learned import members, state_of
from detection.anomaly.promise import promise_of
from detection.anomaly.state import AnomalyState
from detection.baseline.cli import promised
from tests.detection.test_anomaly import LEARNED, MANY, anomalies, as_cuts, point, polls
from tests.detection.test_baseline_command import said
from tests.detection.test_live_models import detected, polled, spooled

if TYPE_CHECKING:
    from pathlib import Path


def test_minutes_with_an_alarm_are_counted_once_over_the_minutes_that_were_heard_since_learning() -> None:
    strange = {LEARNED // 10 + 51, LEARNED // 10 + 52, LEARNED // 10 + 90}
    state, rows = anomalies(polls(LEARNED + 3_600, of=lambda turn: 900 + turn if turn in strange else 400 + turn % 5))
    promise = promise_of(state)
    assert promise is not None
    minutes = rows.get_column("ts").dt.truncate("1m").n_unique()
    assert rows.height > minutes >= 2
    assert (promise.promised, promise.minutes, promise.heard_hours, promise.history_hours) == (MANY, minutes, 1.0, 1.0)
    assert promise.measured == pytest.approx(24 * minutes)


def test_nothing_is_promised_while_models_learn_nor_measured_before_something_is_heard() -> None:
    state, _ = anomalies(polls(LEARNED // 4))
    assert promise_of(state) is None
    state, _ = anomalies(polls(3 * LEARNED // 4))
    assert (promise_of(state), state.history.blocks) == (None, LEARNED // 4 // 60)
    assert promise_of(AnomalyState.learning_live()) is None
    (cut,) = as_cuts([point(0, 1)])
    assert promise_of(step(AnomalyState.learning_live(), cut)[0]) is None
    state, _ = anomalies(polls(LEARNED))
    kept = state_of(members(state), "proposed")
    assert kept is not None
    promise = promise_of(kept)
    assert promise is not None
    assert promised(promise) == [
        "promised: at most 1 minutes with a false alarm a day, by 1.0 h of history",
        "measured: nothing yet, for nothing was heard since",
    ]


def test_since_when_the_promise_does_not_hold_is_said() -> None:
    state, _ = anomalies(polls(2 * LEARNED))
    broken = replace(state, drift=Drift(hours=40, alarms=12, broken=490_000))
    promise = promise_of(broken)
    assert promise is not None
    assert promised(promise)[1:] == [
        "measured: 0 minutes with an alarm a day, 0 in 2.0 h heard, right ones included",
        "the promise does not hold since 2025-11-24T16:00:00.000000000Z: 12 of 40 hours with records had one",
    ]


def test_what_a_running_system_promises_and_keeps_is_shown_with_its_baseline(tmp_path: Path) -> None:
    records = polled(5)
    spooled(tmp_path, records, range(40, len(records), 40))
    assert detected(tmp_path, "detection")
    shown = said("baseline", "show", tmp_path)
    assert "promised: at most 100 minutes with a false alarm a day, by 1." in shown
    assert "the promise holds: " in shown
    measured = next(line for line in shown.splitlines() if "measured: " in line)
    assert float(measured.split("measured: ")[1].split()[0]) > 0
