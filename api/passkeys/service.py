"""Passkeys: made, shown, and taken away. Whatever is signed is signed for this name, once, and for what it was asked for."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import sqlalchemy as sa
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, options_to_json_dict
from webauthn.helpers.parse_client_data_json import parse_client_data_json
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from api.audit import service as audit
from api.database import row_of
from api.database.scope import scope_of
from api.passkeys.models import Passkey, PasskeyChallenge
from api.problems import Problem
from api.times import NANOSECONDS, now
from api.users import service as users

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from sqlalchemy.orm import Session
    from webauthn.registration.verify_registration_response import VerifiedRegistration

    from api.audit.service import Actor
    from api.passkeys.schemas import RegistrationInput
    from api.users.models import User
    from api.users.schemas import AssertionInput

ISSUER: Final = "icsight"
"""What authenticators show beside the account's name."""

PASSKEYS_PER_USER: Final = 10
"""Most passkeys of one account."""

CHALLENGE_SECONDS: Final = 300
"""How long somebody may take to touch his authenticator."""

CHALLENGES_MOST: Final = 10_000
"""Challenges that are out at a time; of more the oldest are forgotten."""

MAKING: Final = "make"
ALONE: Final = "alone"
BEHIND_PASSWORD: Final = "password"  # noqa: S105  a purpose
"""What a challenge is for: to make a passkey, or to show one."""


@dataclass(frozen=True, slots=True)
class Party:
    """For whom authenticators sign, and who brings it.

    Attributes:
        origin: this server as browsers call it: scheme, name and port.
        holder: what is in the browser's cookie, or the session that makes a passkey.
    """

    origin: str
    holder: str

    @property
    def name(self) -> str:
        """This server's name without the port: passkeys belong to it."""
        return urlsplit(self.origin).hostname or ""


@dataclass(frozen=True, slots=True)
class Shown:
    """A passkey that somebody shows.

    Attributes:
        given: what it has signed.
        party: for whom it must have.
    """

    given: AssertionInput
    party: Party


def begin_registration(session: Session, party: Party, user: User) -> dict[str, Any]:
    """What a browser makes a passkey with. Raises Problem `passkeys_full`."""
    there = passkeys(session, user.id)
    if len(there) >= PASSKEYS_PER_USER:
        raise Problem("passkeys_full", most=PASSKEYS_PER_USER)
    options = generate_registration_options(
        rp_id=party.name, rp_name=ISSUER, user_name=user.name, user_id=_handle(session, user.id),
        challenge=_challenge(session, party, MAKING), timeout=CHALLENGE_SECONDS * 1000,
        authenticator_selection=AuthenticatorSelectionCriteria(
            # Found without a name, so that it can be shown alone.
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.PREFERRED,
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(base64url_to_bytes(each.credential)) for each in there],
    )  # fmt: skip
    return options_to_json_dict(options)


def verified(party: Party, given: RegistrationInput, challenge: bytes) -> VerifiedRegistration:
    """What an authenticator says of a new passkey, which has signed a challenge. Raises Problem `passkey_refused`."""
    credential = {
        "id": given.id, "rawId": given.id, "type": "public-key",
        "response": {"clientDataJSON": given.client_data, "attestationObject": given.attestation},
    }  # fmt: skip
    with _refusing():
        return verify_registration_response(
            credential=credential, expected_challenge=challenge, expected_rp_id=party.name, expected_origin=party.origin
        )


def register(session: Session, actor: Actor, user_id: int, name: str, found: VerifiedRegistration) -> Passkey:
    """Take a passkey into use. Raises Problem `passkey_known`, `passkeys_full`."""
    key = _key(found.credential_id)
    if row_of(session, Passkey, key) is not None:
        raise Problem("passkey_known")
    if len(passkeys(session, user_id)) >= PASSKEYS_PER_USER:
        raise Problem("passkeys_full", most=PASSKEYS_PER_USER)
    made = Passkey(
        id=key, user_id=user_id, name=name, credential=bytes_to_base64url(found.credential_id),
        public_key=bytes_to_base64url(found.credential_public_key), sign_count=found.sign_count, created_at=now(), used_at=None,
    )  # fmt: skip
    session.add(made)
    audit.record(session, actor, "factor.add", actor.name, {"kind": "passkey", "name": made.name})
    return made


def begin_showing(session: Session, party: Party, *, alone: bool) -> dict[str, Any]:
    """What a browser asks an authenticator with. Whose passkeys there are is not told."""
    required, preferred = UserVerificationRequirement.REQUIRED, UserVerificationRequirement.PREFERRED
    options = generate_authentication_options(
        rp_id=party.name, challenge=_challenge(session, party, ALONE if alone else BEHIND_PASSWORD),
        timeout=CHALLENGE_SECONDS * 1000, user_verification=required if alone else preferred,
    )  # fmt: skip
    return options_to_json_dict(options)


