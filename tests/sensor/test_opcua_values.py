"""Values of every built-in type, alone, in arrays and matrices, as a real stack (asyncua) encodes them, are told as they are."""

# asyncua's own types are incomplete.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeArgument=false, reportUnknownParameterType=false, reportPrivateUsage=false
# pyright: reportArgumentType=false, reportPrivateImportUsage=false

from __future__ import annotations

import base64
import datetime as dt
import math
import struct
import tempfile
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import polars as pl
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.plant.frames import Talk, Wire, pcap_header, pcap_record
from tests.sensor.opcua_plant import CLIENT, PORT, SERVER
from tests.sensor.records import rows

if TYPE_CHECKING:
    from collections.abc import Callable

START: Final = 1_790_000_000_000_000_000
INTEGERS: Final = {
    "SByte": (-(2**7), 2**7 - 1), "Byte": (0, 2**8 - 1), "Int16": (-(2**15), 2**15 - 1), "UInt16": (0, 2**16 - 1),
    "Int32": (-(2**31), 2**31 - 1), "UInt32": (0, 2**32 - 1), "Int64": (-(2**63), 2**63 - 1), "UInt64": (0, 2**64 - 1),
}  # fmt: skip
STATUSES: Final = {0: "Good", 0x40000000: "Uncertain", 0x80340000: "BadNodeIdUnknown", 0x80350000: "BadAttributeIdInvalid"}


class Sample(NamedTuple):
    """A value for the stack, its text alone and in an array, and its number."""

    value: Any
    text: str
    quoted: str
    number: float | None = None


def escaped(text: str) -> str:
    """Control characters and backslashes as records have them: nothing is lost, no line breaks."""
    return "".join(
        "\\\\" if c == "\\" else "".join(f"\\x{b:02x}" for b in c.encode()) if unicodedata.category(c) == "Cc" else c
        for c in text
    )


def plain(value: Any, text: str, number: float | None = None) -> Sample:
    return Sample(value, text, text, number)


def of_text(text: str | None, wrap: Callable[[str | None], Any] = lambda text: text) -> Sample:
    if text is None:
        return Sample(wrap(None), "null", "null")
    return Sample(wrap(text), escaped(text), '"' + escaped(text).replace('"', '\\"') + '"')


def of_time(time: dt.datetime) -> Sample:
    fraction = f".{time.microsecond:06}".rstrip("0").rstrip(".")
    return plain(time, f"{time:%Y-%m-%dT%H:%M:%S}{fraction}Z")


def of_node(parts: tuple[int, Any], *, expanded: bool = False) -> Sample:
    namespace, identifier = parts
    prefix = f"ns={namespace};" if namespace else ""
    match identifier:
        case int():
            text = f"i={identifier}"
        case str():
            text = f"s={escaped(identifier)}"
        case bytes():
            text = f"b={base64.b64encode(identifier).decode()}"
        case _:
            text = f"g={identifier}"
    make: Any = ua.ExpandedNodeId if expanded else ua.NodeId
    return plain(make(identifier, namespace), prefix + text)


def of_name(parts: tuple[int, str]) -> Sample:
    namespace, name = parts
    make: Any = ua.QualifiedName
    return plain(make(name, namespace), f"{namespace}:{escaped(name)}" if namespace else escaped(name))


def of_double(number: float) -> Sample:
    return plain(number, repr(number), number if math.isfinite(number) else None)


text = st.text(max_size=20)
name = st.text(min_size=1, max_size=12)
node = st.tuples(st.integers(0, 300), st.one_of(st.integers(0, 2**32 - 1), name, st.binary(min_size=1, max_size=8), st.uuids()))
SAMPLES: Final[dict[str, st.SearchStrategy[Sample]]] = {
    "Boolean": st.booleans().map(lambda value: plain(value, str(value).lower(), float(value))),
    **{
        kind: st.integers(least, most).map(lambda value: plain(value, str(value), float(value)))
        for kind, (least, most) in INTEGERS.items()
    },
    "Float": st.floats(width=32).map(of_double),
    "Double": st.floats().map(of_double),
    "String": st.none().map(of_text) | text.map(of_text),
    "DateTime": st.datetimes(dt.datetime(1970, 1, 2), dt.datetime(2250, 1, 1), timezones=st.just(dt.UTC)).map(of_time),  # noqa: DTZ001
    "Guid": st.uuids().map(lambda value: plain(value, str(value))),
    "ByteString": st.binary(max_size=20).map(lambda value: plain(value, f"0x{value.hex()}")),
    "XmlElement": text.map(lambda value: of_text(value, lambda value: ua.XmlElement(value or ""))),
    "NodeId": node.map(of_node),
    "ExpandedNodeId": node.map(lambda parts: of_node(parts, expanded=True)),
    "StatusCode": st.sampled_from(sorted(STATUSES)).map(lambda code: plain(ua.StatusCode(code), STATUSES[code])),
    "QualifiedName": st.tuples(st.integers(0, 300), name).map(of_name),
    "LocalizedText": text.map(lambda value: of_text(value, lambda value: ua.LocalizedText(value, "en"))),
}


