"""PDF of a Word file, made by LibreOffice: a plant's own template looks in it as it does in Word.

LibreOffice runs for one document, in a folder of its own with a profile that is new, without network where the machine lets it
be taken away, and with limits on time, on memory and on what it writes. It follows no link; documents have none
(`package.check`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import Final

from api.problems import Problem

SECONDS: Final = 90
"""How long it may take, its start and other work of the machine included."""

PDF_BYTES: Final = 16 * 1024 * 1024
"""Largest file that it may write."""

MEMORY_BYTES: Final = 2 * 1024**3
"""Most memory that it may map, its programs and fonts included: pictures of `package.PIXELS` fit."""

WAIT_SECONDS: Final = 30
"""How long one waits for another: it takes 210 MiB of memory."""

PROGRAMS: Final = ("soffice", "libreoffice")

PACKAGES: Final = "libreoffice-writer-nogui, fonts-noto-cjk, fonts-liberation"
"""What is to be installed, as Debian and Ubuntu call it."""

_log = logging.getLogger(__name__)

_SETTINGS: Final = (
    ("org.openoffice.Office.Common/Security/Scripting", "DisableMacrosExecution", "true"),
    ("org.openoffice.Office.Common/Security/Scripting", "BlockUntrustedRefererLinks", "true"),
    ("org.openoffice.Office.Writer/Content/Update", "Link", "0"),
)
"""No macros, and nothing is fetched from anywhere."""

_PROFILE: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<oor:items xmlns:oor="http://openoffice.org/2001/registry">'
    + "".join(
        f'<item oor:path="/{path}"><prop oor:name="{name}" oor:op="fuse"><value>{value}</value></prop></item>'
        for path, name, value in _SETTINGS
    )
    + "</oor:items>\n"
)

_ONE: Final = threading.BoundedSemaphore(1)


def program() -> str | None:
    """LibreOffice on this machine; None where it has none."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


def convert(document: bytes) -> bytes:
    """The PDF of a Word file. Raises Problem `converter_none`, `converter_failed`, `documents_busy`."""
    if (found := program()) is None:
        raise Problem("converter_none", packages=PACKAGES)
    if not _ONE.acquire(timeout=WAIT_SECONDS):
        raise Problem("documents_busy", headers={"Retry-After": "10"})
    try:
        with tempfile.TemporaryDirectory(prefix="icsight-document-", ignore_cleanup_errors=True) as folder:
            return _converted(found, Path(folder), document)
    finally:
        _ONE.release()


def _converted(program: str, folder: Path, document: bytes) -> bytes:
    profile = folder / "profile" / "user"
    profile.mkdir(parents=True)
    (profile / "registrymodifications.xcu").write_text(_PROFILE, "utf-8")
    (folder / "document.docx").write_bytes(document)
    command = [
        *_confined(), program, f"-env:UserInstallation={(folder / 'profile').as_uri()}", "--headless", "--norestore", "--nologo",
        "--nodefault", "--nolockcheck", "--infilter=MS Word 2007 XML", "--convert-to", "pdf:writer_pdf_Export", "--outdir",
        str(folder), str(folder / "document.docx"),
    ]  # fmt: skip
    environment = {"HOME": str(folder), "TMPDIR": str(folder), "PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
    process = subprocess.Popen(  # noqa: S603  a program of the system, with fixed arguments
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, env=environment,
        start_new_session=True,
    )  # fmt: skip
    try:
        process.wait(SECONDS)
    except subprocess.TimeoutExpired:
        raise Problem("converter_failed", reason=f"> {SECONDS} s") from None
    finally:
        # It starts a process of its own, which may outlive it.
        _end(process)
    made = folder / "document.pdf"
    content = made.read_bytes() if made.is_file() else b""
    if not content.startswith(b"%PDF-") or b"%%EOF" not in content[-1024:]:
        raise Problem("converter_failed", reason=f"exit {process.returncode}")
    return content


@cache
def _confined() -> tuple[str, ...]:
    """What a program is started by so that it has limits and no network, as far as this machine lets it."""
    limits = ("prlimit", f"--fsize={PDF_BYTES}", f"--as={MEMORY_BYTES}", f"--cpu={SECONDS}", "--core=0")
    alone = ("unshare", "--map-current-user", "--net")
    found: tuple[str, ...] = ()
    for words in (limits, alone):
        with_them = (*found, *words)
        if shutil.which(words[0]) and subprocess.run([*with_them, "true"], capture_output=True, check=False).returncode == 0:  # noqa: S603  fixed arguments
            found = with_them
        else:
            _log.warning("LibreOffice runs without %s: this machine does not let it have that", words[0])
    return found


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
