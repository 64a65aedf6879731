"""Writers of one process: each has its turn in the order in which it came, and whoever waits for too long says so."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.exc import OperationalError

from api.database import turns
from api.database.turns import Turns
from tests.api.alerts import upsert

if TYPE_CHECKING:
    from tests.api.conftest import Running


def test_writers_have_their_turns_in_the_order_in_which_they_came() -> None:
    queue, had, inside = Turns(), list[int](), threading.Semaphore()

    def write(number: int) -> None:
        with queue.turn():
            assert inside.acquire(blocking=False), "two at a time"
            had.append(number)
            inside.release()

    with ThreadPoolExecutor(30) as pool, queue.turn():
        for number in range(30):
            before = len(queue._waiting)  # pyright: ignore[reportPrivateUsage]  nothing else tells that it waits
            pool.submit(write, number)
            while len(queue._waiting) == before:  # pyright: ignore[reportPrivateUsage]
                time.sleep(0.001)
    assert had == list(range(30))


def test_whoever_waits_for_too_long_gives_up_and_holds_nobody_up() -> None:
    queue = Turns()
    with queue.turn(), pytest.raises(OperationalError, match=turns.LOCKED), queue.turn(0.01):
        pass
    with queue.turn(0.01), pytest.raises(OperationalError), queue.turn(0.01):
        pass
    with pytest.raises(ZeroDivisionError), queue.turn(0.01):
        _ = 1 / 0
    with queue.turn(0.01):
        pass


def test_a_change_that_waits_for_too_long_is_a_problem_that_says_when_to_ask_again(
    system_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    system_running.alerts(upsert(1))
    client, path = system_running.signed_in(), f"/api/alerts/{1:032x}/acknowledge"
    monkeypatch.setattr(Turns.turn.__wrapped__, "__defaults__", (0.1,))  # pyright: ignore[reportFunctionMemberAccess]
    with system_running.services.database.write():
        answer = client.post(path, json={"note": "x"}, headers={"If-Match": "*"})
    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (503, "database_busy", "2")
    assert client.post(path, json={"note": "x"}, headers={"If-Match": "*"}).status_code == 200
