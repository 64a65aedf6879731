"""Enrolling sensors: tokens made and used once, certificates issued, renewed and revoked."""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from api.audit import service as audit
from api.database.scope import row_of
from api.enrolment.authority import AuthorityError, RequestError, key_hash, request_of
from api.enrolment.models import EnrolledSensor, IssuedToken, SensorCertificate
from api.enrolment.rights import RightsError
from api.problems import Problem
from api.times import NANOSECONDS, now
from sensor.credentials import RENEWAL
from sensor.enrolment_token import EnrolmentToken, TokenError
from sensor.topics import principal_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from api.database import Database
    from api.enrolment.centre import Centre
    from api.enrolment.rights import Rights
    from api.enrolment.schemas import EnrolmentInput, RenewalInput

EARLY: Final = 2
"""A certificate is renewed when its life has gone by but for one in so many parts; sensors ask for it at a third."""


@dataclass(frozen=True, slots=True)
class Intended:
    """Who a token is for.

    Attributes:
        sensor: name of the sensor.
        site: name of its site; empty where it has none.
        hours: how long the token can be used.
    """

    sensor: str
    site: str
    hours: float


@dataclass(frozen=True, slots=True)
class Issued:
    """A sensor and the certificate that was issued to it."""

    sensor: str
    site: str
    generation: int
    certificate: SensorCertificate


def new_token(database: Database, rights: Rights, actor: audit.Actor, token: EnrolmentToken, intended: Intended) -> None:
    """Take up a token for a sensor: only a hash of it is kept. The brokers let the sensor in before it is.

    So that what answers sensors needs no right to give rights. Nobody gains by rights of a principal whose certificate does not
    exist yet.

    Raises:
        RightsError: the brokers could not be asked, or the sensor was revoked meanwhile; the token is not taken up.
    """
    sensor = intended.sensor
    with database.read() as session:
        generation = _generation(session, sensor)
    rights.give(sensor, generation)
    made = now()
    expires = made + int(intended.hours * 3600 * NANOSECONDS)
    with database.write() as session:
        is_revoked = _generation(session, sensor) != generation
        if not is_revoked:
            session.add(
            IssuedToken(
                id=token.id.hex(), secret_hash=token.secret_hash, site=intended.site, sensor=sensor, made_by=actor.name,
                made_at=made, expires_at=expires, used_at=None, used_from=None, serial=None, withdrawn_at=None,
            )
            )  # fmt: skip
            detail = {"token": token.id.hex(), "site": intended.site, "expires_at": expires}
            audit.record(session, actor, "enrolment.token", sensor, detail)
    if is_revoked:
        # These are the rights of the certificates that were just revoked: the revocation may have come before them.
        rights.take(sensor)
        raise RightsError(f"{sensor} was revoked meanwhile: make the token again if that is what you want")


def enrol(database: Database, centre: Centre, asked: EnrolmentInput, address: str) -> Issued:
    """Use a token: issue the certificate of its sensor, which the brokers let in since the token was made.

    The token is used up together with the issue. The same key may come again with it, for whom the answer was lost: it gets the
    same certificate.

    Args:
        database: the database.
        centre: what it is enrolled with.
        asked: the token, and what it is used for.
        address: network address of the sensor.

    Raises:
        Problem: as `check_token`; `enrolment_request_invalid`, `enrolment_unready`.
    """
    with database.write() as session:
        found = check_token(session, asked)
        if found.serial is not None:
            return _issued(session, found, row_of(session, SensorCertificate, found.serial))
        row = row_of(session, EnrolledSensor, found.sensor)
        if row is None:
            row = EnrolledSensor(name=found.sensor, site=found.site, generation=1, enrolled_at=None, revoked_at=None)
            session.add(row)
        certificate = _issue(session, centre, row, _request(asked.request))
        row.site, row.enrolled_at, row.revoked_at = found.site, now(), None
        found.used_at, found.used_from, found.serial = now(), address, certificate.serial
        detail = {"token": found.id, "serial": certificate.serial, "expires_at": certificate.expires_at}
        audit.record(session, audit.Actor(f"sensor {row.name}"[:64], address), "enrolment.use", row.name, detail)
        return _issued(session, found, certificate)


def check_token(session: Session, asked: EnrolmentInput) -> IssuedToken:
    """A token that can be used for this. Raises Problem; what is known of a token is told to who has its secret only."""
    try:
        token = EnrolmentToken.from_text(asked.token)
    except TokenError as error:
        raise Problem("enrolment_token_invalid") from error
    found = row_of(session, IssuedToken, token.id.hex())
    # Compared though there is none, so that the time it takes does not tell.
    is_right = hmac.compare_digest(token.secret_hash, found.secret_hash if found else "0" * 64)
    if found is None or not is_right or found.withdrawn_at is not None:
        raise Problem("enrolment_token_invalid")
    if found.serial is not None:
        certificate = row_of(session, SensorCertificate, found.serial)
        if certificate is None or certificate.revoked_at is not None or certificate.key_hash != key_hash(_request(asked.request)):
            raise Problem("enrolment_token_used")
    elif found.expires_at <= now():
        raise Problem("enrolment_token_expired")
    if asked.sensor not in {None, found.sensor} or asked.site not in {None, found.site}:
        raise Problem("enrolment_other_sensor", sensor=found.sensor, site=found.site or "-")
    return found


