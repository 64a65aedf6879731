"""A service as a process of this machine: begun, waited for, killed, and never left behind."""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

READY_SECONDS: Final = 300.0
"""How long a service may take until it answers: twenty times what the slowest takes on an idle machine."""

STOP_SECONDS: Final = 15.0

GUARD: Final = """
import contextlib, ctypes, os, signal, sys, threading
PR_SET_CHILD_SUBREAPER = 36
# Whatever it begins becomes this one's once its parent has ended, in whatever session it is.
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
owner, user, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
child = os.fork()
if not child:
    os.setpgid(0, 0)
    # What it prints goes where its errors go: nobody reads this pipe behind its first line, and once it is full a service stops.
    os.dup2(2, 1)
    if user and os.geteuid() == 0:
        import pwd
        entry = pwd.getpwnam(user)
        os.initgroups(user, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    os.execvp(command[0], command)
# Whichever of the two comes first: an end that finds no group yet would leave the child for ever.
with contextlib.suppress(OSError):
    os.setpgid(child, child)
def end(*_):
    os.killpg(child, signal.SIGKILL)
def watch():
    import select
    try:
        select.select([os.pidfd_open(owner)], [], [])
    except ProcessLookupError:
        pass
    end()
signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
print(child, flush=True)
threading.Thread(target=watch, daemon=True).start()
_, status = os.waitpid(child, 0)
with contextlib.suppress(ProcessLookupError):
    os.killpg(child, signal.SIGKILL)
def left():
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat") as file:
            if int(file.read().rpartition(")")[2].split()[1]) == os.getpid():
                yield int(name)
with contextlib.suppress(ChildProcessError):
    while True:
        for each in left():
            os.kill(each, signal.SIGKILL)
        os.waitpid(-1, 0)
sys.exit(os.waitstatus_to_exitcode(status) & 255)
"""
"""Runs a command as a user and ends it, with all that it has begun, when its owner has gone, however that went."""


class ServiceError(RuntimeError):
    """A service did not start or stop. The text has the end of what it said."""


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now.

    It is none of those that the kernel gives to whoever connects: one of these can be another's by the time that a service which
    was killed begins again.
    """
    given_from = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    while True:
        port = random.SystemRandom().randrange(min(10_000, given_from - 1_000), given_from)
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.bind(("127.0.0.1", port))
            return port


def own(user: str, *folders: Path) -> None:
    """Give folders, and all that is in them, to a user; only root can, others keep them."""
    if os.geteuid() == 0:
        entry = pwd.getpwnam(user)
        for folder in folders:
            for place in (folder, *folder.rglob("*")):
                os.chown(place, entry.pw_uid, entry.pw_gid)


class Service:
    """A service with its data in a folder, which can be ended and started again. A subclass says how it begins."""

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder
        self.process: Process | None = None

    def start(self) -> Self:
        """Start it, and wait until it answers. Raises ServiceError."""
        self.process = self.begin()
        self.process.wait_until(self.ask)
        return self

    def begin(self) -> Process:
        """Its process."""
        raise AssertionError("a subclass says how it begins")

    def ask(self) -> object:
        """Ask it something; an error says that it is not ready."""
        raise AssertionError("a subclass says how it is asked")

    def stop(self) -> None:
        """End it in good order."""
        if self.process is not None:
            self.process.stop(self.STOP)

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.kill()

    STOP: ClassVar[int] = signal.SIGTERM
    """The signal that ends it in good order."""


class Process:
    """A process under a guard, which ends it when this process' session does.

    Args:
        command: program and arguments.
        log: file that takes what it says.
        user: user that it runs as, where this process is root's.
        owner: identity of the process whose end is its end.
        options: environment and working folder.
    """

    def __init__(
        self, command: Sequence[str], log: Path, *, user: str = "", owner: int | None = None, cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.log: Final = log
        arguments = [sys.executable, "-c", GUARD, str(owner or os.getpid()), user, *command]
        with log.open("ab") as said:
            self._guard = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, cwd=cwd,
                env={**os.environ, **(environment or {})}, start_new_session=True,
            )  # fmt: skip
        assert self._guard.stdout is not None
        self.pid: Final = int(self._guard.stdout.readline() or b"0")
        if not self.pid:
            raise ServiceError(f"its guard ended before it began:\n{self.tail()}")

    def wait_until(self, is_ready: Callable[[], Any]) -> None:
        """Wait until a question no longer fails. Raises ServiceError."""
        until = time.monotonic() + READY_SECONDS
        while True:
            try:
                is_ready()
            except Exception as error:
                if self._guard.poll() is not None:
                    raise ServiceError(f"ended with {self._guard.returncode} before it answered:\n{self.tail()}") from error
                if time.monotonic() > until:
                    raise ServiceError(f"does not answer after {READY_SECONDS:.0f} s ({error}):\n{self.tail()}") from error
                time.sleep(0.1)
            else:
                return

    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._guard.poll() is None

    def wait(self) -> int:
        """Wait until it ends by itself; returns its status."""
        return self._guard.wait(READY_SECONDS)

    def tail(self) -> str:
        """The end of what it has said."""
        return self.log.read_text(errors="replace")[-2000:]

    def send(self, number: int) -> None:
        """Send the service itself a signal, if it has not ended: its number may be another's by then."""
        if self.runs():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once, with all that it has begun, as `kill -9` does, if it has not ended."""
        if self.runs():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self._guard.wait(STOP_SECONDS)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it in good order, or at once where that takes too long."""
        self.send(number)
        try:
            self._guard.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
