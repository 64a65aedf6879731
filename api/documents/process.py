"""Has templates filled by a process of its own, and made those that come with the product."""

from __future__ import annotations

import base64
import json
import logging
import subprocess
import sys
import threading
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from api.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from api.documents.models import Language

SECONDS: Final = 60
"""How long the process may take, other work of the machine included."""

AT_ONCE: Final = 2
"""Processes at a time."""

WAIT_SECONDS: Final = 30
"""How long one waits for another."""

_log = logging.getLogger(__name__)

_PROCESSES: Final = threading.BoundedSemaphore(AT_ONCE)


@cache
def built_in(kind: str, language: Language) -> bytes:
    """The template of reports (`report`) or of summaries (`summary`) that comes with the product."""
    return _answered({"make": [kind, language]})[0]


def fill(template: bytes, shape: Mapping[str, Any], contents: Sequence[Mapping[str, Any]]) -> list[bytes]:
    """A document of each of several contents.

    Raises Problem `template_active`, `template_broken`, `template_heavy`, `template_large`, `template_unreadable`,
    `placeholder_unfit`, `placeholder_unknown`, `documents_busy`.
    """
    return _answered({"template": base64.b64encode(template).decode(), "shape": shape, "contents": contents})


def _answered(request: Mapping[str, Any]) -> list[bytes]:
    if not _PROCESSES.acquire(timeout=WAIT_SECONDS):
        raise Problem("documents_busy", headers={"Retry-After": "10"})
    try:
        # Isolated: what it loads is this program's, whatever folder and variables it was started with.
        command = [sys.executable, "-I", "-m", "api.documents.child"]
        said = json.dumps(request).encode()
        # Of the environment nothing: passwords may be in it.
        ended = subprocess.run(command, input=said, capture_output=True, timeout=SECONDS, check=False, env={})  # noqa: S603  our own program
    except subprocess.TimeoutExpired:
        raise Problem("template_heavy") from None
    finally:
        _PROCESSES.release()
    if ended.returncode != 0:
        if ended.returncode < 0 or b"MemoryError" in ended.stderr:
            raise Problem("template_heavy")
        raise RuntimeError(f"the process that fills templates failed: {ended.stderr.decode(errors='replace')[-2000:]}")
    if ended.stderr:
        _log.warning("filling a template: %s", ended.stderr.decode(errors="replace")[-2000:])
    answer = json.loads(ended.stdout)
    if "fault" in answer:
        raise Problem(answer["fault"], **answer["values"])
    return [base64.b64decode(document) for document in answer["documents"]]