def renew(database: Database, centre: Centre, asked: RenewalInput, address: str) -> Issued:
    """Issue a sensor's next certificate, for a request that the key of its present one has signed.

    A certificate has one successor: the same key gets it again, for whom the answer was lost, and no other key gets another.

    Raises Problem `renewal_refused`, `renewal_early`, `enrolment_request_invalid`, `enrolment_unready`.
    """
    with database.write() as session:
        present, row = _renewable(session, asked)
        wanted = _request(asked.request)
        same = sa.select(SensorCertificate).where(
            SensorCertificate.sensor == row.name,
            SensorCertificate.key_hash == key_hash(wanted),
            SensorCertificate.revoked_at.is_(None),
        )
        certificate = session.scalars(same).first()
        if certificate is None:
            newer = sa.select(SensorCertificate.serial).where(
                SensorCertificate.sensor == row.name,
                SensorCertificate.issued_at > present.issued_at,
                SensorCertificate.revoked_at.is_(None),
            )
            if session.scalars(newer).first() is not None:
                raise Problem("renewal_refused", reason="a newer one was issued for another key: enrol anew with a new token")
            if present.expires_at - now() > (present.expires_at - present.issued_at) // EARLY:
                raise Problem("renewal_early")
            certificate = _issue(session, centre, row, wanted)
            detail = {"serial": certificate.serial, "before": present.serial, "expires_at": certificate.expires_at}
            audit.record(session, audit.Actor(f"sensor {row.name}"[:64], address), "enrolment.renew", row.name, detail)
        return Issued(row.name, row.site, row.generation, certificate)


def signer(session: Session, asked: RenewalInput) -> SensorCertificate:
    """The certificate whose key has signed a request. Raises Problem where there is none: that may be a guess."""
    present = row_of(session, SensorCertificate, asked.serial)
    if present is None or not _is_signed(present, asked.request, asked.signature):
        raise Problem("renewal_refused", reason="it is not signed by the key of a certificate that was issued here")
    return present


def _renewable(session: Session, asked: RenewalInput) -> tuple[SensorCertificate, EnrolledSensor]:
    """The certificate whose key has signed a request, and its sensor. Raises Problem where it cannot be renewed."""
    present = signer(session, asked)
    row = row_of(session, EnrolledSensor, present.sensor)
    if present.revoked_at is not None or row is None or row.revoked_at is not None:
        raise Problem("renewal_refused", reason="the sensor has been revoked")
    if present.expires_at <= now():
        raise Problem("renewal_refused", reason="the certificate has expired: enrol anew with a new token")
    return present, row


def revoke(database: Database, rights: Rights, actor: audit.Actor, sensor: str) -> int:
    """Shut a sensor out: its certificates are no longer renewed, its tokens no longer taken, its rights gone.

    Returns how many rights it had on the brokers. A sensor that was let in otherwise can be revoked too, and one that is
    revoked already again. Raises RightsError where the brokers could not be asked: all else is done, and it is to be done again.
    """
    with database.write() as session:
        row = row_of(session, EnrolledSensor, sensor)
        if row is None:
            row = EnrolledSensor(name=sensor, site="", generation=1, enrolled_at=None, revoked_at=None)
            session.add(row)
        if row.revoked_at is None:
            row.revoked_at = now()
            row.generation += 1
            for certificate in session.scalars(sa.select(SensorCertificate).where(SensorCertificate.sensor == sensor)):
                certificate.revoked_at = certificate.revoked_at or now()
        for token in session.scalars(sa.select(IssuedToken).where(IssuedToken.sensor == sensor, IssuedToken.used_at.is_(None))):
            token.withdrawn_at = token.withdrawn_at or now()
        audit.record(session, actor, "enrolment.revoke", sensor)
    return rights.take(sensor)


def _generation(session: Session, sensor: str) -> int:
    row = row_of(session, EnrolledSensor, sensor)
    return 1 if row is None else row.generation


def _request(text: str) -> x509.CertificateSigningRequest:
    try:
        return request_of(text)
    except RequestError as error:
        raise Problem("enrolment_request_invalid", reason=str(error)) from error


def _issue(session: Session, centre: Centre, row: EnrolledSensor, request: x509.CertificateSigningRequest) -> SensorCertificate:
    try:
        issued = centre.authority.issue(request, principal_of(row.name, row.generation), centre.days)
    except AuthorityError as error:
        raise Problem("enrolment_unready", reason=str(error)) from error
    ended = sa.select(SensorCertificate).where(SensorCertificate.sensor == row.name, SensorCertificate.expires_at <= now())
    for each in session.scalars(ended):
        session.delete(each)
    certificate = SensorCertificate(
        serial=f"{issued.serial_number:x}",
        sensor=row.name,
        key_hash=key_hash(request),
        issued_at=now(),
        expires_at=_nanoseconds(issued.not_valid_after_utc),
        revoked_at=None,
        content=issued.public_bytes(serialization.Encoding.PEM).decode(),
    )
    session.add(certificate)
    session.flush()
    return certificate


def _issued(session: Session, token: IssuedToken, certificate: SensorCertificate | None) -> Issued:
    if certificate is None:
        raise Problem("enrolment_token_used")
    return Issued(token.sensor, token.site, _generation(session, token.sensor), certificate)


def _is_signed(certificate: SensorCertificate, request: str, signature: str) -> bool:
    """Whether the key of a certificate has signed a request for the next."""
    key = x509.load_pem_x509_certificate(certificate.content.encode()).public_key()
    content = RENEWAL + _request(request).public_bytes(serialization.Encoding.DER)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return False
    try:
        key.verify(base64.b64decode(signature, validate=True), content, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def _nanoseconds(moment: datetime) -> int:
    return int(moment.astimezone(UTC).timestamp()) * NANOSECONDS
