"""The consumer of the stream of alerts: whatever a sensor has made of its texts, alerts of all sites come into the database."""

from __future__ import annotations

import logging
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from sqlalchemy.exc import OperationalError

from api.alerts import upserts
from api.alerts.consumer import AlertConsumer
from api.database.turns import Turns
from collector.stream import NewerBatch, Position
from detection.alerts import encode_alerts
from detection.control import NORMAL, SITE
from detection.kept import KeptStream
from detection.publish import Publisher
from sensor.control_records import encode
from tests.api.alerts import upsert
from tests.api.conftest import SQLITE_ONLY
from tests.api.test_ticking import until

if TYPE_CHECKING:
    from collector.stream import Consumer
    from detection.alerts import Alert
    from tests.api.conftest import Running


def listed(system: Running) -> dict[str, dict[str, Any]]:
    """What the API tells of each alert, by id."""
    answer = system.signed_in("viewer").get("/api/alerts")
    assert answer.status_code == 200, answer.text
    return {each["id"]: each for each in answer.json()["items"]}


def told(system: Running, *batches: tuple[str, Alert]) -> None:
    """Alerts as workers publish them, of the sites that are named, taken in."""
    stream = KeptStream()
    publisher = Publisher(stream, "detection", "e", "alert")
    for site, alert in batches:
        publisher.publish(encode_alerts([alert]), 1, site, (1, 1))
    AlertConsumer(stream, system.services).drain()


def test_addresses_that_are_any_text_keep_no_alert_out(system_running: Running) -> None:
    told(
        system_running,
        ("east", upsert(1, client_ip="1" * 46, server_ip="2001:db8:ffff:ffff:ffff:ffff:255.255.255.255")),
        ("east", upsert(2, client_ip="10.0.0.1\0", server_ip="10.0.0.2\nx")),
        ("west", upsert(3)),
    )
    found = listed(system_running)
    assert [(found[f"{number:032x}"]["client.ip"], found[f"{number:032x}"]["server.ip"]) for number in (1, 2, 3)] == [
        (None, "2001:db8:ffff:ffff:ffff:ffff:255.255.255.255"), (None, None), ("10.0.0.3", "10.0.1.1"),
    ]  # fmt: skip


def test_names_of_rules_and_techniques_that_no_column_takes_keep_no_alert_out(system_running: Running) -> None:
    body = upsert(1).body
    told(
        system_running,
        ("east", upsert(1, rule="r" * 200, body={**body, "techniques": ["T0846", "T" * 17]})),
        ("east", upsert(2, rule="a\0b")),
        ("west", upsert(3)),
    )
    found = listed(system_running)
    assert [found[f"{number:032x}"]["rule"] for number in (1, 2)] == ["r" * 128, "ab"]
    assert f"{3:032x}" in found
    assert found[f"{1:032x}"]["techniques"] == ["T0846"]


def test_the_longest_name_of_a_site_has_room(system_running: Running) -> None:
    told(system_running, ("n" * 255, upsert(1)), ("west", upsert(2)))
    assert {each["site"] for each in listed(system_running).values()} == {"n" * 255, "west"}


def test_a_value_that_is_no_number_keeps_no_alert_out(system_running: Running) -> None:
    body = dict(upsert(1).body)
    told(
        system_running,
        ("east", upsert(1, body={**body, "target": {"point.number": math.nan, "point.id": "holding:1@1\0"}})),
        ("east", upsert(2, body={**body, "accept": {"value": -math.inf}})),
        ("west", upsert(3)),
    )
    client = system_running.signed_in("viewer")
    assert [client.get(f"/api/alerts/{number:032x}").status_code for number in (1, 2, 3)] == [200, 200, 200]


@pytest.mark.parametrize(
    "newer",
    [
        ("control", encode(1, SITE, '{"site": "east", "of_a_later_version": 1}')),
        ("control", encode(1, NORMAL, '{"choice": "of_a_later_version"}')),
        ("alert", encode_alerts([upsert(2, severity="of_a_later_version")])),
        ("alert", encode(1, "of_a_later_version", "")),
    ],
    ids=["facts", "decision", "severity", "columns"],
)
@SQLITE_ONLY
def test_what_a_newer_worker_tells_is_waited_with_and_lost_by_none(system_running: Running, newer: tuple[str, bytes]) -> None:
    stream = KeptStream()
    publisher = Publisher(stream, "detection", "e", "alert")
    publisher.publish(encode_alerts([upsert(1)]), 1, "east", (1, 1))
    Publisher(stream, "detection", "f", newer[0]).publish(newer[1], 1, "east", (1, 1))
    publisher.publish(encode_alerts([upsert(3)]), 1, "west", (1, 1))
    consumer = AlertConsumer(stream, system_running.services)
    for _ in range(2):
        with pytest.raises(NewerBatch, match=r"batch 0/1 of table .* cannot be read .*: a newer worker"):
            consumer.drain()
        assert list(listed(system_running)) == [f"{1:032x}"]
    with system_running.services.database.read() as session:
        assert upserts.position(session).offsets == {"0": 1}


@SQLITE_ONLY
def test_a_partition_that_is_halted_is_told_in_one_line(system_running: Running, caplog: pytest.LogCaptureFixture) -> None:
    consumer = AlertConsumer(KeptStream(), system_running.services)
    reason = "icsight.alerts/0/7: the message is of version 2"

    def nothing(*_: object, **__: object) -> list[object]:
        return []

    for halted in ({}, {"0": reason}, {"0": reason}):
        # The last one is as another that is subscribed behind the first.
        read = SimpleNamespace(poll=nothing, halted=halted, ends={}, position=Position())
        for _ in range(2):
            assert not consumer.apply_next(cast("Consumer", read), 0)
    lines = [record for record in caplog.records if reason in record.message]
    assert [(line.levelno, line.message) for line in lines] == [(logging.ERROR, f"{reason}: alerts of this partition wait")]


@SQLITE_ONLY
def test_bytes_that_are_nothing_are_passed_over_and_told(system_running: Running) -> None:
    stream = KeptStream()
    for epoch, table in (("e", "alert"), ("f", "control")):
        Publisher(stream, "detection", epoch, table).publish(b"nothing", 1, "east", (1, 1))
    Publisher(stream, "detection", "g", "alert").publish(encode_alerts([upsert(3)]), 1, "west", (1, 1))
    AlertConsumer(stream, system_running.services).drain()
    assert list(listed(system_running)) == [f"{3:032x}"]
    assert any("damaged" in part.detail for part in system_running.services.status.parts() if part.name == "alerts")


@SQLITE_ONLY
def test_alerts_wait_while_others_keep_the_database_and_what_is_wrong_with_it_is_no_waiting(
    system_running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    services, stream, stop = system_running.services, KeptStream(), threading.Event()
    Publisher(stream, "detection", "e", "alert").publish(encode_alerts([upsert(1)]), 1, "east", (1, 1))
    monkeypatch.setattr(Turns.turn.__wrapped__, "__defaults__", (0.05,))  # pyright: ignore[reportFunctionMemberAccess]
    with ThreadPoolExecutor(1) as pool:
        with services.database.write():
            running = pool.submit(AlertConsumer(stream, services).run, stop)
            until(lambda: "alerts wait" in caplog.text)
        until(lambda: bool(listed(system_running)))
        stop.set()
        assert running.result(30) is None

    def broken(*_: object) -> None:
        raise OperationalError(None, None, ValueError("no such table: alert"))

    monkeypatch.setattr(upserts, "position", broken)
    with pytest.raises(OperationalError, match="no such table"):
        AlertConsumer(stream, services).run(threading.Event())
