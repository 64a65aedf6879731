"""Faults of what a sensor's records lie on: a bit that flips in the spool, a disk that is full."""

from __future__ import annotations

import re
import shutil
import time
from typing import TYPE_CHECKING, Final

from tests.faults import stream
from tests.faults.disk import disk
from tests.faults.system import until

if TYPE_CHECKING:
    from tests.faults.run import Run

SPOOL_DISK_MIB: Final = 8

RECORDED_SECONDS: Final = 60.0


def small_disk(run: Run) -> None:
    """Put a small disk under the data folder of the run."""
    run.disk = run.stack.enter_context(disk(run.data, SPOOL_DISK_MIB))


def fill_spool(run: Run) -> None:
    """Leave no room for a while: the sensor waits, the uplink cannot keep its position."""
    assert run.disk is not None
    run.wait_for_moment(most=1.4)
    run.outcome.met_work = run.sensor.runs()
    run.disk.fill()
    time.sleep(run.random.uniform(0.5, 4.0))
    run.disk.empty()


def flip_bit(run: Run) -> None:
    """While the uplink is away a bit of what it has not shipped yet flips. Each batch that is lost by it must be told.

    It is told by the uplink, which names the batch, or by the collectors, which miss it.
    """
    run.wait_for_moment(most=1.2)
    run.uplink.kill()
    until(lambda: "recorded" in run.sensor.said(), RECORDED_SECONDS, "the sensor has recorded all")
    (segment,) = (run.data / "spool").glob("*.segment")
    content = bytearray(segment.read_bytes())
    used = len(content.rstrip(b"\0"))
    # What has been shipped fills about this share of the file; behind it, it matters.
    place = run.random.randrange(used * run.shipped // len(run.wanted), used)
    bit = run.random.randrange(8)
    content[place] ^= 1 << bit
    segment.write_bytes(content)
    rest = run.reference / "rest"
    rest.mkdir()
    shutil.copytree(run.data / "spool", rest / "spool")
    run.outcome.what += f", bit {bit} of byte {place:,} of {used:,}"
    run.uplink.start()
    run.wait_shipped()
    run.wait_stored()
    told = _told(run)
    run.outcome.met_work = bool(told)
    run.outcome.told = len(told)
    run.wanted = [batch for batch in run.wanted if (batch.header.epoch, batch.header.sequence) not in told]
    run.alerts = stream.alerts_in(rest, run.site, run.system.ruleset)


def _told(run: Run) -> set[tuple[str, int]]:
    """The batches that were said to be lost, by epoch and sequence."""
    name = re.escape(run.site)
    told = {
        (found[1], int(found[2])) for found in re.finditer(rf"\({name}/(\w+)/(\d+)\) is damaged", run.uplink.said())
    }  # fmt: skip
    for command in (run.system.files, run.system.cluster):
        for found in re.finditer(rf"{name}/(\w+): batches ([\d,]+) to ([\d,]+) are missing", command.said()):
            first, last = (int(number.replace(",", "")) for number in found.groups()[1:])
            told |= {(found[1], number) for number in range(first, last + 1)}
    return told
