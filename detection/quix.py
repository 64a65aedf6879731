"""What is used of Quix Streams, imported here alone.

Its import warns: a library that it rests on tells everybody that another is to take its place, which is no matter of whoever runs
a worker.
"""

from __future__ import annotations

import warnings
from operator import methodcaller
from typing import Any, Final

from sensor.kafka_message import UNREADABLE

with warnings.catch_warnings(record=True):
    from quixstreams import Application
    from quixstreams.exceptions import QuixException
    from quixstreams.kafka.configuration import ConnectionConfig
    from quixstreams.sinks.base import BaseSink
    from quixstreams.state.metadata import CHANGELOG_CF_MESSAGE_HEADER, CHANGELOG_PROCESSED_OFFSETS_MESSAGE_HEADER

__all__ = [
    "CHANGELOG_CF_MESSAGE_HEADER",
    "CHANGELOG_PROCESSED_OFFSETS_MESSAGE_HEADER",
    "Application",
    "BaseSink",
    "ConnectionConfig",
    "QuixException",
    "topic_of",
]


_headers: Final = methodcaller("headers")
"""Asks a message for its headers. Once it has made a call in the code often, the interpreter no longer looks whether it failed
(3.11): what must not be looked at would be, and the process end."""


def topic_of(application: Application, name: str) -> Any:
    """A topic of an application whose messages come as they are, also those whose headers cannot be read.

    The library beneath raises where the name of a header is no UTF-8, which brokers take from anybody, and a worker would meet
    the same message for ever. Here such a message comes with one header, which says so.
    """
    topic: Any = application.topic(name, key_deserializer="bytes", value_deserializer="bytes")
    read = topic.row_deserialize

    def row(message: Any) -> Any:
        try:
            _headers(message)
        except (SystemError, UnicodeDecodeError):
            return read(_Headless(message))
        return read(message)

    topic.row_deserialize = row
    return topic


class _Headless:
    """A message whose headers cannot be read: who asks the library a second time gets what must not be looked at."""

    def __init__(self, message: Any) -> None:
        self._message = message

    def __getattr__(self, name: str) -> Any:
        return getattr(self._message, name)

    def __len__(self) -> int:
        return len(self._message)

    def headers(self) -> list[tuple[str, bytes]]:
        """That they cannot be read."""
        return [(UNREADABLE, b"the name of a header is no UTF-8")]
