"""A batch in the spool of a sensor, or of a system on one machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from api.trace import Found
from sensor.spool_files import SPOOL
from sensor.spool_format import SpoolError, segment_path
from sensor.spool_search import search

if TYPE_CHECKING:
    from pathlib import Path

    from api.trace import Sought
    from sensor.spool_search import Standing


def in_spool(sought: Sought, data: Path) -> Found | None:
    """What the spool of a data folder says; None where there is none."""
    try:
        standing = search(data / SPOOL, sought.run, sought.sequence)
    except (OSError, SpoolError) as error:
        return Found("spool", "unknown", f"cannot be read: {error}")
    if standing is None:
        return None
    if standing.header is None:
        return Found(
            "spool", "absent", _why_not_in_spool(sought, standing), {"highest": standing.highest, "first": standing.first}
        )
    header = sought.header = standing.header
    file = segment_path(data / SPOOL, standing.segment).name
    about: dict[str, object] = {
        "number": standing.number, "segment": file, "offset": standing.offset, "table": header.table, "rows": header.rows,
        "dropped": header.dropped, "waits_for": standing.waits_for,
    }  # fmt: skip
    text = f"number {standing.number:,} at {standing.offset:,} of {file}: {header.rows:,} rows of {header.table}"
    if header.dropped:
        text += f"; {header.dropped:,} rows were dropped for want of room"
    if not standing.waits_for:
        done = ", ".join(sorted(standing.consumers)) or "nobody reads it"
        return Found("spool", "done" if standing.consumers else "there", f"{text}; done with by {done}", about)
    before = {name: standing.number - standing.consumers[name] for name in standing.waits_for}
    about["before"] = before
    told = ", ".join(f"{name} ({count:,} batches before it)" for name, count in before.items())
    return Found("spool", "waits", f"{text}; waits for {told}{_trouble(data, standing)}", about)


def _why_not_in_spool(sought: Sought, standing: Standing) -> str:
    if standing.highest is None:
        return "this spool has never held a batch of this run: look at the names of sensor and epoch"
    if sought.sequence > standing.highest:
        return f"not recorded yet: the run has come to {standing.highest:,}"
    if sought.sequence < standing.first:
        return (
            f"removed: what is left of the run begins at {standing.first:,}; "
            "all consumers had had it, or it was too old, or the spool was full"
        )
    return "its place in the spool is damaged: look at the disk"


def _trouble(data: Path, standing: Standing) -> str:
    """Why an uplink does not go on, as it told last."""
    if "uplink" not in standing.waits_for:
        return ""
    try:
        trouble = cast("dict[str, Any]", json.loads((data / "uplink.json").read_text())).get("trouble")
    except (OSError, ValueError):
        return ""
    return f"; the uplink says: {trouble}" if trouble else ""
