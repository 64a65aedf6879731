"""What each model of a point's values tells, and what it leaves untold though it is near."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import polars as pl
import pytest

from detection.anomaly import windows
from tests.detection.test_anomaly import LEARNED, anomalies, point, polls, told
from tests.detection.traffic import START

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FIRST: Final = LEARNED // 10
"""The first turn after learning. A turn is ten seconds; a window of five minutes has thirty."""

WINDOW: Final = range(FIRST + 30, FIRST + 60)
"""The turns of the second window after learning."""


def models(usual: Callable[[int], float], strange: Callable[[int], float], *, turns: range = WINDOW) -> set[str]:
    """The models that tell something where a point is `strange` in these turns and `usual` in all others."""
    _, rows = anomalies(polls(LEARNED + 1_800, of=lambda turn: (strange if turn in turns else usual)(turn)))
    return told(rows)


def of(*cycle: float) -> Callable[[int], float]:
    """A point that goes through these values again and again."""
    return lambda turn: cycle[turn % len(cycle)]


def held(usual: Callable[[int], float], turns: int) -> Callable[[int], float]:
    """The same, but for so many turns at the begin of WINDOW it stays as it was."""
    return lambda turn: usual(WINDOW.start - 1) if turn < WINDOW.start + turns else usual(turn)


TENS: Final = of(400, 410, 420, 430, 440)
"""A mean of 420, a deviation of 14.1, and always an even number."""


def test_a_point_that_changes_half_as_often_is_told_and_one_that_skips_a_few_turns_is_not() -> None:
    assert "rate" in models(TENS, held(TENS, 15))
    assert "rate" not in models(TENS, held(TENS, 4))


def test_a_mean_that_moves_is_told_though_each_value_is_within_its_range() -> None:
    found = models(TENS, of(430, 440))
    assert "level" in found
    assert "value" not in found


def test_a_mean_that_moves_by_less_than_a_hundredth_is_not_told() -> None:
    # Its mean is 424.
    assert "level" not in models(TENS, of(410, 420, 430, 440, 420))


def test_values_that_lie_closer_together_are_told_though_their_mean_stays() -> None:
    found = models(TENS, of(410, 430))
    assert "spread" in found
    assert "level" not in found


def test_values_that_lie_a_little_closer_together_are_not_told() -> None:
    # A deviation of 12.8.
    assert "spread" not in models(TENS, of(400, 410, 420, 430, 435))


def test_a_message_in_the_lowest_bit_is_told_and_a_shift_by_one_is_not_taken_for_one() -> None:
    source = random.Random(1)
    bits = [source.randint(0, 1) for _ in WINDOW]
    assert "low_bits" in models(TENS, lambda turn: TENS(turn) + bits[turn - WINDOW.start])
    # Bits that alternate but for one of five carry 1.5 in two changes, from whichever they begin.
    alternating = of(400, 411, 420, 431, 440)
    assert "low_bits" not in models(alternating, lambda turn: alternating(turn) + 1)


@pytest.mark.parametrize(
    ("bits", "entropy"),
    [
        ([0] * 17, 0.0),
        ([1] * 17, 0.0),
        ([0, 1] * 8 + [0], 1.0),
        # Each of 00, 01, 11 and 10 as often.
        ([0, 0, 1, 1] * 4 + [0], 2.0),
    ],
)
def test_the_lowest_bits_information_is_that_of_two_which_follow_each_other(bits: Sequence[int], entropy: float) -> None:
    over, still = windows.counted(windows.NOTHING, changing([2.0 * place + bit for place, bit in enumerate(bits)]), END)
    assert still.is_empty()
    assert windows.features(over)["low_bits"].get_column("value").to_list() == pytest.approx([entropy])


END: Final = START + windows.PERIOD_NS


def changing(numbers: Sequence[float]) -> pl.DataFrame:
    """A point's values in one window, as models know them."""
    number = pl.Series("number", numbers)
    return pl.DataFrame([number, number.shift().alias("before"), number.diff().abs().alias("step")]).with_columns(
        *(pl.lit("a").cast(pl.Categorical).alias(name) for name in ("client", "server", "point")),
        key=pl.lit(1, pl.UInt64),
        event=pl.lit(START, pl.Int64),
        ts=pl.lit(START, pl.Int64),
        sequence=pl.lit(0, pl.Int64),
        row=pl.int_range(pl.len()),
    )


