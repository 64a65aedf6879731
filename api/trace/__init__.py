"""Where a batch is and what came of it, in all places that this system has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sensor.spool_format import BatchHeader, Run

State = Literal["there", "done", "waits", "absent", "unknown"]
"""there: it is; done: it has been worked on; waits: it will be; absent: it is not; unknown: that could not be asked."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one place says of a batch.

    Attributes:
        place: spool, kafka, records, dead letters, detection or alerts.
        state: in a word.
        text: in a line, with the likely reason where it is not there.
        about: the same for machines.
    """

    place: str
    state: State
    text: str
    about: dict[str, object] = field(default_factory=dict[str, object])


@dataclass(slots=True)
class Sought:
    """The batch that is looked for, and what the places asked so far know of it.

    Attributes:
        run: sensor and epoch.
        sequence: its number in the run.
        header: its header.
        partition: its partition in Kafka.
        offset: its offset there.
        found: what each place said, in order.
    """

    run: Run
    sequence: int
    header: BatchHeader | None = None
    partition: int | None = None
    offset: int | None = None
    found: list[Found] = field(default_factory=list[Found])

    @property
    def name(self) -> str:
        """Its name in logs and traces."""
        return f"{self.run[0]}/{self.run[1]}/{self.sequence}"
