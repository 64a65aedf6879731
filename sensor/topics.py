"""Names of the topics on Kafka. In production nothing creates them but `icsight kafka apply`."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

NAME_BYTES: Final = 100
"""Most bytes of a sensor's name in the name of its topic; a longer one is told by its hash."""

PRINCIPAL_CHARACTERS: Final = 64
"""Longest common name of a certificate (RFC 5280, upper bound ub-common-name)."""

_PLAIN: Final = re.compile(rb"[A-Za-z0-9-]")


def plain(name: str) -> str:
    """A sensor's name as the letters that a topic and a certificate can carry; different names stay different.

    Letters a-z, A-Z, digits and "-" stay as they are; each other byte of UTF-8 is `_` and two hexadecimal digits (Kafka takes
    `.` and `_` for the same letter in the names of metrics, so `.` is none of ours). A name that is longer than `NAME_BYTES` so
    is `_h` and half of its SHA-256.
    """
    told = b"".join(
        letter if _PLAIN.fullmatch(letter) else b"_%02x" % letter[0] for letter in (bytes([byte]) for byte in name.encode())
    )
    if len(told) > NAME_BYTES:
        return f"_h{hashlib.sha256(name.encode()).hexdigest()[:32]}"
    return told.decode()


def principal_of(sensor: str, generation: int = 1) -> str:
    """What the certificates of a sensor name: its name as `plain` writes it, or half of its hash where that is too long.

    Args:
        sensor: name of the sensor.
        generation: 1, and one more with each time that it was revoked.
    """
    name = plain(sensor)
    mark = "" if generation == 1 else f"_g{generation}"
    if len(name) + len(mark) > PRINCIPAL_CHARACTERS:
        name = f"_h{hashlib.sha256(sensor.encode()).hexdigest()[:32]}"
    return f"{name}{mark}"


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one system.

    Attributes:
        prefix: what all their names begin with, so that several systems can share a cluster.
    """

    prefix: str = "icsight"

    @property
    def records(self) -> str:
        """Record batches of all sensors, keyed by site."""
        return f"{self.prefix}.records"

    @property
    def alerts(self) -> str:
        """Alerts from detection, keyed by site."""
        return f"{self.prefix}.alerts"

    @property
    def decisions(self) -> str:
        """What people decide, as control records, keyed by site."""
        return f"{self.prefix}.decisions"

    @property
    def versions(self) -> str:
        """Rules and site data, the newest of each key (`site/kind`): compacted."""
        return f"{self.prefix}.versions"

    @property
    def shares(self) -> str:
        """What workers send one another of a site that is split over them."""
        return f"{self.prefix}.shares"

    @property
    def dead_letters(self) -> str:
        """What could not be worked on, with the reason."""
        return f"{self.prefix}.dead-letters"

    @property
    def evidence(self) -> str:
        """Answers of sensors to requests for evidence, in chunks, keyed by sensor."""
        return f"{self.prefix}.evidence"

    @property
    def sensors(self) -> str:
        """What sensors say of themselves, the newest of each: compacted, keyed by sensor."""
        return f"{self.prefix}.sensors"

    def control(self, sensor: str) -> str:
        """What is asked of one sensor; only it reads there."""
        return f"{self.prefix}.control.{plain(sensor)}"
