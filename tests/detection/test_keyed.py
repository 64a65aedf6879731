"""Frames in order of their key: a few rows found and renewed among many, as a plain dictionary would have it."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from detection.anomaly import keyed
from detection.anomaly.rounding import divided

KEYS = st.integers(0, 2**64 - 1) | st.integers(0, 20)
SCHEMA = pl.Schema({"key": pl.UInt64(), "value": pl.Int64()})


def frame(rows: dict[int, int]) -> pl.DataFrame:
    return keyed.arranged(pl.DataFrame(list(rows.items()), schema=SCHEMA, orient="row"))


@given(known=st.dictionaries(KEYS, st.integers(0, 9)), fresh=st.dictionaries(KEYS, st.integers(10, 19)), most=st.integers(0, 30))
def test_fresh_rows_take_the_place_of_known_ones_and_new_ones_the_room_that_there_is(
    known: dict[int, int], fresh: dict[int, int], most: int
) -> None:
    rows = pl.DataFrame(list(fresh.items()), schema=SCHEMA, orient="row")
    after, over = keyed.renewed(frame(known), rows, ["value", "key"], most)
    new = sorted((value, key) for key, value in fresh.items() if key not in known)
    kept = new[: max(0, most - len(known))]
    wanted = {**known, **{key: value for key, value in fresh.items() if key in known}, **{key: value for value, key in kept}}
    assert dict(after.rows()) == wanted
    assert after.get_column("key").is_sorted()
    assert over == len(new) - len(kept)


@given(known=st.dictionaries(KEYS, st.integers(0, 9)), asked=st.lists(KEYS, unique=True))
def test_what_is_known_of_some_keys_is_found_in_their_order(known: dict[int, int], asked: list[int]) -> None:
    keys = pl.Series("key", asked, pl.UInt64)
    assert keyed.rows_of(frame(known), keys).rows() == [(key, known[key]) for key in asked if key in known]
    beside = keyed.beside(keys.to_frame(), frame(known), " known")
    assert beside.get_column("value known").to_list() == [known.get(key) for key in asked]
    assert keyed.only_known(keys.to_frame(), "key", frame(known)).rows() == [(key,) for key in asked if key in known]


@given(numbers=st.lists(st.integers(0, 2**60), min_size=1, max_size=20))
def test_a_quotient_does_not_depend_on_how_many_are_taken_at_once(numbers: list[int]) -> None:
    column = pl.DataFrame({"number": numbers})
    whole = column.select(divided(pl.col("number"), 60_000_000_000)).to_series().to_list()
    assert whole == [number / 60_000_000_000 for number in map(float, numbers)]
    assert whole == [row.select(divided(pl.col("number"), 60_000_000_000)).item() for row in column.iter_slices(1)]
