"""What an enrolled sensor knows of its enrolment, in the folder `enrolment` of its data folder.

enrolment.json     who it is, and how the centre is reached
sensor.pem         its private key and its certificate: one file, so that both change at once
next.key           the key of the next certificate, which has been asked for, until it has come
token-ID.key       the key that is enrolled with the token of that name, until it is
authority.pem      the authority that issues its certificates
brokers.pem        the authorities of the brokers, where the centre named them
"""

from __future__ import annotations

import errno
import json
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from sensor.spool_files import replace_file

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

FOLDER: Final = "enrolment"
"""Folder of these files in a data folder."""

VERSION: Final = 1
"""Version of `enrolment.json`; one without any is of this one. One of a newer version is refused and not touched."""

CREDENTIALS: Final = "sensor.pem"

NEXT_KEY: Final = "next.key"

AUTHORITY: Final = "authority.pem"

BROKERS: Final = "brokers.pem"


class EnrolmentError(Exception):
    """A sensor cannot be enrolled, or its certificate not be renewed. The text is one line: what is wrong, and what to do."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """An enrolment.

    Attributes:
        sensor: name of the sensor.
        site: name of its site; empty where it has none.
        url: where the centre answers.
        principal: common name of its certificates.
    """

    sensor: str
    site: str
    url: str
    principal: str


def read_enrolled(data: Path) -> Enrolled | None:
    """The enrolment of a data folder; None where it is not enrolled. Raises EnrolmentError."""
    path = data / FOLDER / "enrolment.json"
    try:
        content = cast("dict[str, Any]", json.loads(path.read_bytes()))
        if (version := int(content.get("version", VERSION))) > VERSION:
            raise EnrolmentError(
                f"{path}: written by a newer version (enrolment {version}, this one reads {VERSION}): update icsight"
            )
        return Enrolled(**{name: str(content[name]) for name in ("sensor", "site", "url", "principal")})
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EnrolmentError(f"{path}: cannot be read ({error.strerror}): check who owns it") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EnrolmentError(f"{path}: damaged ({error}): enrol anew with a new token") from error


def keep_enrolled(data: Path, enrolled: Enrolled) -> None:
    """Write an enrolment down. Raises OSError."""
    keep(data, "enrolment.json", json.dumps({"version": VERSION, **asdict(enrolled)}, ensure_ascii=False, indent=1).encode())


def keep(data: Path, name: str, content: bytes) -> None:
    """Put a file of an enrolment in place, whole or not at all; only its owner reads it. Raises OSError.

    Args:
        data: the data folder, which must be there. No link in it is followed.
        name: name of the file.
        content: what is to be in it.
    """
    folder = data / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink():
        raise OSError(errno.ELOOP, "a link, where a folder should be", str(folder))
    replace_file(folder / name, content)


@contextmanager
def as_owner(data: Path) -> Generator[None]:
    """Work in a data folder as who it belongs to, where root does: what is written is that user's, and no link of his leads root.

    For a command that has no other thread: the process becomes that user meanwhile. Raises OSError.
    """
    owner = data.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        yield
        return
    group, groups = os.getegid(), os.getgroups()
    # Root's other groups too: what a link leads to may be theirs to read.
    os.setgroups([owner.st_gid])
    os.setegid(owner.st_gid)
    try:
        os.seteuid(owner.st_uid)
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)
