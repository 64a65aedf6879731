"""`/api/enrolments`: sensors enrol with a token, and renew their certificates. They have no session."""

from __future__ import annotations

import math
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from api.enrolment import service
from api.enrolment.centre import Centre
from api.enrolment.schemas import CertificateOutput, EnrolmentInput, EnrolmentOutput, KafkaOutput, RenewalInput
from api.openapi import problems
from api.problems import Problem
from api.security.access import address_of
from api.services import Services, services
from api.times import iso
from sensor.configuration import ConfigurationError
from sensor.topics import principal_of

router = APIRouter(prefix="/api/enrolments", tags=["enrolment"])

Provided = Annotated[Services, Depends(services)]

_TOKEN = (
    "enrolment_token_invalid", "enrolment_token_used", "enrolment_token_expired", "enrolment_other_sensor",
    "enrolment_request_invalid", "enrolment_unready", "sign_in_wait",
)  # fmt: skip


@router.post("", status_code=201, responses=problems(*_TOKEN))
def enrol(body: EnrolmentInput, request: Request, provided: Provided) -> EnrolmentOutput:
    """Use a one-time token: the sensor is let in on the brokers, and its key gets a certificate.

    The same token with the same key answers the same again, for whom the first answer was lost.
    """
    address = address_of(request)
    _wait(provided, address)
    try:
        with provided.database.read() as session:
            service.check_token(session, body)
        centre = _centre(provided)
        issued = service.enrol(provided.database, centre, body, address)
    except Problem as problem:
        _count(provided, address, problem)
        raise
    brokers = centre.brokers
    return EnrolmentOutput(
        certificate=issued.certificate.content,
        authority=centre.authority.pem,
        expires=iso(issued.certificate.expires_at),
        sensor=issued.sensor,
        site=issued.site,
        principal=principal_of(issued.sensor, issued.generation),
        kafka=KafkaOutput(bootstrap=brokers.bootstrap, prefix=brokers.prefix, authorities=brokers.authorities),
    )


_RENEWAL = ("renewal_refused", "renewal_early", "enrolment_request_invalid", "enrolment_unready", "sign_in_wait")


@router.post("/renew", status_code=201, responses=problems(*_RENEWAL))
def renew(body: RenewalInput, request: Request, provided: Provided) -> CertificateOutput:
    """Get the next certificate, with a request that the key of the present one has signed."""
    address = address_of(request)
    _wait(provided, address)
    try:
        with provided.database.read() as session:
            service.signer(session, body)
    except Problem as problem:
        _count(provided, address, problem)
        raise
    # From here on it is a sensor of ours. One that was revoked and tries on must not keep those behind its address waiting.
    centre = _centre(provided)
    issued = service.renew(provided.database, centre, body, address)
    expires = iso(issued.certificate.expires_at)
    return CertificateOutput(certificate=issued.certificate.content, authority=centre.authority.pem, expires=expires)


def _centre(provided: Services) -> Centre:
    try:
        return Centre.of(provided.settings.data)
    except ConfigurationError as error:
        raise Problem("enrolment_unready", reason=str(error)) from error


def _wait(provided: Services, address: str) -> None:
    seconds = math.ceil(provided.attempts.wait_seconds(f"enrolment:{address}"))
    if seconds:
        raise Problem("sign_in_wait", headers={"Retry-After": str(seconds)}, seconds=seconds)


def _count(provided: Services, address: str, problem: Problem) -> None:
    """Count what may be a guess: whoever guesses waits, and longer each time."""
    if problem.code in {"enrolment_token_invalid", "renewal_refused"}:
        provided.attempts.failed(f"enrolment:{address}")
