"""The HTTP server's process."""

from __future__ import annotations

import gc

from api.server import keep_loaded

OBJECTS = 50_000


def test_the_garbage_collector_does_not_look_at_what_is_kept() -> None:
    loaded = [[number] for number in range(OBJECTS)]
    before = gc.get_freeze_count()
    keep_loaded()
    assert gc.get_freeze_count() >= before + len(loaded)
    assert len(gc.get_objects()) < OBJECTS
