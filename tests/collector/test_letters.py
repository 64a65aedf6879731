"""Dead letters: whatever comes can be kept, none is lost by looking at it, and nothing in it speaks to the terminal."""

from __future__ import annotations

import hashlib
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import pytest
from click.testing import CliRunner

from collector.dead_letters import LetterFolder
from collector.letters_command import FOLDER, dead_letters
from collector.stream import BatchHeader
from collector.stream.kafka_letters import CUT_BYTES, LetterTopic
from sensor import terminal
from sensor.kafka_message import HEADER_BYTES, Message, decode
from sensor.kafka_producer import FRAME_BYTES
from sensor.kafka_settings import KafkaSettings
from tests.batches import EPOCH, encode, sample

if TYPE_CHECKING:
    from pathlib import Path

HEADER: Final = BatchHeader("north", EPOCH, 0, "modbus", 5, "plant")


class Producer:
    """Takes what Kafka would."""

    def __init__(self, largest_bytes: int) -> None:
        self.largest_bytes = largest_bytes
        self.sent: list[Message] = []
        self.waits = 0

    def send(self, topic: str, message: Message, seconds: float) -> bool:
        del topic, seconds
        assert message.size <= self.largest_bytes
        self.sent.append(message)
        return True

    def wait(self, seconds: float) -> bool:
        self.waits += 1
        return seconds > 0


@pytest.fixture
def settings() -> KafkaSettings:
    return KafkaSettings(bootstrap="localhost:1", security="plaintext", largest_message_bytes=1024**2)


def test_many_letters_are_waited_for_once(settings: KafkaSettings) -> None:
    letters = LetterTopic(settings)
    producer = Producer(settings.largest_message_bytes)
    letters._producer = producer  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue] - no Kafka is asked
    for number in range(1_000):
        letters.keep("strange", None, str(number).encode())
    assert (len(producer.sent), producer.waits) == (1_000, 0)
    letters.settle()
    assert producer.waits == 1


@pytest.mark.parametrize("more", [-1, 0, 1, 5_000_000])
def test_a_letter_too_large_for_a_message_is_kept_with_its_first_bytes_and_what_is_known_of_all(
    settings: KafkaSettings, more: int
) -> None:
    letters = LetterTopic(settings)
    producer = Producer(settings.largest_message_bytes - FRAME_BYTES)
    letters._producer = producer  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue] - no Kafka is asked
    data = b"x" * (settings.largest_message_bytes - 2 * FRAME_BYTES + more)
    name = letters.keep("strange", HEADER, data)
    (message,) = producer.sent
    told = dict(message.headers)
    assert message.key.decode() == name
    assert decode(message.headers) == HEADER
    if more <= 0:
        assert (message.value, told["reason"]) == (data, b"strange")
    else:
        assert message.value == data[:CUT_BYTES]
        assert f"first 65,536 of its {len(data):,} bytes" in told["reason"].decode()
        assert hashlib.sha256(data).hexdigest() in told["reason"].decode()
        assert told["reason"].endswith(b"strange")


def test_a_letter_whose_names_are_too_long_is_kept_without_them(settings: KafkaSettings) -> None:
    letters = LetterTopic(settings)
    producer = Producer(settings.largest_message_bytes - FRAME_BYTES)
    letters._producer = producer  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue] - no Kafka is asked
    letters.keep("strange", BatchHeader("n" * HEADER_BYTES, EPOCH, 0, "modbus", 5), b"data")
    (message,) = producer.sent
    assert message.value == b"data"
    assert [name for name, _ in message.headers] == ["reason"]
    assert message.headers[0][1].startswith(b"strange (the header of a batch of 'nnn")


def test_letters_that_take_long_to_store_are_read_to_the_end(settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    records = [SimpleNamespace(key=b"%d" % number, value=b"", offset=number, headers=[]) for number in range(5)]

    class Client:
        """A topic of one partition that gives a message at a time, and nothing in between."""

        def __init__(self) -> None:
            self.given: list[Any] = [{}]
            self.at = 0

        def assign(self, places: object) -> None: ...

        def seek_to_beginning(self, *places: object) -> None: ...

        def close(self, *, autocommit: bool) -> None: ...

        def position(self, place: object) -> int:
            del place
            return self.at

        def poll(self, timeout_ms: int) -> dict[int, list[object]]:
            del timeout_ms
            self.given.append({})
            if len(self.given) % 2:
                return {}
            self.at += 1
            return {0: [records[self.at - 1]]}

    def partitions(client: object) -> list[SimpleNamespace]:
        del client
        return [SimpleNamespace(partition=0)]

    def ends(client: object) -> dict[int, int]:
        del client
        return {0: 5}

    letters = LetterTopic(settings)
    stream = letters._stream  # pyright: ignore[reportPrivateUsage] - no Kafka is asked
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(stream, "client", Client)
    monkeypatch.setattr(stream, "partitions", partitions)
    monkeypatch.setattr(stream, "ends", ends)
    seen: list[str] = []
    for letter in letters.letters():
        seen.append(letter.name)
        now += 2 * settings.delivery_timeout_seconds
    assert seen == ["0", "1", "2", "3", "4"]


def test_a_replay_that_names_no_store_stores_nothing_and_keeps_the_letters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = LetterFolder(tmp_path / FOLDER)
    kept.keep("not mended yet", HEADER, encode(HEADER, sample("modbus", 5)))
    monkeypatch.chdir(tmp_path)

    def letters_of(data: object) -> LetterFolder:
        """As where Kafka has the letters."""
        del data
        return kept

    monkeypatch.setattr("collector.letters_command.letters_of", letters_of)
    done = CliRunner().invoke(dead_letters, ["replay", "--all"])
    assert done.exit_code == 2
    assert "where to? Name a cluster in [elasticsearch] of icsight.toml, or give --data DIR" in done.output
    assert len(list(kept.letters())) == 1
    assert not (tmp_path / "records").exists()
    assert CliRunner().invoke(dead_letters, ["replay", "--all", "--data", str(tmp_path)]).exit_code == 0


def test_what_a_message_says_moves_nothing_in_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = BatchHeader("\x1b[2J\x1b]0;all is well\x07", "\u202eepoch", 0, "mod\rbus", 5, "东站\u3000\x9b31m")
    name = LetterFolder(tmp_path / FOLDER).keep("\x1b[31mwhy", hostile, b"")
    listed = CliRunner().invoke(dead_letters, ["list", "--data", str(tmp_path)])
    shown = CliRunner().invoke(dead_letters, ["show", name, "--data", str(tmp_path)])
    failed = CliRunner().invoke(dead_letters, ["replay", name, "--data", str(tmp_path)])
    terminal.warn(f"{hostile.sensor}: {hostile.epoch}")
    assert listed.exit_code == shown.exit_code == 0
    assert "�[2J�]0;all is well�/�epoch/0" in listed.output
    assert "东站\u3000�31m" in shown.output
    for text in (listed.output, shown.output, failed.output, capsys.readouterr().err):
        assert not set(text) & set("\x1b\x07\r\x9b\u202e")
