"""The fuzz targets and their seeds belong together."""

from __future__ import annotations

import tomllib

import pytest

from tests.fuzzing import seeds as made
from tests.fuzzing.seeds import MAKERS, ROOT, TARGETS, seeds

FUZZ = ROOT / "sensor/core/fuzz"


@pytest.fixture
def without_captures(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without the folder of real captures."""
    monkeypatch.delenv("ICSIGHT_CAPTURES", raising=False)
    made.captures.cache_clear()
    monkeypatch.setattr(made, "captures", made.captures.__wrapped__)


def test_every_target_is_built_and_run() -> None:
    built = {binary["name"] for binary in tomllib.loads((FUZZ / "Cargo.toml").read_text())["bin"]}
    assert built == {path.stem for path in (FUZZ / "fuzz_targets").glob("*.rs")} == set(TARGETS) == set(MAKERS)


@pytest.mark.usefixtures("without_captures")
@pytest.mark.parametrize("target", TARGETS)
def test_every_target_has_seeds_without_captures(target: str) -> None:
    found = set(seeds(target))
    assert found
    assert all(0 < len(seed) <= TARGETS[target] for seed in found)


def test_bytes_become_events_that_say_their_length() -> None:
    assert made.event(b"abc", is_client=True) == b"\x00\x03abc"
    assert made.event(b"a" * 300, is_client=False) == bytes([1 | 1 << 3, 300 - 256]) + b"a" * 300


def test_a_script_ends_where_the_next_event_has_no_room() -> None:
    events = [made.event(b"ab", is_client=True), made.event(b"cd", is_client=False)]
    assert made.script(5, events, 9) == b"\x05\x00\x02ab\x01\x02cd"
    assert made.script(5, events, 8) == b"\x05\x00\x02ab"
