"""What every place for dead letters does, whichever way it is built."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from collector.dead_letters import DeadLetters, LetterFolder
from collector.stream import BatchHeader
from collector.stream.kafka_letters import LetterTopic
from sensor.kafka_settings import KafkaSettings
from sensor.topics import Topics
from tests.services.topics import make_topic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.services.kafka import Kafka

HEADER = BatchHeader("north", "e1", 7, "modbus", 3, "plant", 2)


@pytest.fixture(params=["folder", "topic"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], DeadLetters]]:
    """Opens the same letters again, as another process does."""
    with ExitStack() as stack:
        if request.param == "folder":
            yield lambda: LetterFolder(tmp_path / "letters")
        else:
            server: Kafka = request.getfixturevalue("kafka")
            settings = KafkaSettings(bootstrap=server.bootstrap, security="plaintext", prefix=f"t{secrets.token_hex(6)}")
            make_topic(server, Topics(settings.prefix).dead_letters)

            def opened() -> DeadLetters:
                letters = LetterTopic(settings)
                stack.callback(letters.close)
                return letters

            yield opened


def kept(letters: DeadLetters, reason: str, header: BatchHeader | None, data: bytes) -> str:
    """The name of a letter that is durable."""
    name = letters.keep(reason, header, data)
    letters.settle()
    return name


def names_of(letters: DeadLetters) -> list[str]:
    return sorted(letter.name for letter in letters.letters())


def test_a_letter_is_found_by_its_name_with_all_that_is_known(reopen: Callable[[], DeadLetters]) -> None:
    letters = reopen()
    assert list(letters.letters()) == []
    name = kept(letters, "因为 broken", HEADER, b"\x00bytes")
    (found,) = reopen().letters({name, "other"})
    assert (found.name, found.reason, found.header, found.data) == (name, "因为 broken", HEADER, b"\x00bytes")
    assert names_of(reopen()) == [name]


def test_the_same_batch_is_one_letter_and_another_is_another(reopen: Callable[[], DeadLetters]) -> None:
    letters = reopen()
    names = {kept(letters, "first", HEADER, b"x"), kept(letters, "second", HEADER, b"x")}
    assert len(names) == 1
    names.add(kept(letters, "first", None, b"x"))
    assert sorted(names) == names_of(reopen())


def test_a_letter_of_which_nothing_is_known_is_kept_with_its_bytes(reopen: Callable[[], DeadLetters]) -> None:
    name = kept(reopen(), "strange", None, b"")
    (found,) = reopen().letters({name})
    assert (found.header, found.data) == (None, b"")


def test_a_letter_that_was_let_go_of_is_gone_and_can_come_again(reopen: Callable[[], DeadLetters]) -> None:
    name = kept(reopen(), "why", HEADER, b"x")
    reopen().remove(name)
    assert names_of(reopen()) == []
    assert list(reopen().letters({name})) == []
    assert kept(reopen(), "why", HEADER, b"x") == name
    assert names_of(reopen()) == [name]


def test_there_is_no_letter_of_another_name(reopen: Callable[[], DeadLetters]) -> None:
    kept(reopen(), "why", HEADER, b"x")
    assert list(reopen().letters({"none"})) == []


def test_letters_are_durable_once_they_are_settled(reopen: Callable[[], DeadLetters]) -> None:
    letters = reopen()
    names = {letters.keep("why", None, str(number).encode()) for number in range(50)}
    letters.settle()
    assert names_of(reopen()) == sorted(names)
