"""Tokens, sensors and their certificates, as the centre keeps them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from api.database import Base
from api.database.scope import KeyedByOrganisation, OfSite

SENSOR_CHARACTERS = 255
"""Longest name of a sensor."""


class IssuedToken(KeyedByOrganisation, OfSite, Base):
    """A one-time token, of which only the hash of its secret is kept."""

    __tablename__ = "enrolment_token"

    id: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    """What the token itself says of who it is, as hexadecimal digits; no secret."""
    secret_hash: Mapped[str] = mapped_column(sa.String(64))
    """SHA-256 of the secret."""
    sensor: Mapped[str] = mapped_column(sa.String(SENSOR_CHARACTERS), index=True)
    """Name of the sensor that it is for."""
    made_by: Mapped[str] = mapped_column(sa.String(64))
    made_at: Mapped[int]
    expires_at: Mapped[int]
    used_at: Mapped[int | None]
    """When a sensor enrolled with it."""
    used_from: Mapped[str | None] = mapped_column(sa.String(64))
    """Network address of that sensor."""
    serial: Mapped[str | None] = mapped_column(sa.String(40))
    """Serial number of the certificate that was issued for it, as hexadecimal digits."""
    withdrawn_at: Mapped[int | None]
    """When it was taken back unused: its sensor was revoked."""


class EnrolledSensor(KeyedByOrganisation, OfSite, Base):
    """A sensor that has been enrolled, revoked, or sent settings."""

    __tablename__ = "enrolled_sensor"

    name: Mapped[str] = mapped_column(sa.String(SENSOR_CHARACTERS), primary_key=True)
    generation: Mapped[int]
    """1, and one more with each revocation: certificates of an earlier generation name a principal without any right."""
    enrolled_at: Mapped[int | None]
    """When it last enrolled; null where it never did."""
    revoked_at: Mapped[int | None]
    """When it was revoked; null where it is not, or has enrolled again."""
    settings_version: Mapped[int] = mapped_column(default=0)
    """Number of the newest version of settings that was sent to it; 0 for none."""
    settings: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """The settings of that version (`sensor.remote_settings`)."""


class SensorCertificate(KeyedByOrganisation, Base):
    """A certificate that was issued to a sensor."""

    __tablename__ = "sensor_certificate"

    serial: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    """Serial number, as hexadecimal digits."""
    sensor: Mapped[str] = mapped_column(sa.String(SENSOR_CHARACTERS), index=True)
    key_hash: Mapped[str] = mapped_column(sa.String(64), index=True)
    """SHA-256 of the public key (SubjectPublicKeyInfo)."""
    issued_at: Mapped[int]
    expires_at: Mapped[int]
    revoked_at: Mapped[int | None]
    content: Mapped[str] = mapped_column(sa.Text())
    """The certificate, PEM."""
