"""Taking up a request that has a key, once, and keeping its answer.

A request is taken up in a transaction of its own, for a limited time. The change that it makes is marked in the transaction of
the change, and only by who holds the request: of two that carry it out at once, or one after the other because the first
seemed to be gone, one alone can write. What was not marked was not done, whatever was killed.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from api.idempotency.models import KeyedRequest
from api.problems import Problem
from api.times import NANOSECONDS, now

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import Session

    from api.database import Database

KEPT_SECONDS: Final = 24 * 3600
"""How long an answer is kept."""

HELD_SECONDS: Final = 30
"""How long a request is held by who carries it out; nobody waits longer for one that has gone."""

MOST_KEYS: Final = 10_000
"""Most requests of one caller that are kept."""

ANSWER_BYTES: Final = 256 * 1024
"""Longest answer that is kept."""

KEPT_HEADERS: Final = ("content-type", "etag", "location", "content-language")
"""Headers that belong to an answer and not to how it was sent."""

_NONCE_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Answered(Exception):  # noqa: N818  it is no error
    """The request was carried out before: this is its answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


@dataclass(slots=True)
class Claim:
    """A request with a key on its way through this process.

    Attributes:
        key: the key, as the caller sent it.
        request_hash: SHA-256 of what is asked.
        caller: who asks; empty until it is known, and always for requests that need no caller.
        holder: what it is held with; empty while it is not.
    """

    key: str = field(repr=False)
    request_hash: str
    caller: str = ""
    holder: str = ""

    @property
    def key_hash(self) -> str:
        """The key as it is stored."""
        return hashlib.sha256(self.key.encode()).hexdigest()


CURRENT: Final[ContextVar[Claim | None]] = ContextVar("icsight_claim", default=None)
"""The request with a key that this thread works for."""


def request_hash(method: str, address: str, body: bytes) -> str:
    """What is asked: two that differ in anything have another."""
    parts = (method.encode(), address.encode(), body)
    return hashlib.sha256(b"".join(len(part).to_bytes(8) + part for part in parts)).hexdigest()


def take_up(database: Database, caller: str) -> None:
    """Hold the current request, if it has a key.

    Raises:
        Answered: it was carried out before.
        Problem: `idempotency_other`, `idempotency_busy`, `idempotency_done`, `idempotency_full`.
    """
    claim = CURRENT.get()
    if claim is None or claim.holder:
        return
    moment = now()
    holder = secrets.token_hex(16)
    with database.write() as session:
        session.execute(sa.delete(KeyedRequest).where(KeyedRequest.at < moment - KEPT_SECONDS * NANOSECONDS))
        stored = session.scalar(_of(caller, claim.key_hash))
        if stored is None:
            _check_room(session, caller)
            stored = KeyedRequest(caller=caller, key_hash=claim.key_hash, request_hash=claim.request_hash, at=moment)
            session.add(stored)
        else:
            _check_free(stored, claim, moment)
        stored.holder, stored.held_until = holder, moment + HELD_SECONDS * NANOSECONDS
    claim.caller, claim.holder = caller, holder


def mark(session: Session) -> None:
    """Write down in a transaction that changes something that the current request did; called before each ends.

    Raises Problem `idempotency_busy` where another holds the request by now: what this one changed is undone then.
    """
    claim = CURRENT.get()
    if claim is None or not claim.holder:
        return
    held = (
        sa.update(KeyedRequest)
        .where(
            KeyedRequest.caller == claim.caller, KeyedRequest.key_hash == claim.key_hash, KeyedRequest.holder == claim.holder
        )
        .values(committed_at=now())
        .execution_options(synchronize_session=False)
    )  # fmt: skip
    if session.execute(held).rowcount != 1:  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]  of an update it has one
        raise Problem("idempotency_busy", headers={"Retry-After": "1"})


def settle(database: Database, claim: Claim, answer: Answer | None) -> None:
    """Keep the answer of a request that was held, or forget one that changed nothing and failed.

    Args:
        database: where.
        claim: the request.
        answer: None where there is none, or it is too long to be kept.
    """
    if not claim.holder:
        return
    holder, claim.holder = claim.holder, ""
    with database.write() as session:
        stored = session.scalar(_of(claim.caller, claim.key_hash))
        if stored is None or stored.holder != holder:
            return
        if stored.committed_at is None and (answer is None or answer.status >= 400):
            session.delete(stored)
            return
        stored.held_until = 0
        if answer is not None and answer.status < 500:
            # What failed for a reason that passes is not answered again; that it changed something is known.
            stored.status, stored.headers = answer.status, dict(answer.headers)
            stored.answer = _sealed(claim.key, answer.body)


def _of(caller: str, key_hash: str) -> sa.Select[KeyedRequest]:
    return sa.select(KeyedRequest).where(KeyedRequest.caller == caller, KeyedRequest.key_hash == key_hash)


def _check_free(stored: KeyedRequest, claim: Claim, moment: int) -> None:
    if stored.request_hash != claim.request_hash:
        raise Problem("idempotency_other")
    if stored.status is not None:
        body = _opened(claim.key, stored.answer or "")
        if body is None:
            raise Problem("idempotency_done")
        raise Answered(Answer(stored.status, stored.headers or {}, body))
    if stored.held_until > moment:
        raise Problem("idempotency_busy", headers={"Retry-After": "1"})
    if stored.committed_at is not None:
        raise Problem("idempotency_done")


def _check_room(session: Session, caller: str) -> None:
    kept = sa.select(sa.func.count()).select_from(KeyedRequest).where(KeyedRequest.caller == caller)
    if (session.scalar(kept) or 0) >= MOST_KEYS:
        raise Problem("idempotency_full", headers={"Retry-After": "600"}, most=MOST_KEYS)


def _cipher(key: str) -> AESGCM:
    return AESGCM(hashlib.sha256(b"icsight answer\0" + key.encode()).digest())


def _sealed(key: str, body: bytes) -> str:
    """A body that only who has the key can read: answers may hold what is shown once."""
    nonce = os.urandom(_NONCE_BYTES)
    return base64.b64encode(nonce + _cipher(key).encrypt(nonce, body, None)).decode()


def _opened(key: str, sealed: str) -> bytes | None:
    content = base64.b64decode(sealed)
    try:
        return _cipher(key).decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], None)
    except (InvalidTag, ValueError):
        return None
