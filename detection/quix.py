"""What is used of Quix Streams, imported here alone.

Its import warns: a library that it rests on tells everybody that another is to take its place, which is no matter of whoever runs
a worker.
"""

from __future__ import annotations

import warnings

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
]
