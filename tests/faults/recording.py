"""A sensor at work on parts of a capture, as a process that can be killed: `python -m tests.faults.recording`.

It is the loop of `icsight sensor run --capture` (`sensor.recorder`) over one file after the other into one spool. What a run that
was killed has put on the disk is passed over by the next, as when the command is started again.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from sensor.edge import spool_settings
from sensor.recorder import Recorder, opened
from sensor.spool import Spool
from sensor.spool_files import SPOOL

QUOTA_MIB = 64


def record(data: Path, sensor: str, site: str, pace_seconds: float, parts: list[str]) -> None:
    """Record the parts, each on the disk before the next begins; waits for file `go` in the data folder before the first."""
    stop = threading.Event()
    with Spool(data / SPOOL, sensor=sensor, site=site, settings=spool_settings(QUOTA_MIB, None, 0.0)) as spool:
        print("ready", flush=True)
        while not (data / "go").exists():
            time.sleep(0.01)
        for part in parts:
            reader = opened(part, spool)
            recorder = Recorder(reader, spool, stop, lambda line: print(line, flush=True))
            for batch in reader:
                recorder.keep(batch)
            recorder.finish()
            time.sleep(pace_seconds)
        print(f"recorded {spool.next_number}", flush=True)


if __name__ == "__main__":
    folder, name, place, pace, *files = sys.argv[1:]
    record(Path(folder), name, place, float(pace), files)
