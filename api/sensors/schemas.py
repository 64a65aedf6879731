"""What the health of sensors looks like in JSON."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SensorHealth(BaseModel):
    """A sensor as it last told."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    sensor: str = Field(examples=["local"])
    epoch: str = Field(examples=["5f0c1d2e3a4b5c6d7e8f90a1b2c3d4e5"])
    at: str = Field(examples=["2026-11-23T08:14:00.000000000Z"])
    packets: int = Field(examples=[1_204_551])
    packets_per_second: float | None = Field(default=None, examples=[842.5])
    """Between the last two reports; null with one."""
    bytes: int = Field(examples=[98_001_220])
    flows: int = Field(examples=[41])
    dropped: int = Field(examples=[0])
    """What was not used, all causes together."""
    drops: dict[str, int] = Field(examples=[{"unknown_link_type": 3}])
    """By cause, those that happened."""
    memory_bytes: int = Field(examples=[8_112_000])
    clock_offset_seconds: float | None = None
    """Sensor clock minus packet clock; null for a capture file."""
    version: str = Field(examples=["0.1.0"])


class PartHealth(BaseModel):
    """A part of the system that runs in this process."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str = Field(examples=["detection"])
    state: Literal["working", "done", "failed"] = Field(examples=["working"])
    detail: str = Field(examples=[""])
    batches: int = Field(examples=[5012])
    waiting: int = Field(examples=[0])
    """Record batches that it has still to do."""


class GapOutput(BaseModel):
    """Batches of a sensor that never came: `expected` up to, not including, `found`."""

    consumer: str = Field(examples=["writer"])
    sensor: str = Field(examples=["local"])
    epoch: str = Field(examples=["5f0c1d2e3a4b5c6d7e8f90a1b2c3d4e5"])
    expected: int = Field(examples=[40])
    found: int = Field(examples=[42])


class Health(BaseModel):
    """Sensors, parts and gaps."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    sensors: list[SensorHealth]
    parts: list[PartHealth]
    packets: int | None = Field(examples=[1_204_980])
    """Packets taken in by this process so far; null where it captures nothing."""
    gaps: list[GapOutput]
    gap_count: int
