"""A record batch as a message on Kafka, and back.

key        name of the site, of the sensor where the site has none: a site lies in one partition, a sensor's batches keep order
value      the batch's bytes (one Arrow IPC stream), unchanged
headers    `icsight`: the batch's header as JSON, so that nobody has to read the value to know what it is
timestamp  when it was published, never when something happened: retention goes by it
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Final, cast

from sensor.names import fault, fault_of_epoch
from sensor.spool_format import BatchHeader

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

VERSION: Final = 1
"""Version of the message: a reader refuses a newer one."""

HEADER: Final = "icsight"
"""Name of the header that carries what is known of the batch."""

UNREADABLE: Final = "icsight-unreadable"
"""Name of the only header of a message that a client of Kafka could not read; its value says why (`sensor.kafka_reading`)."""

HEADER_BYTES: Final = 16 * 1024
"""Most bytes of that header; a longer one is not read."""

TIME_LIMIT: Final = 2**63
"""Times in the header are not below the negative of this, and below it: nanoseconds since 1970."""

COUNT_LIMIT: Final = 2**40
"""All other numbers in the header are not negative and below this: a sensor that makes a thousand batches a second reaches it
after 34 years, and what is summed up of them has room everywhere."""

_TEXTS: Final = ("sensor", "epoch", "table", "site")
_TIMES: Final = frozenset({"cut_start", "cut_end"})
_ORDER: Final = tuple(field.name for field in fields(BatchHeader))
_NAMES: Final = frozenset(_ORDER)
_values: Final = attrgetter(*_ORDER)

_JSON: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class MessageError(ValueError):
    """A message is no record batch. The text says in one line what is wrong with it."""


class NewerMessage(MessageError):  # noqa: N818 - named for what it reports
    """A message of a version that this program does not know: it may well be a batch, and must neither be lost nor put aside."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent for a batch: arguments of a producer's `send`."""

    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]]

    @property
    def size(self) -> int:
        """Bytes of its parts."""
        return len(self.key) + len(self.value or b"") + sum(len(name) + len(value) for name, value in self.headers)


def key_of(header: BatchHeader) -> bytes:
    """What a batch is partitioned by."""
    return (header.site or header.sensor).encode()


def encode(header: BatchHeader, data: bytes | memoryview) -> Message:
    """The message of a batch. Raises MessageError where its names take too much room."""
    told = _JSON.encode({"version": VERSION, **dict(zip(_ORDER, _values(header), strict=True))}).encode()
    if len(told) > HEADER_BYTES:
        raise MessageError(f"the header of a batch of {header.sensor[:40]!r} has {len(told)} bytes, more than {HEADER_BYTES}")
    return Message(key_of(header), bytes(data), [(HEADER, told)])


def check_names(header: BatchHeader) -> None:
    """Hold a batch's names against what `decode` takes, before it is sent. Raises MessageError."""
    _check_names(dict(zip(_ORDER, _values(header), strict=True)))


def decode(headers: Iterable[tuple[str, bytes | None]]) -> BatchHeader:
    """What the headers of a message say of the batch in its value.

    Raises:
        NewerMessage: a newer program wrote it.
        MessageError: they are not `encode`'s.
    """
    found = dict(reversed(list(headers)))
    told = found.get(HEADER)
    if told is None:
        if (fault := found.get(UNREADABLE)) is not None:
            text = fault[:HEADER_BYTES].decode(errors="replace")
            # Anybody may write such a header.
            raise MessageError(text if text.isprintable() else repr(text))
        raise MessageError(f"the message has no header {HEADER!r}: something else writes to this topic")
    if len(told) > HEADER_BYTES:
        raise MessageError(f"header {HEADER!r} has {len(told)} bytes, more than {HEADER_BYTES}")
    try:
        # Of bytes it would also take UTF-16, which is longer once it is written as we do.
        content: object = json.loads(told.decode())
    except (ValueError, RecursionError) as error:
        raise MessageError(f"header {HEADER!r} is no JSON") from error
    if not isinstance(content, dict):
        raise MessageError(f"header {HEADER!r} is no object")
    return _header(cast("dict[str, object]", content))


def _header(content: dict[str, object]) -> BatchHeader:
    version = content.pop("version", None)
    if type(version) is not int or version < 1:
        raise MessageError(f"header {HEADER!r} tells no version")
    if version > VERSION:
        raise NewerMessage(f"the message is of version {version}, this program reads up to {VERSION}: update it")
    if content.keys() != _NAMES:
        raise MessageError(f"header {HEADER!r} has not the fields of a batch: {', '.join(sorted(content.keys() ^ _NAMES))[:200]}")
    _check_names(content)
    for name, value in content.items():
        if name in _TEXTS:
            continue
        if name == "cut_last":
            if not isinstance(value, bool):
                raise MessageError(f"{name} in header {HEADER!r} is neither true nor false")
        elif type(value) is not int or not (-TIME_LIMIT <= value < TIME_LIMIT if name in _TIMES else 0 <= value < COUNT_LIMIT):
            raise MessageError(f"{name} in header {HEADER!r} is no number that can be")
    return BatchHeader(**content)  # pyright: ignore[reportArgumentType]  each has just been looked at


def _check_names(content: Mapping[str, object]) -> None:
    """Hold the names in a header against what can be one; a site may have none. Raises MessageError."""
    for name in _TEXTS:
        value = content[name]
        if not isinstance(value, str):
            raise MessageError(f"{name} in header {HEADER!r} is no text")
        wrong = fault_of_epoch(value) if name == "epoch" else "" if name == "site" and not value else fault(value)
        if wrong:
            raise MessageError(f"{name} {value[:40]!r} in header {HEADER!r} {wrong}")
