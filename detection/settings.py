"""Settings of detection: table `detection` of the configuration."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  pydantic reads the annotation at run time

from pydantic import Field

from sensor.configuration import Section


class DetectionSettings(Section, table="detection"):
    """How the loop takes records in."""

    lateness_seconds: float = Field(default=10.0, ge=0, le=3_600)
    """Sensors of one site are worked on in order of time as long as none is further behind the others than this. It covers clocks
    that differ, a slow disk and a link that comes back; while a sensor is silent, what the others tell waits for it at most so
    long."""

    waiting_bytes: int = Field(default=1024**3, ge=16 * 1024**2, le=64 * 1024**3)
    """Most bytes of records, unpacked, that wait in one process for the end of their cut or for other sensors of their site.
    Beyond that those of the site that has most wait no longer: whole cuts go on first, then unfinished ones as they are."""

    commit_seconds: float = Field(default=1.0, ge=0.05, le=30)
    """How often a worker on Kafka commits what it did: alerts are seen so much later, and a crash repeats so much work."""

    state_folder: Path | None = None
    """Folder in which a worker on Kafka keeps a copy of what it remembers, so that it need not read all of it after a restart.
    It may be lost: the changelog topic has everything. Without it the copy is temporary."""
