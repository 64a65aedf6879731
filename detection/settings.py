"""Settings of detection, from the environment."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class DetectionSettings(BaseSettings):
    """How the loop takes records in."""

    model_config = SettingsConfigDict(env_prefix="ICSIGHT_DETECTION_", frozen=True)

    lateness_seconds: float = Field(
        default=10.0,
        ge=0,
        le=3_600,
        description="Sensors of one site are worked on in order of time as long as none is further behind the others than this. "
        "It covers clocks that differ, a slow disk and a link that comes back; while a sensor is silent, "
        "what the others tell waits for it at most so long.",
    )
