"""A record batch is the same after its way over Kafka, and what is no batch is refused."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.kafka_message import COUNT_LIMIT, HEADER, HEADER_BYTES, MessageError, NewerMessage, check_names, decode, encode
from sensor.names import fault
from sensor.spool_format import BatchHeader
from sensor.topics import Topics, plain

ANY_NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
NAMES = ANY_NAMES.filter(lambda name: not fault(name))
EPOCHS = NAMES.filter(lambda name: "/" not in name)
COUNTS = st.integers(0, COUNT_LIMIT - 1)
TIMES = st.integers(-(2**63), 2**63 - 1)
HEADERS = st.builds(
    BatchHeader, sensor=NAMES, epoch=EPOCHS, sequence=COUNTS, table=NAMES, rows=COUNTS, site=st.just("") | NAMES, cut=COUNTS,
    cut_start=TIMES, cut_end=TIMES, cut_last=st.booleans(), dropped=COUNTS,
)  # fmt: skip


@given(HEADERS, st.binary(max_size=200))
def test_a_batch_is_the_same_after_its_way(header: BatchHeader, data: bytes) -> None:
    message = encode(header, data)
    assert decode(message.headers) == header
    assert message.value == data
    assert message.size == len(message.key) + len(data) + len(HEADER) + len(message.headers[0][1])


@given(HEADERS)
def test_all_batches_of_a_site_have_one_key_and_other_sites_another(header: BatchHeader) -> None:
    assert encode(header, b"").key == (header.site or header.sensor).encode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = sorted(asdict(BatchHeader("s", "e", 0, "modbus", 1)))


@given(st.binary(max_size=100) | JSON.map(lambda value: json.dumps(value).encode()))
def test_anything_else_is_refused_in_one_line(told: bytes) -> None:
    with pytest.raises(MessageError) as refused:
        decode([(HEADER, told)])
    assert "\n" not in str(refused.value)


@given(HEADERS, st.sampled_from([*FIELDS, "version", "more"]), JSON)
def test_a_header_with_another_value_in_a_field_is_taken_as_it_is_or_refused(header: BatchHeader, name: str, value: Any) -> None:
    content = {"version": 1, **asdict(header), name: value}
    try:
        decoded = decode([(HEADER, json.dumps(content).encode())])
    except MessageError:
        return
    assert {"version": 1, **asdict(decoded)} == content
    assert all(type(asdict(decoded)[field]) is type(asdict(header)[field]) for field in FIELDS)


def test_a_newer_version_is_refused_by_name() -> None:
    content = {"version": 2, **asdict(BatchHeader("s", "e", 0, "modbus", 1))}
    with pytest.raises(NewerMessage, match=r"version 2.*update"):
        decode([(HEADER, json.dumps(content).encode())])


def test_a_message_without_our_header_is_refused() -> None:
    with pytest.raises(MessageError, match="something else writes"):
        decode([("other", b"{}")])


@pytest.mark.parametrize("name", ["sequence", "rows", "dropped", "cut"])
def test_a_number_that_no_sensor_reaches_is_refused(name: str) -> None:
    content = {"version": 1, **asdict(BatchHeader("s", "e", 0, "modbus", 1)), name: 2**63 - 1}
    with pytest.raises(MessageError, match=f"{name} in header 'icsight' is no number that can be"):
        decode([(HEADER, json.dumps(content).encode())])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_a_header_in_another_encoding_is_refused(encoding: str) -> None:
    # Chinese names take less room so than in UTF-8: what was let in could not be written any more.
    content = {"version": 1, **asdict(BatchHeader("站" * 2_500, "e", 0, "modbus", 1, "站" * 2_500))}
    with pytest.raises(MessageError, match="no JSON"):
        decode([(HEADER, json.dumps(content, ensure_ascii=False).encode(encoding)[:HEADER_BYTES])])


def test_names_that_take_too_much_room_are_refused_on_both_ends() -> None:
    with pytest.raises(MessageError, match="more than"):
        encode(BatchHeader("s" * HEADER_BYTES, "e", 0, "modbus", 1), b"")
    with pytest.raises(MessageError, match="more than"):
        decode([(HEADER, b" " * (HEADER_BYTES + 1))])


@pytest.mark.parametrize("field", ["sensor", "epoch", "site", "table"])
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("n" * 256, "256 bytes, more than 255"),
        ("水" * 86, "258 bytes, more than 255"),
        ("pump\0house", "control characters"),
        ("pump\nhouse", "control characters"),
        ("pump\u2028house", "control characters"),
        ("\ud800", "is no text"),
        (" ", "is empty"),
    ],
)
def test_names_that_no_column_takes_are_neither_shipped_nor_read(field: str, name: str, told: str) -> None:
    content: dict[str, Any] = {**asdict(BatchHeader("s", "e", 0, "modbus", 1)), field: name}
    with pytest.raises(MessageError, match=f"^{field} .*{told}") as sent:
        check_names(BatchHeader(**content))
    with pytest.raises(MessageError, match=f"^{field} .*{told}") as come:
        decode([(HEADER, json.dumps({"version": 1, **content}).encode())])
    assert "\n" not in f"{sent.value}{come.value}"


def test_an_epoch_cannot_be_taken_for_a_part_of_a_sensor_s_name() -> None:
    with pytest.raises(MessageError, match=r"epoch 'house/1' .*has a /"):
        check_names(BatchHeader("pump", "house/1", 0, "modbus", 1))


@pytest.mark.parametrize("name", ["n" * 255, "水" * 85, "水厂　三", "Werk 3 / Halle Süd", "a\u200bb", "'; DROP TABLE alert"])
def test_what_a_plant_calls_its_site_is_taken(name: str) -> None:
    header = BatchHeader(name, "e", 0, "modbus", 1, name)
    check_names(header)
    assert decode(encode(header, b"").headers) == header


@given(st.lists(ANY_NAMES, unique=True, max_size=5))
def test_each_sensor_has_a_topic_of_its_own_that_kafka_takes(names: list[str]) -> None:
    topics = [Topics("icsight").control(name) for name in names]
    assert len(set(topics)) == len(names)
    assert all(
        len(topic) < 249 and set(topic) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
        for topic in topics
    )


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=101, max_size=300))
def test_a_long_name_is_told_by_its_hash(name: str) -> None:
    assert plain(name).startswith("_h")
    assert len(plain(name)) == 34
