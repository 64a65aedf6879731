"""The parts of an answer are the same after their way in chunks, in any order, and nothing else is believed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor import evidence_message
from sensor.evidence_message import PARTS, Assembly, chunks, decode
from sensor.kafka_message import HEADER, Message, MessageError


@pytest.fixture(autouse=True, scope="module")
def small_chunks() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence_message, "CHUNK_BYTES", 10)
        yield


def taken(assembly: Assembly, message: Message) -> bool:
    return assembly.add(*decode(message.headers, message.value))


@given(st.binary(max_size=95), st.binary(max_size=30), st.binary(min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_parts_are_the_same_whatever_comes_twice_and_in_whichever_order(
    pcapng: bytes, manifest: bytes, answer: bytes, order: Any
) -> None:
    contents = dict(zip(PARTS, (pcapng, manifest, answer), strict=True))
    first = [message for part in PARTS[:2] for message in chunks("r1", "南站", part, contents[part])]
    first += first[: len(first) // 2]
    order.shuffle(first)
    assembly = Assembly("r1", "南站")
    assert not any(taken(assembly, message) for message in first)
    for message in chunks("r2", "南站", "answer", b"another's"):
        assert not taken(assembly, message)
    last = [taken(assembly, message) for message in chunks("r1", "南站", "answer", answer)]
    assert last == [False] * (len(last) - 1) + [True]
    assert assembly.parts == contents


def test_a_changed_byte_is_not_believed() -> None:
    message = next(chunks("r1", "s", "answer", b"12345"))
    with pytest.raises(MessageError, match="hash"):
        taken(Assembly("r1", "s"), Message(message.key, b"12346", message.headers))


def test_an_answer_that_was_made_again_is_not_mixed_with_the_one_before() -> None:
    before, after = (list(chunks("r1", "s", "answer", content)) for content in (b"0123456789abc", b"9876543210xyz"))
    assembly = Assembly("r1", "s")
    assert not taken(assembly, before[0])
    assert not taken(assembly, after[1])
    assert taken(assembly, after[0])
    assert assembly.parts == {"answer": b"9876543210xyz"}


TOLD = json.loads(next(chunks("r1", "s", "answer", b"12345")).headers[0][1])
WRONG = [
    ("request", "../r1"), ("request", 1), ("sensor", None), ("part", "exe"), ("index", 1), ("index", -1), ("count", 0),
    ("count", 2),    ("count", 10**9), ("bytes", 4), ("bytes", -1), ("bytes", 10**12), ("bytes", True), ("sha256", "0"),
    ("version", 2), ("version", "x"), ("version", float("inf")), ("version", 1.0), ("version", True), ("version", 0),
    ("more", 1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_chunk_that_tells_what_cannot_be_is_refused(name: str, value: object) -> None:
    assert decode([(HEADER, json.dumps(TOLD).encode())], b"12345")[0].request == "r1"
    with pytest.raises(MessageError):
        decode([(HEADER, json.dumps({**TOLD, name: value}).encode())], b"12345")


@given(st.binary(max_size=60), st.binary(max_size=12))
def test_anything_else_is_refused(told: bytes, value: bytes) -> None:
    with pytest.raises(MessageError):
        decode([(HEADER, told)], value)


def test_what_is_too_large_is_not_sent() -> None:
    with pytest.raises(MessageError, match="more than"):
        next(chunks("r1", "s", "pcapng", bytes(evidence_message.PART_BYTES + 1)))
