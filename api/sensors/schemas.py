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


class UplinkHealth(BaseModel):
    """A sensor elsewhere: what the centre knows of it, and what it last said of itself (null where it has said nothing)."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    sensor: str = Field(examples=["pump-house-2"])
    site: str = Field(examples=["waterworks"])
    state: Literal["enrolled", "revoked", "not_enrolled"] = Field(examples=["enrolled"])
    """`not_enrolled`: its certificate is of another authority, or it never came with its token."""
    enrolled_at: str | None = Field(default=None, examples=["2026-11-23T08:00:00.000000000Z"])
    revoked_at: str | None = None
    certificate_serial: str | None = Field(default=None, examples=["5f0c1d2e3a4b5c6d"])
    """Of the certificate that was issued last."""
    certificate_expires: str | None = Field(default=None, examples=["2027-02-21T08:00:00.000000000Z"])
    heard_at: str | None = Field(default=None, examples=["2026-11-23T08:14:00.000000000Z"])
    """When the brokers took its last report."""
    version: str | None = Field(default=None, examples=["0.1.0"])
    epoch: str | None = Field(default=None, examples=["5f0c1d2e3a4b5c6d7e8f90a1b2c3d4e5"])
    last_epoch: str | None = Field(default=None, examples=["5f0c1d2e3a4b5c6d7e8f90a1b2c3d4e5"])
    """Epoch of the newest batch about itself (table `sensor`) that is stored."""
    last_sequence: int | None = Field(default=None, examples=[5012])
    last_at: str | None = Field(default=None, examples=["2026-11-23T08:13:55.000000000Z"])
    lag_batches: int | None = Field(default=None, examples=[0])
    """Batches recorded and not shipped."""
    lag_seconds: float | None = Field(default=None, examples=[0.0])
    lost_batches: int | None = Field(default=None, examples=[0])
    """Batches that it could not ship, since its uplink started."""
    gaps: int = Field(default=0, examples=[0])
    """Gaps in its batches that consumers of this process have met."""
    renewal_trouble: str = Field(default="", examples=[""])
    settings: dict[str, float] = Field(default_factory=dict, examples=[{"catch_up_mib_per_second": 2.0}])
    """Settings that it was sent."""
    settings_version: int = Field(default=0, examples=[3])
    settings_uplink: int | None = Field(default=None, examples=[3])
    """Version that its uplink looked at last; the same as `settings_version` where it has come."""
    settings_recorder: int | None = Field(default=None, examples=[3])
    settings_refused: str = Field(default="", examples=[""])
    """Why the sensor does not follow the version."""
    requests_waiting: int | None = Field(default=None, examples=[0])
    """Pins, requests for evidence and settings that it has not followed yet."""
    answers_waiting: int | None = Field(default=None, examples=[0])
    """Answers with evidence that it has not sent yet."""


class SettingsInput(BaseModel):
    """Changes of a sensor's settings."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    values: dict[str, float | None] = Field(min_length=1, max_length=32, examples=[{"catch_up_mib_per_second": 2.0}])
    """New values; null for what shall be as the sensor was started. Others stay."""


class SettingsOutput(BaseModel):
    """A version of settings that was sent."""

    version: int = Field(examples=[3])
    values: dict[str, float] = Field(examples=[{"catch_up_mib_per_second": 2.0}])


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
    uplinks: list[UplinkHealth]
    """Sensors elsewhere, which ship over Kafka or were enrolled or revoked."""
    parts: list[PartHealth]
    packets: int | None = Field(examples=[1_204_980])
    """Packets taken in by this process so far; null where it captures nothing."""
    gaps: list[GapOutput]
    gap_count: int