def test_a_window_with_eleven_changes_says_nothing_of_mean_spread_and_bits_and_one_with_twelve_does() -> None:
    for changes, said in ((11, 0), (12, 1)):
        over, _ = windows.counted(windows.NOTHING, changing([float(place) for place in range(changes + 1)]), END)
        found = windows.features(over)
        assert found["rate"].get_column("value").to_list() == [changes]
        assert [found[name].height for name in ("level", "spread", "low_bits")] == [said] * 3


def test_a_third_value_of_a_switch_is_told_though_it_lies_between_the_two() -> None:
    _, rows = anomalies(polls(LEARNED + 1_800, of=lambda turn: 0.5 if turn == FIRST + 9 else turn % 2))
    (row,) = rows.filter(pl.col("anomaly.model") == "members").to_dicts()
    assert (row["anomaly.observed"], row["anomaly.expected"]) == ("0.5", "0, 1")
    assert "value" not in told(rows)


def test_a_point_that_takes_more_values_than_a_set_has_is_told_by_none_that_is_new() -> None:
    assert "members" in models(lambda turn: turn % 15, lambda _: 7.5)
    assert "members" not in models(lambda turn: turn % 17, lambda _: 7.5)


def test_a_value_with_more_digits_than_ever_is_told_and_a_new_one_with_as_many_is_not() -> None:
    # More values than a set has, so that only their digits count.
    def tens(turn: int) -> float:
        return 400 + 10 * (turn % 23)

    _, rows = anomalies(polls(LEARNED + 1_800, of=lambda turn: 417 if turn == FIRST + 9 else tens(turn)))
    (row,) = rows.filter(pl.col("anomaly.model") == "decimals").to_dicts()
    assert (row["anomaly.observed"], row["anomaly.expected"]) == ("× 1", "× 10, 100")
    assert "decimals" not in models(tens, lambda turn: tens(turn) + 10_000)


def noise(seed: int) -> Callable[[int], float]:
    source = random.Random(seed)
    drawn = [source.uniform(400, 440) for _ in range(LEARNED // 10 + 180)]
    return drawn.__getitem__


def test_a_recording_that_is_played_back_is_told_and_new_noise_is_not() -> None:
    usual = noise(5)
    assert "repeats" in models(usual, lambda turn: usual(turn - 300))
    assert "repeats" not in models(usual, noise(6))


def test_a_recording_with_one_value_of_seven_replaced_escapes() -> None:
    usual, other = noise(5), noise(6)
    assert "repeats" not in models(usual, lambda turn: other(turn) if turn % 7 == 0 else usual(turn - 300))


def test_what_repeated_itself_while_it_was_learned_is_not_taken_for_a_recording() -> None:
    usual, long = noise(5), range(FIRST + 30, FIRST + 120)

    def repeating(turn: int) -> float:
        return usual(turn - 300) if turn in range(320, 350) else usual(turn)

    assert "repeats" in models(usual, lambda turn: usual(turn - 400), turns=long)
    assert "repeats" not in models(repeating, lambda turn: usual(turn - 400), turns=long)


def read_by_two(share: float, seconds: float) -> set[str]:
    """What is told where two clients read a point so many seconds apart, and once the second sees another value."""
    made = polls(LEARNED + 1_800)
    second = [
        point(10 * turn + seconds, (400 + turn % 5) * (1 + (share if turn == FIRST + 9 else 0)), client="10.0.0.2")
        for turn in range((LEARNED + 1_800) // 10)
    ]
    return told(anomalies(sorted([*made, *second], key=lambda record: record["ts"]))[1])


def test_two_readers_that_see_different_values_are_told_unless_they_differ_by_little_or_read_at_other_times() -> None:
    assert "readers" in read_by_two(0.1, 1.5)
    assert "readers" not in read_by_two(0.03, 1.5)
    assert "readers" not in read_by_two(0.1, 2.5)
