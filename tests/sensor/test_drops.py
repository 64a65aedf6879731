"""The counters that rules can name are those that the packet core counts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from sensor.drops import DROPS, LOSSES

CORE: Final = Path(__file__).resolve().parents[2] / "sensor" / "core"
SOURCES: Final = ("wire/src", "src")

NAMED: Final = re.compile(r'\(\s*"([a-z_]+)"(?:\.into\(\))?,\s*(?:self\.|limited\b|lost\b|&port\.)')
"""A counter with its name, as `Counters::named`, the engine, the live capture and the reader give them."""

GIVING: Final = ("named(", "fn losses(", "set_elsewhere(")
"""What stands in a source that gives counters."""


def test_the_counters_are_those_of_the_packet_core() -> None:
    sources = [path.read_text(encoding="utf-8") for folder in SOURCES for path in sorted((CORE / folder).rglob("*.rs"))]
    named = {name for source in sources if any(word in source for word in GIVING) for name in NAMED.findall(source)}
    recorder = (CORE.parent / "recorder.py").read_text(encoding="utf-8")
    named |= set(re.findall(r'"((?:spool|control)_[a-z_]+)": (?:room|self)\.', recorder))
    assert named == set(DROPS)


def test_what_counts_as_lost_is_counted() -> None:
    assert set(LOSSES) < set(DROPS)