class Case(NamedTuple):
    """A variant, and what records must say of it. Floating point numbers are compared as numbers."""

    variant: Any
    data_type: str
    text: str
    number: float | None


@st.composite
def cases(draw: st.DrawFn) -> Case:
    kind = draw(st.sampled_from(sorted(SAMPLES)))
    shape = draw(st.sampled_from(["alone", "array", "matrix"]))
    if shape == "alone":
        sample = draw(SAMPLES[kind])
        return Case(ua.Variant(sample.value, ua.VariantType[kind]), kind, sample.text, sample.number)
    lengths = [draw(st.integers(0, 4))] if shape == "array" else [draw(st.integers(1, 3)), draw(st.integers(1, 3))]
    samples = draw(st.lists(SAMPLES[kind], min_size=math.prod(lengths), max_size=math.prod(lengths)))
    values: Any = [sample.value for sample in samples]
    if shape == "matrix":
        values = [values[at : at + lengths[1]] for at in range(0, len(values), lengths[1])]
    dimensions = lengths if shape == "matrix" else None
    variant = ua.Variant(values, ua.VariantType[kind], Dimensions=dimensions, is_array=True)
    data_type = f"{kind}[{','.join(map(str, lengths))}]"
    return Case(variant, data_type, f"[{', '.join(sample.quoted for sample in samples)}]", None)


def message(number: int, body: bytes) -> bytes:
    return b"MSGF" + struct.pack("<IIIII", len(body) + 24, 7, 3, number, number) + body


def capture(variants: list[Any]) -> bytes:
    """A Read of as many nodes, and its answer, on a channel without security."""
    request, response = ua.ReadRequest(), ua.ReadResponse()
    request.Parameters.NodesToRead = [
        ua.ReadValueId(ua.NodeId(f"N{at}", 2), ua.AttributeIds.Value) for at in range(len(variants))
    ]
    response.Results = [ua.DataValue(variant) for variant in variants]
    wire = Wire()
    talk = Talk(wire, CLIENT, SERVER, 50_000, PORT)
    talk.open(START)
    talk.send(START + 10**7, message(1, struct_to_binary(request)))
    answer = message(1, struct_to_binary(response))
    for at in range(0, len(answer), 1_400):
        talk.receive(START + 2 * 10**7 + at, answer[at : at + 1_400])
    return pcap_header() + b"".join(pcap_record(packet) for packet in wire.take(2**63 - 1))


def same(kind: str, found: str, expected: str) -> bool:
    if not kind.startswith(("Float", "Double")):
        return found == expected
    # The shortest text of a Float is another number as a Double.
    code = "<f" if kind.startswith("Float") else "<d"
    numbers = [
        [struct.unpack(code, struct.pack(code, float(part)))[0] for part in text.strip("[]").split(", ") if part]
        for text in (found, expected)
    ]
    return all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(*numbers, strict=True))


@settings(max_examples=60, deadline=None)
@given(st.lists(cases(), min_size=1, max_size=30))
def test_what_a_real_stack_encodes_is_told_as_it_was(told: list[Case]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "values.pcap"
        path.write_bytes(capture([case.variant for case in told]))
        found = rows(path, "opcua_item").filter(pl.col("opcua.kind") == "read")
        assert found.height == len(told)
        assert rows(path, "violation").is_empty()
    for case, row in zip(told, found.iter_rows(named=True), strict=True):
        assert row["opcua.data_type"] == case.data_type
        assert same(case.data_type, row["opcua.value"], case.text), (row["opcua.value"], case.text)
        assert row["opcua.number"] == case.number
