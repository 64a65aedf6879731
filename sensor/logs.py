"""The log of a process: lines for people, or one JSON object a line, on standard error; never a secret.

What is said of a batch carries its identity `sensor/epoch/sequence` as `batch`, in every process on its way, and what is said of
an alert that of the batch with its first record. So one search finds a batch's whole way.

    _log.info("stored", extra={"batch": identity(header)})
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from sensor.secrets import redacted

if TYPE_CHECKING:
    from sensor.spool_format import BatchHeader

OWN: Final = ("icsight", "sensor", "collector", "detection", "api")
"""Loggers of the product; libraries tell warnings and errors only."""

_CARRIED: Final = {"batch": "icsight.batch", "alert": "icsight.alert"}
"""What a line may carry beside its text (`extra`), and its name in JSON."""

_state: Final = {"json": False}


def identity(header: BatchHeader) -> str:
    """The name of a batch for ever: the correlation id of whatever is said of it."""
    return f"{header.sensor}/{header.epoch}/{header.sequence}"


def batch_of(record: str) -> str:
    """The batch of a record, by the record's name `sensor/epoch/sequence/row`."""
    return record.rpartition("/")[0]


class JsonLines(logging.Formatter):
    """One JSON object a line, with the names of the Elastic Common Schema."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, object] = {
            "@timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "log.level": record.levelname.lower(),
            "message": record.getMessage(),
            "log.logger": record.name,
            "service.name": f"icsight-{self._process}",
            "process.pid": record.process,
            "process.thread.name": record.threadName,
        }
        line |= {name: value for key, name in _CARRIED.items() if (value := getattr(record, key, None))}
        if record.exc_info is not None and record.exc_info[0] is not None:
            line["error.type"] = record.exc_info[0].__name__
            line["error.stack_trace"] = self.formatException(record.exc_info)
        # Whole lines: a secret may lie in any part, and JSON may have written it in another way than it is.
        told = {name: redacted(value) if isinstance(value, str) else value for name, value in line.items()}
        return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def _one(text: str) -> str:
    """A text as one line: what would begin another, or move or colour what stands there, is written as what it is."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


class PlainLines(logging.Formatter):
    """Lines as the commands write them: `warning: text`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and a trace below it where there is one."""
        carried = "".join(f" ({key} {value})" for key in _CARRIED if (value := getattr(record, key, None)))
        line = _one(f"{record.levelname.lower()}: {record.getMessage()}{carried}")
        if record.exc_info is not None and record.exc_info[0] is not None:
            line += "\n" + self.formatException(record.exc_info)
        return redacted(line)


def set_up(process: str, form: str, level: str) -> None:
    """Write what is logged from here on to standard error.

    Args:
        process: what the process does: uplink, collect, detect, serve, run.
        form: "text" or "json".
        level: least weight of what the product's own loggers tell.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(process) if form == "json" else PlainLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in OWN:
        logging.getLogger(name).setLevel(level.upper())
    _state["json"] = form == "json"


def is_json() -> bool:
    """Whether standard error holds JSON only."""
    return _state["json"]
