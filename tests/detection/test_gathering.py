"""Batches of a step by table: when each record could be known, and which record it is."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from detection.baseline.acts import acts
from detection.gathering import ORDER, gathered
from tests.detection.traffic import SECOND, START, cut, request


def test_a_record_is_known_at_its_end_and_not_before_its_cut_began() -> None:
    rows = [{"ts": START + at * SECOND, "flow.duration": lasts} for at, lasts in ((0, 5 * SECOND), (9, None))]
    (early,) = cut([request(0), request(9)], 3, START + 5 * SECOND)
    (late,) = cut([request(20)], 4, START + 15 * SECOND)
    (flows,) = cut(rows, 5, START + 2 * SECOND, table="flow")
    thinned = replace(late, numbers=pl.Series([7], dtype=pl.UInt32))
    requests, conversations = gathered([early, thinned, flows])
    assert requests.rows.select(ORDER).rows() == [
        (START + 5 * SECOND, 3, 0),
        (START + 9 * SECOND, 3, 1),
        (START + 20 * SECOND, 4, 7),
    ]
    assert conversations.rows.select(ORDER).rows() == [(START + 5 * SECOND, 5, 0), (START + 2 * SECOND, 5, 1)]
    assert gathered([requests]) == [requests]


def test_a_certificate_that_one_row_of_many_shows_is_told() -> None:
    shown = {"ts": START, "client.ip": "10.0.0.1", "server.ip": "10.0.0.2", "opcua.certificate": "aa"}
    batches = cut([{**shown, "opcua.certificate": None}, shown], 0, START, table="opcua")
    now, later = acts(batches, START + SECOND, {})
    assert now.select("topic", "point", "count").rows() == [("client_certificate", "aa", 1)]
    assert later.is_empty()
