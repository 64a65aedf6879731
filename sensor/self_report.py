"""What a sensor says of itself, for the centre: how uplink and certificate are, the settings it follows, what is left to do."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, cast

from sensor.kafka_message import Message

HEADER: Final = "icsight-sensor"
"""Name of the header that tells the version of the message."""

VERSION: Final = b"1"

REPORT_BYTES: Final = 64 * 1024
"""Longest report."""

COUNT_MOST: Final = 2**63
"""Numbers in a report are not negative and below this."""


@dataclass(frozen=True, slots=True)
class SelfReport:
    """A sensor's report.

    Attributes:
        sensor: name of the sensor.
        site: name of its site; empty where it has none.
        version: of icsight there.
        at: when it was made, nanoseconds since 1970, by the sensor's clock.
        epoch: epoch of its spool.
        lag_batches: batches that are recorded and not shipped.
        lag_seconds: how long the oldest of them has been seen to wait.
        missing: batches that made room in the spool before they were shipped.
        damaged: places in the spool that could not be read.
        refused: batches that are too large to be shipped.
        certificate_serial: serial number of its certificate, hexadecimal; empty where it was not enrolled.
        certificate_expires: when that ends, nanoseconds since 1970; 0 where it was not enrolled.
        renewal_trouble: why its certificate is not renewed though it is time, in one line; empty where it is not so.
        settings_uplink: version of settings that the uplink looked at last; 0 for none.
        settings_recorder: version that the recorder looked at last.
        settings_refused: why one of them does not follow it; empty where both do.
        control_offset: place in its control topic before which it has taken all that was asked.
        control_waiting: batches of requests taken and not followed yet.
        answers_waiting: answers to requests for evidence that are not sent yet.
    """

    sensor: str
    site: str
    version: str
    at: int
    epoch: str
    lag_batches: int
    lag_seconds: float
    missing: int
    damaged: int
    refused: int
    certificate_serial: str
    certificate_expires: int
    renewal_trouble: str
    settings_uplink: int
    settings_recorder: int
    settings_refused: str
    control_offset: int
    control_waiting: int
    answers_waiting: int

    def message(self) -> Message:
        """The report as a message, keyed by the sensor, so that the newest of each stays."""
        value = json.dumps(asdict(self), ensure_ascii=False).encode()
        return Message(self.sensor.encode(), value, [(HEADER, VERSION)])

    @classmethod
    def from_message(cls, key: bytes | None, value: bytes | None) -> SelfReport:
        """The report of a message. Raises ValueError where it is none."""
        if value is None or len(value) > REPORT_BYTES:
            raise ValueError("not a report of a sensor: it is empty or too long")
        try:
            content = cast("dict[str, Any]", json.loads(value))
            report = cls(**{field.name: _checked(field.name, field.type, content[field.name]) for field in fields(cls)})
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not a report of a sensor: {error}") from error
        if report.sensor.encode() != key:
            raise ValueError("not a report of a sensor: its key is another")
        return report


def _checked(name: str, kind: object, value: object) -> Any:
    """A value of a report. Raises ValueError."""
    if kind == "str":
        if isinstance(value, str) and len(value) <= 1024:
            return value
    elif isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < COUNT_MOST:
        return float(value) if kind == "float" else int(value)
    raise ValueError(f"not a report of a sensor: {name} is wrong")
