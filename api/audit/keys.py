"""The key that signs checkpoints of the audit trail: Ed25519, in a file of its own."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sensor.spool_files import replace_file

if TYPE_CHECKING:
    from pathlib import Path


class AuditKeyError(Exception):
    """A key cannot be used. The text is one line."""


def identity(key: Ed25519PublicKey) -> str:
    """The name of a key: the first 16 hexadecimal digits of the SHA-256 of its 32 bytes."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]


def pem(key: Ed25519PublicKey) -> str:
    """The public part as text, to be kept elsewhere."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def read(path: Path) -> Ed25519PrivateKey:
    """The key of a file. Raises AuditKeyError."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise AuditKeyError(f"{path}: cannot be read ({error.strerror})") from error
    except TypeError as error:
        raise AuditKeyError(f"{path}: the key has a password: give it without one, readable by this user only") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise AuditKeyError(f"{path}: not a PEM file of a private key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise AuditKeyError(f"{path}: not an Ed25519 key: give one of these")
    return key


def read_public(path: Path) -> Ed25519PublicKey:
    """The public key of a file, or that of the private key in it. Raises AuditKeyError."""
    try:
        content = path.read_bytes()
        if b"PRIVATE KEY" in content:
            return read(path).public_key()
        key = serialization.load_pem_public_key(content)
    except OSError as error:
        raise AuditKeyError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise AuditKeyError(f"{path}: not a PEM file of a public key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise AuditKeyError(f"{path}: not an Ed25519 key: give that of the audit trail")
    return key


def read_or_make(path: Path) -> Ed25519PrivateKey:
    """The key of a file, made where there is none. Raises AuditKeyError."""
    if not path.exists():
        key = Ed25519PrivateKey.generate()
        content = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(path, content)
        except OSError as error:
            raise AuditKeyError(f"{path}: cannot be written ({error.strerror})") from error
    return read(path)
