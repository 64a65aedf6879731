"""What only this machine can reach is told from what others can."""

from __future__ import annotations

import pytest

from sensor.loopback import is_loopback


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"])
def test_this_machine_is_told_by_its_name_and_its_addresses(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "::", "[::]", "10.0.0.1", "localhost.example", "127.0.0.1.example", "2130706433"]
)
def test_what_others_can_reach_is_not_this_machine(host: str) -> None:
    assert not is_loopback(host)
