"""How the commands behave in a terminal and in a pipe: errors, warnings, progress, interrupts."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NoReturn

import click

from sensor import logs
from sensor.secrets import redacted

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from types import FrameType

EXIT_COULD_NOT: Final = 2
"""Exit status of a command that could not do what it was asked."""

EXIT_INTERRUPTED: Final = 130
"""Exit status after Ctrl-C (128 + SIGINT)."""

PROGRESS_SECONDS: Final = 0.2
"""Least time between two redraws of the progress line."""


TRACE: Final = "ICSIGHT_TRACE"
"""Environment variable: where it is set, a fault of icsight's own is told with all that Python says of it."""


class CommandError(click.ClickException):
    """The command could not do what it was asked. The text is one line that says what happened, to what, and what to do next."""

    exit_code = EXIT_COULD_NOT

    def show(self, file: object = None) -> None:
        """Print the line on standard error."""
        del file
        say("error", self.message, "red")


def say(kind: str, text: str, colour: str | None = None) -> None:
    """Print one line `kind: text` on standard error, without secrets, the kind coloured if that is a terminal.

    A log in JSON gets it as such.
    """
    # Before white space is made one: a secret may hold some.
    line = shown(" ".join(redacted(text).split()))
    if logs.is_json():
        level = {"error": logging.ERROR, "warning": logging.WARNING}.get(kind, logging.INFO)
        logging.getLogger("icsight").log(level, "%s", line)
        return
    click.echo(f"{click.style(f'{kind}:', fg=colour, bold=True)} {line}", err=True)


def shown(text: str) -> str:
    """A text that somebody else has made as a terminal may have it: nothing in it moves, colours or turns what stands there."""
    return "".join(letter if letter.isprintable() or letter == "\u3000" else "\ufffd" for letter in text)


def warn(text: str) -> None:
    """Print one line of warning on standard error."""
    say("warning", text, "yellow")


class Progress:
    """A line on standard error that tells how far a long read has come; nothing where that is not a terminal."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._shown = sys.stderr.isatty()
        self._last = 0.0
        self._drawn = False

    def update(self, position: int, size: int | None, packets: int) -> None:
        """Show that `position` of `size` bytes and so many packets have been read."""
        now = time.monotonic()
        if not self._shown or now - self._last < PROGRESS_SECONDS:
            return
        self._last = now
        self._drawn = True
        share = f"{100 * position // size:3d} %" if size else f"{position / 1e6:.0f} MB"
        sys.stderr.write(f"\r\x1b[2K{self._label}: {share}, {packets:,} packets")
        sys.stderr.flush()

    def done(self) -> None:
        """Take the line away."""
        if self._drawn:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
            self._drawn = False


@contextmanager
def progress(label: str) -> Generator[Progress]:
    """A progress line for the time of the block."""
    line = Progress(label)
    try:
        yield line
    finally:
        line.done()


def run(command: click.Command) -> NoReturn:
    """Run a command as the process: a closed pipe ends it quietly, Ctrl-C with status 130, whatever goes wrong with a line."""
    stdout = sys.stdout
    try:
        _check_text(sys.argv[1:])
        status = command.main(standalone_mode=False, prog_name="icsight")
        sys.stdout.flush()
    except click.exceptions.Abort:
        os._exit(_interrupted())
    except KeyboardInterrupt:
        os._exit(_interrupted())
    except SystemExit as done:
        # When the reader has gone, click puts a silent standard output in place and ends with status 1, which of `detect` would
        # say that there were alerts.
        sys.exit(done.code if sys.stdout is stdout else 0)
    except BrokenPipeError:
        # The reader has gone: what it wanted has been written. Nothing may be flushed to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(EXIT_COULD_NOT)
    except Exception as error:
        if os.environ.get(TRACE):
            raise
        told = f"{type(error).__name__}: {error}"
        say(
            "error",
            f"icsight has a fault of its own ({told}). {TRACE}=1 before the command prints where: please report it.",
            "red",
        )
        sys.exit(EXIT_COULD_NOT)
    sys.exit(status if isinstance(status, int) else 0)


def _check_text(arguments: Sequence[str]) -> None:
    """Refuse arguments that are no text: what is said of a file goes into records, JSON and pages. Raises CommandError."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            shown = argument.encode(errors="surrogateescape").decode(errors="backslashreplace")
            raise CommandError(
                f"{shown}: not UTF-8. Rename the file; a capture can also be given as standard input (-)."
            ) from error


def _interrupted() -> int:
    """Leave without waiting for worker threads: every file in use is consistent at any moment."""
    sys.stderr.write("\n")
    sys.stderr.flush()
    return EXIT_INTERRUPTED


def until_signal() -> threading.Event:
    """An event that Ctrl-C and SIGTERM set. A second one ends the process at once: every file is consistent at any moment."""
    stop = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
    return stop