def take(session: Session, party: Party, client_data: str, purpose: str) -> bytes:
    """The challenge that was signed; it is used up. Raises Problem `passkey_refused` where none was given out to him for this."""
    with _refusing():
        told = parse_client_data_json(base64url_to_bytes(client_data))
        if told.cross_origin:
            raise ValueError("in a page of another origin")
    found = row_of(session, PasskeyChallenge, _key(told.challenge))
    if found is None or now() - found.created_at > CHALLENGE_SECONDS * NANOSECONDS:
        raise Problem("passkey_refused")
    if found.purpose != purpose or not hmac.compare_digest(found.holder_hash, users.hash_token(party.holder)):
        raise Problem("passkey_refused")
    session.delete(found)
    session.flush()
    return told.challenge


def known(session: Session, given: AssertionInput) -> Passkey | None:
    """The passkey that somebody says he shows."""
    with _refusing():
        key = _key(base64url_to_bytes(given.id))
    return row_of(session, Passkey, key)


def check(session: Session, shown: Shown, challenge: bytes, *, alone: bool) -> Passkey:
    """The passkey that has signed a challenge. Raises Problem `passkey_refused`.

    Args:
        session: the session.
        shown: what somebody shows.
        challenge: what must be signed.
        alone: whether nothing else is shown, so that the authenticator must have verified who holds it.
    """
    given, party, found = shown.given, shown.party, known(session, shown.given)
    if found is None:
        raise Problem("passkey_refused")
    response = {
        "clientDataJSON": given.client_data, "authenticatorData": given.authenticator_data, "signature": given.signature,
    }  # fmt: skip
    with _refusing():
        told = verify_authentication_response(
            credential={"id": given.id, "rawId": given.id, "type": "public-key", "response": response},
            expected_challenge=challenge, expected_rp_id=party.name, expected_origin=party.origin,
            credential_public_key=base64url_to_bytes(found.public_key), credential_current_sign_count=found.sign_count,
            require_user_verification=alone,
        )  # fmt: skip
    found.sign_count, found.used_at = told.new_sign_count, now()
    session.flush()
    return found


def is_shown(session: Session, user: User, shown: Shown) -> bool:
    """Whether it is a passkey of the account that has signed, behind its password. The challenge is used up."""
    try:
        challenge = take(session, shown.party, shown.given.client_data, BEHIND_PASSWORD)
        found = known(session, shown.given)
        if found is None or found.user_id != user.id:
            return False
        check(session, shown, challenge, alone=False)
    except Problem:
        return False
    return True


def passkeys(session: Session, user_id: int) -> Sequence[Passkey]:
    """The passkeys of an account, oldest first."""
    return session.scalars(sa.select(Passkey).where(Passkey.user_id == user_id).order_by(Passkey.created_at, Passkey.id)).all()


def remove(session: Session, actor: Actor, user_id: int, passkey_id: str) -> None:
    """Take a passkey of an account away. Raises Problem `passkey_unknown`."""
    found = row_of(session, Passkey, passkey_id)
    if found is None or found.user_id != user_id:
        raise Problem("passkey_unknown", id=passkey_id)
    session.delete(found)
    audit.record(session, actor, "factor.remove", actor.name, {"kind": "passkey", "name": found.name})


def remove_all(session: Session, user_id: int) -> bool:
    """Take all passkeys of an account away; whether there were any."""
    found = passkeys(session, user_id)
    session.execute(sa.delete(Passkey).where(Passkey.user_id == user_id))
    return bool(found)


def holders(session: Session) -> set[int]:
    """The accounts that have a passkey."""
    return set(session.scalars(sa.select(Passkey.user_id).distinct()))


@contextmanager
def _refusing() -> Generator[None]:
    """Raises Problem `passkey_refused` for whatever the library finds wrong."""
    try:
        yield
    except Exception as error:  # anybody sends this: what its readers trip over is no fault of the server
        raise Problem("passkey_refused") from error


def _challenge(session: Session, party: Party, purpose: str) -> bytes:
    """A new challenge."""
    session.execute(sa.delete(PasskeyChallenge).where(PasskeyChallenge.created_at < now() - CHALLENGE_SECONDS * NANOSECONDS))
    count = session.scalar(sa.select(sa.func.count()).select_from(PasskeyChallenge)) or 0
    if count >= CHALLENGES_MOST:
        oldest = sa.select(PasskeyChallenge.challenge_hash).order_by(PasskeyChallenge.created_at)
        many = oldest.limit(count - CHALLENGES_MOST + 1)
        session.execute(sa.delete(PasskeyChallenge).where(PasskeyChallenge.challenge_hash.in_(many)))
    challenge = secrets.token_bytes(users.TOKEN_BYTES)
    holder = users.hash_token(party.holder)
    session.add(PasskeyChallenge(challenge_hash=_key(challenge), purpose=purpose, holder_hash=holder, created_at=now()))
    return challenge


def _handle(session: Session, user_id: int) -> bytes:
    """What authenticators know an account by: no name, and the same each time (Web Authentication, 14.6.1)."""
    return hashlib.sha256(f"icsight {scope_of(session).organisation} {user_id}".encode()).digest()


def _key(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
