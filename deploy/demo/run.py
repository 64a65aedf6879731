"""`make demo`: the virtual plant under attack, its packets streaming into the whole system, until Ctrl-C.

The plant writes a capture to a pipe as it happens; `icsight run --capture -` reads it. Nothing else is needed and nothing
leaves this machine. Data of the last demo is thrown away at the start and stays for a look after the end.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import FrameType

ROOT: Final = Path(__file__).resolve().parents[2]
DATA: Final = ROOT / ".demo"
SITE: Final = ROOT / "deploy" / "demo" / "site.yml"
STOP_SECONDS: Final = 15
"""How long the parts get to stop by themselves."""


def main() -> int:
    """Run plant and system until one of them ends or Ctrl-C; the system's exit status."""
    shutil.rmtree(DATA, ignore_errors=True)
    command = Path(sys.executable).with_name("icsight")
    print("== demo: a water works and a boiler house, with attacks under way. Ctrl-C stops it.", flush=True)
    # Signals are passed on below, so that a terminal's Ctrl-C and a supervisor's SIGTERM end both parts in the same order.
    plant = subprocess.Popen(
        [sys.executable, "-m", "tests.plant", "live", "--out", "-"], cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True
    )
    system = subprocess.Popen(
        [command, "run", "--capture", "-", "--data", DATA, "--site", SITE, *sys.argv[1:]],
        cwd=ROOT,
        stdin=plant.stdout,
        start_new_session=True,
    )
    if plant.stdout is not None:
        plant.stdout.close()  # only the system reads it: the plant notices when the system has gone

    def stop(_number: int, _frame: FrameType | None) -> None:
        for part in (plant, system):
            if part.poll() is None:
                part.send_signal(signal.SIGINT)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    status = system.wait()
    stop(signal.SIGTERM, None)
    try:
        plant.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        plant.kill()
    print(f"== demo: stopped; its data is in {DATA}", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
