"""What an uplink does beside shipping goes on whatever happens to it, says so, and does not hold up the end."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, cast

import pytest

from sensor import kafka_control, kafka_reading, uplink_command
from sensor.control import OUTBOX
from sensor.evidence_uplink import EvidenceUplink
from sensor.kafka_client import KafkaUnusable, arguments, librdkafka_arguments
from sensor.kafka_control import ControlPoller
from sensor.kafka_settings import KafkaSettings
from sensor.persistence import Persistence
from sensor.renewal import Renewal
from sensor.reporter import Reporter
from sensor.spool import Spool
from sensor.uplink import Uplink, UplinkCounters
from tests.sensor.test_uplink import FAST, fill

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kafka.structs import TopicPartition


KAFKA = KafkaSettings(bootstrap="broker:9092", security="plaintext")
PATIENCE_SECONDS = 20


def until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def answering(settings: KafkaSettings) -> str:
    return settings.bootstrap


def with_password_in(file: Path) -> KafkaSettings:
    return KafkaSettings(bootstrap="broker:9093", security="sasl_tls", username="north", password_file=file)


@pytest.mark.parametrize("made", [arguments, librdkafka_arguments])
def test_a_password_file_that_is_away_for_a_moment_is_as_brokers_that_are(
    made: Callable[[KafkaSettings], dict[str, Any]], tmp_path: Path
) -> None:
    settings = with_password_in(tmp_path / "password")
    with pytest.raises(KafkaUnusable, match=r"kafka\.password_file .* cannot be read"):
        made(settings)
    (tmp_path / "password").write_text("here again")
    assert "here again" in made(settings).values()


def test_an_uplink_whose_password_file_is_away_for_a_moment_ships_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensor.kafka_client.knock", answering)
    with Spool(tmp_path / "spool", sensor="north") as spool:
        fill(spool, 1)
    uplink = Uplink(tmp_path / "spool", with_password_in(tmp_path / "password"), FAST)
    stop = threading.Event()
    thread = threading.Thread(target=uplink.run, args=(stop,))
    thread.start()
    try:
        until(lambda: uplink.counters.retries >= 2)
        assert "password_file" in uplink.counters.trouble
    finally:
        stop.set()
        thread.join(PATIENCE_SECONDS)


def working(part: Any, said: list[str]) -> None:
    """Run a part until it has said something and tried again."""
    stop = threading.Event()
    thread = threading.Thread(target=part.run, args=(stop,))
    thread.start()
    try:
        until(lambda: said and part.trouble)
        assert thread.is_alive()
    finally:
        stop.set()
        thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()


def broken(*_: Any) -> None:
    raise RuntimeError("nobody thought of this")


def test_no_fault_ends_what_goes_on_beside_shipping_and_each_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("kafka_control", "evidence_uplink", "reporter"):
        monkeypatch.setattr(f"sensor.{module}.probe", broken)
    (tmp_path / OUTBOX).mkdir()
    (tmp_path / OUTBOX / "1.answer").touch()
    with Spool(tmp_path / "spool", sensor="north"):
        uplink = Uplink(tmp_path / "spool", KAFKA, FAST)
    uplink.counters.connected = True
    said: list[str] = []
    poller = ControlPoller(tmp_path, KAFKA, "north", said.append)
    reporter = Reporter(tmp_path, KAFKA, (uplink, poller, Renewal(tmp_path)), said.append)
    for part in (poller, EvidenceUplink(tmp_path, KAFKA, "north", said.append), reporter):
        working(part, said)
        assert part.trouble == "RuntimeError: nobody thought of this"
        assert len(said) == 1
        said.clear()


def test_a_trouble_is_said_once_and_again_when_it_comes_back_and_only_when_it_is_worth_it() -> None:
    said: list[str] = []
    stop = threading.Event()
    turns = iter("ffwfw")
    is_worth_telling = True
    persistence = Persistence(said.append, 0, lambda: is_worth_telling)
    seen: list[str] = []

    def work(stop: threading.Event) -> None:
        turn = next(turns, "")
        seen.append(persistence.trouble)
        if turn == "f":
            raise KafkaUnusable("away")
        persistence.went_well()
        if not turn:
            stop.set()

    persistence.run(work, stop)
    assert said == ["away", "away"]
    assert seen == ["", "away", "away", "", "away", ""]
    is_worth_telling = False
    turns = iter("f")
    stop.clear()
    persistence.run(work, stop)
    assert len(said) == 2


def test_a_certificate_that_is_replaced_while_it_is_read_is_shown_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = tmp_path / "sensor.pem"
    certificate.write_text("old")
    read = 0

    def reads(settings: KafkaSettings) -> dict[str, Any]:
        del settings
        nonlocal read
        read += 1
        if read == 1:
            # The old one has been read; now it is renewed.
            (tmp_path / "new.pem").write_text("new")
            (tmp_path / "new.pem").replace(certificate)
        return {}

    class Consumer:
        def assign(self, _: object) -> None: ...

        def seek(self, *_: object) -> None: ...

        def close(self) -> None: ...

        def poll(self, timeout_ms: int) -> dict[TopicPartition, Any]:
            time.sleep(min(timeout_ms, 20) / 1000)
            return {}

    def made(settings: KafkaSettings, **_: Any) -> Consumer:
        reads(settings)
        return Consumer()

    monkeypatch.setattr(kafka_reading, "consumer", made)
    monkeypatch.setattr(kafka_control, "probe", nothing)
    poller = ControlPoller(tmp_path, KAFKA.model_copy(update={"certificate_file": certificate}), "north")
    stop = threading.Event()
    thread = threading.Thread(target=poller.run, args=(stop,))
    thread.start()
    try:
        until(lambda: read >= 2)
    finally:
        stop.set()
        thread.join(PATIENCE_SECONDS)


def nothing(*_: Any) -> dict[str, int]:
    return {}


class Silent:
    """A part that waits for an answer that does not come."""

    trouble = ""

    def run(self, stop: threading.Event) -> None:
        del stop
        time.sleep(PATIENCE_SECONDS)


class Stopped:
    """An uplink that ends at once."""

    counters = UplinkCounters()

    def run(self, stop: threading.Event) -> None:
        stop.wait()


def test_an_answer_that_does_not_come_holds_up_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uplink_command, "END_SECONDS", 0.2)
    stop = threading.Event()
    stop.set()
    begun = time.monotonic()
    uplink_command._run(cast("Uplink", Stopped()), [Silent(), Silent()], stop)  # pyright: ignore[reportPrivateUsage]  the end of the command
    assert time.monotonic() - begun < PATIENCE_SECONDS / 2
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "Silent")
