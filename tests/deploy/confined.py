"""A process as a container of deploy/ has it: a file system that it cannot write, a bounded /tmp, no rights to gain."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def confined(command: Sequence[str | Path], state: Path, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start a command that can write to one folder and to its own /tmp alone, and has no capability (Linux; root or a user
    namespace).

    Args:
        command: a program and its arguments.
        state: the folder; of the rest of /tmp it sees nothing.
        environment: its variables, beside what it needs to be found.
    """
    script = f"""
set -euo pipefail
mount -n --make-rprivate /
mount -n --bind '{state}' /mnt
mount -n -o bind,ro,remount /
mount -n -t tmpfs -o size=64m,mode=1777,noexec,nosuid,nodev tmpfs /tmp
mkdir -p '{state}'
mount -n --move /mnt '{state}'
cd '{state}'
if touch /etc/written 2>/dev/null; then echo 'the file system can be written' >&2; exit 99; fi
exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all --ambient-caps=-all "$@"
"""
    namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--user", "--map-root-user"]
    return subprocess.Popen(
        [*namespace, "bash", "-c", script, "confined", *map(str, command)],
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", **environment},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
