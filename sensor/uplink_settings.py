"""How a sensor's spool is shipped: table `uplink` of the configuration."""

from __future__ import annotations

from pydantic import Field

from sensor.configuration import Section


class UplinkSettings(Section, table="uplink"):
    """Bounds of the uplink."""

    in_flight_mib: int = Field(default=16, ge=1, le=256)
    """Most of batches that have been sent and are not acknowledged yet, MiB."""

    catch_up_mib_per_second: float = Field(default=4.0, gt=0, le=10_000)
    """Pace at which what waited during an outage is shipped, so that a fleet that comes back at once leaves room for the live
    records of others; never less than twice what the sensor itself records."""

    retry_seconds: float = Field(default=30.0, ge=1, le=3_600)
    """Longest wait between two tries to reach the brokers; the first is short, and each is drawn at random."""

    position_seconds: float = Field(default=5.0, ge=0.1, le=60)
    """How often what has been acknowledged is put on the disk: what a crash sends again, and how often flash is written."""

    stop_seconds: float = Field(default=10.0, ge=0, le=300)
    """How long acknowledgements are waited for when it is told to stop."""
