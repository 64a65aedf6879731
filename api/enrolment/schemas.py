"""What enrolment looks like in JSON."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from api.database.scope import SITE_CHARACTERS
from api.enrolment.authority import REQUEST_BYTES
from api.enrolment.models import SENSOR_CHARACTERS

_REQUEST = "-----BEGIN CERTIFICATE REQUEST-----\nMIH…\n-----END CERTIFICATE REQUEST-----\n"

_CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB…\n-----END CERTIFICATE-----\n"


class Input(BaseModel):
    """Body of a request: a field that is not known is an error, not ignored."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)


class EnrolmentInput(Input):
    """A sensor enrols."""

    token: str = Field(min_length=1, max_length=200, examples=["icsight-b2xkIHRva2VuIG9mIG5vIHVzZSB0byBhbnlib2R5IQ=="])
    """The one-time token."""
    request: str = Field(min_length=1, max_length=REQUEST_BYTES, examples=[_REQUEST])
    """Request for a certificate of the sensor's key, an EC key on P-256 (PKCS #10 as PEM)."""
    sensor: str | None = Field(default=None, max_length=SENSOR_CHARACTERS, examples=["pump-house-2"])
    """Name under which the sensor records already; null where it has recorded nothing."""
    site: str | None = Field(default=None, max_length=SITE_CHARACTERS, examples=["waterworks"])
    """Site under which it records already."""


class RenewalInput(Input):
    """A sensor asks for its next certificate."""

    serial: str = Field(pattern=r"^[0-9a-f]{1,40}$", examples=["5f0c1d2e3a4b5c6d"])
    """Serial number of its present certificate, hexadecimal."""
    request: str = Field(min_length=1, max_length=REQUEST_BYTES, examples=[_REQUEST])
    """Request for a certificate of its next key."""
    signature: str = Field(min_length=1, max_length=200, examples=["MEUCIQDx"])
    """ECDSA with SHA-256, by the present key, over `icsight renewal`, a line feed, and the request as DER; base64."""


class CertificateOutput(BaseModel):
    """A certificate that was issued."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    certificate: str = Field(examples=[_CERTIFICATE])
    authority: str = Field(examples=[_CERTIFICATE])
    """The authority that issued it."""
    expires: str = Field(examples=["2027-02-27T08:00:00.000000000Z"])


class KafkaOutput(BaseModel):
    """How the sensor reaches Kafka."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    bootstrap: str = Field(examples=["kafka1.example:9093"])
    prefix: str = Field(examples=["icsight"])
    authorities: str = Field(examples=[_CERTIFICATE])
    """Authorities of the brokers' certificates; empty for those of the sensor's system."""


class EnrolmentOutput(CertificateOutput):
    """An enrolled sensor."""

    sensor: str = Field(examples=["pump-house-2"])
    site: str = Field(examples=["waterworks"])
    principal: str = Field(examples=["pump-house-2"])
    """Common name of its certificates."""
    kafka: KafkaOutput
